#pragma once
#include "../base/job.h"
#include "../base/memory.h"
#include "gap.h"
#include "order.h"
#include "points.h"

namespace dc {

// Data-adaptive cells that keep the order of the values. The top 12 bits of the order key choose an entry; the next
// 20 - shift bits choose one of its cells. So a cell never spans two exponents, an outlier of any size takes a few
// cells and no more, and the sum of the values in a cell is count * first + ulp * (sum of the low bits): whole numbers,
// the same in whatever order they are added.
struct CellMap {
  static constexpr size_t kPrefixes = 4096;
  uint32_t packed[kPrefixes];  // first cell of the prefix << 5 | shift
  uint32_t cells;

  uint32_t cell_of(uint32_t key) const noexcept {
    const uint32_t e = packed[key >> 20];
    return (e >> 5) + ((key & 0xfffff) >> (e & 31));
  }

  uint32_t middle_key(uint32_t key) const noexcept {
    const uint32_t size = 1u << (packed[key >> 20] & 31);
    return (key & ~(size - 1)) | size >> 1;
  }

  // Spreads about `target` cells by counts per prefix. A cluster of the optimum of a smooth density spans a stretch
  // that goes with density^(-1/3) (Panter and Dite 1951); cells follow the same law, so every cluster holds about as
  // many of them, and no prefix gets more than 32 cells a value: fewer would let two outliers share one (1 % of the
  // error at k = 1000).
  void design(const uint64_t* counts, double target) noexcept;
};

// The target that gives about `target` cells in use, where a map of that many had only `live`; up to 32 times as many.
inline size_t finer_target(size_t target, size_t live) noexcept {
  const size_t wanted = target / (live + 1) < 32 ? target * target / (live + 1) : target * 32;
  const size_t most = size_t{1} << 21;
  return wanted < most ? wanted : target < most ? most : target;
}

double cube_root(double x) noexcept;  // x >= 0; the same bits on every machine

// Cells that hold something: ascending means and total weights.
struct Cells {
  Array<double> values, weights;
  size_t count = 0;
};

// What a bound on the optimum needs to know of the cells (gap.h).
struct CellDetail {
  Array<GapCell> cells;
  size_t count = 0;
  double spread = 0;  // squared error of the values around the means of their cells
};

// All distinct values as cells when there are at most `target` of them, else the cells of a map.
Result cells_of_sorted(const Job& job, const SortedPoints& points, size_t target, Cells& out,
                       CellDetail* detail = nullptr) noexcept;

}  // namespace dc
