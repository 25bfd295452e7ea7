#include "groups.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "lloyd.h"
#include "starts.h"

namespace dc {

namespace {

// x^(2/3) to a few parts in a thousand: only the widths of cells depend on it. One Newton step from the exponent.
double spacing_share(double x) noexcept {
  if (!(x > 1e-300)) return 0;
  uint64_t bits;
  std::memcpy(&bits, &x, 8);
  bits = bits / 3 + 0x2a9f7893782da1ceull;
  double y;
  std::memcpy(&y, &bits, 8);
  y = (2 * y + x / (y * y)) / 3;
  return y * y;
}

// Runs of sorted points of equal density^(1/3) (the law of CellMap), straight from the spacings: no map to design,
// which alone would take longer than a small group does. `lambda` becomes the price of a cluster of a smooth density.
bool cells_of_spacings(const SortedPoints& points, size_t target, uint32_t clusters, Cells& out,
                       double& lambda) noexcept {
  const size_t n = points.count;
  const float* const x = points.values.data();
  Array<double> shares;
  if (!shares.reset(n) || !out.values.reset(n) || !out.weights.reset(n)) return false;
  double total = 0;
  for (size_t i = 0; i + 1 < n; i++) {
    shares[i] = spacing_share(static_cast<double>(x[i + 1]) - static_cast<double>(x[i]));
    total += shares[i];
  }
  shares[n - 1] = 0;
  const double limit = total / static_cast<double>(target);
  out.count = 0;
  for (size_t i = 0; i < n;) {
    const double first = x[i];
    double weight = 0, sum = 0, reached = 0;
    do {
      weight += 1;
      sum += static_cast<double>(x[i]) - first;
      reached += shares[i++];
    } while (i < n && (x[i] == x[i - 1] || reached + shares[i - 1] / 2 < limit));
    out.values[out.count] = first + sum / weight;
    out.weights[out.count++] = weight;
  }
  // Mean of s^(2/3) over exponential spacings is 0.9027 times the 2/3 power of their mean.
  const double smooth = total / 0.9027, k = clusters;
  lambda = smooth * smooth * smooth / (6 * k * k * k);
  return true;
}

Result one_group(const Job& job, const KmeansRequest& request, float* centroids, uint32_t* counts, uint32_t* used,
                 double* inertia) noexcept {
  KmeansSummary summary;
  const size_t target = std::max<size_t>(256, size_t{16} * request.clusters);
  // Few enough values are their own cells, which kmeans_1d does; many call for its passes.
  if (request.count <= target || request.count > 65536) {
    const Result done = kmeans_1d(job, request, centroids, counts, summary);
    *used = summary.used;
    *inertia = summary.inertia;
    return done;
  }
  Collected collected;
  SortedPoints points;
  Result done = collect(job, request, collected);
  if (done) done = sort_points(job, collected, points);
  if (!done) return done;
  size_t distinct = 1;
  for (size_t i = 1; i < points.count && distinct <= target; i++) distinct += points.values[i] != points.values[i - 1];
  Cells cells;
  RangeSums sums;
  LloydOutcome outcome;
  Array<size_t> boundaries;
  double lambda = 0, cost = 0;
  const uint32_t clusters = request.clusters;
  if (distinct > target) {
    if (!cells_of_spacings(points, target, clusters, cells, lambda)) return fail(Status::nomem);
  }
  if (cells.count < size_t{4} * clusters) {
    done = kmeans_1d(job, request, centroids, counts, summary);
    *used = summary.used;
    *inertia = summary.inertia;
    return done;
  }
  if (!boundaries.reset(clusters + 1)) return fail(Status::nomem);
  done = partition_centroids(job, cells, clusters, &lambda, centroids, &cost);
  if (done) done = sums.build(job, points);
  if (done) {
    done = lloyd_steps(job, points, sums, clusters, request.max_iterations, 0, centroids, boundaries.data(), outcome);
  }
  if (!done) return done;
  uint32_t live = 0;
  double total = 0;
  for (uint32_t i = 0; i < clusters; i++) {
    if (boundaries[i] == boundaries[i + 1]) continue;
    const double c = centroids[i];
    double sum = 0;
    for (size_t j = boundaries[i]; j < boundaries[i + 1]; j++) {
      const double d = static_cast<double>(points.values[j]) - c;
      sum += d * d;
    }
    total += sum;
    centroids[live] = centroids[i];
    counts[live++] = static_cast<uint32_t>(boundaries[i + 1] - boundaries[i]);
  }
  *used = live;
  *inertia = total;
  return Result{};
}

}  // namespace

Result kmeans_groups(const Job& job, const float* values, size_t count, size_t group_size, uint32_t clusters,
                     uint32_t max_iterations, float* centroids, uint32_t* counts, uint32_t* used,
                     double* inertia) noexcept {
  if (group_size == 0 || clusters < 1 || clusters > kMaxClusters) return fail(Status::arg);
  const size_t groups = count / group_size + (count % group_size != 0);
  const bool large = group_size > 65536;  // such a group uses all threads itself
  Job inner = job;
  inner.threads = large ? job.threads : 1;
  Array<Result> failed;
  if (!failed.reset(groups)) return fail(Status::nomem);
  std::atomic<size_t> ended{0};
  const auto run = [&](size_t group) {
    KmeansRequest request;
    request.values = values + group * group_size;
    request.count = std::min(group_size, count - group * group_size);
    request.clusters = clusters;
    request.max_iterations = max_iterations;
    float* const row = centroids + group * clusters;
    uint32_t* const row_counts = counts + group * clusters;
    used[group] = 0;
    inertia[group] = 0;
    failed[group] = one_group(inner, request, row, row_counts, &used[group], &inertia[group]);
    failed[group].offset += group * group_size;
    for (uint32_t i = failed[group] ? used[group] : 0; i < clusters; i++) {
      row[i] = 0;
      row_counts[i] = 0;
    }
    job.report(ended.fetch_add(1, std::memory_order_relaxed) + 1, groups);
  };
  if (large) {
    for (size_t group = 0; group < groups; group++) {
      run(group);
      if (!failed[group]) return failed[group];
    }
    return Result{};
  }
  const Result done = parallel(job, groups, [&](size_t group, unsigned) { run(group); });
  if (!done) return done;
  for (size_t group = 0; group < groups; group++) {
    if (!failed[group]) return failed[group];
  }
  return Result{};
}

}  // namespace dc
