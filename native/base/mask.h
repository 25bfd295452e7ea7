#pragma once
#include "job.h"

namespace dc {

// A mask has one bit a weight: bit i & 31 of word i >> 5; 1 = kept. Bits past the last weight are ignored here.
constexpr size_t kMaskBits = 32;
inline size_t mask_words(size_t count) noexcept { return count / kMaskBits + (count % kMaskBits != 0); }
inline bool mask_bit(const uint32_t* mask, size_t i) noexcept { return (mask[i >> 5] >> (i & 31)) & 1u; }

// Bits set among the first `count`.
uint64_t count_mask(CpuLevel level, const uint32_t* mask, size_t count) noexcept;

// before[b] = bits set ahead of block b (kBlockElements weights each), before[block_count(count)] = all of them: where
// the compact codes of a block begin.
Result mask_offsets(const Job& job, const uint32_t* mask, size_t count, uint64_t* before) noexcept;

}  // namespace dc
