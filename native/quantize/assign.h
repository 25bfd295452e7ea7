#pragma once
#include "../base/job.h"

namespace dc {

constexpr uint32_t kMaxCentroids = 65536;

// thresholds[i], i < k - 1: the largest float32 that is not above the float64 midpoint of centroids i and i + 1. Value
// x belongs to the first centroid i with x <= thresholds[i] (the last one when there is none): ties go to the lower
// centroid, and every kernel compares with these same numbers. A zero threshold is +0, and -0 counts as +0.
void assignment_thresholds(const float* centroids, uint32_t k, float* thresholds) noexcept;

// The plain search for one value; what every other path must equal. NaN is not looked for.
uint32_t assign_one(float x, const float* thresholds, uint32_t k) noexcept;

// The index of the nearest centroid of each value. `centroids` are finite and ascending, 1 <= k <= 65,536. Without a
// mask one code a value is written; with one, one code a *kept* value, in position order and without gaps. A code is a
// byte
// (`code_bytes` 1, k <= 256) or a uint16_t (2). `code_count`, when given, is the room in `codes`, which must be exactly
// what is written. Errors: arg (k, code_bytes, centroids that descend or are not finite: offset = which; code_count),
// nonfinite (offset = the first kept value that is NaN or infinite; codes are then indeterminate), nomem, aborted.
Result assign(const Job& job, const float* values, size_t count, const uint32_t* mask, const float* centroids,
              uint32_t k, void* codes, unsigned code_bytes, uint64_t code_count = UINT64_MAX) noexcept;

// The same with thresholds as they are given (k - 1, finite, ascending, zero as +0) instead of those of the nearest
// centroid.
Result assign_by_thresholds(const Job& job, const float* values, size_t count, const uint32_t* mask,
                            const float* thresholds, uint32_t k, void* codes, unsigned code_bytes,
                            uint64_t code_count = UINT64_MAX) noexcept;

}  // namespace dc
