// Small groups: near the optimum of each, the same on every level and number of threads, whatever the shape.
#include <cmath>
#include <vector>

#include "check.h"
#include "quantize/groups.h"
#include "quantize/kmeans.h"

using namespace dc;

static uint64_t g_state = 1;
static double unit() {
  g_state = g_state * 6364136223846793005ull + 1442695040888963407ull;
  return (static_cast<double>(g_state >> 11) + 0.5) * 0x1p-53;
}
static double normal() { return std::sqrt(-2 * std::log(unit())) * std::cos(6.283185307179586 * unit()); }

enum Shape { gauss, laplace, outliers, pruned, lobes, uniform, offset, heavy, constant, few, huge, tiny, kShapes };

static float value_of(int shape) {
  double a = normal();
  switch (shape) {
    case laplace:
      return static_cast<float>((unit() < 0.5 ? -0.01 : 0.01) * std::log(unit()));
    case outliers:
      return static_cast<float>(0.02 * a * (unit() < 0.01 ? 40 : 1));
    case pruned:
      return std::fabs(a) < 1 ? 0.0f : static_cast<float>(0.02 * a);
    case lobes:
      while (std::fabs(a) < 2) a = normal();
      return static_cast<float>(0.02 * a);
    case uniform:
      return static_cast<float>(unit());
    case offset:
      return static_cast<float>(50 + 0.01 * a);
    case heavy:
      return static_cast<float>(0.02 * a * std::fabs(a));
    case constant:
      return 7.0f;
    case few:
      return static_cast<float>(std::round(3 * a));
    case huge:
      return static_cast<float>(a * (unit() < 0.001 ? 1e37 : 1e-3));
    case tiny:
      return static_cast<float>(a * 1e-42);
    default:
      return static_cast<float>(0.02 * a);
  }
}

struct Outcome {
  std::vector<float> centroids;
  std::vector<uint32_t> counts, used;
  std::vector<double> inertia;
  bool operator==(const Outcome& o) const {
    return centroids == o.centroids && counts == o.counts && used == o.used && inertia == o.inertia;
  }
};

static Outcome run(const GroupsRequest& request, CpuLevel level, unsigned threads) {
  static Pool pool(4);
  Job job;
  job.level = level;
  job.threads = threads;
  job.pool = &pool;
  const size_t groups = (request.count + request.group_size - 1) / request.group_size;
  Guarded<float> centroids(groups * request.clusters);
  Guarded<uint32_t> counts(groups * request.clusters), used(groups);
  Guarded<double> inertia(groups);
  CHECK(kmeans_groups(job, request, centroids.data(), counts.data(), used.data(), inertia.data()));
  return {{centroids.data(), centroids.data() + groups * request.clusters},
          {counts.data(), counts.data() + groups * request.clusters},
          {used.data(), used.data() + groups},
          {inertia.data(), inertia.data() + groups}};
}

static double optimum(const float* values, const float* weights, size_t count, uint32_t clusters, uint32_t& used) {
  KmeansRequest request;
  request.values = values;
  request.weights = weights;
  request.count = count;
  request.clusters = clusters;
  request.algorithm = KmeansAlgorithm::optimal;
  request.max_iterations = 1000;
  std::vector<float> centroids(clusters);
  std::vector<uint32_t> counts(clusters);
  KmeansSummary summary;
  CHECK(kmeans_1d(Job(), request, centroids.data(), counts.data(), summary));
  used = summary.used;
  return summary.inertia;
}

