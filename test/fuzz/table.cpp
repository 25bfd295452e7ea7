// The table builder fed lengths (even) or frequencies (odd first byte) directly, as no file could say them.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "decode/block.h"

using namespace dc;

static DecodeTable the_table;  // too large to allocate for each input; a global has red zones too

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  Model model;
  model.mode = data[0] & 1 ? CodeMode::rans : CodeMode::huffman;
  model.alphabet = static_cast<uint16_t>(data[1] + 1 + (data[0] >> 7) * 300);
  uint64_t kraft = 0, sum = 0;
  unsigned used = 0;
  bool short_enough = model.alphabet <= kMaxAlphabet;
  for (size_t s = 0; s < kMaxAlphabet && s + 2 < size; s++) {
    model.lengths[s] = data[s + 2];
    model.frequencies[s] = static_cast<uint16_t>(data[s + 2] * (data[0] >> 1 & 63));
    if (s >= model.alphabet) continue;
    if (model.lengths[s] > kMaxCodeLength) short_enough = false;
    if (model.lengths[s] && model.lengths[s] <= kMaxCodeLength) kraft += kCodeSpace >> model.lengths[s];
    sum += model.frequencies[s];
    used += model.frequencies[s] != 0;
  }
  std::memset(the_table.entries, 0xff, sizeof the_table.entries);
  const bool valid =
      model.alphabet <= kMaxAlphabet &&
      (model.mode == CodeMode::huffman ? short_enough && kraft == kCodeSpace : sum == kCodeSpace && used >= 2);
  if (static_cast<bool>(build_decode_table(model, the_table)) != valid) std::abort();
  // All of the table is written, or none of it.
  size_t untouched = 0;
  for (uint32_t entry : the_table.entries) untouched += entry == 0xffffffffu;
  if (untouched != (valid ? 0 : kCodeSpace)) std::abort();
  return 0;
}
