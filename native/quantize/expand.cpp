#include "expand.h"

#include <atomic>

#include "../base/bits.h"
#include "../base/mask.h"
#include "../base/memory.h"
#include "assign.h"
#include "expand_avx512.h"

namespace dc {

// The codebook as kernels see it: of byte codes always 256 entries, so that no code points outside.
struct Book {
  const float* floats;
  uint32_t k;
  unsigned code_bytes;
};

static void expand_run(CpuLevel level, const Book& book, const void* codes, size_t count, float* values) noexcept {
  if (book.code_bytes == 2) {
    const uint16_t* c = static_cast<const uint16_t*>(codes);
    for (size_t i = 0; i < count; i++) values[i] = book.floats[c[i]];
    return;
  }
  const uint8_t* c = static_cast<const uint8_t*>(codes);
  size_t done = 0;
  // No AVX2 body: its gather was as fast as these plain look-ups (6.4 ms for 16.8 M weights on one Zen 4 core, both).
#if DC_X86
  if (level == CpuLevel::avx512) {
    done = count & ~size_t{63};
    // Taking the book apart costs about as much as 500 look-ups.
    if (done >= 1024) {
      expand_bytes_avx512(c, done, book.floats, values);
    } else {
      done = 0;
    }
  }
#endif
  (void)level;
  for (size_t i = done; i < count; i++) values[i] = book.floats[c[i]];
}

// The first code >= k, or `count`.
static size_t first_outside(const Book& book, const void* codes, size_t count) noexcept {
  if (book.code_bytes == 1) {
    if (book.k == 256) return count;
    const uint8_t* c = static_cast<const uint8_t*>(codes);
    uint8_t largest = 0;
    for (size_t i = 0; i < count; i++) largest = c[i] > largest ? c[i] : largest;
    if (largest < book.k) return count;
    size_t i = 0;
    while (c[i] < book.k) i++;
    return i;
  }
  const uint16_t* c = static_cast<const uint16_t*>(codes);
  for (size_t i = 0; i < count; i++) {
    if (c[i] >= book.k) return i;
  }
  return count;
}

// Kept values are looked up this many places at a time, in the first-level cache, and spread from there.
static constexpr size_t kChunk = 2048;

static void expand_masked(CpuLevel level, const Book& book, const void* codes, const uint32_t* mask, size_t count,
                          float* values) noexcept {
  const uint8_t* in = static_cast<const uint8_t*>(codes);
  for (size_t at = 0; at < count; at += kChunk) {
    const size_t here = count - at < kChunk ? count - at : kChunk;
    const uint32_t* words = mask + at / kMaskBits;
    float* out = values + at;
    const size_t n = static_cast<size_t>(count_mask(level, words, here));
    alignas(64) float kept[kChunk + 16];
    expand_run(level, book, in, n, kept);
    size_t from = 0, word = 0;
#if DC_X86
    if (level == CpuLevel::avx512) {
      word = here / kMaskBits;
      from = spread_avx512(kept, words, word * kMaskBits, out);
    }
#endif
    for (; word * kMaskBits < here; word++) {
      const size_t left = here - word * kMaskBits;
      uint32_t bits = words[word];
      if (left < kMaskBits) bits &= (1u << left) - 1;
      std::memset(out + word * kMaskBits, 0, (left < kMaskBits ? left : kMaskBits) * sizeof(float));
      for (; bits; bits &= bits - 1) out[word * kMaskBits + count_trailing_zeros(bits)] = kept[from++];
    }
    in += n * book.code_bytes;
  }
}

Result expand(const Job& job, const void* codes, unsigned code_bytes, uint64_t code_count, const uint32_t* mask,
              const float* codebook, uint32_t k, float* values, size_t count) noexcept {
  if (k < 1 || k > kMaxCentroids) return fail(Status::arg);
  if (code_bytes != 2 && !(code_bytes == 1 && k <= 256)) return fail(Status::arg);
  const size_t blocks = block_count(count);
  Array<uint64_t> offsets;
  uint64_t expected = count;
  if (mask) {
    if (!offsets.reset(blocks + 1)) return fail(Status::nomem);
    const Result counted = mask_offsets(job, mask, count, offsets.data());
    if (!counted) return counted;
    expected = offsets[blocks];
  }
  if (code_count != expected) return fail(Status::arg, expected);

  float padded[256] = {};
  Book book{codebook, k, code_bytes};
  if (code_bytes == 1) {
    std::memcpy(padded, codebook, k * sizeof(float));
    book.floats = padded;
  }
  std::atomic<uint64_t> outside{UINT64_MAX};
  const Result ran = parallel(job, blocks, [&](size_t b, unsigned) {
    const size_t first = b * kBlockElements;
    const size_t here = count - first < kBlockElements ? count - first : kBlockElements;
    const uint64_t from = mask ? offsets[b] : first;
    const size_t n = mask ? static_cast<size_t>(offsets[b + 1] - from) : here;
    const uint8_t* in = static_cast<const uint8_t*>(codes) + from * code_bytes;
    const size_t bad = first_outside(book, in, n);
    if (bad < n) {
      uint64_t seen = outside.load(std::memory_order_relaxed);
      while (from + bad < seen && !outside.compare_exchange_weak(seen, from + bad, std::memory_order_relaxed)) {
      }
    } else if (mask) {
      expand_masked(job.level, book, in, mask + first / kMaskBits, here, values + first);
    } else {
      expand_run(job.level, book, in, here, values + first);
    }
    job.report(b + 1, blocks);
  });
  if (!ran) return ran;
  return outside == UINT64_MAX ? Result{} : fail(Status::value, outside);
}

}  // namespace dc
