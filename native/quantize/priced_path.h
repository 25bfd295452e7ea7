#pragma once
#include "../base/cpu.h"
#include "../base/memory.h"

namespace dc {

// Ascending places 0 .. last where a border may be, with the sums of weight, weight * x and weight * x^2 of what lies
// below each. weight[0] is 0 and the weights are strictly ascending.
struct PricedPlaces {
  const double *weight, *sum, *square;
  const double* edge;  // the values between places i and j lie between edge[i] and edge[j]
  bool whole;          // all weights are whole numbers below 2^24
  uint32_t last;
};

// The cheapest partition at a price for each cluster, whatever their number:
//
//   total[b] = min over a < b of total[a] + (squared error between a and b around their mean) + price
//
// The squared error is a Monge array: the best a does not go down as b goes up. So 16 places are done at once: first
// the last of them looks for its best predecessor, then all look at those from the best of the 16 before to that one.
// A predecessor that has cost as much as what is found already ends the search, for costs grow with the place. Within
// a stretch of 64 places costs are counted from its first place and around a mean of its own, which makes them small
// numbers: float32 is enough for them. Any level gives the same bits.
class PricedPath {
 public:
  [[nodiscard]] bool reset(size_t most_places) noexcept;

  // total[last].
  double run(CpuLevel level, const PricedPlaces& places, double price) noexcept;
  // What the stretches of the last run have lost to rounding, about.
  double error() const noexcept { return error_; }

  // The cheapest partition into exactly so many clusters and its squared error, from a guess of their price on. borders
  // has room for most_borders. False when no price has so many clusters at its cheapest.
  bool search(CpuLevel level, const PricedPlaces& places, uint32_t clusters, double& price, uint32_t* borders,
              double& cost) noexcept;
  static constexpr size_t most_borders(uint32_t clusters) noexcept { return size_t{4} * clusters + 1; }

  // The clusters of the path to `last`, at most `most` of them (0 when there are more): borders[0] = 0 ..
  // borders[clusters] = last.
  uint32_t trace(uint32_t last, uint32_t most, uint32_t* borders) const noexcept;

 private:
  static constexpr uint32_t kStretch = 64;
  Array<double> total_, square_;
  Array<uint32_t> from_;
  // Of the stretch at hand and the places its clusters begin at, relative to its first place.
  Array<float> weight_, sum_, square32_, best_, total32_;
  double error_ = 0;
};

}  // namespace dc
