// The global optimum against an independent solver, and the search over few candidates against the one over all values.
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/memory.h"
#include "check.h"
#include "quantize/kmeans.h"
#include "quantize/optimal.h"

using namespace dc;

typedef std::vector<float> Floats;
typedef long double Real;

static Real kInfinite = 1e4000L;

// Distinct values in ascending order and their weights.
struct Sorted {
  std::vector<Real> value, weight;
};
static Sorted sorted(const Floats& x, const Floats& w) {
  std::vector<size_t> order;
  for (size_t i = 0; i < x.size(); i++) {
    if (w.empty() || w[i] > 0) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return x[a] < x[b]; });
  Sorted out;
  for (const size_t i : order) {
    const Real own = w.empty() ? 1 : w[i];
    if (out.value.empty() || out.value.back() != x[i]) {
      out.value.push_back(x[i]);
      out.weight.push_back(own);
    } else {
      out.weight.back() += own;
    }
  }
  return out;
}

// Layer by layer, best[c][j] = min over i of best[c - 1][i] + cost(i, j), the row minima of each totally monotone layer
// by SMAWK (Aggarwal, Klawe, Moran, Shor, Wilber 1987): O(k n). Sums are counted from 64 values in turn, and a cluster
// takes those from the value nearest to its middle: little cancels.
template <typename T>
class Layers {
 public:
  explicit Layers(const Sorted& s) : n_(s.value.size()), sums_(kAnchors * (n_ + 1)) {
    for (size_t a = 0; a < kAnchors; a++) {
      Sums* const sums = sums_.data() + a * (n_ + 1);
      for (size_t i = 0; i < n_; i++) {
        const T v = s.value[i] - s.value[(2 * a + 1) * n_ / (2 * kAnchors)];
        sums[i + 1].w = sums[i].w + s.weight[i];
        sums[i + 1].s = sums[i].s + s.weight[i] * v;
        sums[i + 1].q = sums[i].q + s.weight[i] * v * v;
      }
    }
  }
  T optimum(size_t k) {
    last_.assign(n_ + 1, 0);
    for (size_t j = 1; j <= n_; j++) last_[j] = cost(0, j);
    for (size_t c = 1; c < k; c++) {
      next_.assign(n_ + 1, 0);
      std::vector<uint32_t> rows, columns;
      for (size_t j = 1; j <= n_; j++) rows.push_back(static_cast<uint32_t>(j));
      for (size_t i = 0; i < n_; i++) columns.push_back(static_cast<uint32_t>(i));
      arg_.assign(n_ + 1, 0);
      minima(rows, columns);
      last_.swap(next_);
    }
    return last_[n_];
  }

 private:
  T cost(size_t i, size_t j) const {
    const Sums* const sums = sums_.data() + (i + j - 1) * kAnchors / (2 * n_) * (n_ + 1);
    const T w = sums[j].w - sums[i].w, s = sums[j].s - sums[i].s;
    return std::max<T>(0, (sums[j].q - sums[i].q) - s * s / w);
  }
  // Row j, column i; a column at or after the row is worse the further it is, which keeps the rows monotone.
  T entry(size_t j, size_t i) const { return i < j ? last_[i] + cost(i, j) : T(1e300) * (1 + static_cast<T>(i)); }
  void minima(const std::vector<uint32_t>& rows, const std::vector<uint32_t>& columns) {
    if (rows.empty()) return;
    std::vector<uint32_t> stack;
    for (const uint32_t c : columns) {
      while (!stack.empty() && entry(rows[stack.size() - 1], stack.back()) > entry(rows[stack.size() - 1], c)) {
        stack.pop_back();
      }
      if (stack.size() < rows.size()) stack.push_back(c);
    }
    std::vector<uint32_t> odd;
    for (size_t i = 1; i < rows.size(); i += 2) odd.push_back(rows[i]);
    minima(odd, stack);
    size_t at = 0;
    for (size_t i = 0; i < rows.size(); i += 2) {
      const uint32_t end = i + 1 < rows.size() ? arg_[rows[i + 1]] : stack.back();
      T best = T(1e308);
      for (;; at++) {
        const T here = entry(rows[i], stack[at]);
        if (here < best) {
          best = here;
          arg_[rows[i]] = stack[at];
        }
        if (stack[at] == end) break;
      }
      next_[rows[i]] = best;
    }
    for (size_t i = 1; i < rows.size(); i += 2) next_[rows[i]] = entry(rows[i], arg_[rows[i]]);
  }
  struct Sums {
    T w = 0, s = 0, q = 0;
  };
  static constexpr size_t kAnchors = 64;
  size_t n_;
  std::vector<Sums> sums_;
  std::vector<T> last_, next_;
  std::vector<uint32_t> arg_;
};

