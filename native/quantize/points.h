#pragma once
#include "../base/memory.h"
#include "exact.h"
#include "kmeans.h"

namespace dc {

// The values that take part: the caller's array itself when all do, else a compact copy.
struct Collected {
  const float* values = nullptr;
  const float* weights = nullptr;
  size_t count = 0;
  Array<float> own_values, own_weights;
};
// Errors: nonfinite and value, with the first place. Without `check_all` an array that takes part as a whole,
// unweighted, is not looked at: the caller finds out in its first pass.
Result collect(const Job& job, const KmeansRequest& request, Collected& out, bool check_all = true) noexcept;

// The first NaN or infinity of `values` as an error, if there is one.
Result all_finite(const float* values, size_t count) noexcept;

// The first weight above 0 that is less than 2^-64 of the largest, or `count`: the 106 bits of the prefix sums would
// not hold a cluster of such values beside the others.
size_t weight_out_of_reach(const float* weights, size_t count) noexcept;

// All points in ascending order (weights beside them, when there are any; points of weight 0 are dropped).
struct SortedPoints {
  Array<float> values;
  Array<float> weights;
  size_t count = 0;
  const float* weight_data() const noexcept { return weights.size() ? weights.data() : nullptr; }
};
Result sort_points(const Job& job, const Collected& points, SortedPoints& out) noexcept;

// Sums of ranges of sorted points. Prefix sums are kept every kStride points, counted from zero outwards (partition.h).
class RangeSums {
 public:
  static constexpr size_t kStride = 64;
  Result build(const Job& job, const SortedPoints& points) noexcept;
  // Sum of weights and of weight * value of the points before `index`, relative to the first point >= 0.
  void before(size_t index, Double2& weight, Double2& sum) const noexcept;
  void between(size_t a, size_t b, double& weight, double& sum) const noexcept;

 private:
  const float* values_ = nullptr;
  const float* weights_ = nullptr;
  size_t count_ = 0, zero_ = 0;
  struct Sums {
    Double2 weight, sum;
  };
  Array<Sums> up_, down_;  // up_[b]: points [zero, zero + b * kStride); down_[b]: points [zero - b * kStride, zero)
};

// Sorts keys that differ in their low `bits` only; scratch has room for as many.
void sort_small(uint32_t* keys, size_t count, unsigned bits, uint32_t* scratch) noexcept;

// First index whose value is above `threshold`, searched outwards from `hint`.
size_t first_above(const float* values, size_t count, float threshold, size_t hint) noexcept;

}  // namespace dc
