// k-means against plain references: the O(k n^2) dynamic programme, hand-made cases, thread and level independence.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <vector>

#include "base/mask.h"
#include "check.h"
#include "quantize/assign.h"
#include "quantize/cell_pass.h"
#include "quantize/fit.h"
#include "quantize/groups.h"
#include "quantize/kmeans.h"
#include "quantize/partition.h"

using namespace dc;

struct Outcome {
  Result result;
  KmeansSummary summary;
  std::vector<float> centroids;
  std::vector<uint32_t> counts;
};

// Codes are written in the same call, and held against the plain search here.
static Outcome run(const std::vector<float>& x, KmeansRequest request, const std::vector<float>& weights = {},
                   unsigned threads = 1, CpuLevel level = CpuLevel::scalar) {
  static Pool pool(4);
  Guarded<float> values(x.size()), w(weights.size());
  std::copy(x.begin(), x.end(), values.data());
  std::copy(weights.begin(), weights.end(), w.data());
  request.values = values.data();
  request.count = x.size();
  if (!weights.empty()) request.weights = w.data();
  Job job;
  job.level = level;
  job.threads = threads;
  job.pool = &pool;
  Guarded<float> centroids(request.clusters);
  Guarded<uint32_t> counts(request.clusters);
  Guarded<uint16_t> codes(request.mask ? count_mask(CpuLevel::scalar, request.mask, x.size()) : x.size());
  request.codes = codes.data();
  request.code_bytes = request.clusters <= 256 ? 1 : 2;
  request.code_count = codes.size();
  Outcome out;
  out.result = kmeans_1d(job, request, centroids.data(), counts.data(), out.summary);
  if (out.result && out.summary.used > 0) {
    std::vector<float> thresholds(out.summary.used);
    assignment_thresholds(centroids.data(), out.summary.used, thresholds.data());
    const uint8_t* const bytes = reinterpret_cast<const uint8_t*>(codes.data());
    size_t at = 0, wrong = 0;
    for (size_t i = 0; i < x.size(); i++) {
      if (request.mask && !mask_bit(request.mask, i)) continue;
      const uint32_t code = request.code_bytes == 1 ? bytes[at] : codes[at];
      wrong += code != assign_one(x[i], thresholds.data(), out.summary.used);
      at++;
    }
    CHECK(wrong == 0 && at == codes.size());
    request.code_count++;
    if (x.size() < 1000)
      CHECK(kmeans_1d(job, request, centroids.data(), counts.data(), out.summary).status == Status::arg);
  }
  out.centroids.assign(centroids.data(), centroids.data() + out.summary.used);
  out.counts.assign(counts.data(), counts.data() + out.summary.used);
  return out;
}

static KmeansRequest ask(uint32_t clusters, KmeansAlgorithm algorithm, KmeansStart start = KmeansStart::linear) {
  KmeansRequest request;
  request.clusters = clusters;
  request.algorithm = algorithm;
  request.start = start;
  request.max_iterations = 1000000;
  return request;
}

// The textbook dynamic programme over sorted values in long double: cost of the best partition into k runs.
static long double reference_optimum(std::vector<float> x, std::vector<float> w, uint32_t k) {
  if (w.empty()) w.assign(x.size(), 1.0f);
  std::vector<size_t> order(x.size());
  for (size_t i = 0; i < order.size(); i++) order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return x[a] < x[b]; });
  std::vector<long double> v, m;
  for (size_t i : order) {
    if (!(w[i] > 0)) continue;
    if (!v.empty() && v.back() == x[i]) {
      m.back() += w[i];
    } else {
      v.push_back(x[i]);
      m.push_back(w[i]);
    }
  }
  const size_t n = v.size();
  std::vector<long double> best(n + 1, 1e300L), next(n + 1);
  best[0] = 0;
  for (uint32_t c = 0; c < std::min<size_t>(k, n); c++) {
    std::fill(next.begin(), next.end(), 1e300L);
    for (size_t i = 0; i < n; i++) {
      if (best[i] > 1e299L) continue;
      long double weight = 0, mean = 0, cost = 0;  // Welford
      for (size_t j = i; j < n; j++) {
        weight += m[j];
        const long double delta = v[j] - mean;
        mean += delta * m[j] / weight;
        cost += m[j] * delta * (v[j] - mean);
        next[j + 1] = std::min(next[j + 1], best[i] + cost);
      }
    }
    best.swap(next);
  }
  return best[n];
}

