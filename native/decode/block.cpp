#include "block.h"

#include <cstring>

#include "../base/bits.h"
#include "../base/target.h"

namespace dc {

Result build_decode_table(const Model& model, DecodeTable& table) noexcept {
  switch (model.mode) {
    case CodeMode::constant:
      break;
    case CodeMode::raw:
      if (model.width < 1 || model.width > 8) return fail(Status::huffman);
      break;
    case CodeMode::huffman: {
      CanonicalCode code;
      const Result result = canonical_code(model.lengths, model.alphabet, code);
      if (!result) return result;
      // Kraft equality, just checked: the codes, each filling 2^(12 - length) entries, tile the table exactly.
      unsigned cursor = 0;
      for (unsigned length = code.shortest; length <= code.longest; length++) {
        const unsigned width = 1u << (kMaxCodeLength - length);
        for (unsigned rank = code.first_rank[length]; rank < code.first_rank[length + 1]; rank++) {
          const uint32_t entry = code.sorted[rank] | length << 8;
          for (unsigned end = cursor + width; cursor < end; cursor++) table.entries[cursor] = entry;
        }
      }
      table.canonical = code;
      break;
    }
    case CodeMode::rans: {
      const Result result = check_frequencies(model.frequencies, model.alphabet);
      if (!result) return result;
      unsigned cursor = 0;  // the frequencies sum to kCodeSpace
      for (uint32_t s = 0; s < model.alphabet; s++) {
        const uint32_t f = model.frequencies[s];
        for (uint32_t j = 0; j < f; j++) table.entries[cursor++] = s | f << 8 | j << 20;
      }
      break;
    }
    default:
      return fail(Status::huffman);
  }
  table.model = model;
  return {};
}

namespace {

bool decode_raw(const Model& model, const uint8_t* payload, size_t bytes, uint8_t* out, size_t n) noexcept {
  const unsigned width = model.width, mask = (1u << width) - 1;
  if (bytes > n || static_cast<uint64_t>(bytes) != (static_cast<uint64_t>(n) * width + 7) / 8) return false;
  if (width == 8) {
    std::memcpy(out, payload, n);
    return true;
  }
  size_t i = 0, at = 0;
  for (; bytes - at >= 8; i += 8, at += width) {  // 8 bytes are 9 symbols of up to 7 bits at the least
    const uint64_t v = load_u64(payload + at);
    for (unsigned j = 0; j < 8; j++) out[i + j] = static_cast<uint8_t>(v >> (j * width) & mask);
  }
  uint32_t buffer = 0;
  unsigned held = 0;
  for (; i < n; i++) {
    if (held < width) {
      buffer |= static_cast<uint32_t>(payload[at++]) << held;
      held += 8;
    }
    out[i] = static_cast<uint8_t>(buffer & mask);
    buffer >>= width;
    held -= width;
  }
  return buffer == 0;
}

struct Words {
  const uint8_t* next;
  const uint8_t* end;
  size_t left() const noexcept { return static_cast<size_t>(end - next) / 2; }
  uint32_t take() noexcept {
    const uint32_t word = load_u16(next);
    next += 2;
    return word;
  }
};

// The lanes of a block between two rounds.
struct HuffmanLanes {
  uint32_t bits[kMaxLanes];  // the low `count` bits are unread; what is above them has been read
  uint32_t count[kMaxLanes];
};

// Whole rounds while a word for each lane is there: then none is looked for, and taking one is no branch. Answers the
// symbols decoded.
size_t decode_huffman_rounds(const DecodeTable& table, Words& words, HuffmanLanes& state, unsigned lanes, uint8_t* out,
                             size_t n) noexcept {
  const uint32_t longest = table.canonical.longest, drop = kMaxCodeLength - longest;
  const uint8_t* next = words.next;
  size_t i = 0;
  for (; n - i >= lanes && static_cast<size_t>(words.end - next) >= 2 * static_cast<size_t>(lanes); i += lanes) {
    for (unsigned lane = 0; lane < lanes; lane++) {
      const uint32_t need = state.count[lane] < longest;
      const uint32_t bits = state.bits[lane] << 16 * need | (load_u16(next) & (0u - need));
      const uint32_t count = state.count[lane] + 16 * need;
      next += 2 * need;
      const uint32_t entry = table.entries[(bits >> (count - longest) << drop) & (kCodeSpace - 1)];
      out[i + lane] = static_cast<uint8_t>(entry);
      state.bits[lane] = bits;
      state.count[lane] = count - (entry >> 8);
    }
  }
  words.next = next;
  return i;
}

// Symbols i .. n-1, beginning with lane 0, with a look for every word.
bool decode_huffman_rest(const DecodeTable& table, Words& words, HuffmanLanes& state, unsigned lanes, uint8_t* out,
                         size_t i, size_t n) noexcept {
  const uint32_t longest = table.canonical.longest, drop = kMaxCodeLength - longest;
  for (unsigned lane = 0; i < n; i++) {
    uint32_t bits = state.bits[lane], count = state.count[lane];
    if (count < longest) {
      if (words.left() == 0) return false;
      bits = bits << 16 | words.take();
      count += 16;
    }
    const uint32_t entry = table.entries[(bits >> (count - longest) << drop) & (kCodeSpace - 1)];
    out[i] = static_cast<uint8_t>(entry);
    state.bits[lane] = bits;
    state.count[lane] = count - (entry >> 8);
    lane = lane + 1 == lanes ? 0 : lane + 1;
  }
  return true;
}

}  // namespace
#if DC_X86
#include "block_avx2.h"
#include "block_avx512.h"
#endif
namespace {

bool huffman_ends_clean(const Words& words, const HuffmanLanes& state, unsigned lanes) noexcept {
  uint32_t left = 0;
  for (unsigned lane = 0; lane < lanes; lane++) left |= state.bits[lane] & ((1u << state.count[lane]) - 1);
  return words.next == words.end && left == 0;
}

// A block may have 2^24 symbols, in one lane 5 ns each: so often a loop that is not of the widest kind looks whether it
// was cancelled. A whole number of rounds, however many lanes there are.
constexpr size_t kLook = size_t{1} << 18;

Status decode_huffman(const Job& job, const DecodeTable& table, const uint8_t* payload, size_t bytes, unsigned lanes,
                      uint8_t* out, size_t n) noexcept {
  if (bytes % 2) return Status::bitstream;
  // n * shortest > 8 * bytes, without overflow: n symbols cannot be there.
  if (n > bytes * 8 / table.canonical.shortest) return Status::bitstream;
#if DC_X86
  if (job.level == CpuLevel::avx512 && lanes >= 8) {
    const bool good = decode_huffman_avx512(table, payload, payload + bytes, lanes, out, n);
    return good ? Status::ok : Status::bitstream;
  }
  const bool wide = job.level != CpuLevel::scalar && lanes >= 8;
  const bool near = wide && lanes >= 16 && table.canonical.used <= kHuffmanNear;
#endif
  Words words{payload, payload + bytes};
  HuffmanLanes state = {};
  for (size_t from = 0; from < n; from += kLook) {
    if (job.cancelled()) return Status::aborted;
    const size_t count = n - from < kLook ? n - from : kLook;
    size_t done = 0;
#if DC_X86
    if (near) {
      done = huffman_near_rounds_avx2(table, words, state, lanes, out + from, count);
    } else if (wide) {
      done = huffman_rounds_avx2(table, words, state, lanes, out + from, count);
    } else
#endif
    {
      done = decode_huffman_rounds(table, words, state, lanes, out + from, count);
    }
    if (!decode_huffman_rest(table, words, state, lanes, out + from, done, count)) return Status::bitstream;
  }
  return huffman_ends_clean(words, state, lanes) ? Status::ok : Status::bitstream;
}

size_t decode_rans_rounds(const DecodeTable& table, Words& words, uint32_t* state, unsigned lanes, uint8_t* out,
                          size_t n) noexcept {
  const uint8_t* next = words.next;
  size_t i = 0;
  for (; n - i >= lanes && static_cast<size_t>(words.end - next) >= 2 * static_cast<size_t>(lanes); i += lanes) {
    for (unsigned lane = 0; lane < lanes; lane++) {
      const uint32_t before = state[lane], entry = table.entries[before & (kCodeSpace - 1)];
      out[i + lane] = static_cast<uint8_t>(entry);
      const uint32_t x = (entry >> 8 & 0xfff) * (before >> kMaxCodeLength) + (entry >> 20);
      const uint32_t need = x < kRansLowerBound;
      state[lane] = x << 16 * need | (load_u16(next) & (0u - need));
      next += 2 * need;
    }
  }
  words.next = next;
  return i;
}

bool decode_rans_rest(const DecodeTable& table, Words& words, uint32_t* state, unsigned lanes, uint8_t* out, size_t i,
                      size_t n) noexcept {
  for (unsigned lane = 0; i < n; i++) {
    uint32_t x = state[lane];
    const uint32_t entry = table.entries[x & (kCodeSpace - 1)];
    out[i] = static_cast<uint8_t>(entry);
    x = (entry >> 8 & 0xfff) * (x >> kMaxCodeLength) + (entry >> 20);
    if (x < kRansLowerBound) {
      if (words.left() == 0) return false;
      x = x << 16 | words.take();
    }
    state[lane] = x;
    lane = lane + 1 == lanes ? 0 : lane + 1;
  }
  return true;
}

Status decode_rans(const Job& job, const DecodeTable& table, const uint8_t* payload, size_t bytes, unsigned lanes,
                   uint8_t* out, size_t n) noexcept {
  if (bytes % 2 || bytes < 4 * static_cast<size_t>(lanes)) return Status::bitstream;
  uint32_t state[kMaxLanes];
  for (unsigned lane = 0; lane < lanes; lane++) {
    state[lane] = load_u32(payload + 4 * static_cast<size_t>(lane));
    if (state[lane] < kRansLowerBound) return Status::bitstream;
  }
#if DC_X86
  if (job.level == CpuLevel::avx512 && lanes >= 16) {
    const uint8_t* const first = payload + 4 * static_cast<size_t>(lanes);
    const bool good = decode_rans_avx512(table, first, payload + bytes, state, lanes, out, n);
    return good ? Status::ok : Status::bitstream;
  }
  const bool wide =
      job.level != CpuLevel::scalar && lanes >= 16;  // in eight lanes the gather is slower than eight loads
#endif
  Words words{payload + 4 * static_cast<size_t>(lanes), payload + bytes};
  for (size_t from = 0; from < n; from += kLook) {
    if (job.cancelled()) return Status::aborted;
    const size_t count = n - from < kLook ? n - from : kLook;
    size_t done = 0;
#if DC_X86
    if (wide) {
      done = rans_rounds_avx2(table, words, state, lanes, out + from, count);
    } else
#endif
    {
      done = decode_rans_rounds(table, words, state, lanes, out + from, count);
    }
    if (!decode_rans_rest(table, words, state, lanes, out + from, done, count)) return Status::bitstream;
  }
  bool clean = words.next == words.end;
  for (unsigned lane = 0; lane < lanes; lane++) clean = clean && state[lane] == kRansLowerBound;
  return clean ? Status::ok : Status::bitstream;
}
}  // namespace

Result decode_block(const Job& job, const DecodeTable& table, const uint8_t* payload, size_t bytes, uint8_t* out,
                    size_t n) noexcept {
  if (n == 0) return bytes == 0 ? Result{} : fail(Status::bitstream);
  Status status = Status::bitstream;
  switch (table.model.mode) {
    case CodeMode::constant:
      if (bytes != 0) break;
      std::memset(out, table.model.symbol, n);
      status = Status::ok;
      break;
    case CodeMode::raw:
      if (decode_raw(table.model, payload, bytes, out, n)) status = Status::ok;
      break;
    case CodeMode::huffman:
      status = decode_huffman(job, table, payload, bytes, block_lanes(table.model, n), out, n);
      break;
    default:  // CodeMode::rans: build_decode_table makes no table of any other mode
      status = decode_rans(job, table, payload, bytes, block_lanes(table.model, n), out, n);
      break;
  }
  return status == Status::ok ? Result{} : fail(status);
}

Result decode_block(CpuLevel level, const DecodeTable& table, const uint8_t* payload, size_t bytes, uint8_t* out,
                    size_t n) noexcept {
  Job job;
  job.level = level;
  return decode_block(job, table, payload, bytes, out, n);
}

}  // namespace dc
