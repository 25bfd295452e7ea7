#pragma once
#include "../base/job.h"
#include "points.h"

namespace dc {

// How finely the search for the global optimum goes; the answer does not depend on it.
struct OptimalEffort {
  size_t direct = 0;  // up to so many points, all distinct values are candidates from the start
  size_t first = 0;   // cells at first
  size_t most = 0;    // cells at the most, until what is left of the values is no more than `last`
  size_t last = 0;    // and then every one is a candidate
};
OptimalEffort optimal_effort(size_t points, uint32_t clusters) noexcept;

// Centroids of the global optimum: the cheapest partition of all distinct values into exactly `clusters` < distinct
// values, and its squared error. candidates (a test looks at it): how many cells the last and exact search was over.
Result optimal_centroids(const Job& job, const SortedPoints& points, uint32_t clusters, const OptimalEffort& effort,
                         float* centroids, double* cost, size_t* candidates = nullptr) noexcept;

}  // namespace dc
