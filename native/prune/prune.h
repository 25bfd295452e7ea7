#pragma once
#include "../base/job.h"

namespace dc {

// Magnitude pruning (Han et al. 2015, section 3; Deep Compression, section 2): small weights go, the mask says which
// stay (base/mask.h). A weight that is zero already is never kept. Every function refuses a NaN or an infinity:
// nonfinite, offset = the first one; the outputs are then indeterminate. Masks have mask_words(count) words, bits past
// the last weight 0.

struct Pruned {
  uint64_t kept = 0;
  double threshold = 0;  // a weight stays when its magnitude is at least this; +infinity when none does
};

// Keeps exactly min(keep, non-zero weights) weights, those of the largest magnitude; of equal ones the first. The
// threshold is the smallest magnitude that was kept (of equal ones at the threshold, the later may be gone). count <
// 2^32.
Result prune_to_count(const Job& job, const float* values, size_t count, uint64_t keep, uint32_t* mask,
                      Pruned* pruned) noexcept;

// Keeps the weights with magnitude >= threshold (compared exactly, in float64), zeros excepted.
Result prune_below(const Job& job, const float* values, size_t count, double threshold, uint32_t* mask,
                   Pruned* pruned) noexcept;

// The same with the threshold `factor` times the standard deviation of the weights.
Result prune_below_deviations(const Job& job, const float* values, size_t count, double factor, uint32_t* mask,
                              Pruned* pruned) noexcept;

// Population standard deviation about the mean, zeros included (the paper's threshold is a factor times this). Two
// passes, float64, the same bits for every level and thread count. 0 for an empty tensor.
Result standard_deviation(const Job& job, const float* values, size_t count, double* deviation) noexcept;

}  // namespace dc
