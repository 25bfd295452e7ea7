#include "kmeans.h"

#include <algorithm>

#include "assign.h"
#include "cells.h"
#include "few_values.h"
#include "fit_kmeans.h"
#include "gap.h"
#include "histogram.h"
#include "lloyd.h"
#include "optimal.h"
#include "order.h"
#include "partition.h"
#include "points.h"
#include "starts.h"

namespace dc {

namespace {

// Squared error of the sorted points around the centroids of their ranges: fixed blocks, merged in order.
Result range_inertia(const Job& job, const SortedPoints& points, uint32_t clusters, const float* centroids,
                     const size_t* boundaries, double& inertia) noexcept {
  const size_t blocks = block_count(points.count);
  Array<double> part;
  if (!part.reset_zeroed(blocks)) return fail(Status::nomem);
  const float* const x = points.values.data();
  const float* const w = points.weight_data();
  const Result done = parallel(job, blocks, [&](size_t block, unsigned) {
    const size_t first = block * kBlockElements, end = std::min(first + kBlockElements, points.count);
    size_t i = first;
    uint32_t cluster =
        static_cast<uint32_t>(std::upper_bound(boundaries, boundaries + clusters + 1, i) - boundaries - 1);
    double sum = 0;
    for (; i < end; cluster++) {
      const double c = centroids[cluster];
      for (const size_t stop = std::min(end, boundaries[cluster + 1]); i < stop; i++) {
        const double d = static_cast<double>(x[i]) - c;
        sum += w ? w[i] * (d * d) : d * d;
      }
    }
    part[block] = sum;
  });
  inertia = 0;
  for (size_t block = 0; block < blocks; block++) inertia += part[block];
  return done;
}

// Distinct values, at most `limit` + 1 of them.
uint32_t distinct_values(const SortedPoints& points, uint32_t limit, float* values) noexcept {
  uint32_t distinct = 0;
  for (size_t i = 0; i < points.count; i++) {
    if (i > 0 && points.values[i] == points.values[i - 1]) continue;
    if (distinct == limit) return limit + 1;
    values[distinct++] = points.values[i];
  }
  return distinct;
}

// Small inputs are sorted: that is no slower there, and their cells are the values themselves.
constexpr size_t kSortUpTo = 65536;

bool from_cells(const KmeansRequest& request) noexcept {
  return request.algorithm == KmeansAlgorithm::histogram || request.algorithm == KmeansAlgorithm::fit ||
         (request.algorithm == KmeansAlgorithm::lloyd && request.start == KmeansStart::histogram);
}

Result cluster(const Job& job, const KmeansRequest& request, const Collected& collected, float* centroids,
               uint32_t* counts, KmeansSummary& summary) noexcept {
  Result done;
  SortedPoints points;
  const bool estimated = request.algorithm == KmeansAlgorithm::fit && collected.count > kSortUpTo;
  if (!request.weights && request.clusters <= kFewMost && !estimated) {
    bool few = false;
    done = few_values(job, collected.values, collected.count, request.clusters, centroids, counts, summary.used, few);
    summary.converged = few;
    summary.lower_bound = few ? 0 : -1;
    if (!done || few) return done;
  }
  KmeansRequest further = request;
  Array<float> reached;
  uint32_t steps_before = 0;
  const bool fits = request.algorithm == KmeansAlgorithm::fit;
  if (from_cells(request) && !fits && !request.weights && collected.count > kSortUpTo) {
    bool answered = false;
    done = histogram_kmeans(job, collected.values, collected.count, request, centroids, counts, summary, answered);
    if (!done) return done;
    if (answered && (request.algorithm == KmeansAlgorithm::histogram || summary.converged ||
                     summary.iterations >= request.max_iterations)) {
      return Result{};
    }
    if (answered) {  // lloyd stops at nothing less than its fixed point
      if (!reached.reset(request.clusters)) return fail(Status::nomem);
      std::copy(centroids, centroids + request.clusters, reached.data());
      further.start = KmeansStart::given;
      further.initial = reached.data();
      steps_before = summary.iterations;
      further.max_iterations -= steps_before;
    }
  }
  if (fits && !request.weights && collected.count > kSortUpTo) {
    bool answered = false;
    done = fit_kmeans(job, collected.values, collected.count, request, centroids, counts, summary, answered);
    if (!done || answered) return done;
  }
  done = sort_points(job, collected, points);
  if (!done) return done;
  uint32_t clusters = request.clusters;
  Array<size_t> boundaries;
  if (!boundaries.reset(clusters + 1)) return fail(Status::nomem);
  const uint32_t distinct = distinct_values(points, clusters, centroids);
  RangeSums sums;
  LloydOutcome outcome;
  CellDetail detail;
  double cheapest = 0;
  if (distinct <= clusters) {
    clusters = distinct;
    outcome.converged = true;
    summary.lower_bound = 0;
    for (uint32_t i = 0; i < clusters; i++) {
      boundaries[i] = i == 0 ? 0 : first_above(points.values.data(), points.count, centroids[i - 1], boundaries[i - 1]);
    }
    boundaries[clusters] = points.count;
  } else {
    done = sums.build(job, points);
    if (!done) return done;
    uint32_t steps = further.max_iterations;
    switch (request.algorithm) {
      case KmeansAlgorithm::histogram:
        done = histogram_centroids(job, points, clusters, centroids, &detail, &cheapest);
        break;
      case KmeansAlgorithm::lloyd:
        done = starting_centroids(job, further, points, centroids);
        break;
      case KmeansAlgorithm::optimal:
        // Rounding the centroids to float32 may move a border: Lloyd steps then settle it, and never make it worse.
        done = optimal_centroids(job, points, clusters, optimal_effort(points.count, clusters), centroids,
                                 &summary.lower_bound);
        break;
      case KmeansAlgorithm::sampled:
        done = sampled_centroids(job, points, clusters, request.seed, centroids);
        steps = 0;
        break;
      case KmeansAlgorithm::fit: {
        KmeansRequest start = request;
        start.start = KmeansStart::fit;
        done = starting_centroids(job, start, points, centroids);
        steps = 0;
        break;
      }
      default:
        return fail(Status::arg);
    }
    if (!done) return done;
    done = lloyd_steps(job, points, sums, clusters, steps, request.tolerance, centroids, boundaries.data(), outcome);
    if (!done) return done;
    // A centroid that nothing is nearest to is not part of the answer.
    uint32_t live = 0;
    for (uint32_t i = 0; i < clusters; i++) {
      if (boundaries[i] == boundaries[i + 1]) continue;
      centroids[live] = centroids[i];
      boundaries[live++] = boundaries[i];
    }
    boundaries[live] = points.count;
    clusters = live;
  }
  for (uint32_t i = 0; i < clusters; i++) counts[i] = static_cast<uint32_t>(boundaries[i + 1] - boundaries[i]);
  summary.used = clusters;
  summary.iterations = steps_before + outcome.iterations;
  summary.converged = outcome.converged;
  done = range_inertia(job, points, clusters, centroids, boundaries.data(), summary.inertia);
  if (!done || detail.count == 0) return done;
  double loss = 0;
  done = border_loss(job, detail.cells.data(), detail.count, request.clusters, summary.inertia, loss);
  summary.lower_bound = bound_below(cheapest, loss, summary.inertia);
  return done;
}

}  // namespace

Result kmeans_1d(const Job& job, const KmeansRequest& request, float* centroids, uint32_t* counts,
                 KmeansSummary& summary) noexcept {
  summary = KmeansSummary{};
  if (request.clusters < 1 || request.clusters > kMaxClusters || request.count > 0xffffffffull)
    return fail(Status::arg);
  Collected collected;
  // A pass by cells also finds what is not finite.
  Result done = collect(job, request, collected, !from_cells(request) || request.count <= kSortUpTo);
  if (!done) return done;
  summary.kept = collected.count;
  Job clustering = job, coding = job;
  if (request.codes) clustering.progress_to = coding.progress_from = 9000;
  done = cluster(clustering, request, collected, centroids, counts, summary);
  if (!done || !request.codes || summary.used == 0) return done;
  // Zeros that were left out have a code all the same, else the values that took part are at hand without gaps.
  const bool packed = !request.ignore_zeros;
  return assign(coding, packed ? collected.values : request.values, packed ? collected.count : request.count,
                packed ? nullptr : request.mask, centroids, summary.used, request.codes, request.code_bytes,
                request.code_count);
}

}  // namespace dc
