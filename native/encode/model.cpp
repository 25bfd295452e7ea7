#include "model.h"

#include <cstring>

#include "../base/bits.h"

namespace dc {

namespace {

// log2 by basic operations only, so that every machine answers the same double. x >= 1.
double log2_of(double x) noexcept {
  double whole = 0;
  while (x >= 65536) x *= 1.0 / 65536, whole += 16;
  while (x >= 1.5) x *= 0.5, whole += 1;
  const double y = (x - 1) / (x + 1), yy = y * y;  // |y| <= 0.2
  double series = 0;
  for (int k = 17; k >= 1; k -= 2) series = series * yy + 1.0 / k;
  return whole + 2 * y * series * 1.4426950408889634;
}

// ln(1 + 1 / f), to compare what one more slot brings.
double step_gain(unsigned f) noexcept {
  const double y = 1.0 / (2.0 * f + 1), yy = y * y;
  return 2 * y * (1 + yy * (1.0 / 3 + yy * (1.0 / 5 + yy * (1.0 / 7 + yy * (1.0 / 9)))));
}

// Bits, low first.
class BitWriter {
 public:
  explicit BitWriter(uint8_t* out) noexcept : out_(out) {}
  void put(unsigned value, unsigned bits) noexcept {
    for (unsigned i = 0; i < bits; i++) {
      if (used_ % 8 == 0) out_[used_ / 8] = 0;
      out_[used_ / 8] = static_cast<uint8_t>(out_[used_ / 8] | (value >> i & 1) << (used_ % 8));
      used_++;
    }
  }
  size_t bytes() const noexcept { return (used_ + 7) / 8; }

