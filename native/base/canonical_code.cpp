#include "canonical_code.h"

namespace dc {

unsigned block_lanes(const Model& model, uint64_t symbols) noexcept {
  unsigned lanes_log2 = 0;
  while (lanes_log2 < model.lanes_log2 && symbols >= static_cast<uint64_t>(kSymbolsPerLane) << (lanes_log2 + 1)) {
    lanes_log2++;
  }
  return 1u << lanes_log2;
}

Result canonical_code(const uint8_t* lengths, size_t alphabet, CanonicalCode& code) noexcept {
  unsigned of_length[kMaxCodeLength + 1] = {};
  if (alphabet > kMaxAlphabet) return fail(Status::huffman);
  for (size_t s = 0; s < alphabet; s++) {
    if (lengths[s] > kMaxCodeLength) return fail(Status::huffman, s);
    of_length[lengths[s]]++;
  }
  uint64_t kraft = 0;
  code.used = 0;
  code.shortest = code.longest = 0;
  for (unsigned length = 1; length <= kMaxCodeLength; length++) {
    kraft += static_cast<uint64_t>(of_length[length]) << (kMaxCodeLength - length);
    code.used += of_length[length];
    if (of_length[length]) {
      code.longest = length;
      if (!code.shortest) code.shortest = length;
    }
  }
  // One symbol of length 0 bits is the constant mode; Kraft equality then asks for two symbols at least.
  if (kraft != kCodeSpace) return fail(Status::huffman);

  unsigned next = 0, rank = 0;
  unsigned place[kMaxCodeLength + 1];
  code.first_code[0] = code.first_rank[0] = 0;
  for (unsigned length = 1; length <= kMaxCodeLength; length++) {
    next <<= 1;
    code.first_code[length] = static_cast<uint16_t>(next);
    code.first_rank[length] = static_cast<uint16_t>(rank);
    place[length] = rank;
    next += of_length[length];
    rank += of_length[length];
  }
  code.first_rank[kMaxCodeLength + 1] = static_cast<uint16_t>(rank);
  for (size_t s = 0; s < alphabet; s++) {
    if (lengths[s]) code.sorted[place[lengths[s]]++] = static_cast<uint8_t>(s);
  }
  return {};
}

Result check_frequencies(const uint16_t* frequencies, size_t alphabet) noexcept {
  if (alphabet > kMaxAlphabet) return fail(Status::huffman);
  uint64_t sum = 0;
  unsigned used = 0;
  for (size_t s = 0; s < alphabet; s++) {
    sum += frequencies[s];
    used += frequencies[s] != 0;
  }
  if (sum != kCodeSpace || used < 2) return fail(Status::huffman);
  return {};
}

}  // namespace dc
