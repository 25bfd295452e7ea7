#pragma once
#include "gaps.h"

namespace dc {

// The paper's relative index over a whole tensor (docs/format-streams.md S4.2).

struct RelativePlan {
  unsigned index_bits = 0;
  uint64_t kept = 0;
  uint64_t fillers = 0;
  double coded_bytes = 0;  // gaps and codes, each as one Huffman stream with its table
};

// Plans `index_bits` 2..8; 0 takes the one with the fewest coded bytes (ties: the narrower). `codes` are those of the
// kept weights. Status::arg when there are not `code_count` kept weights, Status::value for a code above 254.
Result plan_relative_index(const Job& job, const uint32_t* mask, uint64_t weights, unsigned index_bits,
                           const uint8_t* codes, size_t code_count, RelativePlan& plan) noexcept;

// Writes plan.kept + plan.fillers entries: gaps and entry symbols. Status::arg when `capacity` is another number.
Result encode_relative_index(const Job& job, const uint32_t* mask, uint64_t weights, unsigned index_bits,
                             const uint8_t* codes, size_t code_count, uint8_t* gaps, uint8_t* entries,
                             size_t capacity) noexcept;

}  // namespace dc