static std::vector<float> normal(uint64_t seed, size_t n, double sd = 0.01) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; i++) {
    const double u = (random_u64(seed, 2 * i) >> 11) * 0x1p-53, v = random_unit(seed, 2 * i + 1);
    x[i] = static_cast<float>(sd * std::sqrt(-2 * std::log(1 - u)) * std::cos(6.283185307179586 * v));
  }
  return x;
}

// True when one more Lloyd step, computed plainly in long double, leaves every centroid as it is.
static bool is_fixed_point(std::vector<float> x, const std::vector<float>& c) {
  std::vector<long double> sum(c.size()), weight(c.size());
  for (float v : x) {
    size_t at = 0;
    while (at + 1 < c.size()) {
      const double middle = (static_cast<double>(c[at]) + static_cast<double>(c[at + 1])) / 2;
      if (static_cast<double>(v) <= middle) break;
      at++;
    }
    sum[at] += v;
    weight[at] += 1;
  }
  for (size_t i = 0; i < c.size(); i++) {
    if (static_cast<float>(static_cast<double>(sum[i] / weight[i])) != c[i]) return false;
  }
  return true;
}

static void partitions_against_the_textbook() {
  for (uint64_t seed = 0; seed < 300; seed++) {
    const size_t n = 2 + random_u64(seed, 1000000) % 60;
    std::vector<float> x = normal(seed, n);
    if (seed % 3 == 0) {
      for (float& v : x) v = std::round(v * 300) / 4;  // many equal values and equal gaps: ties between partitions
    }
    if (seed % 5 == 0) {
      for (float& v : x) v += 1000;
    }
    std::sort(x.begin(), x.end());
    std::vector<double> cells(x.begin(), x.end());
    cells.erase(std::unique(cells.begin(), cells.end()), cells.end());
    std::vector<double> weights(cells.size());
    for (float v : x) weights[std::lower_bound(cells.begin(), cells.end(), v) - cells.begin()]++;
    std::vector<Node> nodes(cells.size() + 1);
    CHECK(build_nodes(Job{}, cells.data(), weights.data(), cells.size(), nodes.data()));
    for (uint32_t k = 1; k < cells.size(); k++) {
      std::vector<uint32_t> bounds(k + 1);
      CHECK(best_partition(Job{}, nodes.data(), cells.size(), k, 0, bounds.data()));
      long double cost = 0;
      bool ascending = bounds[0] == 0 && bounds[k] == cells.size();
      for (uint32_t i = 0; i < k; i++) {
        ascending = ascending && bounds[i] < bounds[i + 1];
        cost += cluster_cost(nodes[bounds[i]], nodes[bounds[i + 1]]);
      }
      CHECK(ascending);
      const long double best = reference_optimum(x, {}, k);
      CHECK(std::fabs(static_cast<double>(cost - best)) <= 1e-12 * static_cast<double>(best));
    }
  }
}

