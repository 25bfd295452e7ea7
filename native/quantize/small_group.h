#pragma once
#include "../base/cpu.h"
#include "../base/memory.h"
#include "kmeans.h"

namespace dc {

// k-means of one small group on one thread, without a sort: the values are dealt into cells by |value - centre| + scale
// (steps that are even near the centre and grow with the distance), the cheapest partition is found first over coarse
// places and then, in a band around each border, over finer ones; Lloyd steps on the values end it. One object serves
// one group after another.
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
  // spread of more than 255 scales, not finite) or a Lloyd step leaves a cluster empty. Weights are finite and above 0.
  bool run(CpuLevel level, const float* values, const float* weights, size_t count, uint32_t max_iterations,
           float* centroids, uint32_t* counts, double& inertia) noexcept;

 private:
  static constexpr unsigned kOctaves = 8;
  static constexpr uint32_t kFullClusters = 32, kFullPlaces = 256;

  uint32_t cell_of(float x) const noexcept;
  bool lay_out(CpuLevel level, const float* values, size_t count) noexcept;
  void deal(const float* values, const float* weights, size_t count) noexcept;
  void choose_places() noexcept;
  void partition(CpuLevel level) noexcept;
  void full(CpuLevel level) noexcept;
  void move_borders(CpuLevel level, const double* weight, const double* sum, uint32_t places, uint32_t band,
                    uint32_t* at) noexcept;
  bool settle(uint32_t max_iterations, float* centroids) noexcept;
  void border(uint32_t i, float threshold) noexcept;
  double squared_error(const float* centroids) const noexcept;

  // What lies up to a border: values, their weight, the sum of weight * (value - centre).
  struct Below {
    size_t count = 0;
    double weight = 0, sum = 0;
    float threshold = 0;
    uint32_t cell = 0;
  };

  size_t count_ = 0;
  uint32_t clusters_ = 0;
  unsigned bits_ = 0;  // log2 of the cells of an octave
  float centre_ = 0, scale_ = 0;
  uint32_t scale_bits_ = 0, side_ = 0;  // side_: cells on each side of the centre
  bool weighted_ = false;
  Array<uint16_t> cell_;                      // of each value
  Array<float> dealt_, dealt_weights_;        // by cell, in the order given within one
  Array<uint32_t> first_, next_;              // of each cell: where its values begin in dealt_
  Array<double> weight_before_, sum_before_;  // of each cell
  // Places: cells that hold something, of these the places of a band, of these the coarse ones; for each the number of
  // the place among the finer ones, and the sums up to it.
  uint32_t live_ = 0, places_ = 0, coarse_places_ = 0;
  Array<uint32_t> place_, coarse_;
  Array<double> live_weight_, live_sum_, place_weight_, place_sum_, coarse_weight_, coarse_sum_;
  Array<double> share_;         // of each live cell, by the law of the clusters' widths
  Array<double> saved_, best_;  // of the full search
  Array<uint32_t> at_;          // the place of each border
  Array<uint8_t> from_;         // band search: the best predecessor, kBand a border
  Array<Below> below_;
  double roots_[64];  // cube roots of small counts
};

}  // namespace dc
