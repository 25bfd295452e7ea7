// Entropy-constrained sharing: what it answers is true, close to the optimum of small inputs, within its budget, and
// the same at every level and number of threads. quantize_ecsq [seeds]
#include <algorithm>
#include <cmath>
#include <vector>

#include "check.h"
#include "container/codebook.h"
#include "quantize/ecsq.h"

using namespace dc;

struct Answer {
  Result result;
  EcsqSummary summary;
  std::vector<float> centroids;
  std::vector<uint32_t> counts;
  std::vector<uint8_t> codes;
};

static Answer run(const std::vector<float>& values, const EcsqRequest& options, CpuLevel level, unsigned threads,
                  Pool* pool) {
  Guarded<float> guarded(values.size());
  std::copy(values.begin(), values.end(), guarded.data());
  Guarded<uint8_t> codes(values.size());
  Guarded<float> centroids(options.clusters);
  Guarded<uint32_t> counts(options.clusters);
  Job job;
  job.level = level;
  job.threads = threads;
  job.pool = pool;
  EcsqRequest request = options;
  request.values = guarded.data();
  request.count = values.size();
  Answer a;
  a.result = ecsq(job, request, centroids.data(), counts.data(), codes.data(), values.size(), a.summary);
  a.centroids.assign(centroids.data(), centroids.data() + a.summary.used);
  a.counts.assign(counts.data(), counts.data() + a.summary.used);
  a.codes.assign(codes.data(), codes.data() + values.size());
  return a;
}

static Answer run(const std::vector<float>& values, const EcsqRequest& options) {
  return run(values, options, CpuLevel::scalar, 1, nullptr);
}

static EcsqRequest at_lambda(double lambda, uint32_t clusters = 256) {
  EcsqRequest r;
  r.lambda = lambda;
  r.clusters = clusters;
  return r;
}

static EcsqRequest within(double budget, uint32_t clusters = 256) {
  EcsqRequest r;
  r.budget = budget;
  r.clusters = clusters;
  return r;
}

static double true_error(const std::vector<float>& values, const Answer& a) {
  double error = 0;
  for (size_t i = 0; i < values.size(); i++) {
    const double off = static_cast<double>(values[i]) - static_cast<double>(a.centroids[a.codes[i]]);
    error += off * off;
  }
  return error;
}

static double code_bits(const Answer& a) {
  double bits = 0, total = 0;
  for (uint32_t c : a.counts) total += c;
  for (uint32_t c : a.counts) bits += c * std::log2(total / c);
  return bits;
}

static bool all_halves(const Answer& a) {
  uint16_t half;
  return std::all_of(a.centroids.begin(), a.centroids.end(), [&](float c) { return exact_half(c, &half); });
}

// Counts, order, error and entropy, counted again. Codes never fall as the values rise.
static void check_true(const std::vector<float>& values, const Answer& a) {
  CHECK(static_cast<bool>(a.result));
  CHECK(a.summary.kept == values.size());
  if (!a.result) return;
  std::vector<uint32_t> counts(a.centroids.size());
  bool in_range = true;
  for (uint8_t code : a.codes) {
    in_range = in_range && code < counts.size();
    if (code < counts.size()) counts[code]++;
  }
  CHECK(in_range);
  if (!in_range) return;
  CHECK(counts == a.counts);
  CHECK(std::count(counts.begin(), counts.end(), 0u) == 0);
  CHECK(strictly_increasing(a.centroids.data(), static_cast<unsigned>(a.centroids.size())));
  std::vector<size_t> order(values.size());
  for (size_t i = 0; i < order.size(); i++) order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return values[i] < values[j]; });
  bool monotone = true;
  for (size_t i = 1; i < order.size(); i++) monotone = monotone && a.codes[order[i - 1]] <= a.codes[order[i]];
  CHECK(monotone);
  double squares = 0;
  for (float x : values) squares += static_cast<double>(x) * static_cast<double>(x);
  const double error = true_error(values, a);
  CHECK(std::fabs(error - a.summary.squared_error) <= 1e-9 * error + 1e-13 * squares);
  if (!values.empty()) {
    CHECK(std::fabs(code_bits(a) / static_cast<double>(values.size()) - a.summary.entropy_bits) < 1e-9);
  }
}

static std::vector<float> sample(uint64_t seed, size_t n) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; i++) {
    const double u = random_unit(seed, 3 * i), v = random_unit(seed, 3 * i + 1);
    double value = std::sqrt(-2 * std::log(1 - u)) * std::cos(6.283185307179586 * v);
    if (seed % 5 == 1) value = u - 0.5;
    if (seed % 5 == 2) value = std::round(value * 3) / 4;  // duplicates
    if (seed % 5 == 3) value = value * std::fabs(value) * value;
    if (seed % 5 == 4) value += i % 3 ? 8 : -8;
    x[i] = static_cast<float>(0.01 * value);
  }
  return x;
}

