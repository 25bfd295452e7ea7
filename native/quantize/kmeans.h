#pragma once
#include <cstddef>
#include <cstdint>

#include "../base/job.h"

namespace dc {

// One-dimensional k-means. The numbers of these enums are shared with src/quantize/kmeans.ts.
enum class KmeansAlgorithm : uint32_t { histogram = 0, optimal = 1, lloyd = 2, sampled = 3, fit = 4 };
enum class KmeansStart : uint32_t {
  linear = 0,
  density = 1,
  random = 2,
  kmeans_plus_plus = 3,
  fit = 4,
  histogram = 5,
  given = 6
};

constexpr uint32_t kMaxClusters = 65536;

struct KmeansRequest {
  const float* values = nullptr;   // finite; -0 counts as +0
  size_t count = 0;                // at most 2^32 - 1
  const uint32_t* mask = nullptr;  // one bit a value, 1 = takes part; nullptr: all do
  const float* weights = nullptr;  // finite, >= 0, above 0 within 2^64 of each other, one a value; nullptr: 1 each
  const float* initial = nullptr;  // `clusters` finite values, for KmeansStart::given
  bool ignore_zeros = false;       // exact zeros do not take part
  uint32_t clusters = 0;           // 1 .. kMaxClusters
  KmeansAlgorithm algorithm = KmeansAlgorithm::histogram;
  KmeansStart start = KmeansStart::linear;  // lloyd only
  uint32_t max_iterations = 0;              // Lloyd steps at the most
  double tolerance = 0;                     // stop once no centroid moved further than this; 0: to the fixed point
  uint64_t seed = 0;                        // random and kmeans++ starts, the sample of `sampled`
  // Room for the codes of all values that `mask` keeps (assign.h), which are then written too (none when
  // no value takes part); nullptr: none.
  void* codes = nullptr;
  unsigned code_bytes = 1;
  uint64_t code_count = 0;
};

struct KmeansSummary {
  uint32_t used = 0;  // centroids written: min(clusters, distinct values)
  uint32_t iterations = 0;
  bool converged = false;  // one more Lloyd step changes no centroid (or the answer is the global optimum)
  uint64_t kept = 0;       // values that took part
  double inertia = 0;      // sum of weight * (value - nearest centroid)^2
  // No partition into `clusters` clusters has a smaller inertia; negative: not computed by this algorithm.
  double lower_bound = -1;
};

// centroids[0 .. used) strictly ascending, counts[i] = values nearest to centroid i (ties to the lower one, thresholds
// as in assign.h). Both arrays have room for `clusters` entries. Errors: nonfinite (offset = first index, in a weight
// or a value that takes part or gets a code), value (a negative weight, or one too small beside the largest), arg
// (code_count is not what the mask keeps), nomem, aborted.
Result kmeans_1d(const Job& job, const KmeansRequest& request, float* centroids, uint32_t* counts,
                 KmeansSummary& summary) noexcept;

}  // namespace dc
