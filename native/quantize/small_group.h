#pragma once
#include "../base/cpu.h"
#include "../base/memory.h"
#include "kmeans.h"

namespace dc {

// k-means of one small group on one thread, without a sort: the values are dealt into cells by |value - centre| + scale
// (steps that are even near the centre and grow with the distance), the cheapest partition is found first over coarse
// places and then, in a band around each border, over finer ones; Lloyd steps on the values end it. One object serves
// one group after another. Lengths are in scales and weights in a power of two near the mean weight inside, so that
// costs fit a float32 whatever the values.
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
  // spread of more octaves than there are cells for, not finite), the search touched its limits or the coarse places
  // misled it, or a Lloyd step leaves a cluster empty. Weights are finite and above 0.
  bool run(CpuLevel level, const float* values, const float* weights, size_t count, uint32_t max_iterations,
           float* centroids, uint32_t* counts, double& inertia) noexcept;

 private:
  static constexpr uint32_t kOctaves = 16, kMostCells = 65536;
  static constexpr uint32_t kBand = 32, kNarrowBand = 16;  // places a border may choose from in one round
  // The programme over the coarse places: a border may be anywhere within kWindow of them around its even share, a
  // cluster kLongest of them long.
  static constexpr uint32_t kWindow = 96, kLongest = 48, kStep = 64;
  static constexpr uint32_t kFineness = 4;  // places from one coarse one to the next
  // Where borders that move among finer places save more than this part of the error, the coarse places were no map of
  // the group: what came of it is not to be relied on.
  static constexpr double kTrusted = 0.025;
  static constexpr uint32_t kRow = kLongest + kWindow + kStep;

  enum class Fineness { middle, fine, cells };

  uint32_t cell_of(float x) const noexcept;
  bool lay_out(CpuLevel level, const float* values, size_t count) noexcept;
  void deal(const float* values, const float* weights, size_t count) noexcept;
  void add_up(CpuLevel level) noexcept;
  bool choose_places() noexcept;
  uint32_t live_cells() const noexcept;
  bool cells_are_pure() const noexcept;
  bool programme(CpuLevel level) noexcept;
  uint32_t list_places(uint32_t border, Fineness fineness, uint32_t* cells, bool* open_below,
                       bool* open_above) noexcept;
  double move_borders(CpuLevel level, Fineness fineness) noexcept;
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
  unsigned bits_ = 0;  // log2 of the cells of an octave
  float centre_ = 0, scale_ = 0;
  uint32_t scale_bits_ = 0, side_ = 0;  // side_: cells on each side of the centre
  bool weighted_ = false;
  Array<uint16_t> cell_;                      // of each value
  Array<float> dealt_, dealt_weights_;        // by cell, in the order given within one
  Array<uint32_t> first_;                     // of each cell: where its values begin in dealt_
  Array<uint16_t> next_low_, next_high_;      // of each cell: where the next value of the first or second half goes
  Array<double> weight_before_, sum_before_;  // of each value of dealt_
  double weight_unit_ = 1;
  // Places where a border may be, the first and the last of them at the ends of the data: the cell each lies before.
  uint32_t coarse_target_ = 0, places_ = 0, middle_places_ = 0, coarse_places_ = 0;
  Array<uint32_t> place_, middle_, coarse_;  // middle_: numbers of places; coarse_: numbers of middle ones
  Array<double> share_;                      // of each bin of cells, by the law of the clusters' widths
  Array<double> coarse_weight_, coarse_sum_, coarse_square_;
  uint32_t table_stride_ = 0;
  Array<float> table_;  // [length - 1][end]: the cost of a cluster of so many coarse places
  Array<float> rows_;   // [clusters][end]: the least cost of so many clusters
  Array<uint32_t> row_first_;
  Array<uint32_t> at_, at_cell_;  // of each border: the place, and the cell it lies before
  Array<uint32_t> listed_;        // band search: the places of each band
  Array<uint8_t> from_;           // and the best predecessor of each
  Array<double> border_weight_, border_sum_;
  Array<Below> below_;
  double roots_[256];  // cube roots of small counts
};

}  // namespace dc
