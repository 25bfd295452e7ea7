#pragma once
#include "kmeans.h"

namespace dc {

// k-means of many small groups (a codebook a channel) in one call: values [g * group_size, (g + 1) * group_size), the
// last group may be shorter. Row g of centroids and counts has `clusters` entries, of which used[g] are written and the
// rest are 0. The exact optimum over 16 cells a cluster (at least 256), then Lloyd steps, at most `max_iterations`, on
// the values. Errors as kmeans_1d; offset counts from the first value of all.
Result kmeans_groups(const Job& job, const float* values, size_t count, size_t group_size, uint32_t clusters,
                     uint32_t max_iterations, float* centroids, uint32_t* counts, uint32_t* used,
                     double* inertia) noexcept;

}  // namespace dc