// Groups in which float32 loses a partition into 256: that is seen, and another way taken. (One of the two was answered
// with 800 times the error of the optimum.)
static void rounding_is_seen() {
  constexpr size_t kSize = 4096;
  for (const uint64_t seed : {2189, 2334}) {
    g_state = seed;
    Guarded<float> values(kSize), weights(kSize);
    for (size_t i = 0; i < kSize; i++) {
      const double a = normal();
      values[i] = static_cast<float>(0.02 * a * std::fabs(a) * (unit() < 0.001 ? 30 : 1));
      weights[i] = static_cast<float>(0.5 + unit());
    }
    GroupsRequest request;
    request.values = values.data();
    request.weights = weights.data();
    request.count = request.group_size = kSize;
    request.clusters = 256;
    request.max_iterations = 100;
    uint32_t used = 0;
    const double best = optimum(values.data(), weights.data(), kSize, request.clusters, used);
    for (int l = 0; l < levels().count; l++) {
      const Outcome outcome = run(request, levels().level[l], 1);
      CHECK(outcome.inertia[0] <= best * 1.001 && outcome.inertia[0] >= best * (1 - 1e-6));
    }
  }
}

// Within 0.1 % of each group's optimum.
static void near_the_optimum() {
  for (int shape = 0; shape < kShapes; shape++) {
    for (const bool weighted : {false, true}) {
      constexpr size_t kSize = 2048, kGroups = 50;
      g_state = static_cast<uint64_t>(shape) * 2 + weighted + 1;
      Guarded<float> values(kSize * kGroups), weights(kSize * kGroups);
      for (size_t i = 0; i < kSize * kGroups; i++) {
        values[i] = value_of(shape);
        weights[i] = static_cast<float>(0.5 + unit());
      }
      GroupsRequest request;
      request.values = values.data();
      request.weights = weighted ? weights.data() : nullptr;
      request.count = kSize * kGroups;
      request.group_size = kSize;
      request.clusters = 16;
      request.max_iterations = 1000;
      const Outcome outcome = run(request, detected_cpu_level(), 2);
      for (size_t g = 0; g < kGroups; g++) {
        uint32_t used = 0;
        const double best = optimum(values.data() + g * kSize, weighted ? weights.data() + g * kSize : nullptr, kSize,
                                    request.clusters, used);
        CHECK(outcome.used[g] == used);
        CHECK(outcome.inertia[g] <= best * 1.001 && outcome.inertia[g] >= best * (1 - 1e-6));
        uint64_t total = 0;
        for (uint32_t i = 0; i < used; i++) {
          total += outcome.counts[g * 16 + i];
          CHECK(i == 0 || outcome.centroids[g * 16 + i] > outcome.centroids[g * 16 + i - 1]);
        }
        CHECK(total == kSize);
      }
    }
  }
}

static void levels_and_threads_agree() {
  for (int shape = 0; shape < kShapes; shape++) {
    for (const uint32_t clusters : {2u, 3u, 16u, 33u, 256u}) {
      for (const size_t size : {size_t{31}, size_t{300}, size_t{2051}, size_t{5000}}) {
        g_state = static_cast<uint64_t>(shape) * 100 + clusters + size;
        const size_t count = size * 3 + size / 2;
        Guarded<float> values(count), weights(count);
        Guarded<uint32_t> mask((count + 31) / 32);
        for (size_t i = 0; i < count; i++) {
          values[i] = value_of(shape);
          weights[i] = static_cast<float>(unit() < 0.1 ? 0 : unit());
        }
        for (size_t i = 0; i < (count + 31) / 32; i++) mask[i] = static_cast<uint32_t>(unit() * 0x1p32);
        GroupsRequest request;
        request.values = values.data();
        request.count = count;
        request.group_size = size;
        request.clusters = clusters;
        request.max_iterations = 100;
        for (const int sides : {0, 1, 2, 3}) {
          request.mask = sides & 1 ? mask.data() : nullptr;
          request.weights = sides & 2 ? weights.data() : nullptr;
          const Outcome first = run(request, CpuLevel::scalar, 1);
          for (int level = 0; level <= static_cast<int>(detected_cpu_level()); level++) {
            CHECK(run(request, static_cast<CpuLevel>(level), 1) == first);
          }
          CHECK(run(request, detected_cpu_level(), 3) == first);
        }
      }
    }
  }
}

int main() {
  rounding_is_seen();
  near_the_optimum();
  levels_and_threads_agree();
  return finish();
}
