#include "model.h"

#include "block.h"

namespace dc {

namespace {

// Bits, low first, of a buffer whose end is checked at every bit.
class BitReader {
 public:
  BitReader(const uint8_t* bytes, size_t size) noexcept : bytes_(bytes), size_(size) {}
  unsigned get(unsigned bits) noexcept {
    unsigned value = 0;
    for (unsigned i = 0; i < bits; i++) {
      if (used_ / 8 >= size_) {
        ended_ = true;
        return 0;
      }
      value |= (bytes_[used_ / 8] >> (used_ % 8) & 1u) << i;
      used_++;
    }
    return value;
  }
  bool ended() const noexcept { return ended_; }
  // The bits up to the next whole byte are 0.
  bool padding_is_zero() noexcept { return used_ % 8 == 0 || get(static_cast<unsigned>(8 - used_ % 8)) == 0; }
  size_t bytes() const noexcept { return used_ / 8; }

 private:
  const uint8_t* bytes_;
  size_t size_;
  size_t used_ = 0;
  bool ended_ = false;
};

// S1.6: `count` numbers 0..12 of which the last is not 0.
bool get_list(BitReader& bits, uint8_t* values, size_t count) noexcept {
  unsigned p = kFirstListValue;
  bool after_zeros = false;
  for (size_t i = 0; i < count;) {
    unsigned v = p;
    if (bits.get(1)) {
      if (!bits.get(1)) {
        v = bits.get(1) ? p - 1 : p + 1;
        if (v == 0) return false;
      } else if (!bits.get(1)) {
        unsigned k = 0;
        while (!bits.get(1)) {
          if (++k > 7 || bits.ended()) return false;
        }
        const size_t run = (size_t{1} << k) + bits.get(k);
        // Not after another run, and something other than 0 follows.
        if (after_zeros || run >= count - i) return false;
        for (size_t j = 0; j < run; j++) values[i++] = 0;
        after_zeros = true;
        continue;
      } else {
        v = bits.get(4);
        if (v == 0 || v + 1 == p || v == p || v == p + 1) return false;
      }
    }
    if (v > kMaxCodeLength || bits.ended()) return false;
    values[i++] = static_cast<uint8_t>(p = v);
    after_zeros = false;
  }
  return true;
}

}  // namespace

Result parse_model(const uint8_t* bytes, size_t size, Model& model, size_t* consumed) noexcept {
  *consumed = 0;
  model = Model();
  if (size < 2) return fail(Status::huffman, size);
  const unsigned mode = bytes[0] & 7u, lanes_log2 = bytes[0] >> 3 & 7u;
  if (mode > static_cast<unsigned>(CodeMode::rans) || lanes_log2 > kMaxLanesLog2 || bytes[0] >> 6)
    return fail(Status::huffman, 0);
  model.mode = static_cast<CodeMode>(mode);
  model.lanes_log2 = static_cast<uint8_t>(lanes_log2);
  if (model.mode == CodeMode::constant || model.mode == CodeMode::raw) {
    if (lanes_log2) return fail(Status::huffman, 0);
    if (model.mode == CodeMode::constant) {
      model.symbol = bytes[1];
    } else {
      model.width = bytes[1];
      if (model.width < 1 || model.width > 8) return fail(Status::huffman, 1);
    }
    *consumed = 2;
    return {};
  }
  if (bytes[1] == 0) return fail(Status::huffman, 1);
  model.alphabet = static_cast<uint16_t>(bytes[1] + 1);
  BitReader bits(bytes + 2, size - 2);
  uint8_t values[kMaxAlphabet];
  if (!get_list(bits, values, model.alphabet)) return fail(Status::huffman, 2);
  Result result;
  if (model.mode == CodeMode::huffman) {
    for (size_t s = 0; s < model.alphabet; s++) model.lengths[s] = values[s];
    CanonicalCode code;
    result = canonical_code(model.lengths, model.alphabet, code);
  } else {
    for (size_t s = 0; s < model.alphabet; s++) {
      const unsigned c = values[s];
      model.frequencies[s] = static_cast<uint16_t>(c < 2 ? c : 1u << (c - 1) | bits.get(c - 1));
    }
    result = check_frequencies(model.frequencies, model.alphabet);
  }
  if (bits.ended() || !bits.padding_is_zero() || !result) return fail(Status::huffman, 2);
  *consumed = 2 + bits.bytes();
  return {};
}

Result read_table(const uint8_t* bytes, size_t size, DecodeTable& table, size_t* consumed) noexcept {
  Model model;
  const Result result = parse_model(bytes, size, model, consumed);
  return result ? build_decode_table(model, table) : result;
}

}  // namespace dc
