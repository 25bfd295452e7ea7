#pragma once
#include <cstddef>
#include <cstdint>

#include "order.h"

namespace dc {

// How a value finds its code without a search.
//
// float_key() maps floats to integers of the same order, so its top bits cut the number line into cells whose borders
// are exact whatever the spread of the data: 128 cells a power of two at shift 16, as fine near 1e-38 as near 1e38 (an
// equal grid is ruined by one outlier). Only the cells from the first to the last threshold are stored, with an empty
// one at each end that takes everything beyond. A cell with at most one threshold holds
//     (codes below the cell << shift) + (2^shift - 1 - low bits of the threshold's key)
// so that adding the low bits of the value's key carries into the code exactly when the value is above the threshold. A
// cell with more than one holds kCrowded + (codes below), and the value searches on from there.
struct AssignTable {
  const float* thresholds;  // k - 1
  uint32_t k;
  const uint32_t* entries;  // nullptr: no cells, search
  uint32_t cells;
  uint32_t base;  // key >> shift of the first cell
  unsigned shift;
};

constexpr uint32_t kCrowded = 0x80000000u;

// Up to this many centroids fit a register or two, and no table is made: the kernel compares with all of them at once.
constexpr uint32_t kRegisterCentroidsAvx512 = 32;
constexpr uint32_t kRegisterCentroidsAvx2 = 16;

// The search from threshold `first` on, for values in a crowded cell.
uint32_t assign_from(uint32_t first, float x, const float* thresholds, uint32_t k) noexcept;

// The codes of a vector's lanes that fell into crowded cells (a bit each): values[i], codes[i] and cells[i] belong to
// lane i.
void assign_crowded(const AssignTable& table, const float* values, const uint32_t* cells, unsigned crowded, void* codes,
                    unsigned code_bytes) noexcept;

}  // namespace dc
