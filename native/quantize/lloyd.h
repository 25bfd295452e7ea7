#pragma once
#include "../base/job.h"
#include "points.h"

namespace dc {

struct LloydOutcome {
  uint32_t iterations = 0;
  bool converged = false;
};

// Lloyd steps on sorted points from `centroids` (ascending; `clusters` <= distinct values), which become the answer:
// strictly ascending. The state is the float centroids themselves, so a fixed point is one of what is handed out:
// nearest centroids by midpoint_threshold, means in double, rounded once. boundaries[0 .. clusters] is the partition of
// the final centroids. An empty cluster takes the point that is furthest from its centroid (the lowest one of equals).
Result lloyd_steps(const Job& job, const SortedPoints& points, const RangeSums& sums, uint32_t clusters,
                   uint32_t max_iterations, double tolerance, float* centroids, size_t* boundaries,
                   LloydOutcome& outcome) noexcept;

}  // namespace dc