static void small_cases() {
  const KmeansAlgorithm all[] = {KmeansAlgorithm::histogram, KmeansAlgorithm::lloyd};
  for (const KmeansAlgorithm algorithm : all) {
    Outcome out = run({}, ask(4, algorithm));
    CHECK(out.result && out.summary.used == 0 && out.summary.inertia == 0);
    out = run({3}, ask(4, algorithm));
    CHECK(out.result && out.centroids == std::vector<float>{3} && out.summary.inertia == 0);
    out = run({2, 1, 2, 1, 2}, ask(3, algorithm));
    CHECK(out.centroids == (std::vector<float>{1, 2}) && out.counts == (std::vector<uint32_t>{2, 3}));
    CHECK(out.summary.inertia == 0 && out.summary.converged);
    out = run({0, 1, 10, 11}, ask(2, algorithm));
    CHECK(out.centroids == (std::vector<float>{0.5f, 10.5f}) && out.summary.inertia == 1);
    out = run({0.0f, -0.0f, 0.0f}, ask(2, algorithm));
    CHECK(out.centroids.size() == 1 && !std::signbit(out.centroids[0]) && out.counts[0] == 3);
    out = run({1, 2, NAN, INFINITY}, ask(2, algorithm));
    CHECK(out.result.status == Status::nonfinite && out.result.offset == 2);
    out = run({1e-38f, 2e-38f, 3e-38f, 8e-38f, 1e38f}, ask(3, algorithm, KmeansStart::histogram));
    CHECK(out.centroids == (std::vector<float>{2e-38f, 8e-38f, 1e38f}));
    out = run({-1e38f, 1e-38f, 2e-38f, 3e-38f, 8e-38f}, ask(3, algorithm, KmeansStart::histogram));
    CHECK(out.centroids == (std::vector<float>{-1e38f, 2e-38f, 8e-38f}));
    out = run({1e-45f, 3e-45f, 4e-45f}, ask(3, algorithm));
    CHECK(out.centroids.size() == 3 && out.summary.inertia == 0);
    out = run({1, 2, 3, 4}, ask(1, algorithm), {1, 0, 0, 3});
    CHECK(out.centroids == std::vector<float>{3.25f});
  }
  // All clusters start on one value; the rule for empty ones parts them.
  Outcome out = run({0, 0, 0, 0, 0, 0, 0, 0, 1, 5, 9}, ask(4, KmeansAlgorithm::lloyd, KmeansStart::density));
  CHECK(out.centroids == (std::vector<float>{0, 1, 5, 9}));
}

static void masks() {
  std::vector<float> x = {5, 0, 7, 0, 100, 9};
  Guarded<uint32_t> mask(1);
  mask[0] = 0b101101;
  KmeansRequest request = ask(2, KmeansAlgorithm::histogram);
  request.mask = mask.data();
  Outcome out = run(x, request);  // 5, 7, 0, 9
  CHECK(out.summary.kept == 4 && out.counts == (std::vector<uint32_t>{1, 3}) && out.centroids[1] == 7);
  request.ignore_zeros = true;  // 5, 7, 9
  out = run(x, request);
  CHECK(out.summary.kept == 3 && out.counts[0] + out.counts[1] == 3);
  x[4] = NAN;
  CHECK(run(x, request).result);
}

// Which values take part, and where the first bad one is, on sizes around a word of the mask and around a block.
static void what_takes_part() {
  for (const size_t n : {1u, 31u, 32u, 33u, 65535u, 65536u, 65537u, 140000u}) {
    const std::vector<float> base = normal(n, n);
    Guarded<uint32_t> mask((n + 31) / 32);
    for (uint64_t seed = 0; seed < 4; seed++) {
      for (size_t w = 0; w < mask.size(); w++) {
        const uint64_t random = random_u64(seed, w);
        mask[w] = seed == 0 ? 0xffffffffu : static_cast<uint32_t>(seed == 1 ? random : random & random >> 32);
      }
      for (int kind = 0; kind < 8; kind++) {
        std::vector<float> x = base, w;
        for (size_t i = 0; i < n; i += 3) x[i] = i % 2 ? 0.0f : -0.0f;
        if (kind & 4) w.assign(n, 2.0f);
        KmeansRequest request = ask(3, KmeansAlgorithm::histogram);
        request.mask = kind & 1 ? mask.data() : nullptr;
        request.ignore_zeros = (kind & 2) != 0;
        const auto takes_part = [&](size_t i) {
          return !(request.mask && !(mask[i / 32] >> (i % 32) & 1)) && !(request.ignore_zeros && x[i] == 0);
        };
        std::vector<size_t> members;
        for (size_t i = 0; i < n; i++) {
          if (takes_part(i)) members.push_back(i);
        }
        const Outcome out = run(x, request, w, 2);
        uint64_t total = 0;
        for (const uint32_t count : out.counts) total += count;
        CHECK(out.result && out.summary.kept == members.size() && total == members.size());
        if (members.empty()) continue;
        const size_t at = members[random_u64(seed, n) % members.size()];
        std::vector<float> bad = x;
        bad[at] = seed & 1 ? -INFINITY : NAN;
        bad[members.back()] = INFINITY;
        const Outcome refused = run(bad, request, w, 2);
        CHECK(refused.result.status == Status::nonfinite && refused.result.offset == at);
        if (!(kind & 4)) continue;
        w[at] = -1;
        const Outcome negative = run(x, request, w, 2);
        CHECK(negative.result.status == Status::value && negative.result.offset == at);
      }
    }
  }
}

