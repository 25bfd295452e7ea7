// The bound on the optimum: never above it, and close where the cells are fine. quantize_gap [seeds]
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "check.h"
#include "quantize/gap.h"
#include "quantize/kmeans.h"
#include "quantize/partition.h"

using namespace dc;

static double unit(uint64_t seed, uint64_t i) { return static_cast<double>(random_u64(seed, i) >> 11) * 0x1p-53; }

// Values of many kinds: smooth, lumpy, with ties, outliers and far from zero.
static float sample(uint64_t seed, uint64_t i) {
  const double u = unit(seed, 3 * i), v = unit(seed, 3 * i + 1);
  const double normal = std::sqrt(-2 * std::log(1 - u)) * std::cos(6.283185307179586 * v);
  double x = normal;
  if (seed % 7 == 1) x = u - 0.5;
  if (seed % 7 == 2) x = std::round(normal * 20) / 16;
  if (seed % 7 == 3) x = normal + 1000;
  if (seed % 7 == 4) x = normal * std::fabs(normal) * normal;
  if (seed % 7 == 5) x = normal + (i % 3 ? 8 : -8);
  if (seed % 7 == 6 && random_u64(seed, 3 * i + 2) % 50 == 0) x *= 40;
  return static_cast<float>(0.01 * x);
}

// Cells of random widths over few values, against the exact programme over the values themselves.
static void coarse_cells(uint64_t seeds) {
  double tightest = 0;
  for (uint64_t seed = 0; seed < seeds; seed++) {
    const size_t n = 5 + random_u64(seed, 1u << 30) % 400;
    const bool weighted = seed % 4 == 1;
    std::vector<double> x(n), w(n, 1);
    for (size_t i = 0; i < n; i++) x[i] = static_cast<double>(sample(seed, i));
    std::sort(x.begin(), x.end());
    for (size_t i = 0; weighted && i < n; i++) w[i] = 0.01 + unit(seed, 9000 + i) * (i % 11 ? 1 : 50);
    std::vector<Node> points(n + 1);
    CHECK(build_nodes(Job{}, x.data(), w.data(), n, points.data()));
    const uint64_t most = 1 + random_u64(seed, (1u << 30) + 1) % 20;  // values a cell
    std::vector<double> means, weights;
    std::vector<GapCell> cells;
    double spread = 0;
    for (size_t i = 0; i < n;) {
      const size_t first = i, end = std::min<size_t>(n, i + 1 + random_u64(seed, 20000 + i) % most);
      double weight = 0, sum = 0, own = 0;
      for (; i < n && (i < end || x[i] == x[i - 1]); i++) weight += w[i], sum += w[i] * (x[i] - x[first]);
      const double mean = x[first] + sum / weight;
      for (size_t j = first; j < i; j++) own += w[j] * (x[j] - mean) * (x[j] - mean);
      const double low = x[first], high = x[i - 1];
      const double widest = weighted ? weight * (high - low) : slack_of_count(weight, high - low);
      means.push_back(mean);
      weights.push_back(weight);
      cells.push_back({low, high, weight, seed % 2 ? widest : std::min(widest, slack_of_spread(weight, own))});
      spread += own;
    }
    std::vector<Node> nodes(means.size() + 1);
    CHECK(build_nodes(Job{}, means.data(), weights.data(), means.size(), nodes.data()));
    const auto optimum = [](const std::vector<Node>& of, uint32_t k) {
      std::vector<uint32_t> bounds(k + 1);
      if (k >= of.size() - 1) return 0.0;
      CHECK(best_partition(Job{}, of.data(), of.size() - 1, k, 0, bounds.data()));
      double cost = 0;
      for (uint32_t i = 0; i < k; i++) cost += cluster_cost(of[bounds[i]], of[bounds[i + 1]]);
      return cost;
    };
    for (const uint32_t k : {1u, 2u, 3u, 8u, 20u, 60u}) {
      const double best = optimum(points, k), of_cells = optimum(nodes, k) + spread;
      // Any partition of the values will do for the inertia: the optimum, or something far above it.
      for (const double inertia : {best, best * 1.5 + 1e-12}) {
        double loss = -1;
        CHECK(border_loss(Job{}, cells.data(), cells.size(), k, inertia, loss));
        CHECK(loss >= 0);
        CHECK(bound_below(of_cells, loss, inertia) <= best * (1 + 1e-12));
        if (best > 0 && k > 1 && most > 1) tightest = std::max(tightest, bound_below(of_cells, loss, inertia) / best);
      }
    }
  }
  CHECK(tightest > 0.5);  // the check above could fail
}

static KmeansSummary solve(const std::vector<float>& x, const std::vector<float>& w, uint32_t k, KmeansAlgorithm how,
                           unsigned threads) {
  static Pool pool(4);
  Job job;
  job.level = detected_cpu_level();
  job.threads = threads;
  job.pool = &pool;
  KmeansRequest request;
  request.values = x.data();
  request.count = x.size();
  request.weights = w.empty() ? nullptr : w.data();
  request.clusters = k;
  request.algorithm = how;
  request.max_iterations = 10000;
  std::vector<float> centroids(k);
  std::vector<uint32_t> counts(k);
  KmeansSummary summary;
  CHECK(kmeans_1d(job, request, centroids.data(), counts.data(), summary));
  return summary;
}

// What `histogram` says of itself, in its unsorted, sorted and weighted ways.
static void histogram_bounds(uint64_t seeds) {
  for (uint64_t seed = 0; seed < seeds; seed++) {
    const size_t n = seed % 3 == 0 ? 100000 : seed % 3 == 1 ? 40000 : 1000 + random_u64(seed, 1) % 5000;
    std::vector<float> x(n), w;
    for (size_t i = 0; i < n; i++) x[i] = sample(seed, i);
    if (seed % 4 == 3) {
      for (size_t i = 0; i < n; i++) w.push_back(static_cast<float>(random_u64(seed, 7 * i + 5) % 9));
    }
    for (const uint32_t k : {2u, 16u, 256u}) {
      const KmeansSummary cells = solve(x, w, k, KmeansAlgorithm::histogram, 2);
      const KmeansSummary best = solve(x, w, k, KmeansAlgorithm::optimal, 2);
      CHECK(cells.lower_bound >= 0 && cells.lower_bound <= best.lower_bound * (1 + 1e-12));
      CHECK(cells.lower_bound >= cells.inertia * 0.97);
      CHECK(solve(x, w, k, KmeansAlgorithm::histogram, 1).lower_bound == cells.lower_bound);
    }
  }
}

int main(int argc, char** argv) {
  const uint64_t seeds = argc > 1 ? static_cast<uint64_t>(std::atoll(argv[1])) : 60;
  coarse_cells(seeds * 5);
  histogram_bounds(seeds / 5 + 1);
  return finish();
}
