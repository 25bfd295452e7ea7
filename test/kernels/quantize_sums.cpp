// Sums of many weights: centroids within one ulp and squared errors within 1e-11 of plain long double sums over the
// values, by every algorithm that gives them. quantize_sums [values]; a hundred million take about a minute.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "check.h"
#include "quantize/kmeans.h"

using namespace dc;

static double unit(uint64_t seed, uint64_t i) { return static_cast<double>(random_u64(seed, i) >> 11) * 0x1p-53; }

static void against_long_double(const std::vector<float>& x, uint32_t k, KmeansAlgorithm algorithm, KmeansStart start) {
  static Pool pool(4);
  Job job;
  job.level = detected_cpu_level();
  job.threads = 2;
  job.pool = &pool;
  KmeansRequest request;
  request.values = x.data();
  request.count = x.size();
  request.clusters = k;
  request.algorithm = algorithm;
  request.start = start;
  request.max_iterations = 0xffffffff;
  std::vector<float> centroids(k);
  std::vector<uint32_t> counts(k);
  KmeansSummary summary;
  CHECK(kmeans_1d(job, request, centroids.data(), counts.data(), summary));
  CHECK(summary.converged && summary.used == k);
  std::vector<double> middle;
  for (uint32_t i = 0; i + 1 < k; i++) {
    middle.push_back((static_cast<double>(centroids[i]) + static_cast<double>(centroids[i + 1])) / 2);
  }
  std::vector<long double> sum(k);
  std::vector<uint32_t> held(k);
  long double error = 0;
  for (const float v : x) {
    const size_t at =
        static_cast<size_t>(std::lower_bound(middle.begin(), middle.end(), static_cast<double>(v)) - middle.begin());
    const long double d = static_cast<long double>(v) - static_cast<long double>(centroids[at]);
    sum[at] += static_cast<long double>(v);
    held[at]++;
    error += d * d;
  }
  CHECK(held == counts);
  CHECK(std::fabs(summary.inertia - static_cast<double>(error)) <= 1e-11 * static_cast<double>(error));
  for (uint32_t i = 0; i < k; i++) {
    // At the fixed point the centroid is the mean of what is nearest to it.
    const float mean = static_cast<float>(sum[i] / held[i]);
    CHECK(std::nextafter(mean, -INFINITY) <= centroids[i] && centroids[i] <= std::nextafter(mean, INFINITY));
  }
}

int main(int argc, char** argv) {
  const size_t count = argc > 1 ? static_cast<size_t>(std::atoll(argv[1])) : 2500000;
  std::vector<float> x(count);
  for (int shape = 0; shape < 3; shape++) {
    for (size_t i = 0; i < count; i++) {
      const double u = unit(70, 3 * i), v = unit(70, 3 * i + 1);
      double normal = std::sqrt(-2 * std::log(1 - u)) * std::cos(6.283185307179586 * v);
      if (shape == 1) normal = normal * std::fabs(normal) * (random_u64(71, i) % 100000 ? 1 : 40);
      x[i] = static_cast<float>(0.01 * normal + (shape == 2 ? 1.5 : 0));
    }
    against_long_double(x, 256, KmeansAlgorithm::histogram, KmeansStart::histogram);
    against_long_double(x, 16, KmeansAlgorithm::lloyd, KmeansStart::histogram);
    against_long_double(x, 16, KmeansAlgorithm::lloyd, KmeansStart::fit);
  }
  return finish();
}
