#include "cells.h"

#include <cstring>

namespace dc {

double cube_root(double x) noexcept {
  if (!(x > 0)) return 0;
  uint64_t bits;
  std::memcpy(&bits, &x, 8);
  bits = bits / 3 + 0x2a9f7893782da1ceull;  // within 5 % over the normal range
  double y;
  std::memcpy(&y, &bits, 8);
  for (int i = 0; i < 5; i++) y -= (y - x / (y * y)) / 3;
  return y;
}

void CellMap::design(const uint64_t* counts, double target) noexcept {
  double share[kPrefixes];
  const auto span_of = [](size_t prefix) {
    const uint32_t first = static_cast<uint32_t>(prefix) << 20;
    return first < kFirstFiniteKey || first > kLastFiniteKey ? 0.0 : key_ulp(first) * 0x1p20;
  };
  double total = 0;
  for (size_t p = 0; p < kPrefixes; p++) {
    share[p] = 0;
    if (counts[p] == 0) continue;
    const double span = span_of(p);
    share[p] = cube_root(static_cast<double>(counts[p])) * cube_root(span) * cube_root(span);
    total += share[p];
  }
  // Filling up: a prefix that is entitled to more cells than it can use gives the rest back.
  double wanted[kPrefixes];
  bool full[kPrefixes] = {false};
  double left = target, open = total;
  for (int round = 0; round < 20; round++) {
    bool changed = false;
    for (size_t p = 0; p < kPrefixes; p++) {
      if (full[p]) continue;
      const double limit = static_cast<double>(counts[p]) * 32;
      wanted[p] = open > 0 ? left * share[p] / open : 0;
      if (wanted[p] > limit) {
        wanted[p] = limit;
        full[p] = changed = true;
      }
    }
    if (!changed) break;
    left = target;
    open = 0;
    for (size_t p = 0; p < kPrefixes; p++) {
      if (full[p]) {
        left -= wanted[p];
      } else {
        open += share[p];
      }
    }
    if (left < 0) left = 0;
  }
  uint32_t base = 0;
  for (size_t p = 0; p < kPrefixes; p++) {
    uint32_t bits = 0;
    while (bits < 20 && static_cast<double>(1u << bits) * 1.41421356 < wanted[p]) bits++;
    packed[p] = base << 5 | (20 - bits);
    base += 1u << bits;
  }
  cells = base;
}

Result cells_of_sorted(const Job& job, const SortedPoints& points, size_t target, Cells& out,
                       CellDetail* detail) noexcept {
  const size_t n = points.count;
  const float* const x = points.values.data();
  const float* const w = points.weight_data();
  size_t distinct = n > 0;
  for (size_t i = 1; i < n && distinct <= target; i++) distinct += x[i] != x[i - 1];
  const bool each = distinct <= target;
  CellMap map;
  if (!each) {
    uint64_t counts[CellMap::kPrefixes] = {0};
    for (size_t i = 0; i < n; i++) counts[order_key(x[i]) >> 20]++;
    // Values far from zero beside their spread lie in a small part of what the map is cut into: then once more, finer.
    size_t cut = target;
    for (int round = 0; round < 2; round++) {
      map.design(counts, static_cast<double>(cut));
      size_t live = 0;
      for (size_t i = 0, last = SIZE_MAX; i < n; i++) {
        const size_t cell = map.cell_of(order_key(x[i]));
        live += cell != last;
        last = cell;
      }
      if (live * 3 > target) break;
      cut = finer_target(target, live);
    }
  }
  const size_t room = each ? distinct : map.cells;
  if (!out.values.reset(room) || !out.weights.reset(room)) return fail(Status::nomem);
  if (detail && !detail->cells.reset(room)) return fail(Status::nomem);
  out.count = 0;
  Double2 spread;
  for (size_t i = 0; i < n;) {
    if (job.cancelled()) return fail(Status::aborted);
    const uint32_t key = order_key(x[i]);
    const uint32_t cell = each ? key : map.cell_of(key);
    const size_t first = i;
    double weight = 0, sum = 0;
    for (; i < n; i++) {
      const uint32_t other = order_key(x[i]);
      if ((each ? other : map.cell_of(other)) != cell) break;
      const double wi = w ? w[i] : 1;
      weight += wi;
      sum += wi * (static_cast<double>(x[i]) - static_cast<double>(key_value(key)));
    }
    out.weights[out.count] = weight;
    const double mean = static_cast<double>(key_value(key)) + sum / weight;
    out.values[out.count++] = mean;
    if (!detail) continue;
    double own = 0;
    if (x[first] != x[i - 1]) {
      for (size_t j = first; j < i; j++) {
        const double d = static_cast<double>(x[j]) - mean;
        own += (w ? static_cast<double>(w[j]) : 1.0) * (d * d);
      }
    }
    spread = spread + own;
    const double low = x[first], high = x[i - 1];
    const double widest = w ? weight * (high - low) : slack_of_count(weight, high - low);
    const double slack = slack_of_spread(weight, own);
    detail->cells[out.count - 1] = {low, high, weight, slack < widest ? slack : widest};
  }
  if (detail) {
    detail->count = out.count;
    detail->spread = value(spread);
  }
  return Result{};
}

}  // namespace dc