// The best error + lambda * bits over all partitions of the sorted values into runs of distinct values, when centroids
// are the float32 means and each costs `price` bits.
static double optimum(std::vector<float> x, double lambda, double price) {
  std::sort(x.begin(), x.end());
  const size_t n = x.size();
  std::vector<double> best(n + 1, 1e300);
  best[0] = 0;
  for (size_t end = 1; end <= n; end++) {
    if (end < n && x[end] == x[end - 1]) continue;
    for (size_t begin = 0; begin < end; begin++) {
      if (best[begin] == 1e300) continue;
      double mean = 0, error = 0;
      for (size_t i = begin; i < end; i++) mean += static_cast<double>(x[i]);
      const double w = static_cast<double>(end - begin);
      mean = static_cast<double>(static_cast<float>(mean / w));
      for (size_t i = begin; i < end; i++)
        error += (static_cast<double>(x[i]) - mean) * (static_cast<double>(x[i]) - mean);
      const double cost = best[begin] + error + lambda * (w * std::log2(static_cast<double>(n) / w) + price);
      if (cost < best[end]) best[end] = cost;
    }
  }
  return best[n];
}

// Few values have a cell each, so the shortest path is the optimum of all; centroids of 16 bits can only be better.
static void against_the_optimum(uint64_t seeds) {
  for (uint64_t seed = 0; seed < seeds; seed++) {
    const std::vector<float> x = sample(seed, 1 + random_u64(seed, 1u << 30) % 60);
    const double lambda = 1e-4 * std::pow(10, -6 * random_unit(seed, 1u << 29));
    const Answer a = run(x, at_lambda(lambda));
    check_true(x, a);
    const double table = 5, form = all_halves(a) ? 16 : 32;
    const double cost =
        true_error(x, a) + lambda * (code_bits(a) + (table + form) * static_cast<double>(a.centroids.size()));
    CHECK(cost <= optimum(x, lambda, table + 32) * (1 + 1e-6));
  }
}

// A budget is kept, and spending more of it never takes many more bits.
static void budgets(uint64_t seeds) {
  for (uint64_t seed = 0; seed < seeds; seed++) {
    const std::vector<float> x = sample(seed, 20 + random_u64(seed, 1u << 30) % 5000);
    double squares = 0;
    for (float v : x) squares += static_cast<double>(v) * static_cast<double>(v);
    double before = 1e300;
    for (double share = 1e-7; share < 1; share *= 10) {
      const Answer a = run(x, within(share * squares));
      if (!a.result) {
        CHECK(a.result.status == Status::arg);  // 256 clusters cannot keep it
        continue;
      }
      check_true(x, a);
      CHECK(true_error(x, a) <= share * squares * (1 + 1e-9));
      const double bits = code_bits(a) + 21 * static_cast<double>(a.centroids.size());
      CHECK(bits <= before * 1.02 + 64);
      before = bits;
    }
  }
}

static void same_everywhere() {
  const Levels all = levels();
  Pool pool(2);
  for (uint64_t seed = 0; seed < 5; seed++) {
    std::vector<float> x = sample(seed, 300000);
    double squares = 0;
    for (float v : x) squares += static_cast<double>(v) * static_cast<double>(v);
    if (seed == 0) x[17] = 3e30f;
    for (const EcsqRequest& request : {at_lambda(1e-8), at_lambda(0, 7), within(1e-3 * squares)}) {
      const Answer plain = run(x, request);
      check_true(x, plain);
      for (int l = 0; l < all.count; l++) {
        for (unsigned threads : {1u, 2u, 4u}) {
          const Answer other = run(x, request, all.level[l], threads, &pool);
          CHECK(other.result && other.centroids == plain.centroids && other.counts == plain.counts);
          CHECK(other.codes == plain.codes && other.summary.squared_error == plain.summary.squared_error);
          CHECK(other.summary.lambda == plain.summary.lambda);
        }
      }
    }
  }
}