static void threads_and_levels_agree() {
  const std::vector<float> x = normal(7, 300000);
  for (const KmeansAlgorithm algorithm : {KmeansAlgorithm::histogram, KmeansAlgorithm::lloyd}) {
    const Outcome one = run(x, ask(32, algorithm, KmeansStart::density));
    CHECK(one.result && one.centroids.size() == 32);
    // The histogram takes one step on so many values; what it says of itself must be true.
    CHECK(is_fixed_point(x, one.centroids) == one.summary.converged);
    CHECK(one.summary.converged || algorithm == KmeansAlgorithm::histogram);
    for (int level = 0; level < levels().count; level++) {
      for (const unsigned threads : {1u, 2u, 4u, 8u}) {
        const Outcome other = run(x, ask(32, algorithm, KmeansStart::density), {}, threads, levels().level[level]);
        CHECK(other.centroids == one.centroids && other.counts == one.counts);
        CHECK(other.summary.inertia == one.summary.inertia);
      }
    }
  }
}

// The optimum against the textbook's O(k n^2) solver; and no algorithm goes below it.
static void optimum_against_the_textbook() {
  for (uint64_t seed = 0; seed < 200; seed++) {
    const size_t n = 2 + random_u64(seed, 77) % 150;
    std::vector<float> x = normal(seed, n), w;
    if (seed % 3 == 0) {
      for (float& v : x) v = std::round(v * 400) / 8;
    }
    if (seed % 4 == 0) {
      for (size_t i = 0; i < n; i++) w.push_back(static_cast<float>(random_u64(seed, 5000 + i) % 7));
      w[0] = 1;
    }
    const uint32_t k = 1 + static_cast<uint32_t>(random_u64(seed, 78) % 20);
    const Outcome out = run(x, ask(k, KmeansAlgorithm::optimal), w);
    CHECK(out.result);
    const double best = static_cast<double>(reference_optimum(x, w, k));
    // The centroids are float32: a little above the optimum of real ones, never below.
    CHECK(out.summary.inertia >= best * (1 - 1e-12) && out.summary.inertia <= best * (1 + 1e-6) + 1e-16);
    if (out.summary.lower_bound > 0) CHECK(std::fabs(out.summary.lower_bound - best) <= 1e-12 * best);
    for (const KmeansAlgorithm other : {KmeansAlgorithm::histogram, KmeansAlgorithm::lloyd, KmeansAlgorithm::sampled}) {
      CHECK(run(x, ask(k, other), w).summary.inertia >= best * (1 - 1e-12));
    }
  }
  const std::vector<float> x = normal(3, 200000);
  const Outcome best = run(x, ask(64, KmeansAlgorithm::optimal));
  const Outcome cells = run(x, ask(64, KmeansAlgorithm::histogram));
  const Outcome sampled = run(x, ask(64, KmeansAlgorithm::sampled));
  CHECK(best.summary.inertia <= best.summary.lower_bound * (1 + 1e-9));
  CHECK(cells.summary.inertia >= best.summary.lower_bound && cells.summary.inertia <= best.summary.inertia * 1.0002);
  CHECK(sampled.summary.inertia > cells.summary.inertia && sampled.summary.inertia < cells.summary.inertia * 1.3);
}

