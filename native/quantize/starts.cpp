#include "starts.h"

#include <algorithm>

#include "fit.h"
#include "lloyd.h"
#include "partition.h"

namespace dc {

size_t cells_for(uint32_t clusters) noexcept {
  constexpr size_t kLeast = 32768, kMost = size_t{1} << 20;
  const size_t wanted = static_cast<size_t>(clusters) * 64;
  return wanted < kLeast ? kLeast : wanted > kMost ? kMost : wanted;
}

double smooth_price(const double* values, const double* weights, size_t count, uint32_t clusters) noexcept {
  if (count < size_t{4} * clusters) return 0;
  const size_t step = count / 4096 + 1;  // a guess needs no more
  double sum = 0;
  for (size_t i = 0; i < count; i += step) {
    const double low = values[i > 0 ? i - 1 : i], high = values[i + 1 < count ? i + 1 : i];
    const double width = (high - low) / (i > 0 && i + 1 < count ? 2 : 1);
    sum += cube_root(weights[i] * width * width);
  }
  const double part = sum * static_cast<double>(step) / static_cast<double>(clusters);
  return part * part * part / 6;
}

Result partition_centroids(const Job& job, const Cells& cells, uint32_t clusters, double* lambda, float* centroids,
                           double* cost) noexcept {
  Array<Node> nodes;
  Array<uint32_t> boundaries;
  if (!nodes.reset(cells.count + 1) || !boundaries.reset(clusters + 1)) return fail(Status::nomem);
  Result done = build_nodes(job, cells.values.data(), cells.weights.data(), cells.count, nodes.data());
  if (!done) return done;
  done = best_partition(job, nodes.data(), cells.count, clusters, *lambda, boundaries.data(), lambda);
  if (!done) return done;
  Double2 total;
  for (uint32_t i = 0; i < clusters; i++) {
    const Node &a = nodes[boundaries[i]], &b = nodes[boundaries[i + 1]];
    centroids[i] = static_cast<float>(value(b.sum - a.sum) / value(b.weight - a.weight)) + 0.0f;
    total = total + cluster_cost(a, b);
  }
  *cost = value(total);
  return Result{};
}

Result histogram_centroids(const Job& job, const SortedPoints& points, uint32_t clusters, float* centroids,
                           CellDetail* detail, double* cost) noexcept {
  Cells cells;
  Result done = cells_of_sorted(job, points, cells_for(clusters), cells, detail);
  if (!done) return done;
  double lambda = smooth_price(cells.values.data(), cells.weights.data(), cells.count, clusters), cheapest = 0;
  done = partition_centroids(job, cells, clusters, &lambda, centroids, &cheapest);
  if (detail) *cost = cheapest + detail->spread;
  return done;
}

Result sampled_centroids(const Job& job, const SortedPoints& points, uint32_t clusters, uint64_t seed,
                         float* centroids) noexcept {
  constexpr double kShare = 0.01;
  const float* const w = points.weight_data();
  SortedPoints sample;
  size_t chosen = 0;
  for (size_t i = 0; i < points.count; i++) chosen += random_unit(seed, i) < kShare;
  if (!sample.values.reset(chosen) || (w && !sample.weights.reset(chosen))) return fail(Status::nomem);
  uint32_t distinct = 0;
  for (size_t i = 0; i < points.count; i++) {
    if (random_unit(seed, i) >= kShare) continue;
    if (sample.count == 0 || points.values[i] != sample.values[sample.count - 1]) distinct++;
    sample.values[sample.count] = points.values[i];
    if (w) sample.weights[sample.count] = w[i];
    sample.count++;
  }
  if (job.cancelled()) return fail(Status::aborted);
  // Too small a sample to part into so many clusters: everything is the sample.
  if (distinct <= clusters) return histogram_centroids(job, points, clusters, centroids);
  Result done = histogram_centroids(job, sample, clusters, centroids);
  if (!done) return done;
  RangeSums sums;
  done = sums.build(job, sample);
  if (!done) return done;
  Array<size_t> boundaries;
  if (!boundaries.reset(clusters + 1)) return fail(Status::nomem);
  LloydOutcome outcome;
  return lloyd_steps(job, sample, sums, clusters, UINT32_MAX, 0, centroids, boundaries.data(), outcome);
}

namespace {

// k-means++ (Arthur and Vassilvitskii 2007) over the cells: each next centroid is a cell drawn with a chance that goes
// with weight * squared distance to the nearest centroid so far. A Fenwick tree over the cells draws and updates in
// log time, and a new centroid only touches the cells between its neighbours.
Result plus_plus(const Job& job, const Cells& cells, uint32_t clusters, uint64_t seed, float* centroids) noexcept {
  const size_t n = cells.count;
  Array<double> tree, mass;
  Array<uint32_t> chosen;  // ascending cells
  if (!tree.reset_zeroed(n + 1) || !mass.reset(n) || !chosen.reset(clusters)) return fail(Status::nomem);
  const auto rebuild = [&] {
    for (size_t i = 1; i <= n; i++) tree[i] = mass[i - 1];
    for (size_t i = 1; i <= n; i++) {
      const size_t parent = i + (i & (~i + 1));
      if (parent <= n) tree[parent] += tree[i];
    }
  };
  const auto total = [&] {
    double sum = 0;
    for (size_t i = n; i > 0; i -= i & (~i + 1)) sum += tree[i];
    return sum;
  };
  const auto draw = [&](double at) {
    size_t place = 0, step = 1;
    while (step * 2 <= n) step *= 2;
    for (; step; step /= 2) {
      if (place + step <= n && tree[place + step] <= at) {
        place += step;
        at -= tree[place];
      }
    }
    return place < n ? place : n - 1;
  };
  for (size_t i = 0; i < n; i++) mass[i] = cells.weights[i];
  rebuild();
  uint32_t live = 0;
  for (uint64_t counter = 0; live < clusters && counter < 16ull * clusters + 64; counter++) {
    if (job.cancelled()) return fail(Status::aborted);
    const size_t cell = draw(random_unit(seed, counter) * total());
    const uint32_t* const place = std::lower_bound(chosen.data(), chosen.data() + live, static_cast<uint32_t>(cell));
    const size_t at = static_cast<size_t>(place - chosen.data());
    if (at < live && chosen[at] == cell) continue;
    const size_t first = at > 0 ? chosen[at - 1] : 0, end = at < live ? chosen[at] : n;
    for (size_t i = live; i > at; i--) chosen[i] = chosen[i - 1];
    chosen[at] = static_cast<uint32_t>(cell);
    live++;
    for (size_t i = first; i < end; i++) {
      const double d = cells.values[i] - cells.values[cell], fresh = cells.weights[i] * (d * d);
      if (live > 1 && fresh >= mass[i]) continue;
      if (live > 1) {
        for (size_t j = i + 1; j <= n; j += j & (~j + 1)) tree[j] += fresh - mass[i];
      }
      mass[i] = fresh;
    }
    if (live == 1 || live % 64 == 0) rebuild();  // also keeps rounding from adding up
  }
  for (size_t i = 0; live < clusters && i < n; i++) {  // all mass used up: take what is free
    uint32_t* const place = std::lower_bound(chosen.data(), chosen.data() + live, static_cast<uint32_t>(i));
    const size_t at = static_cast<size_t>(place - chosen.data());
    if (at < live && chosen[at] == i) continue;
    for (size_t j = live; j > at; j--) chosen[j] = chosen[j - 1];
    chosen[at] = static_cast<uint32_t>(i);
    live++;
  }
  for (uint32_t i = 0; i < clusters; i++) {
    centroids[i] = static_cast<float>(cells.values[chosen[i < live ? i : live - 1]]) + 0.0f;
  }
  return Result{};
}

}  // namespace

Result starting_centroids(const Job& job, const KmeansRequest& request, const SortedPoints& points,
                          float* centroids) noexcept {
  const float* const x = points.values.data();
  const size_t n = points.count;
  const uint32_t k = request.clusters;
  switch (request.start) {
    case KmeansStart::linear: {
      // numpy.linspace(min, max, k): the paper's linear initialization.
      const double low = x[0], high = x[n - 1];
      for (uint32_t i = 0; i < k; i++) {
        const double share = k > 1 ? static_cast<double>(i) / (k - 1) : 0.5;
        centroids[i] = static_cast<float>(low + (high - low) * share) + 0.0f;
      }
      break;
    }
    case KmeansStart::density: {
      // Equal steps of the cumulative distribution: the paper's density-based initialization.
      double total = 0;
      const float* const w = points.weight_data();
      for (size_t i = 0; w && i < n; i++) total += w[i];
      double reached = 0;
      size_t at = 0;
      for (uint32_t i = 0; i < k; i++) {
        const double share = (i + 0.5) / k;
        if (w) {
          while (at + 1 < n && reached + w[at] <= share * total) reached += w[at++];
        } else {
          at = static_cast<size_t>(share * static_cast<double>(n));
        }
        centroids[i] = x[at < n ? at : n - 1] + 0.0f;
      }
      break;
    }
    case KmeansStart::random: {
      // Forgy: values at random places; the last places of the draw are redrawn while they repeat a value.
      uint64_t counter = 0;
      for (uint32_t live = 0; live < k;) {
        uint32_t missing = k - live;
        while (missing--) {
          const size_t at = static_cast<size_t>(random_unit(request.seed, counter++) * static_cast<double>(n));
          centroids[live++] = x[at < n ? at : n - 1] + 0.0f;
        }
        std::sort(centroids, centroids + k);
        live = static_cast<uint32_t>(std::unique(centroids, centroids + k) - centroids);
        if (counter > 64ull * k + 1024) {
          std::fill(centroids + live, centroids + k, centroids[live - 1]);
          break;
        }
      }
      break;
    }
    case KmeansStart::kmeans_plus_plus: {
      Cells cells;
      const Result done = cells_of_sorted(job, points, cells_for(k), cells);
      return done ? plus_plus(job, cells, k, request.seed, centroids) : done;
    }
    case KmeansStart::given:
      std::copy(request.initial, request.initial + k, centroids);
      std::sort(centroids, centroids + k);
      break;
    case KmeansStart::fit: {
      Cells cells;
      const Result done = cells_of_sorted(job, points, cells_for(k), cells);
      return done ? fit_centroids(job, cells, k, centroids) : done;
    }
    case KmeansStart::histogram:
      return histogram_centroids(job, points, k, centroids);
    default:
      return fail(Status::arg);
  }
  return Result{};
}

}  // namespace dc