#ifdef __SIZEOF_FLOAT128__
typedef __float128 Widest;
#else
typedef Real Widest;
#endif

// The O(k n^2) programme with running means: nothing is subtracted from anything larger, whatever the scales.
static Real textbook(const Sorted& s, size_t k) {
  const size_t n = s.value.size();
  std::vector<Real> best(n + 1, kInfinite), next(n + 1);
  best[0] = 0;
  for (size_t c = 0; c < std::min(k, n); c++) {
    std::fill(next.begin(), next.end(), kInfinite);
    for (size_t i = 0; i < n; i++) {
      if (best[i] == kInfinite) continue;
      Real weight = 0, mean = 0, cost = 0;
      for (size_t j = i; j < n; j++) {
        weight += s.weight[j];
        const Real delta = s.value[j] - mean;
        mean += delta * s.weight[j] / weight;
        cost += s.weight[j] * delta * (s.value[j] - mean);
        next[j + 1] = std::min(next[j + 1], best[i] + cost);
      }
    }
    best.swap(next);
  }
  return best[n];
}

struct Found {
  Result result;
  Floats centroids;
  double cost = 0;
  size_t candidates = 0;
};

static Pool g_pool(4);

static Found search(const Floats& x, const Floats& w, uint32_t k, const OptimalEffort& effort, unsigned threads = 1) {
  Job job;
  job.threads = threads;
  job.pool = &g_pool;
  Guarded<float> values(x.size()), weights(w.size()), centroids(k);
  std::copy(x.begin(), x.end(), values.data());
  std::copy(w.begin(), w.end(), weights.data());
  KmeansRequest request;
  request.values = values.data();
  request.count = x.size();
  if (!w.empty()) request.weights = weights.data();
  Collected collected;
  SortedPoints points;
  CHECK(collect(job, request, collected) && sort_points(job, collected, points));
  Found out;
  out.result = optimal_centroids(job, points, k, effort, centroids.data(), &out.cost, &out.candidates);
  out.centroids.assign(centroids.data(), centroids.data() + k);
  return out;
}

static KmeansSummary whole(const Floats& x, const Floats& w, uint32_t k, unsigned threads = 1,
                           CpuLevel level = CpuLevel::scalar, Floats* answer = nullptr) {
  Job job;
  job.threads = threads;
  job.level = level;
  job.pool = &g_pool;
  KmeansRequest request;
  request.values = x.data();
  request.count = x.size();
  if (!w.empty()) request.weights = w.data();
  request.clusters = k;
  request.algorithm = KmeansAlgorithm::optimal;
  request.max_iterations = UINT32_MAX;
  Guarded<float> centroids(k);
  Guarded<uint32_t> counts(k);
  KmeansSummary summary;
  CHECK(kmeans_1d(job, request, centroids.data(), counts.data(), summary));
  if (answer) answer->assign(centroids.data(), centroids.data() + summary.used);
  return summary;
}

static double normal_at(uint64_t seed, size_t i) {
  const double u = random_unit(seed, 2 * i), v = random_unit(seed, 2 * i + 1);
  return std::sqrt(-2 * std::log(1 - u)) * std::cos(6.283185307179586 * v);
}