// On many values the histogram neither sorts nor copies; its answer is scored plainly here, masks and zeros included.
static void histogram_of_many() {
  std::vector<float> x = normal(21, 700000);
  for (size_t i = 0; i < x.size(); i += 5000) x[i] *= 40;
  for (size_t i = 3; i < x.size(); i += 7) x[i] = i % 2 ? 0.0f : -0.0f;
  Guarded<uint32_t> mask((x.size() + 31) / 32);
  for (size_t w = 0; w < mask.size(); w++) mask[w] = static_cast<uint32_t>(random_u64(5, w)) | 0x11111111u;
  for (const uint32_t k : {2u, 32u, 256u, 1000u}) {
    for (int kind = 0; kind < 4; kind++) {
      KmeansRequest request = ask(k, KmeansAlgorithm::histogram);
      request.mask = kind & 1 ? mask.data() : nullptr;
      request.ignore_zeros = kind & 2;
      const Outcome out = run(x, request, {}, 2);
      CHECK(out.result && out.centroids.size() == k);
      std::vector<float> part;
      for (size_t i = 0; i < x.size(); i++) {
        if ((request.mask && !(mask[i / 32] >> (i % 32) & 1)) || (request.ignore_zeros && x[i] == 0)) continue;
        part.push_back(x[i]);
      }
      CHECK(out.summary.kept == part.size());
      std::vector<uint32_t> counts(k);
      long double error = 0;
      for (float v : part) {
        size_t c = std::lower_bound(out.centroids.begin(), out.centroids.end(), v) - out.centroids.begin();
        if (c == k ||
            (c > 0 && static_cast<double>(v) <= (static_cast<double>(out.centroids[c - 1]) + out.centroids[c]) / 2))
          c--;
        counts[c]++;
        const long double d = static_cast<long double>(v) - out.centroids[c];
        error += d * d;
      }
      CHECK(counts == out.counts);
      CHECK(std::fabs(static_cast<double>(error) / out.summary.inertia - 1) < 1e-12);
      const Outcome best = run(part, ask(k, KmeansAlgorithm::optimal), {}, 2);
      CHECK(out.summary.inertia <= best.summary.inertia * 1.0002);
      CHECK(run(x, request, {}, 3, levels().level[levels().count - 1]).centroids == out.centroids);
    }
  }
  x[400000] = NAN;
  CHECK(run(x, ask(8, KmeansAlgorithm::histogram), {}, 2).result.offset == 400000);
  const std::vector<float> few(400000, 3.0f);
  CHECK(run(few, ask(8, KmeansAlgorithm::histogram), {}, 2).centroids == std::vector<float>{3});
}

static void few_distinct_values_are_kept_exactly() {
  // 300,000 values, at most 257 distinct, both zeros among them.
  for (const uint32_t distinct : {1u, 2u, 255u, 256u, 257u}) {
    std::vector<float> x(300000);
    std::vector<uint32_t> expected(distinct);
    uint32_t state = 7;
    for (size_t i = 0; i < x.size(); i++) {
      state = state * 1664525 + 1013904223;
      const uint32_t which = i < distinct ? static_cast<uint32_t>(i) : (state >> 8) % distinct;
      x[i] = (static_cast<float>(which) - 100) * 0.25f;
      if (x[i] == 0 && i % 2) x[i] = -0.0f;
      expected[which]++;
    }
    for (const KmeansAlgorithm algorithm :
         {KmeansAlgorithm::histogram, KmeansAlgorithm::optimal, KmeansAlgorithm::lloyd, KmeansAlgorithm::sampled}) {
      const Outcome out = run(x, ask(256, algorithm), {}, 2);
      CHECK(out.result);
      if (distinct > 256) {
        CHECK(out.summary.inertia > 0);
        continue;
      }
      CHECK(out.centroids.size() == distinct && out.summary.inertia == 0 && out.summary.converged);
      CHECK(out.summary.lower_bound == 0 && out.summary.iterations == 0 && out.summary.kept == x.size());
      CHECK(out.counts == expected);
      for (uint32_t c = 0; c < out.centroids.size(); c++) {
        CHECK(out.centroids[c] == (static_cast<float>(c) - 100) * 0.25f && std::signbit(out.centroids[c]) == (c < 100));
      }
    }
  }
}

static void few_distinct_values_hide_nothing_that_is_not_finite() {
  for (const float odd : {NAN, INFINITY, -INFINITY}) {
    std::vector<float> x(300000, 1.0f);
    x[299999] = odd;
    for (const KmeansAlgorithm algorithm : {KmeansAlgorithm::histogram, KmeansAlgorithm::lloyd}) {
      const Outcome out = run(x, ask(8, algorithm), {}, 2);
      CHECK(out.result.status == Status::nonfinite && out.result.offset == 299999);
    }
  }
}