 private:
  uint8_t* out_;
  size_t used_ = 0;
};

// S1.6
void put_list(BitWriter& bits, const uint8_t* values, size_t count) noexcept {
  unsigned p = kFirstListValue;
  for (size_t i = 0; i < count; i++) {
    const unsigned v = values[i];
    if (v == p) {
      bits.put(0, 1);
    } else if (v == 0) {
      size_t run = 1;
      while (values[i + run] == 0) run++;  // the last value is not 0
      const unsigned k = bit_length(static_cast<unsigned>(run)) - 1;
      bits.put(0b011, 3);
      bits.put(1u << k, k + 1);
      bits.put(static_cast<unsigned>(run) & ((1u << k) - 1), k);
      i += run - 1;
      continue;
    } else if (v == p + 1) {
      bits.put(0b001, 3);
    } else if (v + 1 == p) {
      bits.put(0b101, 3);
    } else {
      bits.put(0b111, 3);
      bits.put(v, 4);
    }
    p = v;
  }
}

struct Leaf {
  uint64_t weight;
  uint8_t symbol;
};

}  // namespace

void code_lengths(const uint64_t* counts, size_t alphabet, uint8_t* lengths) noexcept {
  Leaf leaves[kMaxAlphabet];
  size_t n = 0;
  for (size_t s = 0; s < alphabet; s++) {
    lengths[s] = 0;
    if (!counts[s]) continue;
    size_t at = n++;
    for (; at > 0 && leaves[at - 1].weight > counts[s]; at--) leaves[at] = leaves[at - 1];
    leaves[at] = {counts[s], static_cast<uint8_t>(s)};
  }

  // Level 1 holds the leaves; each next level merges the leaves with the pairs of the level before. Of every level only
  // the weights and which items are leaves are kept: the first k leaves of a level are the k lightest symbols.
  uint64_t weights[2][2 * kMaxAlphabet];
  bool is_leaf[kMaxCodeLength][2 * kMaxAlphabet];
  size_t size = n;
  for (size_t i = 0; i < n; i++) weights[0][i] = leaves[i].weight, is_leaf[0][i] = true;
  for (unsigned level = 1; level < kMaxCodeLength; level++) {
    const uint64_t* before = weights[(level - 1) & 1];
    uint64_t* now = weights[level & 1];
    const size_t pairs = size / 2;
    size_t leaf = 0, pair = 0, out = 0;
    while (leaf < n || pair < pairs) {
      const uint64_t pair_weight = pair < pairs ? before[2 * pair] + before[2 * pair + 1] : 0;
      const bool take_leaf = pair == pairs || (leaf < n && leaves[leaf].weight <= pair_weight);
      now[out] = take_leaf ? leaves[leaf].weight : pair_weight;
      is_leaf[level][out++] = take_leaf;
      (take_leaf ? leaf : pair)++;
    }
    size = out;
  }
  size_t take = 2 * n - 2;
  for (unsigned level = kMaxCodeLength; level-- > 0;) {
    size_t from_leaves = 0;
    for (size_t i = 0; i < take; i++) from_leaves += is_leaf[level][i];
    for (size_t i = 0; i < from_leaves; i++) lengths[leaves[i].symbol]++;
    take = 2 * (take - from_leaves);
  }
}

void normalize_frequencies(const uint64_t* counts, size_t alphabet, uint16_t* frequencies) noexcept {
  double total = 0;
  for (size_t s = 0; s < alphabet; s++) total += static_cast<double>(counts[s]);
  int left = static_cast<int>(kCodeSpace);
  for (size_t s = 0; s < alphabet; s++) {
    const double share = static_cast<double>(counts[s]) * kCodeSpace / total;
    unsigned f = static_cast<unsigned>(share);
    if (counts[s] && f == 0) f = 1;
    if (f >= kCodeSpace) f = kCodeSpace - 1;  // another symbol is in use
    frequencies[s] = static_cast<uint16_t>(f);
    left -= static_cast<int>(f);
  }
  // One slot at a time to where it brings most, or from where it costs least; then swaps while one pays.
  double gain[kMaxAlphabet], loss[kMaxAlphabet];
  auto refresh = [&](size_t s) {
    const unsigned f = frequencies[s];
    gain[s] = f ? static_cast<double>(counts[s]) * step_gain(f) : -1;
    loss[s] = f > 1 ? static_cast<double>(counts[s]) * step_gain(f - 1) : 1e300;
  };
  for (size_t s = 0; s < alphabet; s++) refresh(s);
  auto give = [&](size_t s, int step) {
    frequencies[s] = static_cast<uint16_t>(frequencies[s] + step);
    refresh(s);
  };
  for (int round = 0; round < 1024; round++) {
    size_t best = 0, worst = 0;
    for (size_t s = 1; s < alphabet; s++) {
      if (gain[s] > gain[best]) best = s;
      if (loss[s] < loss[worst]) worst = s;
    }
    if (left > 0) {
      give(best, 1);
      left--;
    } else if (left < 0) {
      give(worst, -1);
      left++;
    } else if (best != worst && gain[best] > loss[worst] * (1 + 1e-9)) {
      give(best, 1);
      give(worst, -1);
    } else {
      break;
    }
  }
}

double entropy_bits(const uint64_t counts[256]) noexcept {
  double total = 0, bits = 0;
  for (int s = 0; s < 256; s++) total += static_cast<double>(counts[s]);
  for (int s = 0; s < 256; s++) {
    if (counts[s]) bits += static_cast<double>(counts[s]) * log2_of(total / static_cast<double>(counts[s]));
  }
  return bits;
}

namespace {

double payload_bits(const Model& model, const uint64_t counts[256]) noexcept {
  double bits = 0;
  for (size_t s = 0; s < kMaxAlphabet; s++) {
    const double count = static_cast<double>(counts[s]);
    if (!counts[s]) continue;
    switch (model.mode) {
      case CodeMode::constant:
        break;
      case CodeMode::raw:
        bits += count * model.width;
        break;
      case CodeMode::huffman:
        bits += count * model.lengths[s];
        break;
      case CodeMode::rans:
        bits += count * (kMaxCodeLength - log2_of(model.frequencies[s]));
        break;
    }
  }
  return bits;
}

uint64_t sum(const uint64_t counts[256]) noexcept {
  uint64_t total = 0;
  for (int s = 0; s < 256; s++) total += counts[s];
  return total;
}

// What a lane costs a block: Huffman its unread bits at the end (half a word, and up to the longest length); rANS 48
// bits of first and last state, of which 24 on average carry symbols. Lanes are chosen so that they cost 0.25 and 0.3 %
// of the payload at the most.
double lane_bytes(const Model& model) noexcept { return model.mode == CodeMode::rans ? 3 : 2; }
double payload_bytes_per_lane(const Model& model) noexcept { return model.mode == CodeMode::rans ? 1000 : 800; }

uint8_t choose_lanes(const Model& model, const uint64_t counts[256], uint64_t block_symbols) noexcept {
  const double total = static_cast<double>(sum(counts));
  const double block = total < static_cast<double>(block_symbols) ? total : static_cast<double>(block_symbols);
  const double block_bytes = payload_bits(model, counts) / 8 * (block / total);
  uint8_t lanes_log2 = 0;
  while (lanes_log2 < kMaxLanesLog2 && block_bytes >= payload_bytes_per_lane(model) * (2 << lanes_log2)) lanes_log2++;
  return lanes_log2;
}

void build_raw(size_t alphabet, Model& model) noexcept {
  model.mode = CodeMode::raw;
  model.width = static_cast<uint8_t>(bit_length(static_cast<unsigned>(alphabet - 1)));
}

void build_huffman(const uint64_t counts[256], size_t alphabet, uint64_t block_symbols, Model& model) noexcept {
  model.mode = CodeMode::huffman;
  model.alphabet = static_cast<uint16_t>(alphabet);
  code_lengths(counts, alphabet, model.lengths);
  model.lanes_log2 = choose_lanes(model, counts, block_symbols);
}

void build_rans(const uint64_t counts[256], size_t alphabet, uint64_t block_symbols, Model& model) noexcept {
  model.mode = CodeMode::rans;
  model.alphabet = static_cast<uint16_t>(alphabet);
  normalize_frequencies(counts, alphabet, model.frequencies);
  model.lanes_log2 = choose_lanes(model, counts, block_symbols);
}

}  // namespace

double coded_bytes(const Model& model, const uint64_t counts[256], uint64_t block_symbols) noexcept {
  uint8_t serialized[kMaxModelBytes];
  double bytes = static_cast<double>(serialize_model(model, serialized)) + payload_bits(model, counts) / 8;
  if (model.mode == CodeMode::huffman || model.mode == CodeMode::rans) {
    const uint64_t total = sum(counts);
    const uint64_t last = total % block_symbols;
    const double lanes = static_cast<double>(total / block_symbols) * block_lanes(model, block_symbols) +
                         (last ? block_lanes(model, last) : 0);
    bytes += lane_bytes(model) * lanes;
  }
  return bytes;
}

void build_model(const uint64_t counts[256], uint64_t block_symbols, ModeChoice choice, Model& model) noexcept {
  size_t alphabet = kMaxAlphabet, used = 0;
  while (alphabet > 0 && !counts[alphabet - 1]) alphabet--;
  for (size_t s = 0; s < alphabet; s++) used += counts[s] != 0;
  model = Model();
  if (used <= 1) {
    model.symbol = static_cast<uint8_t>(alphabet ? alphabet - 1 : 0);
    return;
  }
  if (choice == ModeChoice::raw) return build_raw(alphabet, model);
  if (choice == ModeChoice::huffman) return build_huffman(counts, alphabet, block_symbols, model);
  if (choice == ModeChoice::rans) return build_rans(counts, alphabet, block_symbols, model);

  build_raw(alphabet, model);
  double best = coded_bytes(model, counts, block_symbols);
  Model candidate;
  build_huffman(counts, alphabet, block_symbols, candidate);
  double bytes = coded_bytes(candidate, counts, block_symbols);
  if (bytes < best) {
    best = bytes;
    model = candidate;
  }
  candidate = Model();
  build_rans(counts, alphabet, block_symbols, candidate);
  bytes = coded_bytes(candidate, counts, block_symbols);
  if (bytes < best) model = candidate;
}

size_t serialize_model(const Model& model, uint8_t* out) noexcept {
  out[0] = static_cast<uint8_t>(static_cast<unsigned>(model.mode) | static_cast<unsigned>(model.lanes_log2) << 3);
  switch (model.mode) {
    case CodeMode::constant:
      out[1] = model.symbol;
      return 2;
    case CodeMode::raw:
      out[1] = model.width;
      return 2;
    case CodeMode::huffman: {
      out[1] = static_cast<uint8_t>(model.alphabet - 1);
      BitWriter bits(out + 2);
      put_list(bits, model.lengths, model.alphabet);
      return 2 + bits.bytes();
    }
    case CodeMode::rans: {
      out[1] = static_cast<uint8_t>(model.alphabet - 1);
      uint8_t classes[kMaxAlphabet];
      for (size_t s = 0; s < model.alphabet; s++) classes[s] = static_cast<uint8_t>(bit_length(model.frequencies[s]));
      BitWriter bits(out + 2);
      put_list(bits, classes, model.alphabet);
      for (size_t s = 0; s < model.alphabet; s++) {
        if (classes[s] >= 2) bits.put(model.frequencies[s] & ((1u << (classes[s] - 1)) - 1), classes[s] - 1u);
      }
      return 2 + bits.bytes();
    }
  }
  return 0;
}

}  // namespace dc