// Shapes of weights, and shapes that are no weights.
static Floats shape(uint64_t seed, size_t n) {
  Floats x(n);
  const uint64_t kind = random_u64(seed, 1u << 30) % 8;
  for (size_t i = 0; i < n; i++) {
    double v = 0.01 * normal_at(seed, i);
    if (kind == 1) v = (v < 0 ? -1 : 1) * std::pow(std::fabs(v), 1.7);      // heavy tails
    if (kind == 2) v = random_unit(seed, i);                                // uniform
    if (kind == 3) v = std::round(v * 4000) / 8;                            // few distinct values, equal gaps: ties
    if (kind == 4) v += 1000;                                               // far from zero, a few ulps wide
    if (kind == 5 && i % 50 == 0) v *= 40 + static_cast<double>(i % 1000);  // outliers
    if (kind == 6 && std::fabs(v) < 0.015) v = 0;                           // pruned
    if (kind == 7) v = v * 0.01 + static_cast<double>(random_u64(seed, i) % 9);  // tight lumps
    x[i] = static_cast<float>(v);
  }
  return x;
}

static bool close(double a, double b, double relative) { return std::fabs(a - b) <= relative * std::fabs(b); }

static void a_thousand_inputs(uint64_t first_seed, uint64_t seeds) {
  size_t all = 0, looked_at = 0;
  for (uint64_t seed = first_seed; seed < first_seed + seeds; seed++) {
    const size_t most = seed % 10 == 0 ? 4096 : seed % 2 ? 200 : 1500;
    const size_t n = 2 + random_u64(seed, 7) % (most - 1);
    const Floats x = shape(seed, n);
    Floats w;
    if (seed % 4 == 0) {
      for (size_t i = 0; i < n; i++) {
        w.push_back(seed % 8 ? static_cast<float>(random_u64(seed + 9, i) % 7)
                             : static_cast<float>(random_unit(seed + 9, i) * random_unit(seed + 10, i)));
      }
      w[0] = 1;
    }
    const Sorted s = sorted(x, w);
    const size_t distinct = s.value.size();
    if (distinct < 2) continue;
    const uint32_t k =
        1 + static_cast<uint32_t>(random_u64(seed, 8) % std::min<size_t>(distinct - 1, seed % 3 ? 12 : 60));
    const KmeansSummary summary = whole(x, w, k);
    double best = static_cast<double>(Layers<Real>(s).optimum(k));
    // Long double itself is too coarse for some: tight lumps far apart.
    if (!close(summary.lower_bound, best, 1e-12)) best = static_cast<double>(Layers<Widest>(s).optimum(k));
    CHECK(close(summary.lower_bound, best, 1e-12));
    CHECK(summary.inertia >= best * (1 - 1e-12));
    // From few cells on, in small steps, so that every part of the search is used.
    for (const OptimalEffort& effort : {OptimalEffort{0, 16, 64, 8}, OptimalEffort{0, 200, 300, 20}}) {
      const Found few = search(x, w, k, effort);
      CHECK(few.result && close(few.cost, best, 1e-12));
      if (!close(few.cost, best, 1e-12))
        std::printf("seed %llu: %g\n", static_cast<unsigned long long>(seed), few.cost / best - 1);
      all += distinct;
      looked_at += few.candidates;
    }
  }
  std::printf("candidates at the end: %zu of %zu\n", looked_at, all);
  CHECK(seeds < 500 || looked_at < all * 3 / 4);
}

static void adversarial_inputs() {
  const Floats scales = {1e-38f,     2e-38f,     3e-38f, 8e-38f, 1e-20f, 1.5e-20f, 1,
                         1.0000001f, 1.0000002f, 1e38f,  2e38f,  -1e38f, -3e-38f};
  Floats two, same(3000, 2.5f), ladder, ties, near_ties, steps;
  for (int i = 0; i < 300; i++) {
    two.push_back(static_cast<float>(i * i));
    two.push_back(std::nextafter(static_cast<float>(i * i), 1e9f));
    ladder.push_back(static_cast<float>(i));
    ties.push_back(static_cast<float>(i % 20));
    near_ties.push_back(static_cast<float>(i) * (1 + 1e-6f * static_cast<float>(i % 3)));
    steps.push_back(std::ldexp(1.0f, i - 140 < 127 ? i - 140 : 126));
  }
  ladder.push_back(3e38f);
  for (const Floats& x : {scales, two, same, ladder, ties, near_ties, steps}) {
    const Sorted s = sorted(x, {});
    const uint32_t distinct = static_cast<uint32_t>(s.value.size());
    for (const uint32_t k : {1u, 2u, 3u, 5u, 7u, 19u, 20u, 64u, distinct / 2, distinct - 2, distinct - 1, distinct}) {
      if (k < 1 || k > distinct) continue;
      const double best = static_cast<double>(textbook(s, k));
      const KmeansSummary summary = whole(x, {}, k);
      CHECK(close(summary.lower_bound, best, 1e-12) && summary.used == k);
      if (k == distinct) continue;
      for (const OptimalEffort& effort : {OptimalEffort{0, 4, 16, 2}, OptimalEffort{0, 64, 64, 64}}) {
        const Found few = search(x, {}, k, effort);
        CHECK(few.result && close(few.cost, best, 1e-12));
        if (!close(few.cost, best, 1e-12)) std::printf("k %u of %u: %g\n", k, distinct, few.cost / best - 1);
      }
    }
  }
}

