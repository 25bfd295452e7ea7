#include "gaps.h"

#include <cstring>

#include "../base/bits.h"

namespace dc {

namespace {

// Calls keep(position) for each kept weight of an escape sequence. Answers Status::index by the rules of S4.
template <typename F>
Result walk_escape(const uint8_t* gaps, size_t symbols, unsigned alphabet, uint64_t range, uint64_t* end,
                   F keep) noexcept {
  const unsigned escape = alphabet - 1;
  uint64_t at = 0;
  *end = 0;
  if (alphabet < 2 || alphabet > 256) return fail(Status::arg);
  if (symbols && gaps[symbols - 1] == escape) return fail(Status::index, symbols - 1);
  for (size_t i = 0; i < symbols; i++) {
    const unsigned g = gaps[i];
    if (g >= range - at || g > escape) return fail(Status::index, i);
    at += g;
    if (g != escape) keep(at++);
  }
  *end = at;
  return {};
}

// The same for the relative form; keep(position, code).
template <typename F>
Result walk_relative(const uint8_t* gaps, const uint8_t* entries, size_t symbols, unsigned index_bits, uint64_t range,
                     uint64_t* end, F keep) noexcept {
  const unsigned most = (1u << index_bits) - 1;
  uint64_t at = 0;
  *end = 0;
  if (index_bits < 2 || index_bits > 8) return fail(Status::arg);
  if (symbols && entries[symbols - 1] == 0) return fail(Status::index, symbols - 1);
  for (size_t i = 0; i < symbols; i++) {
    const unsigned g = gaps[i];
    if (g >= range - at || g > most || (entries[i] == 0 && g != most)) return fail(Status::index, i);
    at += g + 1;
    if (entries[i]) keep(at - 1, static_cast<unsigned>(entries[i] - 1));
  }
  *end = at;
  return {};
}

void set_bit(uint32_t* mask, uint64_t bit) noexcept { mask[bit >> 5] |= 1u << (bit & 31); }

void or_shared(uint32_t* word, uint32_t bits) noexcept {
#if defined(__GNUC__) || defined(__clang__)
  __atomic_fetch_or(word, bits, __ATOMIC_RELAXED);
#else
  _InterlockedOr(reinterpret_cast<volatile long*>(word), static_cast<long>(bits));
#endif
}

// Sets bits of one range; the first and the last word may belong to a neighbour too.
struct MaskRange {
  uint32_t* mask;
  uint64_t first, low_word, high_word;
  uint32_t low = 0, high = 0;
  MaskRange(uint32_t* m, uint64_t f, uint64_t range) noexcept
      : mask(m), first(f), low_word(f >> 5), high_word(range ? (f + range - 1) >> 5 : f >> 5) {}
  void set(uint64_t position) noexcept {
    const uint64_t bit = first + position, word = bit >> 5;
    if (word == low_word) {
      low |= 1u << (bit & 31);
    } else if (word == high_word) {
      high |= 1u << (bit & 31);
    } else {
      set_bit(mask, bit);
    }
  }
  void finish() noexcept {
    if (low) or_shared(mask + low_word, low);
    if (high) or_shared(mask + high_word, high);
  }
};

// Zeros of the output, a piece ahead of where weights are written, so that both find it in the first cache.
struct ZeroedAhead {
  static constexpr uint64_t kPiece = 2048;
  float* out;
  uint64_t range, done;
  void reach(uint64_t position) noexcept {
    while (done <= position && done < range) {
      const uint64_t size = range - done < kPiece ? range - done : kPiece;
      std::memset(out + done, 0, static_cast<size_t>(size) * sizeof(float));
      done += size;
    }
  }
};

uint8_t highest_code(const uint8_t* codes, size_t count) noexcept {
  uint8_t highest = 0;
  for (size_t i = 0; i < count; i++) highest = codes[i] > highest ? codes[i] : highest;
  return highest;
}

}  // namespace

Result scatter_escape(CpuLevel, const uint8_t* gaps, size_t symbols, unsigned alphabet, const uint8_t* codes,
                      size_t code_count, const float* codebook, unsigned clusters, float* out, uint64_t range,
                      uint64_t* end, bool out_is_zero) noexcept {
  float values[256] = {};  // a code past the codebook gives 0, and is refused below
  for (unsigned k = 0; k < clusters && k < 256; k++) values[k] = codebook[k];
  ZeroedAhead zeros{out, range, out_is_zero ? range : 0};
  size_t kept = 0;
  const Result result = walk_escape(gaps, symbols, alphabet, range, end, [&](uint64_t position) {
    zeros.reach(position);
    if (kept < code_count) out[position] = values[codes[kept]];
    kept++;
  });
  zeros.reach(range);
  if (!result) return result;
  if (kept != code_count) return fail(Status::index, symbols);
  if (code_count && highest_code(codes, code_count) >= clusters) return fail(Status::value);
  return {};
}

Result mask_escape(CpuLevel, const uint8_t* gaps, size_t symbols, unsigned alphabet, uint32_t* mask, uint64_t first,
                   uint64_t range, uint64_t* kept, uint64_t* end) noexcept {
  MaskRange bits(mask, first, range);
  uint64_t count = 0;
  const Result result = walk_escape(gaps, symbols, alphabet, range, end, [&](uint64_t position) {
    bits.set(position);
    count++;
  });
  bits.finish();
  *kept = count;
  return result;
}

Result mask_relative(CpuLevel, const uint8_t* gaps, const uint8_t* entries, size_t symbols, unsigned index_bits,
                     uint32_t* mask, uint64_t first, uint64_t range, uint8_t* codes, uint64_t* kept,
                     uint64_t* end) noexcept {
  MaskRange bits(mask, first, range);
  uint64_t count = 0;
  const Result result =
      walk_relative(gaps, entries, symbols, index_bits, range, end, [&](uint64_t position, unsigned code) {
        bits.set(position);
        codes[count++] = static_cast<uint8_t>(code);
      });
  bits.finish();
  *kept = count;
  return result;
}

Result scatter_relative(CpuLevel, const uint8_t* gaps, const uint8_t* entries, size_t symbols, unsigned index_bits,
                        const float* codebook, unsigned clusters, float* out, uint64_t range, uint64_t* end,
                        bool out_is_zero) noexcept {
  uint32_t highest = 0;
  ZeroedAhead zeros{out, range, out_is_zero ? range : 0};
  const Result result =
      walk_relative(gaps, entries, symbols, index_bits, range, end, [&](uint64_t position, unsigned code) {
        zeros.reach(position);
        highest = code + 1 > highest ? code + 1 : highest;
        out[position] = code < clusters ? codebook[code] : 0.0f;
      });
  zeros.reach(range);
  if (!result) return result;
  return highest > clusters ? fail(Status::value) : Result{};
}

Result expand_masked(CpuLevel, const uint32_t* mask, uint64_t begin, uint64_t end, const uint8_t* codes,
                     size_t code_count, const float* codebook, unsigned clusters, float* out) noexcept {
  size_t next = 0;
  uint32_t highest = 0;
  for (uint64_t i = begin; i < end; i++) {
    float value = 0;
    if (!mask || (mask[i >> 5] >> (i & 31) & 1)) {
      if (next == code_count) return fail(Status::index, i);
      const unsigned code = codes[next++];
      highest = code > highest ? code : highest;
      value = code < clusters ? codebook[code] : 0.0f;
    }
    out[i - begin] = value;
  }
  if (next != code_count) return fail(Status::index, end);
  if (code_count && highest >= clusters) return fail(Status::value);
  return {};
}

}  // namespace dc
