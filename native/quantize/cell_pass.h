#pragma once
#include "cells.h"

namespace dc {

// Passes over unsorted values by the cells of a map. Everything that is summed over values is a whole number, or is
// summed over fixed blocks that are merged in order, so threads and levels do not change a bit.

// What a cell holds: `count` values whose distances from the cell's first value add up to `low` ulps.
struct CellTable {
  CellMap map;
  Array<uint32_t> first_key;  // of each cell
  Array<uint64_t> count, low;
};

// Designs a map of about `target` cells from a sample of the values and fills it in one pass.
Result fill_cells(const Job& job, const float* values, size_t count, size_t target, CellTable& out) noexcept;

// Fills the cells of even bits, 256 an octave wherever the values are: half the work, but too coarse for values that
// lie far from zero beside their spread, and for many clusters.
Result fill_even_cells(const Job& job, const float* values, size_t count, CellTable& out) noexcept;

// The error of the first value that is not finite, from cells that were filled with all of them: those have cells of
// their own.
Result finite_cells(const float* values, size_t count, const CellTable& table) noexcept;

// The mean of a cell that is not empty.
inline double cell_mean(const CellTable& table, size_t cell) noexcept {
  const uint32_t first = table.first_key[cell];
  const double offset = static_cast<double>(table.low[cell]) / static_cast<double>(table.count[cell]);
  return static_cast<double>(key_value(first)) + offset * key_ulp(first);
}

// Collects the keys of all values that lie in a flagged cell (in no order; `keys` has room for exactly them), and adds
// up (value - middle of its cell)^2 over all others. flags: one bit a cell.
Result collect_members(const Job& job, const float* values, size_t count, const CellMap& map, const uint32_t* flags,
                       Array<uint32_t>& keys, double& squares) noexcept;

}  // namespace dc
