#include "block.h"

#include <cstring>

#include "../base/bits.h"

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
          table.codes[s] = static_cast<uint16_t>(code);
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
        table.starts[s] = static_cast<uint16_t>(start);
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
struct Lanes {
  uint32_t bits[kMaxLanes];  // unread bits, the last one lowest
  uint32_t count[kMaxLanes];
};

// What each lane holds at the end: all its words are taken when it has M bits before the last symbol, and what remains
// is zero.
void final_bits(const EncodeTable& table, const uint8_t* symbols, size_t n, unsigned lanes, Lanes& state) noexcept {
  const unsigned longest = table.canonical.longest;
  uint32_t sum[kMaxLanes] = {}, last[kMaxLanes] = {};
  for (size_t i = 0; i < n; i += lanes) {
    const size_t width = n - i < lanes ? n - i : lanes;
    for (size_t lane = 0; lane < width; lane++) sum[lane] += last[lane] = table.high[symbols[i + lane]] & 15u;
  }
  for (unsigned lane = 0; lane < lanes; lane++) {
    // held = M .. M + 15 before the last symbol, and consumed + held is a whole number of words
    const uint32_t consumed = sum[lane] - last[lane];
    const uint32_t held = longest + ((0u - consumed - longest) & 15);
    state.count[lane] = held - last[lane];
    state.bits[lane] = 0;
  }
}

uint8_t* encode_huffman(const EncodeTable& table, const uint8_t* symbols, size_t n, unsigned lanes,
                        uint8_t* end) noexcept {
  const uint32_t most = table.canonical.longest + 15;
  Lanes state;
  final_bits(table, symbols, n, lanes, state);
  uint8_t* at = end;
  for (size_t i = n; i-- > 0;) {
    const unsigned lane = static_cast<unsigned>(i & (lanes - 1));
    const unsigned s = symbols[i];
    const uint32_t length = table.high[s] & 15u;
    uint32_t bits = state.bits[lane], count = state.count[lane];
    if (count + length > most) {
      store_u16(at -= 2, static_cast<uint16_t>(bits));
      bits >>= 16;
      count -= 16;
    }
    state.bits[lane] = bits | static_cast<uint32_t>(table.codes[s]) << count;
    state.count[lane] = count + length;
  }
  for (unsigned lane = lanes; lane-- > 0;) store_u16(at -= 2, static_cast<uint16_t>(state.bits[lane]));
  return at;
}

uint8_t* encode_rans(const EncodeTable& table, const uint8_t* symbols, size_t n, unsigned lanes,
                     uint8_t* end) noexcept {
  uint32_t state[kMaxLanes];
  for (unsigned lane = 0; lane < lanes; lane++) state[lane] = kRansLowerBound;
  uint8_t* at = end;
  for (size_t i = n; i-- > 0;) {
    const unsigned lane = static_cast<unsigned>(i & (lanes - 1));
    const unsigned s = symbols[i];
    const uint32_t f = table.model.frequencies[s];
    uint32_t x = state[lane];
    // The state after must be below 2^32: x < f * 2^32 / kCodeSpace.
    if (x >= static_cast<uint64_t>(f) << (32 - kMaxCodeLength)) {
      store_u16(at -= 2, static_cast<uint16_t>(x));
      x >>= 16;
    }
    state[lane] = x / f * kCodeSpace + x % f + table.starts[s];
  }
  for (unsigned lane = lanes; lane-- > 0;) store_u32(at -= 4, state[lane]);
  return at;
}

}  // namespace

Result encode_block(const Job& job, const EncodeTable& table, const uint8_t* symbols, size_t n, uint8_t* out,
                    size_t capacity, size_t* bytes) noexcept {
  *bytes = 0;
  if (capacity < block_bound(n)) return fail(Status::arg);
  for (size_t i = 0; i < n; i++) {
    if (!table.in_use[symbols[i]]) return fail(Status::value, i);
  }
  if (n == 0) return {};
  const CodeMode mode = table.model.mode;
  if (mode == CodeMode::constant) return {};
  if (mode == CodeMode::raw) {
    *bytes = encode_raw(table.model, symbols, n, out);
    return {};
  }
  const unsigned lanes = block_lanes(table.model, n);
  uint8_t* const end = out + capacity;
  uint8_t* const begin = mode == CodeMode::huffman ? encode_huffman(table, symbols, n, lanes, end)
                                                   : encode_rans(table, symbols, n, lanes, end);
  *bytes = static_cast<size_t>(end - begin);
  std::memmove(out, begin, *bytes);
  return job.cancelled() ? fail(Status::aborted) : Result{};
}

}  // namespace dc