static void starts_reach_fixed_points() {
  const std::vector<float> x = normal(9, 50000);
  for (const KmeansStart start : {KmeansStart::linear, KmeansStart::density, KmeansStart::random,
                                  KmeansStart::kmeans_plus_plus, KmeansStart::histogram}) {
    const Outcome out = run(x, ask(16, KmeansAlgorithm::lloyd, start));
    CHECK(out.result && out.summary.converged && out.centroids.size() == 16);
    CHECK(is_fixed_point(x, out.centroids));
  }
  // Many values are not sorted when the cells' optimum is the start.
  for (uint64_t seed = 0; seed < 6; seed++) {
    std::vector<float> many = normal(300 + seed, 150000 + 20000 * seed);
    for (size_t i = 0; i < many.size(); i++) {
      if (seed % 3 == 1) many[i] += 2;
      if (seed % 3 == 2 && i % 3000 == 0) many[i] *= 40;
    }
    for (const uint32_t k : {3u, 24u, 200u}) {
      const Outcome out = run(many, ask(k, KmeansAlgorithm::lloyd, KmeansStart::histogram), {}, 2);
      CHECK(out.result && out.summary.converged && out.centroids.size() == k);
      CHECK(is_fixed_point(many, out.centroids));
      KmeansRequest request = ask(k, KmeansAlgorithm::lloyd, KmeansStart::histogram);
      request.max_iterations = 3;
      CHECK(run(many, request, {}, 2).summary.iterations <= 3);
    }
  }
}

// The unsorted way: counts and squared error against a plain sum in long double, on shapes that are hard for cells.
static void unsorted_answers_are_exact() {
  for (int shape = 0; shape < 7; shape++) {
    std::vector<float> x = normal(30 + static_cast<uint64_t>(shape), shape == 6 ? 3000000 : 200000);
    for (size_t i = 0; i < x.size(); i++) {
      if (shape == 1) x[i] += 3;                                                     // far from zero
      if (shape == 2 && std::fabs(x[i]) < 0.02f) x[i] += x[i] < 0 ? -0.02f : 0.02f;  // two lobes
      if (shape == 3 && i % 10000 == 0) x[i] *= 40;                                  // outliers
      if (shape == 4 && i % 50000 == 0) x[i] = (i % 100000 ? -1 : 1) * 1e38f;
      if (shape == 5 && i % 3) x[i] = 0;  // one value holds most
    }
    const Outcome one = run(x, ask(16, KmeansAlgorithm::histogram), {}, 2, detected_cpu_level());
    CHECK(one.result && one.centroids.size() == 16);
    std::vector<uint32_t> counts(16);
    long double inertia = 0;
    for (const float v : x) {
      size_t at = 0;
      while (at + 1 < 16 && v > (static_cast<double>(one.centroids[at]) + one.centroids[at + 1]) / 2) at++;
      counts[at]++;
      const long double d = static_cast<long double>(v) - one.centroids[at];
      inertia += d * d;
    }
    CHECK(counts == one.counts);
    CHECK(std::fabs(one.summary.inertia - static_cast<double>(inertia)) <= 1e-11 * static_cast<double>(inertia));
    const Outcome best = run(x, ask(16, KmeansAlgorithm::optimal), {}, 2, detected_cpu_level());
    CHECK(one.summary.inertia <= best.summary.inertia * 1.0001);
    CHECK(one.summary.inertia >= best.summary.inertia * (1 - 1e-9));
    for (int level = 0; level < levels().count; level++) {
      for (const unsigned threads : {1u, 4u}) {
        const Outcome other = run(x, ask(16, KmeansAlgorithm::histogram), {}, threads, levels().level[level]);
        CHECK(other.centroids == one.centroids && other.summary.inertia == one.summary.inertia);
      }
    }
  }
}

