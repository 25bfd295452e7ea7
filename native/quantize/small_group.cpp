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

constexpr uint32_t kBand = 32, kNarrowBand = 16;  // places a border may choose from in one round
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

// For each place of a band: the best place of the band before to begin a cluster at that ends here, by what the
// cluster's mean saves, sum^2 / weight; the first of equals.
void band_step_scalar(const double* from_weight, const double* from_sum, const double* from_gain,
                      const double* to_weight, const double* to_sum, uint32_t band, double* gain,
                      uint8_t* from) noexcept {
  for (uint32_t b = 0; b < band; b++) {
    double best = -INFINITY;
    uint8_t who = 0;
    for (uint32_t a = 0; a < band; a++) {
      const double dw = to_weight[b] - from_weight[a], ds = to_sum[b] - from_sum[a];
      const double g = from_gain[a] + ds * ds / dw;
      if (dw > 0 && g > best) best = g, who = static_cast<uint8_t>(a);
    }
    gain[b] = best;
    from[b] = who;
  }
}

void band_step(CpuLevel level, const double* from_weight, const double* from_sum, const double* from_gain,
               const double* to_weight, const double* to_sum, uint32_t band, double* gain, uint8_t* from) noexcept {
#if DC_X86
  if (level >= CpuLevel::avx512) {
    return band_step_avx512(from_weight, from_sum, from_gain, to_weight, to_sum, band, gain, from);
  }
  if (level >= CpuLevel::avx2) {
    return band_step_avx2(from_weight, from_sum, from_gain, to_weight, to_sum, band, gain, from);
  }
#endif
  (void)level;
  band_step_scalar(from_weight, from_sum, from_gain, to_weight, to_sum, band, gain, from);
}