static void few_candidates_give_the_optimum_of_all() {
  for (int kind = 0; kind < 6; kind++) {
    const size_t n = 300000;
    Floats x(n), w;
    for (size_t i = 0; i < n; i++) {
      double v = 0.01 * normal_at(500 + static_cast<uint64_t>(kind), i);
      if (kind == 1) v = (v < 0 ? -1 : 1) * std::pow(std::fabs(v), 1.7) + (i % 30000 ? 0 : 3);
      if (kind == 2) v = std::round(v * 400000) / 8;
      if (kind == 3 && i % 3 == 0) v = 0;
      if (kind == 4) v += i % 4;
      if (kind == 5) w.push_back(static_cast<float>(random_unit(9, i)));
      x[i] = static_cast<float>(v);
    }
    for (const uint32_t k : {2u, 32u, 256u}) {
      OptimalEffort every;
      every.direct = n;
      const Found all = search(x, w, k, every, 2);
      const Found few = search(x, w, k, optimal_effort(n, k), 2);
      CHECK(all.result && few.result && close(few.cost, all.cost, 1e-13));
      CHECK(few.centroids == all.centroids);
      if (!(few.candidates < all.candidates)) std::printf("kind %d k %u: %zu\n", kind, k, all.candidates);
      CHECK(few.candidates < all.candidates || k > 200);
    }
  }
}

static void threads_and_levels_agree() {
  const Floats x = shape(8, 200000);
  for (const uint32_t k : {16u, 700u}) {
    Floats one, other;
    const KmeansSummary first = whole(x, {}, k, 1, CpuLevel::scalar, &one);
    for (int level = 0; level < levels().count; level++) {
      for (const unsigned threads : {1u, 2u, 4u, 8u}) {
        const KmeansSummary now = whole(x, {}, k, threads, levels().level[level], &other);
        CHECK(other == one && now.inertia == first.inertia && now.lower_bound == first.lower_bound);
      }
    }
  }
}

static void short_memory_and_cancelled_jobs() {
  const Floats x = shape(8, 100000);
  Control control{};
  Job job;
  job.control = &control;
  KmeansRequest request;
  request.values = x.data();
  request.count = x.size();
  request.clusters = 20;
  request.algorithm = KmeansAlgorithm::optimal;
  request.max_iterations = UINT32_MAX;
  Guarded<float> centroids(20);
  Guarded<uint32_t> counts(20);
  KmeansSummary summary;
  const int64_t held = allocated_blocks();
  bool succeeded = false;
  for (int64_t after = 0; after < 400 && !succeeded; after++) {
    fail_allocations_after(after);
    const Result done = kmeans_1d(job, request, centroids.data(), counts.data(), summary);
    fail_allocations_after(-1);
    CHECK(done || done.status == Status::nomem);
    CHECK(allocated_blocks() == held);
    succeeded = static_cast<bool>(done);
  }
  CHECK(succeeded);
  control.cancel.store(1);
  CHECK(kmeans_1d(job, request, centroids.data(), counts.data(), summary).status == Status::aborted);
}

int main(int argc, char** argv) {
  if (argc > 1) {  // first seed: more inputs than every run has time for
    a_thousand_inputs(static_cast<uint64_t>(std::atoll(argv[1])), 1000);
    return finish();
  }
  a_thousand_inputs(0, 1000);
  adversarial_inputs();
  few_candidates_give_the_optimum_of_all();
  threads_and_levels_agree();
  short_memory_and_cancelled_jobs();
  return finish();
}
