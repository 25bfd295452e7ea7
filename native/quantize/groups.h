#pragma once
#include "kmeans.h"

namespace dc {

// Many small groups (a codebook a channel) in one call: values [g * group_size, (g + 1) * group_size), the last group
// may be shorter. mask and weights as in KmeansRequest, over all values.
struct GroupsRequest {
  const float* values = nullptr;
  size_t count = 0;
  size_t group_size = 0;
  const uint32_t* mask = nullptr;
  const float* weights = nullptr;
  uint32_t clusters = 0;
  uint32_t max_iterations = 0;  // Lloyd steps at the most
};

// Row g of centroids and counts has `clusters` entries, of which used[g] are written and the rest are 0. Errors as
// kmeans_1d; offset counts from the first value of all.
Result kmeans_groups(const Job& job, const GroupsRequest& request, float* centroids, uint32_t* counts, uint32_t* used,
                     double* inertia) noexcept;

}  // namespace dc