// best[b] = max over a of before[a] + saved[a * stride + b]; what cannot be is minus infinity. `stride` is a multiple
// of 8, and as many elements of best are written.
void full_step(const double* before, const double* saved, uint32_t places, uint32_t stride, double* best) noexcept {
  for (uint32_t b = 0; b < stride; b++) best[b] = -INFINITY;
  for (uint32_t a = 0; a < places; a++) {
    for (uint32_t b = a + 1; b <= places; b++) {
      const double g = before[a] + saved[a * stride + b];
      if (g > best[b]) best[b] = g;
    }
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

}  // namespace

bool SmallGroup::reset(size_t count, uint32_t clusters, bool weighted) noexcept {
  clusters_ = clusters;
  weighted_ = weighted;
  bits_ = 5;
  while (bits_ < 12 && (1u << bits_) < 16 * clusters) bits_++;
  for (uint32_t i = 0; i < 64; i++) roots_[i] = cube_root(i);
  const size_t cells = size_t{2} * kOctaves << bits_, places = std::min(cells, count) + 2;
  const bool full = clusters <= kFullClusters;
  return cell_.reset(count) && dealt_.reset(count) && (!weighted || dealt_weights_.reset(count)) &&
         first_.reset(cells + 1) && next_.reset(cells) && weight_before_.reset(cells + 1) &&
         sum_before_.reset(cells + 1) && share_.reset(places) && live_weight_.reset(places) &&
         live_sum_.reset(places) && place_.reset(places) && place_weight_.reset(places) && place_sum_.reset(places) &&
         coarse_.reset(places) && coarse_weight_.reset(places) && coarse_sum_.reset(places) &&
         (!full || (saved_.reset(size_t{kFullPlaces} * kFullPlaces) && best_.reset(clusters * kFullPlaces))) &&
         at_.reset(clusters + 1) && from_.reset(size_t{kBand} * clusters) && below_.reset(clusters + 1);
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
  if (side_ > kOctaves << bits_) return false;
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

// Values by cell, and the sums up to each cell.
void SmallGroup::deal(const float* values, const float* weights, size_t count) noexcept {
  const uint32_t cells = 2 * side_;
  const double centre = centre_;
  const uint16_t* const cell = cell_.data();
  uint32_t* const next = next_.data();
  double* const sum = sum_before_.data() + 1;
  double* const weight = weight_before_.data() + 1;
  std::memset(next, 0, cells * sizeof(uint32_t));
  std::memset(sum, 0, cells * sizeof(double));
  for (size_t i = 0; i < count; i++) next[cell[i]]++;
  uint32_t before = 0;
  for (uint32_t c = 0; c < cells; c++) {
    const uint32_t here = next[c];
    first_[c] = next[c] = before;
    before += here;
  }
  first_[cells] = before;
  if (weights) {
    std::memset(weight, 0, cells * sizeof(double));
    for (size_t i = 0; i < count; i++) {
      const uint32_t c = cell[i], to = next[c]++;
      const double w = weights[i];
      dealt_[to] = values[i];
      dealt_weights_[to] = weights[i];
      weight[c] += w;
      sum[c] += w * (static_cast<double>(values[i]) - centre);
    }
  } else {
    for (size_t i = 0; i < count; i++) {
      const uint32_t c = cell[i];
      dealt_[next[c]++] = values[i];
      sum[c] += static_cast<double>(values[i]) - centre;
    }
  }
  sum_before_[0] = weight_before_[0] = 0;
  for (uint32_t c = 0; c < cells; c++) {
    sum[c] += sum_before_[c];
    weight[c] = weights ? weight[c] + weight_before_[c] : static_cast<double>(first_[c + 1]);
  }
}

// Places where a border may be, of three finenesses: about 6 and 12 a cluster, at equal steps of the sum of
// (count * width^2)^(1/3), the law by which the clusters of the optimum spread (Panter and Dite 1951), and every cell
// that holds something. Only the choice of places depends on the law.
void SmallGroup::choose_places() noexcept {
  const uint32_t cells = 2 * side_;
  double octave[kOctaves];  // of the width of a cell, relative to that of the centre
  for (unsigned o = 0; o < kOctaves; o++) octave[o] = two_thirds_power(static_cast<double>(1u << o));
  double total = 0;
  double* const share = share_.data();
  uint32_t live = 0, before = 0;
  for (uint32_t c = 0; c < cells; c++) {
    const uint32_t here = first_[c + 1] - first_[c];
    if (here == 0) continue;
    const uint32_t step = c < side_ ? side_ - 1 - c : c - side_;
    double s = octave[step >> bits_] * (here < 64 ? roots_[here] : cube_root(here));
    if (live > 0 && c - before > 1) s *= two_thirds_power(static_cast<double>(c - before));
    share[live] = s;
    live_weight_[live] = weight_before_[c];
    live_sum_[live++] = sum_before_[c];
    before = c;
    total += s;
  }
  live_weight_[live] = weight_before_[cells];
  live_sum_[live] = sum_before_[cells];
  live_ = live;
  const double limit = total / (12.0 * clusters_), coarse_limit = total / (6.0 * clusters_);
  double reached = 0, coarse_reached = 0;
  uint32_t seen = 0;
  places_ = coarse_places_ = 0;
  for (uint32_t c = 0; c < cells; c++) {
    if (first_[c] == first_[c + 1]) continue;
    const double s = share[seen++];
    if (seen > 1 && reached + s / 2 >= limit) {
      places_++;
      place_[places_] = seen - 1;
      place_weight_[places_] = weight_before_[c];
      place_sum_[places_] = sum_before_[c];
      reached = 0;
      if (coarse_reached + s / 2 >= coarse_limit) {
        coarse_[++coarse_places_] = places_;
        coarse_reached = 0;
      }
    }
    reached += s;
    coarse_reached += s;
  }
  places_++;
  coarse_[++coarse_places_] = places_;
  coarse_[0] = place_[0] = 0;
  place_[places_] = live;
  place_weight_[0] = place_sum_[0] = 0;
  place_weight_[places_] = weight_before_[cells];
  place_sum_[places_] = sum_before_[cells];
  for (uint32_t i = 0; i <= coarse_places_; i++) {
    coarse_weight_[i] = place_weight_[coarse_[i]];
    coarse_sum_[i] = place_sum_[coarse_[i]];
  }
}

// The best borders within a band of places around the present ones, again until none ends near the end of its band.
// at[i]: the place of border i; every border's own place lies in its band, so the partition only ever gets better.
void SmallGroup::move_borders(CpuLevel level, const double* weight, const double* sum, uint32_t places, uint32_t band,
                              uint32_t* at) noexcept {
  const uint32_t k = clusters_, last = places - band;
  const auto band_of = [&](uint32_t i) { return std::min(std::max(at[i], band / 2 + 1) - band / 2, last); };
  double gains[2][kBand];
  for (int round = 0; round < 32; round++) {
    uint32_t previous = 0;
    for (uint32_t i = 1; i < k; i++) {
      const uint32_t here = band_of(i);
      const double *const w = weight + here, *const s = sum + here;
      double* const gain = gains[i & 1];
      uint8_t* const from = from_.data() + size_t{band} * i;
      if (i == 1) {
        for (uint32_t j = 0; j < band; j++) gain[j] = s[j] * s[j] / w[j];
      } else {
        band_step(level, weight + previous, sum + previous, gains[~i & 1], w, s, band, gain, from);
      }
      previous = here;
    }
    uint32_t best = 0;
    double most = -INFINITY;
    for (uint32_t j = 0; j < band; j++) {
      const double dw = weight[places] - weight[previous + j], ds = sum[places] - sum[previous + j];
      const double g = gains[(k - 1) & 1][j] + ds * ds / dw;
      if (g > most) most = g, best = j;
    }
    bool inside = true;
    for (uint32_t i = k - 1; i > 0; i--) {
      const uint32_t here = band_of(i);
      if ((best < 2 && here > 1) || (best > band - 3 && here < last)) inside = false;
      const uint32_t before = from_[size_t{band} * i + best];
      at[i] = here + best;
      best = before;
    }
    if (inside) break;
  }
}

// The cheapest partition over the coarse places; then borders move among the finer ones.
void SmallGroup::partition(CpuLevel level) noexcept {
  const uint32_t k = clusters_;
  uint32_t* const at = at_.data();
  if (k <= kFullClusters && coarse_places_ < kFullPlaces) {
    full(level);
  } else {
    for (uint32_t i = 0; i <= k; i++) at[i] = static_cast<uint32_t>(uint64_t{i} * coarse_places_ / k);
    move_borders(level, coarse_weight_.data(), coarse_sum_.data(), coarse_places_, kBand, at);
  }
  for (uint32_t i = 0; i <= k; i++) at[i] = coarse_[at[i]];
  move_borders(level, place_weight_.data(), place_sum_.data(), places_, kBand, at);
  for (uint32_t i = 0; i <= k; i++) at[i] = place_[at[i]];
  move_borders(level, live_weight_.data(), live_sum_.data(), live_, kNarrowBand, at);
}

// The textbook programme over the coarse places: best[c][b] is the most that c clusters save of the values up to b.
void SmallGroup::full(CpuLevel level) noexcept {
  const uint32_t k = clusters_, places = coarse_places_, stride = (places + 8) / 8 * 8;
  const double *const weight = coarse_weight_.data(), *const sum = coarse_sum_.data();
  double* const saved = saved_.data();
  for (uint32_t a = 0; a < places; a++) {
    double* const row = saved + size_t{a} * stride;
    for (uint32_t b = 0; b <= a; b++) row[b] = -INFINITY;
    for (uint32_t b = a + 1; b <= places; b++) {
      const double ds = sum[b] - sum[a];
      row[b] = ds * ds / (weight[b] - weight[a]);
    }
    for (uint32_t b = places + 1; b < stride; b++) row[b] = -INFINITY;
  }
  double* const best = best_.data();  // k rows; the first cluster begins at place 0
  std::copy(saved, saved + stride, best);
  for (uint32_t c = 1; c < k; c++) {
    const double* const before = best + size_t{c - 1} * stride;
    double* const here = best + size_t{c} * stride;
#if DC_X86
    if (level >= CpuLevel::avx512) {
      full_step_avx512(before, saved, places, stride, here);
    } else if (level >= CpuLevel::avx2) {
      full_step_avx2(before, saved, places, stride, here);
    } else
#endif
    {
      full_step(before, saved, places, stride, here);
    }
  }
  uint32_t b = places;
  for (uint32_t c = k - 1; c > 0; c--) {
    const double* const before = best + size_t{c - 1} * stride;
    const double wanted = best[size_t{c} * stride + b];
    uint32_t a = c;
    while (a + 1 < b && before[a] + saved[size_t{a} * stride + b] != wanted) a++;
    at_[c] = b = a;
  }
  at_[0] = 0;
  at_[k] = places;
}

// What lies up to `threshold`: whole cells, and a look at each value of the one it falls into.
void SmallGroup::border(uint32_t i, float threshold) noexcept {
  Below& b = below_[i];
  b.threshold = threshold;
  b.cell = cell_of(threshold);
  b.count = first_[b.cell];
  b.weight = weight_before_[b.cell];
  b.sum = sum_before_[b.cell];
  for (uint32_t j = first_[b.cell]; j < first_[b.cell + 1]; j++) {
    if (!(dealt_[j] <= threshold)) continue;
    const double w = weighted_ ? dealt_weights_[j] : 1;
    b.count++;
    b.weight += w;
    b.sum += w * (static_cast<double>(dealt_[j]) - static_cast<double>(centre_));
  }
}

// Lloyd steps from the partition to the fixed point. False when a cluster has become empty.
bool SmallGroup::settle(uint32_t max_iterations, float* centroids) noexcept {
  const uint32_t k = clusters_;
  below_[0] = Below{};
  Below& all = below_[k];
  all.count = count_;
  all.weight = weight_before_[2 * side_];
  all.sum = sum_before_[2 * side_];
  for (uint32_t i = 0; i < k; i++) {
    const double w = live_weight_[at_[i + 1]] - live_weight_[at_[i]], s = live_sum_[at_[i + 1]] - live_sum_[at_[i]];
    centroids[i] = static_cast<float>(static_cast<double>(centre_) + s / w) + 0.0f;
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
      const float mean = static_cast<float>(static_cast<double>(centre_) + s / w) + 0.0f;
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

double SmallGroup::squared_error(const float* centroids) const noexcept {
  double total = 0;
  for (uint32_t i = 0; i < clusters_; i++) {
    const double c = centroids[i];
    const bool low = i > 0, high = i + 1 < clusters_;
    const uint32_t from_cell = low ? below_[i].cell : 0, to_cell = high ? below_[i + 1].cell : 2 * side_ - 1;
    const auto add = [&](uint32_t cell) {  // of a cell that a border goes through, what lies between the borders
      for (uint32_t j = first_[cell]; j < first_[cell + 1]; j++) {
        if (low && dealt_[j] <= below_[i].threshold) continue;
        if (high && !(dealt_[j] <= below_[i + 1].threshold)) continue;
        const double d = static_cast<double>(dealt_[j]) - c;
        total += weighted_ ? dealt_weights_[j] * (d * d) : d * d;
      }
    };
    add(from_cell);
    if (to_cell == from_cell) continue;
    double lanes[4] = {0, 0, 0, 0};
    for (uint32_t j = first_[from_cell + 1]; j < first_[to_cell]; j++) {
      const double d = static_cast<double>(dealt_[j]) - c;
      lanes[j & 3] += weighted_ ? dealt_weights_[j] * (d * d) : d * d;
    }
    total += (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
    add(to_cell);
  }
  return total;
}

bool SmallGroup::run(CpuLevel level, const float* values, const float* weights, size_t count, uint32_t max_iterations,
                     float* centroids, uint32_t* counts, double& inertia) noexcept {
  count_ = count;
  if (!lay_out(level, values, count)) return false;
  deal(values, weights, count);
  choose_places();
  if (coarse_places_ < 2 * clusters_ || coarse_places_ < 2 * kBand) return false;
  partition(level);
  if (!settle(max_iterations, centroids)) return false;
  for (uint32_t i = 0; i < clusters_; i++) {
    counts[i] = static_cast<uint32_t>(below_[i + 1].count - below_[i].count);
  }
  inertia = squared_error(centroids);
  return true;
}

}  // namespace dc