static void by_hand() {
  Answer a = run({}, at_lambda(1));
  CHECK(a.result && a.summary.used == 0 && a.summary.kept == 0);
  a = run({-3.25f}, at_lambda(1));
  CHECK(a.result && a.centroids == std::vector<float>{-3.25f} && a.codes == std::vector<uint8_t>{0});
  a = run(std::vector<float>(1000, 0.1f), at_lambda(0));
  CHECK(a.result && a.centroids == std::vector<float>{0.1f} && a.summary.squared_error == 0);
  // -0 is 0, and apart from the negative numbers next to it.
  a = run({-0.0f, 0.0f, -0.0f}, at_lambda(0));
  CHECK(a.centroids == std::vector<float>{0.0f} && !std::signbit(a.centroids[0]));
  for (float negative : {-1e-45f, -1e-40f, -1e-38f, -1.0f}) {
    a = run({negative, 0.0f, -0.0f, negative, 0.0f}, at_lambda(0, 2));
    check_true({negative, 0.0f, -0.0f, negative, 0.0f}, a);
    CHECK((a.codes == std::vector<uint8_t>{0, 1, 1, 0, 1}));
    CHECK((a.centroids == std::vector<float>{negative, 0.0f}));
  }
  // A price decides whether 3 is worth a centroid of its own: codes alone save 4 * H(1/4) bits.
  const std::vector<float> four = {1, 1, 1, 3};
  CHECK(run(four, at_lambda(0.01)).centroids.size() == 2);
  CHECK(run(four, at_lambda(1)).centroids == std::vector<float>{1.5f});
  CHECK(run(four, within(0)).centroids.size() == 2);
  CHECK(run(four, within(3)).centroids == std::vector<float>{1.5f});
  CHECK(run(four, within(2.9)).centroids.size() == 2);
  CHECK(run(four, within(2.9, 1)).result.status == Status::arg);
  CHECK(run(four, at_lambda(0, 257)).result.status == Status::arg);
  CHECK(run({1, NAN}, at_lambda(0)).result.status == Status::nonfinite);
  CHECK(run({1, INFINITY}, at_lambda(0)).result.status == Status::nonfinite);
}

// Half precision where it saves more than it spoils, and not where it cannot hold the values.
static void forms() {
  const std::vector<float> x = sample(0, 5000);
  const Answer coarse = run(x, at_lambda(1e-7)), fine = run(x, at_lambda(0));
  CHECK(all_halves(coarse));
  CHECK(!all_halves(fine));
  std::vector<float> big = x;
  for (float& v : big) v *= 1e7f;
  const Answer wide = run(big, at_lambda(1e7));
  check_true(big, wide);
  CHECK(!all_halves(wide));
  std::vector<float> tiny = x;
  for (float& v : tiny) v *= 1e-7f;  // below the finest half but zero
  const Answer low = run(tiny, at_lambda(1e-21));
  check_true(tiny, low);
  CHECK(!all_halves(low) && low.centroids.size() > 10);
}

// Outliers of any size change nothing for the other values.
static void outliers() {
  for (uint64_t seed = 0; seed < 5; seed++) {
    const std::vector<float> x = sample(seed, 3000);
    const Answer without = run(x, within(1e-4, 200));
    check_true(x, without);
    for (float outlier : {1e3f, 1e30f, -1e38f, 3.4028235e38f}) {
      std::vector<float> y = x;
      y[1000] = outlier;
      const Answer with = run(y, within(1e-4, 201));
      CHECK(with.result);
      if (!with.result) continue;
      CHECK(with.counts[with.codes[1000]] == 1 && with.centroids[with.codes[1000]] == outlier);
      CHECK(true_error(y, with) <= 1e-4 * (1 + 1e-9));
      CHECK(code_bits(with) <= 1.05 * code_bits(without) + 64);
    }
  }
  std::vector<float> denormal(2000);
  for (size_t i = 0; i < denormal.size(); i++) denormal[i] = static_cast<float>(i % 100) * 1e-43f - 3e-42f;
  check_true(denormal, run(denormal, at_lambda(0, 30)));
  const Answer exact = run(denormal, within(0));
  check_true(denormal, exact);
  CHECK(true_error(denormal, exact) == 0);
}

static void cancelled() {
  const std::vector<float> x = sample(0, 100000);
  Control control = {};
  control.cancel = 1;
  std::vector<uint8_t> codes(x.size());
  float centroids[256];
  uint32_t counts[256];
  Job job;
  job.control = &control;
  EcsqRequest request = at_lambda(1e-9);
  request.values = x.data();
  request.count = x.size();
  EcsqSummary summary;
  CHECK(ecsq(job, request, centroids, counts, codes.data(), x.size(), summary).status == Status::aborted);
}

int main(int argc, char** argv) {
  const uint64_t seeds = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 200;
  by_hand();
  forms();
  outliers();
  against_the_optimum(seeds);
  budgets(std::max<uint64_t>(seeds / 5, 1));
  same_everywhere();
  cancelled();
  return finish();
}
