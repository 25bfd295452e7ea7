#include <algorithm>
#include <cstring>

#include "cells.h"
#include "small_group.h"

namespace dc {

namespace {

// x^(2/3) to a few parts in a thousand: one Newton step from the exponent.
double two_thirds_power(double x) noexcept {
  uint64_t bits;
  std::memcpy(&bits, &x, 8);
  bits = bits / 3 + 0x2a9f7893782da1ceull;
  double y;
  std::memcpy(&y, &bits, 8);
  y = (2 * y + x / (y * y)) / 3;
  return y * y;
}

}  // namespace

// Places where a border may be, about 16 a cluster, at equal steps of the sum of (count * width^2)^(1/3), the law by
// which the clusters of the optimum spread (Panter and Dite 1951). A bin that is entitled to more than its values can
// use gives the rest back. Only the choice of places depends on the law, and the first guess of the price.
bool SmallGroup::choose_places() noexcept {
  const uint32_t cells = 2 * side_, count = static_cast<uint32_t>(count_), target = target_;
  const uint32_t most_bins = std::max(std::min(std::max(256u, 4 * clusters_), count / 16), 16u);
  unsigned shift = 0;
  while (cells >> shift >= most_bins) shift++;
  const uint32_t bins = ((cells - 1) >> shift) + 1, width = 1u << shift;
  double octave[kOctaves];  // of the width of a cell, relative to that of the centre
  for (unsigned o = 0; o < kOctaves; o++) octave[o] = two_thirds_power(static_cast<double>(1u << o));
  const auto limit_of = [&](uint32_t here) { return static_cast<double>(4 * std::min(std::max(here, 1u), width)); };
  double total = 0;
  uint32_t gap = 0;  // empty bins since the last that holds something
  for (uint32_t j = 0; j < bins; j++) {
    const uint32_t from = j << shift, to = std::min(from + width, cells), middle = from + (to - from) / 2;
    const uint32_t here = first_[to] - first_[from], step = middle < side_ ? side_ - 1 - middle : middle - side_;
    share_[j] = 0;
    if (here == 0) {
      gap++;
      continue;
    }
    share_[j] = octave[step >> bits_] * (here < 256 ? roots_[here] : cube_root(here));
    if (gap > 0 && j > gap) {  // of the gap: kept where its last bin is
      share_[j - 1] = octave[step >> bits_] * two_thirds_power(gap);
      total += share_[j - 1];
    }
    gap = 0;
    total += share_[j];
  }
  double per_share = target / total;
  for (int round = 0; round < 2; round++) {
    double left = target, open = total;
    for (uint32_t j = 0; j < bins; j++) {
      const double limit = limit_of(first_[std::min((j + 1) << shift, cells)] - first_[j << shift]);
      if (share_[j] * per_share > limit) left -= limit, open -= share_[j];
    }
    if (!(left > 0 && open > 0)) break;
    per_share = left / open;
  }
  const auto choose = [&](bool every) {
    double begun = 0;
    uint32_t last = 0, p = 1, past = 0;
    places_ = 0;
    const auto add = [&](uint32_t cell) {
      const uint32_t rank = first_[cell];
      if (rank == 0 || rank >= count || rank == last) return;
      place_[++places_] = cell;
      last = rank;
    };
    for (uint32_t j = 0; j < bins; j++) {
      if (share_[j] == 0) continue;
      const bool empty = first_[j << shift] == first_[std::min((j + 1) << shift, cells)];
      const uint32_t base = empty ? past : j << shift;
      past = std::min((j + 1) << shift, cells);
      const uint32_t before = first_[base], here = first_[past] - before;
      const double steps = std::min(share_[j] * per_share, limit_of(here)), end = begun + steps;
      if (here > 0 && (every || steps >= here)) {  // the values are few: a place between any two
        for (uint32_t c = base; c < past; c++) add(c);
        while (p < end) p++;
        begun = end;
        continue;
      }
      const double cells_each = (past - base) / steps;
      for (; p < end && p < target; p++) {
        add(std::min(base + static_cast<uint32_t>((p - begun) * cells_each), cells - 1));
      }
      begun = end;
    }
    place_[++places_] = cells;
  };
  place_[0] = 0;
  choose(false);
  if (places_ < target / 2) {
    const uint32_t live = live_cells();
    if (live < clusters_ || (live < 6 * clusters_ && !cells_are_pure())) return false;
    if (live <= 2 * target) choose(true);
  }
  const double spacing = two_thirds_power(static_cast<double>(1u << shift) / static_cast<double>(1u << bits_));
  const double law = total * spacing;
  price_ = law * law * law / (6.0 * clusters_ * clusters_ * clusters_) * (weight_below(count) / count);
  return places_ >= clusters_;
}

uint32_t SmallGroup::live_cells() const noexcept {
  uint32_t live = 0;
  for (uint32_t c = 0; c < 2 * side_; c++) live += first_[c] != first_[c + 1];
  return live;
}

// Whether the values of each cell are equal to each other.
bool SmallGroup::cells_are_pure() const noexcept {
  for (uint32_t c = 0; c < 2 * side_; c++) {
    for (uint32_t j = first_[c] + 1; j < first_[c + 1]; j++) {
      if (dealt_[j] != dealt_[first_[c]]) return false;
    }
  }
  return true;
}

double SmallGroup::edge_of(uint32_t cell) const noexcept {
  const unsigned finer = least_bits_ + 1 - bits_;
  return cell >= side_ ? edge_[(cell - side_) << finer] : -edge_[(side_ - cell) << finer];
}

// The sums up to each place.
PricedPlaces SmallGroup::sums_of_places(uint32_t last) noexcept {
  for (uint32_t j = 0; j <= last; j++) {
    place_weight_[j] = weight_below(rank_[j]);
    place_sum_[j] = sum_before_[rank_[j]];
    place_square_[j] = square_before_[rank_[j]];
  }
  return {place_weight_.data(), place_sum_.data(), place_square_.data(), place_edge_.data(), !weighted_, last};
}

PricedPlaces SmallGroup::places() noexcept {
  for (uint32_t j = 0; j <= places_; j++) {
    rank_[j] = first_[place_[j]];
    place_edge_[j] = edge_of(place_[j]);
  }
  return sums_of_places(places_);
}

// Places close together around each border and farther apart half-way to the next one; every cell apart in a cluster of
// few values.
PricedPlaces SmallGroup::places_around_borders() noexcept {
  uint32_t last = 0;
  for (uint32_t i = 0; i < clusters_; i++) {
    const uint32_t from = place_[borders_[i]], to = place_[borders_[i + 1]], end = first_[to];
    uint32_t seen = first_[from];
    const auto add = [&](uint32_t cell) {
      rank_[last] = seen = first_[cell];
      place_edge_[last++] = edge_of(cell);
    };
    add(from);
    if (end - seen <= kFew) {
      for (uint32_t r = seen + 1; r < end; r++) {
        const uint32_t cell = cell_of(dealt_[r]);
        if (first_[cell] != seen) add(cell);
      }
      continue;
    }
    for (uint32_t j = 1; j < steps_; j++) {
      const uint32_t cell = from + static_cast<uint32_t>(static_cast<uint64_t>(step_[j]) * (to - from) >> kStepBits);
      if (first_[cell] > seen && first_[cell] < end) add(cell);
    }
  }
  rank_[last] = static_cast<uint32_t>(count_);
  place_edge_[last] = edge_of(2 * side_);
  return sums_of_places(last);
}

}  // namespace dc
