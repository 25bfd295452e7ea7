#include <algorithm>
#include <cstring>
#include <utility>

#include "order.h"
#include "small_group.h"
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

// Sums, and sums of squares, up to each value, in a fixed order: eight at a time, each eight by doubling.
void add_prefixes(const float* values, const float* weights, size_t count, double centre, double unit,
                  double weight_unit, double* carry, double* sums, double* squares) noexcept {
  for (size_t i = 0; i < count; i += 8) {
    double t[2][8], u[8];
    for (size_t l = 0; l < 8; l++) {
      const double x = i + l < count ? (static_cast<double>(values[i + l]) - centre) * unit : 0;
      const double w = weights && i + l < count ? weights[i + l] * weight_unit : 1;
      t[0][l] = w * x;
      t[1][l] = w * x * x;
    }
    for (size_t by = 1; by < 8; by *= 2) {
      for (double* const of : {t[0], t[1]}) {
        for (size_t l = 0; l < 8; l++) u[l] = of[l] + (l < by ? 0.0 : of[l - by]);
        std::memcpy(of, u, sizeof u);
      }
    }
    for (size_t l = 0; l < 8 && i + l < count; l++) {
      sums[i + l] = carry[0] + t[0][l];
      squares[i + l] = carry[1] + t[1][l];
    }
    carry[0] += t[0][7];
    carry[1] += t[1][7];
  }
}

// A power of two at most x > 0.
double power_of_two(double x) noexcept {
  uint64_t bits;
  std::memcpy(&bits, &x, 8);
  bits &= uint64_t{0x7ff} << 52;
  std::memcpy(&x, &bits, 8);
  return x;
}

// (value - centroid)^2 added to the eight lanes in turn.
void add_distances(const float* values, const float* weights, size_t count, double centroid, double* lanes) noexcept {
  for (size_t i = 0; i < count; i++) {
    const double d = static_cast<double>(values[i]) - centroid;
    lanes[i & 7] += weights ? static_cast<double>(weights[i]) * (d * d) : d * d;
  }
}

}  // namespace

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
  const auto side_at = [&](unsigned bits) { return step_of(bits_float(largest), scale_, scale_bits_, 23 - bits) + 1; };
  // Values that lie within few octaves (two lobes) may have twice the cells: they have no more of them in all.
  bits_ = side_at(least_bits_) <= 2u << least_bits_ ? least_bits_ + 1 : least_bits_;
  const unsigned shift = 23 - bits_;
  side_ = side_at(bits_);
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

// Sums of (value - centre) / scale, of its square and of the weights up to each value.
void SmallGroup::add_up(CpuLevel level) noexcept {
  const double centre = centre_, unit = 1 / static_cast<double>(scale_);
  const size_t whole = count_ / 8 * 8;
  sum_before_[0] = square_before_[0] = 0;
  double carry[2] = {0, 0};
  if (weighted_) {
    const float* const weights = dealt_weights_.data();
    double total = 0;
    for (size_t i = 0; i < count_; i++) total += weights[i];
    weight_unit_ = 1 / power_of_two(total / static_cast<double>(count_));
    double before = weight_before_[0] = 0;
    for (size_t i = 0; i < count_; i++) weight_before_[i + 1] = before += weights[i] * weight_unit_;
    add_prefixes(dealt_.data(), weights, count_, centre, unit, weight_unit_, carry, sum_before_.data() + 1,
                 square_before_.data() + 1);
    return;
  }
  size_t done = 0;
#if DC_X86
  if (level >= CpuLevel::avx512) {
    add_prefixes_avx512(dealt_.data(), whole, centre, unit, carry, sum_before_.data() + 1, square_before_.data() + 1);
    done = whole;
  }
#endif
  (void)level;
  (void)whole;
  add_prefixes(dealt_.data() + done, nullptr, count_ - done, centre, unit, 1, carry, sum_before_.data() + 1 + done,
               square_before_.data() + 1 + done);
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

}  // namespace dc