static double squared_error(const std::vector<float>& x, const std::vector<float>& c) {
  long double total = 0;
  for (const float v : x) {
    const size_t at = static_cast<size_t>(std::lower_bound(c.begin(), c.end(), v) - c.begin());
    const double up = at < c.size() ? std::fabs(static_cast<double>(c[at]) - v) : 1e300;
    const double down = at > 0 ? std::fabs(static_cast<double>(c[at - 1]) - v) : 1e300;
    total += static_cast<long double>(std::min(up, down)) * std::min(up, down);
  }
  return static_cast<double>(total);
}

static void fits_are_near_the_optimum() {
  for (int i = -3000; i <= 3000; i++) {
    const double x = i * 0.0731;
    CHECK(std::fabs(plain_exp(x) / std::exp(x) - 1) < 1e-13);
    const double y = std::exp(x * 2);
    CHECK(std::fabs(plain_log(y) - std::log(y)) < 1e-14 * std::fabs(std::log(y)) + 1e-15);
  }
  const std::vector<float> gaussian = normal(70, 400000);
  std::vector<float> pruned, laplace(gaussian.size()), offset(gaussian.size()), outliers = gaussian;
  for (const float v : normal(71, 4000000)) {
    if (std::fabs(v) > 0.02054f) pruned.push_back(v);  // the largest 4 %
  }
  for (size_t i = 0; i < laplace.size(); i++) {
    laplace[i] = static_cast<float>((i & 1 ? -0.01 : 0.01) * -std::log(1 - ((random_u64(72, i) >> 11) * 0x1p-53)));
    offset[i] = gaussian[i] + 3;
    if (i % 100000 == 0) outliers[i] *= 40;
  }
  const struct {
    const std::vector<float>& x;
    uint32_t k;
    double most;
  } cases[] = {{gaussian, 16, 1.02}, {gaussian, 256, 1.02}, {pruned, 32, 1.1},   {laplace, 16, 1.03},
               {laplace, 256, 1.1},  {offset, 16, 1.02},    {outliers, 256, 1.3}};
  for (const auto& c : cases) {
    const Outcome fit = run(c.x, ask(c.k, KmeansAlgorithm::fit), {}, 1, detected_cpu_level());
    const Outcome best = run(c.x, ask(c.k, KmeansAlgorithm::histogram), {}, 2, detected_cpu_level());
    const double error = squared_error(c.x, fit.centroids);
    CHECK(fit.result && error <= c.most * best.summary.inertia);
    if (!(error <= c.most * best.summary.inertia)) std::printf("%g\n", error / best.summary.inertia);
    CHECK(std::fabs(fit.summary.inertia / error - 1) < 0.02);  // an estimate from the cells
    uint64_t total = 0;
    for (const uint32_t count : fit.counts) total += count;
    CHECK(total == c.x.size() && fit.summary.used <= c.k && fit.summary.used + 8 >= c.k);
    for (int level = 0; level < levels().count; level++) {
      const Outcome other = run(c.x, ask(c.k, KmeansAlgorithm::fit), {}, 4, levels().level[level]);
      CHECK(other.centroids == fit.centroids && other.counts == fit.counts);
    }
  }
  for (const std::vector<float>& x : {std::vector<float>{1, 2, 3}, std::vector<float>{-5, -5, -4, 4, 5, 1e30f},
                                      normal(73, 1000), std::vector<float>(5000, 2.5f)}) {
    const Outcome fit = run(x, ask(4, KmeansAlgorithm::fit));
    CHECK(fit.result && fit.summary.used >= 1);
    const Outcome lloyd = run(x, ask(4, KmeansAlgorithm::lloyd, KmeansStart::fit));
    CHECK(lloyd.result && lloyd.summary.converged && lloyd.summary.inertia <= fit.summary.inertia);
  }
}

