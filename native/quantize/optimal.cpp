#include "optimal.h"

#include <algorithm>
#include <cmath>

#include "cells.h"
#include "order.h"
#include "partition.h"

namespace dc {

namespace {

// Ascending places in the sorted points where a border may be, with the sums up to each. Between two of them lies a
// cell; an open one may hold borders in its inside as well, a closed one may not. Cells are cut by value, so that none
// holds numbers of both signs.
struct Places {
  Array<uint32_t> place;
  Array<Node> nodes;
  Array<uint8_t> open;
  size_t cells = 0;

  bool reset(size_t count) noexcept {
    cells = count;
    return place.reset(count + 1) && nodes.reset(count + 1) && open.reset(count + 1);
  }
};

// Sums of the sorted points [a, b). Floats that share sign, exponent and three bits of the mantissa are whole multiples
// of one ulp beyond the first of them: their sums are whole numbers, and everything below is exact.
void sums_of(const Job& job, const SortedPoints& points, size_t a, size_t b, Node& out) noexcept {
  const float* const x = points.values.data();
  const float* const w = points.weight_data();
  out = Node{};
  if (w) {
    for (size_t i = a; i < b; i++) {
      if (i % 65536 == 65535 && job.cancelled()) return;
      const Double2 v2 = two_product(x[i], x[i]);
      Double2 square = two_product(w[i], v2.high);
      square.low += w[i] * v2.low;
      out.weight = out.weight + w[i];
      out.sum = out.sum + two_product(w[i], x[i]);
      out.square = out.square + square;
    }
    return;
  }
  constexpr size_t kMost = size_t{1} << 20;  // 2^20 squares of 20 bits fit a word
  while (a < b) {
    const uint32_t bits = float_bits(x[a]), prefix = bits >> 20;
    size_t end = b;
    if (bits == float_bits(x[b - 1])) {
      const double n = static_cast<double>(b - a), v = x[a];
      if (!(out.weight.high > 0)) {
        out.weight.high = n;
        out.sum = two_product(n, v);
        out.square = two_product(n, v * v);
        return;
      }
      out.weight = out.weight + n;
      out.sum = out.sum + two_product(n, v);
      out.square = out.square + two_product(n, v * v);
      return;
    }
    end = b - a > kMost ? a + kMost : b;
    if (float_bits(x[end - 1]) >> 20 != prefix) {
      size_t low = a + 1, high = end - 1;  // x[low - 1] shares the prefix, x[high] does not
      while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (float_bits(x[middle]) >> 20 == prefix) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      end = low;
    }
    uint64_t low_sum = 0, low_squares = 0;
    for (size_t i = a; i < end; i++) {
      const uint32_t low = float_bits(x[i]) & 0xfffff;
      low_sum += low;
      low_squares += static_cast<uint64_t>(low) * low;
    }
    const double n = static_cast<double>(end - a), first = bits_float(bits & 0x7ff00000u);
    const double ulp = key_ulp(order_key(x[a])), sum = static_cast<double>(low_sum);
    const Double2 magnitude = two_sum(n * first, ulp * sum);
    out.weight = out.weight + n;
    out.sum = bits >> 31 ? out.sum - magnitude : out.sum + magnitude;
    const double ulp2 = ulp * ulp;
    out.square = out.square + two_sum(n * (first * first), 2 * first * ulp * sum);
    out.square = out.square + ulp2 * 0x1p32 * static_cast<double>(low_squares >> 32);
    out.square = out.square + ulp2 * static_cast<double>(low_squares & 0xffffffffu);
    a = end;
    if (job.cancelled()) return;
  }
}

void add_sums(Node& to, const Node& from) noexcept {
  to.weight = to.weight + from.weight;
  to.sum = to.sum + from.sum;
  to.square = to.square + from.square;
}
void subtract_sums(Node& to, const Node& from) noexcept {
  to.weight = to.weight - from.weight;
  to.sum = to.sum - from.sum;
  to.square = to.square - from.square;
}

// First place from `from` on whose key is above `last`.
size_t first_key_above(const SortedPoints& points, size_t from, uint32_t last) noexcept {
  const float* const x = points.values.data();
  size_t low = from, high = points.count, step = 1;
  while (low < high) {
    const size_t probe = high - low > step ? low + step : high - 1;
    if (order_key(x[probe]) > last) {
      high = probe;
      break;
    }
    low = probe + 1;
    step *= 2;
  }
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (order_key(x[middle]) > last) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

Result first_places(const Job& job, const SortedPoints& points, size_t target, Places& out) noexcept {
  const float* const x = points.values.data();
  const size_t n = points.count;
  CellMap map;
  uint64_t counts[CellMap::kPrefixes] = {0};
  for (size_t i = 0; i < n;) {
    const uint32_t prefix = order_key(x[i]) >> 20;
    const size_t end = first_key_above(points, i, prefix << 20 | 0xfffff);
    counts[prefix] = end - i;
    i = end;
  }
  map.design(counts, static_cast<double>(target));
  if (!out.reset(std::min<size_t>(map.cells, n))) return fail(Status::nomem);
  size_t cells = 0, zero = 0;
  for (size_t i = 0; i < n;) {
    if (cells % 4096 == 0 && job.cancelled()) return fail(Status::aborted);
    const uint32_t key = order_key(x[i]), size = 1u << (map.packed[key >> 20] & 31);
    const size_t end = first_key_above(points, i, key | (size - 1));
    out.place[cells] = static_cast<uint32_t>(i);
    out.open[cells++] = x[i] != x[end - 1];
    if (x[i] < 0) zero = cells;
    i = end;
  }
  out.place[cells] = static_cast<uint32_t>(n);
  out.open[cells] = 0;
  out.cells = cells;
  constexpr size_t kGroup = 32;
  const Result done = parallel(job, (cells + kGroup - 1) / kGroup, [&](size_t group, unsigned) {
    for (size_t c = group * kGroup; c < cells && c < (group + 1) * kGroup; c++) {
      sums_of(job, points, out.place[c], out.place[c + 1], out.nodes[c >= zero ? c + 1 : c]);
    }
  });
  if (!done) return done;
  out.nodes[zero] = Node{};
  for (size_t c = zero; c < cells; c++) add_sums(out.nodes[c + 1], out.nodes[c]);
  for (size_t c = zero; c > 0; c--) {
    Node before = out.nodes[c];
    subtract_sums(before, out.nodes[c - 1]);
    out.nodes[c - 1] = before;
  }
  return Result{};
}

// The next finer places: each open cell is cut into parts[c] of about equal counts, or wherever the value changes
// (parts[c] = UINT32_MAX); edges that touch no open cell and are not `kept` are left out.
Result finer_places(const Job& job, const SortedPoints& points, const Places& now, const uint32_t* parts,
                    const uint8_t* kept, Places& out) noexcept {
  const float* const x = points.values.data();
  const auto each_place = [&](size_t c, const auto& f) {  // places inside cell c
    const size_t a = now.place[c], b = now.place[c + 1];
    if (parts[c] == UINT32_MAX) {
      for (size_t i = a + 1; i < b; i++) {
        if (x[i] != x[i - 1]) f(i);
      }
      return;
    }
    size_t last = a;
    for (uint32_t t = 1; t < parts[c]; t++) {
      size_t i = a + static_cast<size_t>(static_cast<uint64_t>(b - a) * t / parts[c]);
      if (i <= last) continue;
      if (x[i] == x[i - 1]) i = first_key_above(points, i, order_key(x[i]));
      if (i >= b) break;
      f(i);
      last = i;
    }
  };
  const auto keeps = [&](size_t e) { return e == 0 || e == now.cells || kept[e] || now.open[e - 1] || now.open[e]; };
  Array<uint32_t> begin;  // index of the first new place of each cell's left edge
  if (!begin.reset(now.cells + 1)) return fail(Status::nomem);
  constexpr size_t kGroup = 32;
  const size_t groups = (now.cells + kGroup - 1) / kGroup;
  Result done = parallel(job, groups, [&](size_t group, unsigned) {
    for (size_t c = group * kGroup; c < now.cells && c < (group + 1) * kGroup; c++) {
      uint32_t count = keeps(c);
      if (now.open[c]) each_place(c, [&](size_t) { count++; });
      begin[c] = count;
    }
  });
  if (!done) return done;
  uint32_t total = 0;
  for (size_t c = 0; c < now.cells; c++) {
    const uint32_t own = begin[c];
    begin[c] = total;
    total += own;
  }
  begin[now.cells] = total;
  if (!out.reset(total)) return fail(Status::nomem);
  out.place[total] = now.place[now.cells];
  out.nodes[total] = now.nodes[now.cells];
  out.open[total] = 0;
  return parallel(job, groups, [&](size_t group, unsigned) {
    for (size_t c = group * kGroup; c < now.cells && c < (group + 1) * kGroup; c++) {
      uint32_t at = begin[c];
      if (keeps(c)) {
        out.place[at] = now.place[c];
        out.nodes[at] = now.nodes[c];
        out.open[at++] = 0;
      }
      if (!now.open[c]) continue;
      const uint32_t first = at;
      each_place(c, [&](size_t i) {
        out.place[at] = static_cast<uint32_t>(i);
        out.open[at++] = 0;
      });
      Node part;
      if (x[now.place[c]] >= 0) {
        for (uint32_t i = first; i < at; i++) {
          sums_of(job, points, out.place[i - 1], out.place[i], part);
          out.nodes[i] = out.nodes[i - 1];
          add_sums(out.nodes[i], part);
        }
      } else {
        for (uint32_t i = at; i > first; i--) {
          const bool edge = i == at;
          sums_of(job, points, out.place[i - 1], edge ? now.place[c + 1] : out.place[i], part);
          out.nodes[i - 1] = edge ? now.nodes[c + 1] : out.nodes[i];
          subtract_sums(out.nodes[i - 1], part);
        }
      }
      for (uint32_t i = first - 1; i < at; i++) {
        const size_t end = i + 1 < at ? out.place[i + 1] : now.place[c + 1];
        out.open[i] = x[out.place[i]] != x[end - 1];
      }
    }
  });
}

double weight_between(const Node& a, const Node& b) noexcept { return value(b.weight - a.weight); }
double mean_between(const Node& a, const Node& b) noexcept { return value(b.sum - a.sum) / weight_between(a, b); }

// What parting the values from a to c at b saves.
double gain(const Node& a, const Node& b, const Node& c) noexcept {
  const double left = weight_between(a, b), right = weight_between(b, c);
  const double apart = value(c.sum - b.sum) / right - value(b.sum - a.sum) / left;
  return left * right / (left + right) * (apart * apart);
}

// A cluster no part of whose splitting would save more than `most` is only so wide. reach[g], for g = 0, kStep,
// 2 kStep ...: the furthest place (to the left, or to the right) at which a cluster that covers the values up to (from)
// g may begin (end), cells that are open taken whole.
constexpr size_t kStep = 8;

void reach_left(const Job& job, const Places& places, double most, uint32_t* reach) noexcept {
  const Node* const n = places.nodes.data();
  size_t low = 0, split = 0;  // a cluster that begins at or before `low` is too wide, if `found`
  bool found = false;
  for (size_t e = 0; e <= places.cells; e += kStep) {
    if (e % 4096 == 0 && job.cancelled()) return;
    for (;;) {
      const size_t next = found ? low + kStep : 0;
      if (next + 2 * kStep > e) break;
      if (split <= next) split = next + kStep;
      double saved = gain(n[next], n[split], n[e]);
      while (split + kStep < e) {
        const double other = gain(n[next], n[split + kStep], n[e]);
        if (!(other >= saved)) break;
        split += kStep;
        saved = other;
      }
      if (!(saved > most * (1 + 1e-9))) break;
      low = next;
      found = true;
    }
    reach[e / kStep] = static_cast<uint32_t>(!found || places.open[low] ? low : low + 1);
  }
}

void reach_right(const Job& job, const Places& places, double most, uint32_t* reach) noexcept {
  const Node* const n = places.nodes.data();
  const size_t top = places.cells / kStep * kStep;
  size_t high = places.cells, split = top;
  bool found = false;
  for (size_t e = top + kStep; e > 0;) {
    e -= kStep;
    if (e % 4096 == 0 && job.cancelled()) return;
    for (;;) {
      const size_t next = found ? high - kStep : top;
      if (next < e + 2 * kStep) break;
      if (split >= next) split = next - kStep;
      double saved = gain(n[e], n[split], n[next]);
      while (split > e + kStep) {
        const double other = gain(n[e], n[split - kStep], n[next]);
        if (!(other >= saved)) break;
        split -= kStep;
        saved = other;
      }
      if (!(saved > most * (1 + 1e-9))) break;
      high = next;
      found = true;
    }
    reach[e / kStep] = static_cast<uint32_t>(!found || places.open[high - 1] ? high : high - 1);
  }
}

// Writes to each node what a border there may be cheaper than computed (README). Answers the allowances of the cells.
Result set_allowances(const Job& job, const SortedPoints& points, double lambda, double most, Places& places,
                      double* cell_allowance) noexcept {
  const float* const x = points.values.data();
  Node* const n = places.nodes.data();
  const size_t cells = places.cells;
  Array<uint32_t> reach[2];
  if (!reach[0].reset(cells / kStep + 1) || !reach[1].reset(cells / kStep + 1)) return fail(Status::nomem);
  Result done = parallel(job, 2, [&](size_t side, unsigned) {
    side ? reach_right(job, places, most, reach[1].data()) : reach_left(job, places, most, reach[0].data());
  });
  if (!done) return done;
  if (job.cancelled()) return fail(Status::aborted);
  constexpr size_t kGroup = 4096;
  done = parallel(job, (cells + kGroup - 1) / kGroup, [&](size_t group, unsigned) {
    for (size_t c = group * kGroup; c < cells && c < (group + 1) * kGroup; c++) {
      cell_allowance[c] = 0;
      if (!places.open[c]) continue;
      const double first = x[places.place[c]], last = x[places.place[c + 1] - 1], width = last - first;
      const size_t g = c / kStep, h = (c + kStep) / kStep;
      const size_t from = reach[0][g];
      const double left_mean = from < g * kStep ? mean_between(n[from], n[g * kStep]) : x[places.place[from]];
      double right_mean = x[points.count - 1];
      if (h * kStep <= cells) {
        const size_t to = reach[1][h];
        right_mean = to > h * kStep ? mean_between(n[h * kStep], n[to]) : x[places.place[to] - 1];
      }
      const double half = std::min(last - left_mean, right_mean - first);
      const double weight = weight_between(n[c], n[c + 1]);
      const double one = 2 * half * std::sqrt(weight * cluster_cost(n[c], n[c + 1]));
      cell_allowance[c] = std::max(one, 4 * weight * (width * width) - lambda) * (1 + 1e-9);
    }
  });
  if (!done) return done;
  for (size_t e = 0; e <= cells; e++) {
    const double left = e > 0 ? cell_allowance[e - 1] : 0, right = e < cells ? cell_allowance[e] : 0;
    n[e].allowance = std::max(std::max(left, right), left + right - lambda);
  }
  return Result{};
}

double partition_cost(const Places& places, const uint32_t* boundaries, uint32_t clusters) noexcept {
  Double2 total;
  for (uint32_t i = 0; i < clusters; i++) {
    total = total + cluster_cost(places.nodes[boundaries[i]], places.nodes[boundaries[i + 1]]);
  }
  return value(total);
}

}  // namespace

OptimalEffort optimal_effort(size_t points, uint32_t clusters) noexcept {
  const auto clamp = [](double v, double least, size_t most) {
    return static_cast<size_t>(std::min(std::max(v, least), static_cast<double>(most)));
  };
  const double k = clusters;
  OptimalEffort effort;
  effort.direct = 65536;
  effort.first = clamp(k * k, 16384, 262144);
  effort.most = clamp(2 * k * k, 65536, clamp(static_cast<double>(points) / 16, 65536, 700000));
  effort.last = effort.most;
  return effort;
}

Result optimal_centroids(const Job& job, const SortedPoints& points, uint32_t clusters, const OptimalEffort& effort,
                         float* centroids, double* cost, size_t* candidates) noexcept {
  const size_t n = points.count;
  Places now, next;
  Array<uint32_t> boundaries;
  if (!boundaries.reset(clusters + 1)) return fail(Status::nomem);
  double lambda = 0;
  bool every_value = n <= effort.direct;
  constexpr int kLevels = 7;  // duplicates may keep cells from becoming smaller
  Result done = first_places(job, points, every_value ? 1024 : effort.first, now);
  if (!done) return done;
  for (int level = 0;; level++) {
    const size_t cells = now.cells;
    Array<double> to, from, allowance;
    Array<uint32_t> parts;
    Array<uint8_t> kept;
    if (!parts.reset(cells) || !kept.reset_zeroed(cells + 1)) return fail(Status::nomem);
    bool any_open = false;
    for (size_t c = 0; c < cells; c++) any_open = any_open || now.open[c];
    if ((every_value && level > 0) || !any_open) break;
    if (!every_value && clusters < cells) {
      done = best_partition(job, now.nodes.data(), cells, clusters, lambda, boundaries.data(), &lambda);
      if (!done) return done;
      const double k = clusters;
      const double upper = partition_cost(now, boundaries.data(), clusters) + lambda * k;
      const double slack = upper * (k + 64) * 0x1p-50;
      if (!allowance.reset(cells) || !to.reset(cells + 1) || !from.reset(cells + 1)) return fail(Status::nomem);
      double most = lambda * 1.1, gap = 0;
      for (int turn = 0; turn < 2; turn++) {
        done = set_allowances(job, points, lambda, most, now, allowance.data());
        if (!done) return done;
        Result side[2];
        done = parallel(job, 2, [&](size_t index, unsigned) {
          side[index] = index ? cheapest_from(job, now.nodes.data(), cells, lambda, from.data())
                              : cheapest_to(job, now.nodes.data(), cells, lambda, to.data());
        });
        for (const Result& result : side) {
          if (!result) return result;
        }
        if (!done) return done;
        gap = upper - to[cells] + slack;
        if (turn == 0 && gap <= most - lambda) break;
        if (turn == 0) most = lambda + gap;
      }
      for (size_t e = 0; e <= cells; e++) kept[e] = !(to[e] + from[e] + now.nodes[e].allowance > upper + slack);
      size_t open = 0, held = 0;
      double roots = 0;
      for (size_t c = 0; c < cells; c++) {
        now.open[c] = now.open[c] && (kept[c] || kept[c + 1]);
        if (!now.open[c]) continue;
        open++;
        held += now.place[c + 1] - now.place[c];
        roots += std::sqrt(allowance[c]);
      }
      every_value = held <= effort.last || 3 * open > 2 * effort.most || level == kLevels;
      const double scale = static_cast<double>(effort.most - std::min(effort.most, open)) / roots;
      for (size_t c = 0; c < cells; c++) {
        const double wanted = 1 + std::sqrt(allowance[c]) * scale;
        parts[c] = every_value ? UINT32_MAX : wanted < 1e9 ? static_cast<uint32_t>(wanted) : 1000000000;
      }
    } else {
      for (size_t c = 0; c < cells; c++) parts[c] = every_value ? UINT32_MAX : 16;
      for (uint8_t& edge : kept) edge = 1;
    }
    allowance.clear();
    to.clear();
    from.clear();
    done = finer_places(job, points, now, parts.data(), kept.data(), next);
    if (!done) return done;
    std::swap(now.place, next.place);
    std::swap(now.nodes, next.nodes);
    std::swap(now.open, next.open);
    std::swap(now.cells, next.cells);
    next = Places{};
    for (size_t e = 0; e <= now.cells; e++) now.nodes[e].allowance = 0;
  }
  done = best_partition(job, now.nodes.data(), now.cells, clusters, lambda, boundaries.data(), &lambda);
  if (!done) return done;
  if (candidates) *candidates = now.cells;
  *cost = partition_cost(now, boundaries.data(), clusters);
  for (uint32_t i = 0; i < clusters; i++) {
    centroids[i] = static_cast<float>(mean_between(now.nodes[boundaries[i]], now.nodes[boundaries[i + 1]])) + 0.0f;
  }
  return Result{};
}

}  // namespace dc
