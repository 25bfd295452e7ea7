#pragma once
#include "../base/cpu.h"
#include "../base/memory.h"
#include "kmeans.h"
#include "priced_path.h"

namespace dc {

// k-means of one small group on one thread, without a sort: the values are dealt into cells by |value - centre| + scale
// (steps that are even near the centre and grow with the distance), the cheapest partition is found first over some 16
// places a cluster, then over places that lie close together around those borders; Lloyd steps on the values end it.
// One object serves one group after another. Lengths are in scales and weights in a power of two near the mean weight
// inside, so that costs fit a float32 whatever the values.
class SmallGroup {
 public:
  static constexpr size_t kMost = 65536;
  static constexpr uint32_t kMostClusters = 256;

  static bool suits(size_t count, uint32_t clusters) noexcept {
    return count <= kMost && clusters >= 2 && clusters <= kMostClusters && count >= size_t{8} * clusters &&
           count >= 256;
  }

  // Room for groups of up to `count` values.
  [[nodiscard]] bool reset(size_t count, uint32_t clusters, bool weighted) noexcept;

  // Answers false, and has written nothing that counts, when the values are not of its kind (too few distinct ones, a
  // spread of more octaves than there are cells for, not finite), no price gives so many clusters, or the first places
  // misled it, or a Lloyd step leaves a cluster empty. Weights are finite and above 0.
  bool run(CpuLevel level, const float* values, const float* weights, size_t count, uint32_t max_iterations,
           float* centroids, uint32_t* counts, double& inertia) noexcept;

 private:
  static constexpr uint32_t kOctaves = 16, kMostCells = 65536;
  static constexpr uint32_t kFew = 48;  // so many values of a cluster are looked at singly
  static constexpr uint32_t kMostSteps = 64, kStepBits = 20;
  // Where the places around the borders save more than this part of the error, the first places were no map of the
  // group: what came of them is not to be relied on.
  static constexpr double kTrusted = 0.025;
  static constexpr double kRounding = 1e-3;  // part of the error that float32 may have cost

  uint32_t cell_of(float x) const noexcept;
  bool lay_out(CpuLevel level, const float* values, size_t count) noexcept;
  void deal(const float* values, const float* weights, size_t count) noexcept;
  void add_up(CpuLevel level) noexcept;
  bool choose_places() noexcept;
  uint32_t live_cells() const noexcept;
  bool cells_are_pure() const noexcept;
  double edge_of(uint32_t cell) const noexcept;
  PricedPlaces sums_of_places(uint32_t last) noexcept;
  PricedPlaces places() noexcept;
  PricedPlaces places_around_borders() noexcept;
  bool settle(uint32_t max_iterations, float* centroids) noexcept;
  void border(uint32_t i, float threshold) noexcept;
  double squared_error(CpuLevel level, const float* centroids) noexcept;
  double weight_below(uint32_t rank) const noexcept {
    return weighted_ ? weight_before_[rank] : static_cast<double>(rank);
  }

  // What lies up to a border: values, their weight, the sum of weight * (value - centre).
  struct Below {
    size_t count = 0;
    double weight = 0, sum = 0;
    float threshold = 0;
    uint32_t cell = 0;
  };

  size_t count_ = 0;
  uint32_t clusters_ = 0;
  unsigned bits_ = 0, least_bits_ = 0;  // log2 of the cells of an octave: of this group's, and without the finer step
  float centre_ = 0, scale_ = 0;
  uint32_t scale_bits_ = 0, side_ = 0;  // side_: cells on each side of the centre
  bool weighted_ = false;
  Array<uint16_t> cell_;                  // of each value
  Array<float> dealt_, dealt_weights_;    // by cell, in the order given within one
  Array<uint32_t> first_;                 // of each cell: where its values begin in dealt_
  Array<uint16_t> next_low_, next_high_;  // of each cell: where the next value of the first or second half goes
  Array<double> edge_;                    // of cells above the centre, in scales, at the finer step
  Array<double> weight_before_, sum_before_, square_before_;  // of each value of dealt_
  double weight_unit_ = 1;
  uint32_t target_ = 0, places_ = 0;
  Array<double> share_;                    // of each bin of cells, by the law of the clusters' widths
  Array<uint32_t> place_;                  // the cell that each of the first places lies before
  uint32_t steps_ = 0, step_[kMostSteps];  // places from a border to the next, in 2^-kStepBits of the way
  Array<uint32_t> rank_;                   // of each place at hand: values below it
  Array<double> place_weight_, place_sum_, place_square_, place_edge_;
  PricedPath path_;
  double price_ = 0;              // of a cluster
  Array<uint32_t> borders_, at_;  // numbers of places; values below each border
  Array<Below> below_;
  double roots_[256];  // cube roots of small counts
};

}  // namespace dc