static void even_cells_hold_what_they_should() {
  std::vector<float> x = normal(74, 150001);
  const float special[] = {0.0f, -0.0f, 1e-45f, -1e-45f, -1e-38f, 3.4e38f, -3.4e38f, 1.0f, -1.0f, INFINITY, -INFINITY};
  x.insert(x.end(), std::begin(special), std::end(special));
  std::vector<uint64_t> count(1u << 17), low(1u << 17);
  for (const float v : x) {
    uint32_t bits;
    std::memcpy(&bits, &v, 4);
    const uint32_t key = bits >> 31 ? ~bits : bits | 0x80000000u;  // -0 just below +0
    count[key >> 15]++;
    low[key >> 15] += key & 0x7fff;
  }
  static Pool pool(4);
  for (const unsigned threads : {1u, 3u}) {
    Job job;
    job.threads = threads;
    job.pool = &pool;
    CellTable table;
    CHECK(fill_even_cells(job, x.data(), x.size(), table) && table.map.cells == count.size());
    size_t wrong = 0;
    for (size_t c = 0; c < count.size(); c++) {
      wrong += table.count[c] != count[c] || table.low[c] != low[c] || table.first_key[c] != c << 15 ||
               table.map.cell_of(table.first_key[c]) != c;
    }
    CHECK(wrong == 0);
    CHECK(cell_mean(table, 0xffff) <= 0 && cell_mean(table, 0xffff) > -1e-44);  // -0 and two tiny ones
  }
}

static void groups_are_near_their_optimum() {
  constexpr size_t kSize = 4096, kGroups = 13, kLast = 100;
  constexpr uint32_t kClusters = 16;
  std::vector<float> x = normal(80, kSize * kGroups + kLast);
  for (size_t i = 0; i < kSize; i++) {
    x[kSize * 2 + i] = 7;                                              // one value
    x[kSize * 3 + i] = std::round(x[kSize * 3 + i] * 4000);            // few distinct ones
    x[kSize * 4 + i] += 50;                                            // far from zero
    if (i % 100 == 0) x[kSize * 5 + i] *= 40;                          // outliers
    if (std::fabs(x[kSize * 6 + i]) < 0.01f) x[kSize * 6 + i] = 0.0f;  // pruned
  }
  const size_t groups = kGroups + 1;
  std::vector<float> first;
  for (const unsigned threads : {1u, 3u}) {
    static Pool pool(4);
    Job job;
    job.level = detected_cpu_level();
    job.threads = threads;
    job.pool = &pool;
    Guarded<float> values(x.size()), centroids(groups * kClusters);
    Guarded<uint32_t> counts(groups * kClusters), used(groups);
    Guarded<double> inertia(groups);
    std::copy(x.begin(), x.end(), values.data());
    GroupsRequest request;
    request.values = values.data();
    request.count = x.size();
    request.group_size = kSize;
    request.clusters = kClusters;
    request.max_iterations = 100;
    CHECK(kmeans_groups(job, request, centroids.data(), counts.data(), used.data(), inertia.data()));
    for (size_t g = 0; g < groups; g++) {
      const std::vector<float> part(x.begin() + static_cast<long>(g * kSize),
                                    x.begin() + static_cast<long>(std::min(x.size(), (g + 1) * kSize)));
      const Outcome best = run(part, ask(kClusters, KmeansAlgorithm::optimal));
      CHECK(used[g] == best.summary.used && inertia[g] <= best.summary.inertia * 1.001);
      if (!(inertia[g] <= best.summary.inertia * 1.001))
        std::printf("group %zu: %g\n", g, inertia[g] / best.summary.inertia);
      uint64_t total = 0;
      for (uint32_t i = 0; i < kClusters; i++) total += counts[g * kClusters + i];
      CHECK(total == part.size());
    }
    const std::vector<float> now(centroids.data(), centroids.data() + groups * kClusters);
    CHECK(first.empty() || first == now);
    first = now;
    values[5 * kSize + 3] = NAN;
    const Result bad = kmeans_groups(job, request, centroids.data(), counts.data(), used.data(), inertia.data());
    CHECK(bad.status == Status::nonfinite && bad.offset == 5 * kSize + 3);
  }
}

int main() {
  even_cells_hold_what_they_should();
  groups_are_near_their_optimum();
  fits_are_near_the_optimum();
  unsorted_answers_are_exact();
  partitions_against_the_textbook();
  small_cases();
  masks();
  what_takes_part();
  threads_and_levels_agree();
  optimum_against_the_textbook();
  histogram_of_many();
  few_distinct_values_are_kept_exactly();
  few_distinct_values_hide_nothing_that_is_not_finite();
  starts_reach_fixed_points();
  return finish();
}
