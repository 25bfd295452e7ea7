#include "small_group.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cells.h"
#include "order.h"
#include "small_group_avx2.h"
#include "small_group_avx512.h"

namespace dc {

namespace {

constexpr uint32_t kMagnitude = 0x7fffffffu;

// Of the distances to the centre: the sum of the exponents of those that are not 0, their number, and the largest.
void measure_spread(const float* values, size_t count, float centre, uint64_t* exponents, uint64_t* nonzero,
                    uint32_t* largest) noexcept {
  for (size_t i = 0; i < count; i++) {
    const uint32_t d = float_bits(values[i] - centre) & kMagnitude;
    *exponents += d >> 23;
    *nonzero += d != 0;
    *largest = d > *largest ? d : *largest;
  }
}

// The bits of |d| + scale, a power of two, less those of the scale, grow with |d|: evenly up to the scale, then as its
// logarithm. Neither the subtraction nor the addition, though rounded, ever turns an order round.
uint32_t step_of(float d, float scale, uint32_t scale_bits, unsigned shift) noexcept {
  return (float_bits(bits_float(float_bits(d) & kMagnitude) + scale) - scale_bits) >> shift;
}

void find_cells(const float* values, size_t count, float centre, float scale, uint32_t scale_bits, unsigned shift,
                uint32_t side, uint16_t* cells) noexcept {
  for (size_t i = 0; i < count; i++) {
    const float d = values[i] - centre;
    const uint32_t step = step_of(d, scale, scale_bits, shift);
    cells[i] = static_cast<uint16_t>(float_bits(d) >> 31 ? side - 1 - step : side + step);
  }
}

// Sums up to each value, in a fixed order: eight at a time, each eight by doubling.
double add_prefixes(const float* values, const float* weights, size_t count, double centre, double unit, double carry,
                    double* sums) noexcept {
  for (size_t i = 0; i < count; i += 8) {
    double t[8], u[8];
    for (size_t l = 0; l < 8; l++) {
      t[l] = i + l < count ? (static_cast<double>(values[i + l]) - centre) * unit : 0;
      if (weights && i + l < count) t[l] *= weights[i + l];
    }
    for (size_t by = 1; by < 8; by *= 2) {
      for (size_t l = 0; l < 8; l++) u[l] = t[l] + (l < by ? 0.0 : t[l - by]);
      std::memcpy(t, u, sizeof t);
    }
    for (size_t l = 0; l < 8 && i + l < count; l++) sums[i + l] = carry + t[l];
    carry += t[7];
  }
  return carry;
}

// The costs of clusters of `length` places by their ends: square - sum^2 / weight of what lies between.
void cost_row(const double* weight, const double* sum, const double* square, uint32_t length, uint32_t end,
              float* row) noexcept {
  for (uint32_t b = length; b < end; b++) {
    const uint32_t a = b - length;
    const double w = weight[b] - weight[a], s = sum[b] - sum[a];
    row[b] = static_cast<float>((square[b] - square[a]) - s * s / w);
  }
}

// best[b] = min over the lengths n of before[b - n] + table[(n - 1) * stride + b]; what cannot be is infinite.
void programme_step(const float* before, const float* table, size_t stride, uint32_t longest, uint32_t window,
                    float* best) noexcept {
  for (uint32_t b = 0; b < window; b++) best[b] = INFINITY;
  for (uint32_t n = 1; n <= longest; n++) {
    const float* const row = table + (n - 1) * stride;
    for (uint32_t b = 0; b < window; b++) {
      const float cost = before[static_cast<ptrdiff_t>(b) - static_cast<ptrdiff_t>(n)] + row[b];
      best[b] = cost < best[b] ? cost : best[b];
    }
  }
}

// For each place of a band: the best place of the band before to begin a cluster at that ends here; the first of
// equals.
void band_step_scalar(const float* from_weight, const float* from_sum, const float* from_cost, const float* to_weight,
                      const float* to_sum, const float* to_cost, uint32_t band, float* cost, uint8_t* from) noexcept {
  for (uint32_t b = 0; b < band; b++) {
    float best = INFINITY;
    uint8_t who = 0;
    for (uint32_t a = 0; a < band; a++) {
      const float dw = to_weight[b] - from_weight[a], ds = to_sum[b] - from_sum[a];
      const float g = from_cost[a] - ds * ds / dw;
      if (dw > 0 && g < best) best = g, who = static_cast<uint8_t>(a);
    }
    cost[b] = best + to_cost[b];
    from[b] = who;
  }
}

void band_step(CpuLevel level, const float* from_weight, const float* from_sum, const float* from_cost,
               const float* to_weight, const float* to_sum, const float* to_cost, uint32_t band, float* cost,
               uint8_t* from) noexcept {
#if DC_X86
  if (level >= CpuLevel::avx512) {
    return band_step_avx512(from_weight, from_sum, from_cost, to_weight, to_sum, to_cost, band, cost, from);
  }
  if (level >= CpuLevel::avx2) {
    return band_step_avx2(from_weight, from_sum, from_cost, to_weight, to_sum, to_cost, band, cost, from);
  }
#endif
  (void)level;
  band_step_scalar(from_weight, from_sum, from_cost, to_weight, to_sum, to_cost, band, cost, from);
}

// (value - centroid)^2 added to the eight lanes in turn.
void add_distances(const float* values, const float* weights, size_t count, double centroid, double* lanes) noexcept {
  for (size_t i = 0; i < count; i++) {
    const double d = static_cast<double>(values[i]) - centroid;
    lanes[i & 7] += weights ? static_cast<double>(weights[i]) * (d * d) : d * d;
  }
}

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

// A power of two at most x > 0.
double power_of_two(double x) noexcept {
  uint64_t bits;
  std::memcpy(&bits, &x, 8);
  bits &= uint64_t{0x7ff} << 52;
  std::memcpy(&x, &bits, 8);
  return x;
}

}  // namespace

bool SmallGroup::reset(size_t count, uint32_t clusters, bool weighted) noexcept {
  clusters_ = clusters;
  weighted_ = weighted;
  bits_ = 5;
  while (bits_ < 12 && (1u << bits_) < 16 * clusters) bits_++;
  for (uint32_t i = 0; i < 256; i++) roots_[i] = cube_root(i);
  coarse_target_ = std::max(64u, 6 * clusters);
  table_stride_ = (std::max(coarse_target_ + 1, kWindow) + 15) / 16 * 16;
  const size_t cells = std::min(size_t{2} * kOctaves << bits_, size_t{kMostCells});
  if (!(cell_.reset(count) && dealt_.reset(count) && (!weighted || dealt_weights_.reset(count)) &&
        first_.reset(cells + 1) && next_low_.reset(cells) && next_high_.reset(cells) && sum_before_.reset(count + 1) &&
        (!weighted || weight_before_.reset(count + 1)) && place_.reset(2 * kFineness * size_t{coarse_target_} + 2) &&
        middle_.reset(2 * size_t{coarse_target_} + 2) && coarse_.reset(size_t{coarse_target_} + 2) &&
        share_.reset(std::max(256u, 4 * clusters)) && coarse_weight_.reset(table_stride_ + 8) &&
        coarse_sum_.reset(table_stride_ + 8) && coarse_square_.reset(table_stride_ + 8) &&
        table_.reset(size_t{kLongest} * table_stride_ + 8) && rows_.reset(size_t{kRow} * clusters) &&
        row_first_.reset(clusters) && at_.reset(clusters + 1) && at_cell_.reset(clusters + 1) &&
        listed_.reset(size_t{kBand} * clusters) && from_.reset(size_t{kBand} * clusters) &&
        border_weight_.reset(clusters + 1) && border_sum_.reset(clusters + 1) && below_.reset(clusters + 1))) {
    return false;
  }
  for (uint32_t n = 1; n <= kLongest; n++) {
    for (uint32_t b = 0; b < n; b++) table_[(n - 1) * table_stride_ + b] = INFINITY;
  }
  std::fill(rows_.data(), rows_.data() + size_t{kRow} * clusters, INFINITY);
  rows_[kLongest] = 0;  // no cluster: nothing lies up to place 0
  row_first_[0] = 0;
  return true;
}

// Centre, scale and number of cells; the cell of each value.
bool SmallGroup::lay_out(CpuLevel level, const float* values, size_t count) noexcept {
  float sample[15];
  for (size_t i = 0; i < 15; i++) {
    const float x = values[i * count / 15];
    size_t at = i;
    for (; at > 0 && sample[at - 1] > x; at--) sample[at] = sample[at - 1];
    sample[at] = x;
  }
  centre_ = sample[0] < 0 && sample[14] > 0 ? 0 : sample[7];
  uint64_t exponents = 0, nonzero = 0;
  uint32_t largest = 0;
  size_t done = 0;
  const size_t whole = count / 16 * 16;
#if DC_X86
  if (level >= CpuLevel::avx512) {
    measure_spread_avx512(values, whole, centre_, &exponents, &nonzero, &largest);
    done = whole;
  }
#endif
  measure_spread(values + done, count - done, centre_, &exponents, &nonzero, &largest);
  if (nonzero == 0 || largest >= 0x7f800000u) return false;
  const uint64_t exponent = exponents / nonzero + 1;
  if (exponent < 24 || exponent > 240) return false;
  scale_bits_ = static_cast<uint32_t>(exponent) << 23;
  scale_ = bits_float(scale_bits_);
  const unsigned shift = 23 - bits_;
  side_ = step_of(bits_float(largest), scale_, scale_bits_, shift) + 1;
  // More clusters want more places far out than there are.
  const uint32_t octaves = clusters_ > 16 ? kOctaves / 2 : kOctaves;
  if (side_ > std::min(octaves << bits_, kMostCells / 2)) return false;
  done = 0;
#if DC_X86
  if (level >= CpuLevel::avx512) {
    find_cells_avx512(values, whole, centre_, scale_, scale_bits_, shift, side_, cell_.data());
    done = whole;
  } else if (level >= CpuLevel::avx2) {
    find_cells_avx2(values, whole, centre_, scale_, scale_bits_, shift, side_, cell_.data());
    done = whole;
  }
#endif
  find_cells(values + done, count - done, centre_, scale_, scale_bits_, shift, side_, cell_.data() + done);
  return true;
}

uint32_t SmallGroup::cell_of(float x) const noexcept {
  const float d = x - centre_;
  const uint32_t step = step_of(d, scale_, scale_bits_, 23 - bits_);
  if (float_bits(d) >> 31) return step < side_ ? side_ - 1 - step : 0;
  return step < side_ ? side_ + step : 2 * side_ - 1;
}

// Values by cell. The halves of the group have counters of their own, so that neighbours do not wait for each other.
void SmallGroup::deal(const float* values, const float* weights, size_t count) noexcept {
  const uint32_t cells = 2 * side_;
  const size_t half = count / 2;
  const uint16_t *const DC_RESTRICT cell = cell_.data(), *const DC_RESTRICT cell_high = cell_.data() + half;
  uint16_t *const DC_RESTRICT low = next_low_.data(), *const DC_RESTRICT high = next_high_.data();
  std::memset(low, 0, cells * sizeof(uint16_t));
  std::memset(high, 0, cells * sizeof(uint16_t));
  for (size_t i = 0; i < half; i++) {
    low[cell[i]]++;
    high[cell_high[i]]++;
  }
  if (count & 1) high[cell[count - 1]]++;
  uint32_t before = 0;
  for (uint32_t c = 0; c < cells; c++) {
    const uint32_t in_low = low[c], in_high = high[c];
    first_[c] = before;
    low[c] = static_cast<uint16_t>(before);
    high[c] = static_cast<uint16_t>(before + in_low);
    before += in_low + in_high;
  }
  first_[cells] = before;
  float* const DC_RESTRICT dealt = dealt_.data();
  if (weights) {
    for (size_t i = 0; i < count; i++) {
      uint16_t* const next = i < half ? low : high;
      const uint32_t to = next[cell[i]]++;
      dealt[to] = values[i];
      dealt_weights_[to] = weights[i];
    }
    return;
  }
  for (size_t i = 0; i < half; i++) {
    dealt[low[cell[i]]++] = values[i];
    dealt[high[cell_high[i]]++] = values[half + i];
  }
  if (count & 1) dealt[high[cell[count - 1]]++] = values[count - 1];
}

// Sums of (value - centre) / scale and of the weights up to each value.
void SmallGroup::add_up(CpuLevel level) noexcept {
  const double centre = centre_, unit = 1 / static_cast<double>(scale_);
  const size_t whole = count_ / 8 * 8;
  sum_before_[0] = 0;
  if (weighted_) {
    const float* const weights = dealt_weights_.data();
    double total = 0;
    for (size_t i = 0; i < count_; i++) total += weights[i];
    weight_unit_ = 1 / power_of_two(total / static_cast<double>(count_));
    double before = weight_before_[0] = 0;
    for (size_t i = 0; i < count_; i++) weight_before_[i + 1] = before += weights[i] * weight_unit_;
    add_prefixes(dealt_.data(), weights, count_, centre, unit * weight_unit_, 0, sum_before_.data() + 1);
    return;
  }
  double carry = 0;
  size_t done = 0;
#if DC_X86
  if (level >= CpuLevel::avx512) {
    carry = add_prefixes_avx512(dealt_.data(), whole, centre, unit, 0, sum_before_.data() + 1);
    done = whole;
  }
#endif
  (void)level;
  (void)whole;
  add_prefixes(dealt_.data() + done, nullptr, count_ - done, centre, unit, carry, sum_before_.data() + 1 + done);
}

// Places where a border may be, about 24 a cluster, at equal steps of the sum of (count * width^2)^(1/3), the law by
// which the clusters of the optimum spread (Panter and Dite 1951); every fourth step is a coarse one. A bin that is
// entitled to more than its values can use gives the rest back. Only the choice of places depends on the law.
bool SmallGroup::choose_places() noexcept {
  const uint32_t cells = 2 * side_, count = static_cast<uint32_t>(count_), target = kFineness * coarse_target_;
  const uint32_t most_bins = std::max(std::min(std::max(256u, 4 * clusters_), count / 16), 16u);
  unsigned shift = 0;
  while (cells >> shift >= most_bins) shift++;
  const uint32_t bins = ((cells - 1) >> shift) + 1, width = 1u << shift;
  double octave[kOctaves];  // of the width of a cell, relative to that of the centre
  for (unsigned o = 0; o < kOctaves; o++) octave[o] = two_thirds_power(static_cast<double>(1u << o));
  // A gap needs one coarse place.
  const auto limit_of = [&](uint32_t here) {
    return static_cast<double>(kFineness * std::min(std::max(here, 1u), width));
  };
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
    uint32_t last = 0, p = 1, coarse = 0, middle = 0, past = 0;
    places_ = middle_places_ = coarse_places_ = 0;
    const auto add = [&](uint32_t cell, uint32_t step) {
      const uint32_t rank = first_[cell];
      if (rank == 0 || rank >= count) return;
      if (rank != last) place_[++places_] = cell, last = rank;
      if (step / (kFineness / 2) <= middle) return;
      middle = step / (kFineness / 2);
      if (middle_[middle_places_] != places_) middle_[++middle_places_] = places_;
      if (step / kFineness <= coarse) return;
      coarse = step / kFineness;
      if (coarse_[coarse_places_] != middle_places_) coarse_[++coarse_places_] = middle_places_;
    };
    for (uint32_t j = 0; j < bins; j++) {
      if (share_[j] == 0) continue;
      const bool empty = first_[j << shift] == first_[std::min((j + 1) << shift, cells)];
      const uint32_t base = empty ? past : j << shift;
      past = std::min((j + 1) << shift, cells);
      const uint32_t before = first_[base], here = first_[past] - before;
      const double steps = std::min(share_[j] * per_share, limit_of(here)), end = begun + steps;
      if (here > 0 && (every || steps >= here)) {  // the values are few: a place between any two
        for (uint32_t c = base; c < past; c++) {
          add(c, std::min(static_cast<uint32_t>(begun + (first_[c] - before) * (steps / here)), target - 1));
        }
        while (p < end) p++;
        begun = end;
        continue;
      }
      const double cells_each = (past - base) / steps;
      for (; p < end && p < target; p++) {
        add(std::min(base + static_cast<uint32_t>((p - begun) * cells_each), cells - 1), p);
      }
      begun = end;
    }
    place_[++places_] = cells;
  };
  place_[0] = middle_[0] = coarse_[0] = 0;
  choose(false);
  if (places_ < target / 2) {
    const uint32_t live = live_cells();
    if (live < clusters_ || (live < 6 * clusters_ && !cells_are_pure())) return false;
    if (live <= 2 * target) choose(true);
    if (places_ <= coarse_target_) {
      for (uint32_t j = 1; j < places_; j++) coarse_[j] = middle_[j] = j;
      coarse_places_ = middle_places_ = places_ - 1;
    }
  }
  middle_[++middle_places_] = places_;
  coarse_[++coarse_places_] = middle_places_;
  if (coarse_places_ < clusters_) return false;
  const uint32_t padded = std::min(table_stride_, std::max((coarse_places_ + 16) / 16 * 16, kWindow)) + 8;
  for (uint32_t j = 0; j < padded; j++) {
    if (j > coarse_places_) {  // nothing ends here
      coarse_weight_[j] = coarse_weight_[j - 1] + 1;
      coarse_sum_[j] = coarse_sum_[j - 1];
      coarse_square_[j] = INFINITY;
      continue;
    }
    const uint32_t rank = first_[place_[middle_[coarse_[j]]]];
    coarse_weight_[j] = weight_below(rank);
    coarse_sum_[j] = sum_before_[rank];
    if (j == 0) {
      coarse_square_[0] = 0;
      continue;
    }
    const double w = coarse_weight_[j] - coarse_weight_[j - 1], s = coarse_sum_[j] - coarse_sum_[j - 1];
    if (!(w > 0)) return false;
    coarse_square_[j] = coarse_square_[j - 1] + s * s / w;
  }
  return true;
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

// The cheapest partition over the coarse places, within the windows and the longest cluster. False when it touches
// them.
bool SmallGroup::programme(CpuLevel level) noexcept {
  const uint32_t k = clusters_, places = coarse_places_;
  const uint32_t end = std::min(table_stride_, std::max((places + 16) / 16 * 16, kWindow));
  const uint32_t longest = std::min(kLongest, places);
  float* const table = table_.data();
  for (uint32_t n = 1; n <= longest; n++) {
    float* const row = table + (n - 1) * table_stride_;
#if DC_X86
    if (level >= CpuLevel::avx512) {
      cost_row_avx512(coarse_weight_.data(), coarse_sum_.data(), coarse_square_.data(), n, end, row);
    } else if (level >= CpuLevel::avx2) {
      cost_row_avx2(coarse_weight_.data(), coarse_sum_.data(), coarse_square_.data(), n, end, row);
    } else
#endif
    {
      cost_row(coarse_weight_.data(), coarse_sum_.data(), coarse_square_.data(), n, end, row);
    }
  }
  const auto row_of = [&](uint32_t c) { return rows_.data() + size_t{kRow} * c + kLongest; };
  for (uint32_t c = 1; c < k; c++) {
    const uint32_t even = static_cast<uint32_t>(uint64_t{c} * places / k);
    const uint32_t first = std::min(even > kWindow / 2 ? (even - kWindow / 2) / 16 * 16 : 0, end - kWindow);
    row_first_[c] = first;
    const float* const before = row_of(c - 1) + (first - row_first_[c - 1]);
    float* const here = row_of(c);
#if DC_X86
    if (level >= CpuLevel::avx512) {
      programme_step_avx512(before, table + first, table_stride_, longest, kWindow, here);
    } else if (level >= CpuLevel::avx2) {
      programme_step_avx2(before, table + first, table_stride_, longest, kWindow, here);
    } else
#endif
    {
      programme_step(before, table + first, table_stride_, longest, kWindow, here);
    }
  }
  uint32_t b = places;
  at_[k] = middle_places_;
  for (uint32_t c = k; c > 0; c--) {  // the first of the best lengths
    const float* const before = row_of(c - 1);
    const uint32_t first = row_first_[c - 1];
    float best = INFINITY;
    uint32_t length = 0;
    for (uint32_t n = 1; n <= longest && n <= b; n++) {
      if (b - n < first || b - n >= first + kWindow) continue;
      const float cost = before[b - n - first] + table[(n - 1) * table_stride_ + b];
      if (cost < best) best = cost, length = n;
    }
    if (length == 0) return false;
    b -= length;
    if (length == kLongest) return false;
    if (c > 1 && ((first > 0 && b < first + 2) || (first + kWindow < end && b + 2 >= first + kWindow))) return false;
    at_[c - 1] = coarse_[b];
  }
  if (b != 0) return false;
  for (uint32_t i = 0; i <= k; i++) at_cell_[i] = place_[middle_[at_[i]]];
  return true;
}

// The places around a border that it may move to, ascending; its own is among them. `open`: there are more.
uint32_t SmallGroup::list_places(uint32_t border, Fineness fineness, uint32_t* cells, bool* open_below,
                                 bool* open_above) noexcept {
  if (fineness != Fineness::cells) {
    const uint32_t at = at_[border], last = (fineness == Fineness::middle ? middle_places_ : places_) - 1;
    const uint32_t first = at > kBand / 2 ? std::min(at - kBand / 2, last >= kBand ? last - kBand + 1 : 1) : 1;
    const uint32_t size = std::min(kBand, last - first + 1);
    for (uint32_t j = 0; j < size; j++)
      cells[j] = place_[fineness == Fineness::middle ? middle_[first + j] : first + j];
    *open_below = first > 1;
    *open_above = first + size <= last;
    return size;
  }
  constexpr uint32_t kFarthest = 256;  // cells to look at on each side
  const uint32_t* const rank = first_.data();
  const uint32_t own = at_cell_[border], count = static_cast<uint32_t>(count_), most = 2 * side_;
  uint32_t below[kNarrowBand / 2], size = 0, last = rank[own];
  const uint32_t low = own > kFarthest ? own - kFarthest : 0, high = std::min(own + kFarthest, most);
  uint32_t c = own;
  while (size < kNarrowBand / 2 && c > low) {
    c--;
    if (rank[c] == last) continue;
    if (rank[c] == 0) break;
    last = rank[c];
    below[size++] = c;
  }
  *open_below = size == kNarrowBand / 2;
  std::reverse_copy(below, below + size, cells);
  cells[size++] = own;
  last = rank[own];
  for (c = own + 1; size < kNarrowBand && c < high && rank[c] < count; c++) {
    if (rank[c] != last) cells[size++] = c, last = rank[c];
  }
  *open_above = size == kNarrowBand;
  return size;
}

// The best borders within a band of places around the present ones, all at once, again until none ends near the end of
// its band; how much that saves. Costs are relative to those of the present partition: with the present means m and the
// border between clusters l and r, values that go from r to l cost the sum of (x - m_l)^2 - (x - m_r)^2, and a cluster
// whose sum of x - m has become s gains s^2 / weight as its mean follows. These are small numbers; float32 is enough
// for them.
double SmallGroup::move_borders(CpuLevel level, Fineness fineness) noexcept {
  const uint32_t k = clusters_, band = fineness == Fineness::cells ? kNarrowBand : kBand;
  alignas(64) float to_weight[kBand], to_sum[kBand], to_cost[kBand], costs[2][kBand], from_weight[2][kBand],
      from_sum[2][kBand];
  double weights[kBand], sums[kBand], gain = 0;
  for (int round = 0; round < 8; round++) {
    for (uint32_t i = 0; i <= k; i++) {
      const uint32_t rank = first_[at_cell_[i]];
      border_weight_[i] = weight_below(rank);
      border_sum_[i] = sum_before_[rank];
    }
    double left_weight = border_weight_[1], left_mean = border_sum_[1] / left_weight;
    for (uint32_t i = 1; i < k; i++) {
      const double right_weight = border_weight_[i + 1] - border_weight_[i];
      const double right_mean = (border_sum_[i + 1] - border_sum_[i]) / right_weight;
      const double middle = (left_mean + right_mean) / 2, half = (right_mean - left_mean) / 2;
      uint32_t* const cells = listed_.data() + size_t{kBand} * i;
      bool open_below, open_above;
      const uint32_t size = list_places(i, fineness, cells, &open_below, &open_above);
      for (uint32_t j = 0; j < size; j++) {
        const uint32_t rank = first_[cells[j]];
        weights[j] = weight_below(rank);
        sums[j] = sum_before_[rank];
      }
      float *const next_weight = from_weight[i & 1], *const next_sum = from_sum[i & 1];
      for (uint32_t j = 0; j < size; j++) {
        const double w = weights[j] - border_weight_[i], t = (sums[j] - border_sum_[i]) - middle * w;
        to_weight[j] = static_cast<float>(left_weight + w);
        to_sum[j] = static_cast<float>(t + half * w);
        to_cost[j] = static_cast<float>(4 * half * t);
        next_weight[j] = static_cast<float>(w);
        next_sum[j] = static_cast<float>(t - half * w);
      }
      for (uint32_t j = size; j < band; j++) {
        to_weight[j] = to_sum[j] = next_weight[j] = next_sum[j] = 0;
        to_cost[j] = INFINITY;
      }
      if (i == 1) {
        for (uint32_t j = 0; j < band; j++) {
          costs[1][j] = to_weight[j] > 0 ? to_cost[j] - to_sum[j] * to_sum[j] / to_weight[j] : INFINITY;
        }
      } else {
        band_step(level, from_weight[~i & 1], from_sum[~i & 1], costs[~i & 1], to_weight, to_sum, to_cost, band,
                  costs[i & 1], from_.data() + size_t{kBand} * i);
      }
      // Which end of the band asks for another round.
      at_[i] = at_[i] << 2 | static_cast<uint32_t>(open_below) << 1 | static_cast<uint32_t>(open_above);
      left_weight = right_weight;
      left_mean = right_mean;
    }
    uint32_t best = band;
    float least = INFINITY;
    const float *const w = from_weight[(k - 1) & 1], *const s = from_sum[(k - 1) & 1];
    for (uint32_t j = 0; j < band; j++) {
      const float dw = static_cast<float>(left_weight) - w[j], cost = costs[(k - 1) & 1][j] - s[j] * s[j] / dw;
      if (dw > 0 && cost < least) least = cost, best = j;
    }
    if (best < band) gain -= least;
    bool again = false, changed = false;
    for (uint32_t i = k - 1; i > 0; i--) {
      const bool open_below = at_[i] >> 1 & 1, open_above = at_[i] & 1;
      at_[i] >>= 2;
      if (best == band) continue;  // no way through: everything stays
      const uint32_t* const cells = listed_.data() + size_t{kBand} * i;
      const uint32_t cell = cells[best];
      if (cell != at_cell_[i]) {
        changed = true;
        if (fineness != Fineness::cells)
          at_[i] += best - static_cast<uint32_t>(std::find(cells, cells + band, at_cell_[i]) - cells);
        at_cell_[i] = cell;
        again = again || (best < 2 && open_below) || (best + 3 > band && open_above);
      }
      if (i > 1) best = from_[size_t{kBand} * i + best];
    }
    if (!changed || !again) break;
  }
  return gain;
}

// What lies up to `threshold`: whole cells, and a look at each value of the one it falls into.
void SmallGroup::border(uint32_t i, float threshold) noexcept {
  Below& b = below_[i];
  b.threshold = threshold;
  b.cell = cell_of(threshold);
  const uint32_t first = first_[b.cell];
  b.count = first;
  b.weight = weight_below(first);
  b.sum = sum_before_[first];
  const double centre = centre_, unit = 1 / static_cast<double>(scale_);
  for (uint32_t j = first; j < first_[b.cell + 1]; j++) {
    if (!(dealt_[j] <= threshold)) continue;
    const double w = weighted_ ? dealt_weights_[j] * weight_unit_ : 1;
    b.count++;
    b.weight += w;
    b.sum += w * ((static_cast<double>(dealt_[j]) - centre) * unit);
  }
}

// Lloyd steps from the partition to the fixed point. False when a cluster has become empty.
bool SmallGroup::settle(uint32_t max_iterations, float* centroids) noexcept {
  const uint32_t k = clusters_, count = static_cast<uint32_t>(count_);
  const double centre = centre_, scale = scale_;
  below_[0] = Below{};
  Below& all = below_[k];
  all.count = count_;
  all.weight = weight_below(count);
  all.sum = sum_before_[count];
  for (uint32_t i = 0; i < k; i++) {
    const uint32_t from = first_[at_cell_[i]], to = first_[at_cell_[i + 1]];
    const double w = weight_below(to) - weight_below(from), s = sum_before_[to] - sum_before_[from];
    centroids[i] = static_cast<float>(centre + scale * (s / w)) + 0.0f;
  }
  for (uint32_t i = 1; i < k; i++) border(i, midpoint_threshold(centroids[i - 1], centroids[i]));
  for (uint32_t step = 0;; step++) {
    for (uint32_t i = 0; i < k; i++) {
      if (below_[i].count >= below_[i + 1].count) return false;
    }
    if (step == max_iterations) return true;
    bool changed = false;
    for (uint32_t i = 0; i < k; i++) {
      const double w = below_[i + 1].weight - below_[i].weight, s = below_[i + 1].sum - below_[i].sum;
      const float mean = static_cast<float>(centre + scale * (s / w)) + 0.0f;
      changed = changed || mean != centroids[i];
      centroids[i] = mean;
    }
    if (!changed) return true;
    for (uint32_t i = 1; i < k; i++) {
      const float threshold = midpoint_threshold(centroids[i - 1], centroids[i]);
      if (threshold != below_[i].threshold) border(i, threshold);
    }
  }
}

// Of each value to its centroid. Values of a cell that a border goes through are put into order first.
double SmallGroup::squared_error(CpuLevel level, const float* centroids) noexcept {
  for (uint32_t i = 1; i < clusters_; i++) {
    const float threshold = below_[i].threshold;
    uint32_t to = first_[below_[i].cell];
    for (uint32_t j = to; j < first_[below_[i].cell + 1]; j++) {
      if (!(dealt_[j] <= threshold)) continue;
      std::swap(dealt_[j], dealt_[to]);
      if (weighted_) std::swap(dealt_weights_[j], dealt_weights_[to]);
      to++;
    }
  }
  double total = 0;
  for (uint32_t i = 0; i < clusters_; i++) {
    const size_t first = below_[i].count, size = below_[i + 1].count - first, whole = size / 8 * 8;
    const float *const values = dealt_.data() + first, *const weights = weighted_ ? &dealt_weights_[first] : nullptr;
    double lanes[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    size_t done = 0;
#if DC_X86
    if (!weights && level >= CpuLevel::avx512) {
      add_distances_avx512(values, whole, centroids[i], lanes);
      done = whole;
    } else if (!weights && level >= CpuLevel::avx2) {
      add_distances_avx2(values, whole, centroids[i], lanes);
      done = whole;
    }
#endif
    (void)level;
    (void)whole;
    add_distances(values + done, weights ? weights + done : nullptr, size - done, centroids[i], lanes);
    total += ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
  }
  return total;
}

bool SmallGroup::run(CpuLevel level, const float* values, const float* weights, size_t count, uint32_t max_iterations,
                     float* centroids, uint32_t* counts, double& inertia) noexcept {
  count_ = count;
  if (!lay_out(level, values, count)) return false;
  deal(values, weights, count);
  add_up(level);
  if (!choose_places() || !programme(level)) return false;
  double gain = 0;
  if (coarse_places_ < middle_places_) gain += move_borders(level, Fineness::middle);
  for (uint32_t i = 0; i <= clusters_; i++) at_[i] = middle_[at_[i]];
  if (middle_places_ < places_) gain += move_borders(level, Fineness::fine);
  gain += move_borders(level, Fineness::cells);
  if (!settle(max_iterations, centroids)) return false;
  for (uint32_t i = 0; i < clusters_; i++) {
    counts[i] = static_cast<uint32_t>(below_[i + 1].count - below_[i].count);
  }
  inertia = squared_error(level, centroids);
  const double scale = scale_;
  return gain * scale * scale <= kTrusted * inertia * weight_unit_;
}

}  // namespace dc
