// k-means with codes on the arrays: bench_quantize_kmeans [a|b|c|p|q] [algorithm 0..4] [k] [threads] [rounds]
// [start 0..5] [seed]. p and q are a and b with the 4 % of largest magnitude kept, by a mask.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/memory.h"
#include "base/pool.h"
#include "base/read_pass.h"
#include "quantize/assign.h"
#include "quantize/groups.h"
#include "quantize/kmeans.h"

using namespace dc;

static uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}
static uint64_t seed = 0;
static double unit(uint64_t i) {
  i += seed << 40;
  return ((mix(i * 0x9e3779b97f4a7c15ull + 1) >> 11) + 0.5) * 0x1p-53;
}
static double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int main(int argc, char** argv) {
  const char name = argc > 1 ? argv[1][0] : 'a', array = name == 'p' ? 'a' : name == 'q' ? 'b' : name;
  seed = argc > 7 ? static_cast<uint64_t>(std::atoi(argv[7])) : 0;
  const uint32_t algorithm = argc > 2 ? static_cast<uint32_t>(std::atoi(argv[2])) : 0;
  const uint32_t k = argc > 3 ? static_cast<uint32_t>(std::atoi(argv[3])) : 256;
  const unsigned threads = argc > 4 ? static_cast<unsigned>(std::atoi(argv[4])) : 2;
  const int rounds = argc > 5 ? std::atoi(argv[5]) : 5;
  const size_t n = array == 'c' ? 102760448 : 16777216;
  Array<float> x;
  Array<uint8_t> codes;
  if (!x.reset(n) || !codes.reset(2 * n)) return 1;
  for (size_t i = 0; i < n; i++) {
    const double r = std::sqrt(-2 * std::log(unit(2 * i))), c = std::cos(6.283185307179586 * unit(2 * i + 1));
    double v = r * c;
    if (array != 'a') {
      // Shape 1.2 from a Gaussian by its quantiles is not needed to the digit: |v|^(2 / 1.2) has heavier tails alike.
      v = (v < 0 ? -1 : 1) * std::pow(std::fabs(v), 2 / 1.2) * 0.6;
      if (unit(7 * i + 3) < 1e-5) v = (unit(i) < 0.5 ? -1 : 1) * (10 + 30 * unit(5 * i + 2));
    }
    x[i] = static_cast<float>(0.01 * v);
  }
  std::vector<uint32_t> mask;
  if (name != array) {
    std::vector<float> size(n);
    for (size_t i = 0; i < n; i++) size[i] = std::fabs(x[i]);
    std::nth_element(size.begin(), size.begin() + static_cast<long>(n - n / 25), size.end());
    const float least = size[n - n / 25];
    mask.resize(n / 32);
    for (size_t i = 0; i < n; i++) mask[i / 32] |= static_cast<uint32_t>(std::fabs(x[i]) >= least) << (i & 31);
  }
  const uint32_t* const kept = mask.empty() ? nullptr : mask.data();
  Pool pool(4);
  Job job;
  job.level = cpu_level();
  job.threads = threads;
  job.pool = &pool;
  std::vector<float> centroids(k);
  std::vector<uint32_t> counts(k);
  KmeansRequest request;
  request.values = x.data();
  request.mask = kept;
  request.count = n;
  request.clusters = k;
  request.algorithm = static_cast<KmeansAlgorithm>(algorithm);
  request.start = static_cast<KmeansStart>(argc > 6 ? std::atoi(argv[6]) : 0);
  request.max_iterations = algorithm == 0 ? 10000 : 0xffffffff;
  KmeansSummary summary;
  double best = 1e9, best_assign = 1e9, best_both = 1e9, pass = 1e9;
  std::vector<double> both;
  Array<uint8_t> fused;
  if (!fused.reset(2 * n)) return 1;
  uint64_t taking_part = 0;
  for (size_t i = 0; i < n; i++) taking_part += !kept || (kept[i / 32] >> (i & 31) & 1);
  for (int r = 0; r <= rounds; r++) {
    double t = seconds();
    uint32_t all = 0;
    if (!read_pass(job, x.data(), n, &all)) return 1;
    const double t_pass = seconds() - t;
    t = seconds();
    const Result done = kmeans_1d(job, request, centroids.data(), counts.data(), summary);
    const double t_cluster = seconds() - t;
    if (!done) {
      std::printf("failed: %s\n", status_name(done.status));
      return 1;
    }
    t = seconds();
    assign(job, x.data(), n, kept, centroids.data(), summary.used, codes.data(), k > 256 ? 2 : 1);
    const double t_assign = seconds() - t;
    request.codes = fused.data();
    request.code_bytes = k > 256 ? 2 : 1;
    request.code_count = taking_part;
    t = seconds();
    if (!kmeans_1d(job, request, centroids.data(), counts.data(), summary)) return 1;
    const double t_both = seconds() - t;
    request.codes = nullptr;
    if (std::memcmp(codes.data(), fused.data(), taking_part * request.code_bytes) != 0) {
      std::puts("the codes of the one call differ");
      return 1;
    }
    if (r > 0) {
      best = t_cluster < best ? t_cluster : best;
      best_assign = t_assign < best_assign ? t_assign : best_assign;
      pass = t_pass < pass ? t_pass : pass;
      both.push_back(t_both);
    }
  }
  std::sort(both.begin(), both.end());
  best_both = both[0];
  std::printf(
      "%c algorithm %u k %u threads %u: with codes %.2f ms (median %.2f), cluster %.1f ms, assign %.1f ms, read pass "
      "%.2f ms; inertia %.12g used %u "
      "steps %u converged %d; gap at most %.5f %%\n",
      name, algorithm, k, threads, best_both * 1e3, both[both.size() / 2] * 1e3, best * 1e3, best_assign * 1e3,
      pass * 1e3, summary.inertia, summary.used, summary.iterations, summary.converged,
      summary.lower_bound > 0 ? (summary.inertia / summary.lower_bound - 1) * 100 : NAN);
  if (algorithm == 4) {  // fit looks at no value again: what its centroids are worth, beside the histogram's
    double real = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
      if (kept && !(kept[i / 32] >> (i & 31) & 1)) continue;
      const double d = static_cast<double>(x[i]) - static_cast<double>(centroids[codes[at++]]);
      real += d * d;
    }
    KmeansSummary best;
    request.algorithm = KmeansAlgorithm::histogram;
    if (!kmeans_1d(job, request, centroids.data(), counts.data(), best)) return 1;
    std::printf(
        "fit: real squared error %.9g, %.4f of what it says, %.4f of the histogram's (at most %.4f of the optimum)\n",
        real, real / summary.inertia, real / best.inertia, real / best.lower_bound);
  }
  if (algorithm == 0 && k == 16) {  // the same weights as 4096 groups of 4096
    const size_t groups = n / 4096;
    std::vector<float> rows(groups * k);
    std::vector<uint32_t> row_counts(groups * k), used(groups);
    std::vector<double> inertia(groups);
    double best_groups = 1e9;
    GroupsRequest each;
    each.values = x.data();
    each.count = n;
    each.group_size = 4096;
    each.clusters = k;
    each.max_iterations = 100;
    for (int r = 0; r < rounds; r++) {
      const double t = seconds();
      kmeans_groups(job, each, rows.data(), row_counts.data(), used.data(), inertia.data());
      best_groups = std::min(best_groups, seconds() - t);
    }
    std::printf("%zu groups of 4096, k 16: %.1f ms\n", groups, best_groups * 1e3);
  }
  return 0;
}
