#include "lloyd.h"

#include <algorithm>

#include "order.h"

namespace dc {

namespace {

void find_boundaries(const SortedPoints& points, uint32_t clusters, const float* centroids,
                     size_t* boundaries) noexcept {
  boundaries[0] = 0;
  boundaries[clusters] = points.count;
  for (uint32_t i = 1; i < clusters; i++) {
    const float threshold = midpoint_threshold(centroids[i - 1], centroids[i]);
    const size_t at = first_above(points.values.data(), points.count, threshold, boundaries[i]);
    boundaries[i] = at < boundaries[i - 1] ? boundaries[i - 1] : at;
  }
}

// Gives every empty cluster the point that lies furthest from its centroid. The candidates are the two ends of each
// cluster; a point that becomes a centroid leaves the contest. Answers false when nothing was empty.
bool reseed_empty(const SortedPoints& points, uint32_t clusters, float* centroids, const size_t* boundaries) noexcept {
  bool any = false;
  for (uint32_t i = 0; i < clusters; i++) any = any || boundaries[i] == boundaries[i + 1];
  if (!any) return false;
  const float* const x = points.values.data();
  // A copy of the live centroids, which gains a new one at a time; quadratic only in the number of empty clusters.
  uint32_t live = 0;
  for (uint32_t i = 0; i < clusters; i++) {
    if (boundaries[i] < boundaries[i + 1]) centroids[live++] = centroids[i];
  }
  while (live < clusters) {
    double worst = -1;
    float place = 0;
    size_t begin = 0;
    for (uint32_t i = 0; i < live; i++) {
      const size_t end = i + 1 < live
                             ? first_above(x, points.count, midpoint_threshold(centroids[i], centroids[i + 1]), begin)
                             : points.count;
      if (begin < end) {
        for (const float candidate : {x[begin], x[end - 1]}) {
          const double error = static_cast<double>(candidate) - static_cast<double>(centroids[i]);
          if (error * error > worst) {
            worst = error * error;
            place = candidate;
          }
        }
      }
      begin = end;
    }
    if (!(worst > 0)) break;  // every point is a centroid: cannot happen while clusters <= distinct values
    uint32_t at = live++;
    for (; at > 0 && centroids[at - 1] > place; at--) centroids[at] = centroids[at - 1];
    centroids[at] = place;
  }
  return true;
}

}  // namespace

Result lloyd_steps(const Job& job, const SortedPoints& points, const RangeSums& sums, uint32_t clusters,
                   uint32_t max_iterations, double tolerance, float* centroids, size_t* boundaries,
                   LloydOutcome& outcome) noexcept {
  Array<float> earlier;  // the centroids after the last power of two of steps: a cycle comes back to them
  if (!earlier.reset(clusters)) return fail(Status::nomem);
  for (uint32_t i = 0; i <= clusters; i++) boundaries[i] = 0;
  std::copy(centroids, centroids + clusters, earlier.data());
  outcome = LloydOutcome{};
  find_boundaries(points, clusters, centroids, boundaries);
  // Sums up to each border, kept while the border stays where it is: near the fixed point most do.
  struct Before {
    size_t place;
    Double2 weight, sum;
  };
  Array<Before> before;
  Array<uint8_t> stale;  // whether a cluster's mean has to be taken anew
  if (!before.reset(clusters + 1) || !stale.reset(clusters)) return fail(Status::nomem);
  for (uint32_t i = 0; i <= clusters; i++) before[i].place = SIZE_MAX;
  for (uint32_t step = 0; step < max_iterations; step++) {
    if (step % 16 == 0 && job.cancelled()) return fail(Status::aborted);
    double moved = 0;
    bool changed = false;
    for (uint8_t& s : stale) s = 0;
    for (uint32_t i = 0; i <= clusters; i++) {
      if (before[i].place == boundaries[i]) continue;
      before[i].place = boundaries[i];
      sums.before(boundaries[i], before[i].weight, before[i].sum);
      if (i > 0) stale[i - 1] = 1;
      if (i < clusters) stale[i] = 1;
    }
    for (uint32_t i = 0; i < clusters; i++) {
      if (boundaries[i] == boundaries[i + 1] || !stale[i]) continue;
      const double weight = value(before[i + 1].weight - before[i].weight);
      float mean = static_cast<float>(value(before[i + 1].sum - before[i].sum) / weight);
      const float lowest = points.values[boundaries[i]], highest = points.values[boundaries[i + 1] - 1];
      mean = mean < lowest ? lowest : mean > highest ? highest : mean;
      const double move = static_cast<double>(mean) - static_cast<double>(centroids[i]);
      if (mean != centroids[i]) changed = true;
      moved = std::max(moved, move < 0 ? -move : move);
      centroids[i] = mean + 0.0f;
    }
    const bool reseeded = reseed_empty(points, clusters, centroids, boundaries);
    outcome.iterations = step + 1;
    find_boundaries(points, clusters, centroids, boundaries);
    if (reseeded) {
      for (uint32_t i = 0; i <= clusters; i++) before[i].place = SIZE_MAX;
      continue;
    }
    if (!changed || moved <= tolerance) {
      outcome.converged = true;
      break;
    }
    if (std::equal(centroids, centroids + clusters, earlier.data())) break;
    if ((step & (step + 1)) == 0) std::copy(centroids, centroids + clusters, earlier.data());
  }
  return Result{};
}

}  // namespace dc
