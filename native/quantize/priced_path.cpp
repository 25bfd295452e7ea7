#include "priced_path.h"

#include <algorithm>
#include <cmath>

#include "../base/target.h"

namespace dc {

namespace {

constexpr uint32_t kBlock = 16;

// Weight, sum and squares of each place, relative to one and around a mean.
void relate(const double* weight, const double* sum, const double* square, size_t count, double weight0, double sum0,
            double square0, double mean, float* weights, float* sums, double* squares, float* squares32) noexcept {
  for (size_t i = 0; i < count; i++) {
    const double w = weight[i] - weight0, s = sum[i] - sum0, q = square[i] - square0;
    const double around = s - mean * w, spread = q - mean * (s + around);
    weights[i] = static_cast<float>(w);
    sums[i] = static_cast<float>(around);
    squares[i] = spread;
    squares32[i] = static_cast<float>(spread);
  }
}

// What the last of the places b .. b + size - 1 costs after one of two predecessors, beside what depends on it alone:
// its best costs no more. Plain C, for every level takes it in.
DC_ALWAYS_INLINE float limit_of(const float* weight, const float* sum, const float* best, uint32_t first, uint32_t b,
                                uint32_t size) noexcept {
  const uint32_t final = b + size - 1;
  float limit = INFINITY;
  for (unsigned t = 0; t < 2; t++) {
    const uint32_t a = t == 0 ? first : first + size < b - 1 ? first + size : b - 1;
    const float dw = weight[final] - weight[a], ds = sum[final] - sum[a], g = best[a] - ds * ds / dw;
    if (dw > 0 && g < limit) limit = g;
  }
  return limit;
}

// The best predecessor of place b among [from, end), the first of equals. Looked for 16 at a time, until the first of
// them has cost `limit` already.
uint32_t best_before(const float* weight, const float* sum, const float* best, const float* total, uint32_t from,
                     uint32_t end, uint32_t b, float limit, float* least) noexcept {
  uint32_t who = from;
  *least = INFINITY;
  for (uint32_t first = from; first < end && total[first] < limit; first += kBlock) {
    for (uint32_t a = first; a < end && a < first + kBlock; a++) {
      const float dw = weight[b] - weight[a], ds = sum[b] - sum[a], g = best[a] - ds * ds / dw;
      if (dw > 0 && g < *least) *least = g, who = a;
    }
  }
  return who;
}

// Costs up to the places before a stretch, from its first place, number `base`, and less their squares.
void begin_stretch(const double* totals, const double* squares, uint32_t base, float* best, float* total) noexcept {
  for (uint32_t i = 0; i <= base; i++) {
    const double t = totals[i] - totals[base];
    total[i] = static_cast<float>(t);
    best[i] = static_cast<float>(t - squares[i]);
  }
}

// The places behind `base`. from: of places counted from `low` on, which is number 0 here.
void walk(const float* weight, const float* sum, const float* square, uint32_t base, uint32_t count, uint32_t low,
          float price, float* best, float* total, uint32_t* from) noexcept {
  uint32_t first = from[base] - low;
  for (uint32_t b = base + 1; b < count; b += kBlock) {
    const uint32_t size = std::min(kBlock, count - b), final = b + size - 1;
    float least;
    const float limit = limit_of(weight, sum, best, first, b, size) + square[final];
    const uint32_t stop = best_before(weight, sum, best, total, first, b, final, limit, &least);
    float found[kBlock];
    uint32_t who[kBlock];
    for (uint32_t l = 0; l < size; l++) found[l] = INFINITY, who[l] = first;
    const auto look = [&](uint32_t a, uint32_t from_lane) {
      for (uint32_t l = from_lane; l < size; l++) {
        const float dw = weight[b + l] - weight[a], ds = sum[b + l] - sum[a], g = best[a] - ds * ds / dw;
        if (dw > 0 && g < found[l]) found[l] = g, who[l] = a;
      }
    };
    for (uint32_t a = first; a <= stop; a++) look(a, 0);
    // Each of the 16 in turn begins clusters that end behind it, as long as that can be cheaper for the last.
    float before = total[b - 1];
    for (uint32_t a = b; a < final && before < least + square[final]; a++) {
      best[a] = found[a - b] + price;
      before = best[a] + square[a];
      look(a, a - b + 1);
    }
    for (uint32_t l = 0; l < size; l++) {
      best[b + l] = found[l] + price;
      total[b + l] = best[b + l] + square[b + l];
      from[b + l] = low + who[l];
    }
    first = from[final] - low;
  }
}

}  // namespace
}  // namespace dc
#if DC_X86
#include "priced_path_avx2.h"
#include "priced_path_avx512.h"
#endif
namespace dc {

bool PricedPath::reset(size_t most_places) noexcept {
  const size_t room = most_places + 1 + 2 * kBlock;
  return total_.reset(room) && square_.reset(room) && from_.reset(room) && weight_.reset(room) && sum_.reset(room) &&
         square32_.reset(room) && best_.reset(room) && total32_.reset(room);
}

double PricedPath::run(CpuLevel level, const PricedPlaces& places, double price) noexcept {
  const uint32_t last = places.last;
  float *const w = weight_.data(), *const s = sum_.data(), *const q = square32_.data();
  float *const best = best_.data(), *const total = total32_.data();
  const float price32 = static_cast<float>(price);
  double error = 0;
  total_[0] = 0;
  from_[0] = 0;
  for (uint32_t origin = 0; origin < last; origin += kStretch) {
    const uint32_t end = std::min(origin + kStretch, last), low = from_[origin], base = origin - low;
    const uint32_t count = end - low + 1;
    const double mean = (places.sum[end] - places.sum[low]) / (places.weight[end] - places.weight[low]);
#if DC_X86
    if (level >= CpuLevel::avx512) {
      relate_avx512(places.weight + low, places.sum + low, places.square + low, count, places.weight[origin],
                    places.sum[origin], places.square[origin], mean, w, s, square_.data(), q);
    } else
#endif
    {
      relate(places.weight + low, places.sum + low, places.square + low, count, places.weight[origin],
             places.sum[origin], places.square[origin], mean, w, s, square_.data(), q);
    }
#if DC_X86
    if (level >= CpuLevel::avx512) {
      begin_stretch_avx512(total_.data() + low, square_.data(), base, best, total);
      walk_avx512(w, s, q, base, count, low, price32, best, total, from_.data() + low);
    } else if (level >= CpuLevel::avx2) {
      begin_stretch(total_.data() + low, square_.data(), base, best, total);
      walk_avx2(w, s, q, base, count, low, price32, best, total, from_.data() + low);
    } else
#endif
    {
      begin_stretch(total_.data() + low, square_.data(), base, best, total);
      walk(w, s, q, base, count, low, price32, best, total, from_.data() + low);
    }
    for (uint32_t i = base + 1; i < count; i++) {
      total_[low + i] = total_[origin] + square_[i] + static_cast<double>(best[i]);
    }
    // Sums are rounded by 2^-24 of the largest (at most the root of weight * squares, Cauchy-Schwarz) and enter twice
    // times the mean of a cluster, which lies no farther off than the values; weights likewise, unless they are whole.
    const double reach = std::max(places.edge[end] - mean, mean - places.edge[low]);
    const double weight = places.weight[end] - places.weight[low], spread = square_[count - 1] - square_[0];
    error += 0x1p-22 * (reach * std::sqrt(weight * spread) + spread + (places.whole ? 0 : reach * reach * weight));
  }
  error_ = error;
  return total_[last];
}

uint32_t PricedPath::trace(uint32_t last, uint32_t most, uint32_t* borders) const noexcept {
  uint32_t clusters = 0;
  for (uint32_t b = last; b > 0; b = from_[b]) {
    if (++clusters > most) return 0;
  }
  uint32_t i = clusters;
  for (uint32_t b = last;; b = from_[b]) {
    borders[i] = b;
    if (i-- == 0) break;
  }
  return clusters;
}

bool PricedPath::search(CpuLevel level, const PricedPlaces& places, uint32_t clusters, double& price, uint32_t* borders,
                        double& cost) noexcept {
  const double k = clusters;
  double low_price = 0, low_cost = 0, high_price = 0, high_cost = 0;
  uint32_t most = 0, least = 0;  // numbers of clusters at low_price and high_price
  unsigned guesses = 2;
  bool on_line = false;
  for (int round = 0; round < 32; round++) {
    const double total = run(level, places, price);
    if (!(total < 1e300)) return false;
    const uint32_t found = trace(places.last, 4 * clusters, borders);
    cost = total - price * found;
    if (found == clusters) return true;
    if (found == 0) {
      price *= 8;
      continue;
    }
    if (found == most || found == least) {
      if (on_line) return false;  // the line through both points is the curve: no price gives that number
      guesses = 0;
    }
    if (found > clusters) {
      low_price = price, low_cost = cost, most = found;
    } else {
      high_price = price, high_cost = cost, least = found;
    }
    if (most == 0 || least == 0) {
      const double ratio = found / k;
      price *= ratio * ratio * ratio;
      continue;
    }
    // The price goes about with the number^-3; the line through two points of the curve finds a third below it, or that
    // there is none.
    const double m = most / k, l = least / k, guess = (low_price * (m * m * m) + high_price * (l * l * l)) / 2;
    on_line = guesses == 0 || !(guess > low_price && guess < high_price);
    if (!on_line) guesses--;
    price = on_line ? (high_cost - low_cost) / (most - least) : guess;
  }
  return false;
}

}  // namespace dc
