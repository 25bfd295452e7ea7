#include "block.h"

#include <cstring>

#include "../base/bits.h"
#include "../base/target.h"

namespace dc {

Result build_encode_table(const Model& model, EncodeTable& table) noexcept {
  std::memset(static_cast<void*>(&table), 0, sizeof table);
  table.model = model;
  switch (model.mode) {
    case CodeMode::constant:
      table.in_use[model.symbol] = true;
      break;
    case CodeMode::raw:
      for (unsigned s = 0; s < 1u << model.width; s++) table.in_use[s] = true;
      break;
    case CodeMode::huffman: {
      const Result result = canonical_code(model.lengths, model.alphabet, table.canonical);
      if (!result) return result;
      for (unsigned length = table.canonical.shortest; length <= table.canonical.longest; length++) {
        unsigned code = table.canonical.first_code[length];
        for (unsigned rank = table.canonical.first_rank[length]; rank < table.canonical.first_rank[length + 1];
             rank++, code++) {
          const unsigned s = table.canonical.sorted[rank];
          table.entries[s] = code | length << 16;
          table.low[s] = static_cast<uint8_t>(code);
          table.high[s] = static_cast<uint8_t>(length | code >> 8 << 4);
          table.in_use[s] = true;
        }
      }
      break;
    }
    case CodeMode::rans: {
      const Result result = check_frequencies(model.frequencies, model.alphabet);
      if (!result) return result;
      unsigned start = 0;
      for (size_t s = 0; s < model.alphabet; s++) {
        table.entries[s] = model.frequencies[s] | start << 16;
        table.in_use[s] = model.frequencies[s] != 0;
        start += model.frequencies[s];
      }
      break;
    }
  }
  return {};
}

// 12 bits a symbol at the most (kMaxCodeLength; a rANS symbol of frequency 1), a state or two words of rounding a lane,
// one vector of slack for stores.
size_t block_bound(size_t n) noexcept { return n + n / 2 + kMaxLanes * 4 + 64 + 2; }

namespace {

size_t encode_raw(const Model& model, const uint8_t* symbols, size_t n, uint8_t* out) noexcept {
  const unsigned width = model.width;
  uint64_t buffer = 0;
  unsigned held = 0;
  uint8_t* p = out;
  for (size_t i = 0; i < n; i++) {
    buffer |= static_cast<uint64_t>(symbols[i]) << held;
    held += width;
    if (held >= 32) {
      store_u32(p, static_cast<uint32_t>(buffer));
      p += 4;
      buffer >>= 32;
      held -= 32;
    }
  }
  for (unsigned done = 0; done < held; done += 8) *p++ = static_cast<uint8_t>(buffer >> done);
  return static_cast<size_t>(p - out);
}

// The words of a block are in the order in which a decoder takes them. Running the decoder backwards finds it: a lane
// holds between M and M + 15 bits before each symbol, so the number it held is known from the number after, and whether
// a word was taken between. `at` walks down from the end of the output.

// What each lane holds at the end (all zero), from the sum of its lengths modulo 16: it held M .. M + 15 bits before
// its last symbol, and with what was read before they make whole words.
void final_counts(const EncodeTable& table, const uint8_t* symbols, size_t n, unsigned lanes, const uint8_t* sums,
                  uint8_t* counts) noexcept {
  const unsigned longest = table.canonical.longest;
  std::memset(counts, 0, kMaxLanes);
  for (unsigned lane = 0; lane < lanes; lane++) {
    const unsigned last = table.high[symbols[(n - 1 - lane) / lanes * lanes + lane]] & 15u;
    const unsigned consumed = sums[lane] - last;
    counts[lane] = static_cast<uint8_t>(longest + ((0u - consumed - longest) & 15u) - last);
  }
}

// The lanes of a block between two rounds.
struct HuffmanLanes {
  uint32_t held[kMaxLanes];   // the unread bits, the last one lowest
  uint32_t count[kMaxLanes];  // of them so many are bits of codes
};

}  // namespace
#if DC_X86
#include "block_avx2.h"
#include "block_avx512.h"
#endif
namespace {

// Adds the lengths of symbols begin .. end-1 to the sums of their lanes (modulo 256). False when a symbol has no code.
bool sum_lengths(const EncodeTable& table, const uint8_t* symbols, size_t begin, size_t end, unsigned lanes,
                 uint8_t* sums) noexcept {
  bool all = true;
  for (size_t i = begin; i < end; i++) {
    const unsigned length = table.high[symbols[i]] & 15u, lane = static_cast<unsigned>(i & (lanes - 1));
    all = all && length != 0;
    sums[lane] = static_cast<uint8_t>(sums[lane] + length);
  }
  return all;
}

// Symbols end-1 .. begin.
uint8_t* huffman_symbols(const EncodeTable& table, const uint8_t* symbols, size_t begin, size_t end, unsigned lanes,
                         HuffmanLanes& state, uint8_t* at) noexcept {
  const uint32_t most = table.canonical.longest + 15;
  for (size_t i = end; i-- > begin;) {
    const unsigned lane = static_cast<unsigned>(i & (lanes - 1));
    const uint32_t entry = table.entries[symbols[i]], length = entry >> 16;
    uint32_t bits = state.held[lane], count = state.count[lane];
    // The word is stored in any case and kept when it is due: no branch. There is room below (block_bound).
    const uint32_t due = count + length > most;
    store_u16(at - 2, static_cast<uint16_t>(bits));
    at -= 2 * due;
    bits >>= 16 * due;
    count -= 16 * due;
    state.held[lane] = bits | (entry & 0xffff) << count;
    state.count[lane] = count + length;
  }
  return at;
}

// nullptr when a symbol has no code.
uint8_t* encode_huffman(CpuLevel level, const EncodeTable& table, const uint8_t* symbols, size_t n, unsigned lanes,
                        uint8_t* end) noexcept {
  uint8_t sums[kMaxLanes] = {}, counts[kMaxLanes];
  size_t whole = 0, summed = 0;  // symbols of whole rounds that vectors take
  bool all = true;
#if DC_X86
  if (level != CpuLevel::scalar && lanes >= 8) {
    const bool narrow = table.model.alphabet <= 32;
    whole = n - n % lanes;
    summed = narrow ? n - n % kMaxLanes : whole;
    all = narrow ? sum_short_lengths_avx2(table, symbols, summed, lanes, sums)
                 : sum_lengths_avx2(table, symbols, summed, lanes, sums);
  }
#endif
  (void)level;
  if (!all || !sum_lengths(table, symbols, summed, n, lanes, sums)) return nullptr;
  final_counts(table, symbols, n, lanes, sums, counts);
  HuffmanLanes state = {};
  for (unsigned lane = 0; lane < lanes; lane++) state.count[lane] = counts[lane];
  uint8_t* at = huffman_symbols(table, symbols, whole, n, lanes, state, end);
#if DC_X86
  if (whole) at = huffman_rounds_avx2(table, symbols, whole, lanes, state, at);
#endif
  for (unsigned lane = lanes; lane-- > 0;) store_u16(at -= 2, static_cast<uint16_t>(state.held[lane]));
  return at;
}

// The least loop: which symbol cannot be coded.
size_t first_unknown(const EncodeTable& table, const uint8_t* symbols, size_t n) noexcept {
  size_t i = 0;
  while (i < n && table.in_use[symbols[i]]) i++;
  return i;
}

// A body for AVX2 was tried and is not here: 482 against 477 million symbols a second.
uint8_t* encode_rans(const EncodeTable& table, const uint8_t* symbols, size_t n, unsigned lanes,
                     uint8_t* end) noexcept {
  uint32_t state[kMaxLanes];
  for (unsigned lane = 0; lane < lanes; lane++) state[lane] = kRansLowerBound;
  uint8_t* at = end;
  for (size_t i = n; i-- > 0;) {
    const unsigned lane = static_cast<unsigned>(i & (lanes - 1));
    const uint32_t f = table.entries[symbols[i]] & 0xffff, start = table.entries[symbols[i]] >> 16;
    uint32_t x = state[lane];
    // The state after must be below 2^32: x < f * 2^32 / kCodeSpace.
    const uint32_t due = x >= static_cast<uint64_t>(f) << (32 - kMaxCodeLength);
    store_u16(at - 2, static_cast<uint16_t>(x));
    at -= 2 * due;
    x >>= 16 * due;
    state[lane] = x / f * kCodeSpace + x % f + start;
  }
  for (unsigned lane = lanes; lane-- > 0;) store_u32(at -= 4, state[lane]);
  return at;
}

bool all_in_use(CpuLevel level, const EncodeTable& table, const uint8_t* symbols, size_t n) noexcept {
#if DC_X86
  if (level == CpuLevel::avx512) return all_in_use_avx512(table.in_use, symbols, n);
#endif
  (void)level;
  return first_unknown(table, symbols, n) == n;
}

}  // namespace

Result encode_block(const Job& job, const EncodeTable& table, const uint8_t* symbols, size_t n, uint8_t* out,
                    size_t capacity, size_t* bytes) noexcept {
  *bytes = 0;
  if (capacity < block_bound(n)) return fail(Status::arg);
  if (n == 0) return {};
  const CodeMode mode = table.model.mode;
  if (mode != CodeMode::huffman && !all_in_use(job.level, table, symbols, n)) {
    return fail(Status::value, first_unknown(table, symbols, n));
  }
  if (mode == CodeMode::constant) return {};
  if (mode == CodeMode::raw) {
    *bytes = encode_raw(table.model, symbols, n, out);
    return {};
  }
  const unsigned lanes = block_lanes(table.model, n);
  uint8_t* const end = out + capacity;
  uint8_t* begin = nullptr;
#if DC_X86
  if (mode == CodeMode::rans && job.level == CpuLevel::avx512 && lanes >= 16) {
    begin = encode_rans_avx512(table, symbols, n, lanes, end);
  } else if (mode == CodeMode::huffman && job.level == CpuLevel::avx512 && lanes >= 8) {
    begin = table.model.alphabet > 128 ? huffman_avx512_wide(table, symbols, n, lanes, end)
                                       : huffman_avx512_narrow(table, symbols, n, lanes, end);
  } else
#endif
  {
    begin = mode == CodeMode::rans ? encode_rans(table, symbols, n, lanes, end)
                                   : encode_huffman(job.level, table, symbols, n, lanes, end);
  }
  if (!begin) return fail(Status::value, first_unknown(table, symbols, n));
  *bytes = static_cast<size_t>(end - begin);
  std::memmove(out, begin, *bytes);
  return job.cancelled() ? fail(Status::aborted) : Result{};
}

}  // namespace dc
