#include "gap.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "cells.h"

namespace dc {

namespace {

constexpr size_t kChunk = 256;         // groups a task
constexpr size_t kGroupsCluster = 48;  // groups a cluster, about
constexpr double kAboveRounding = 1 + 1e-9;

// Cells [first, end), which are bounded together: a border in any of them.
struct Group {
  size_t first, end;
  double low, high, slack, narrow;  // the most slack of one, and the most slack * width
};

struct Loss {
  const GapCell* cells;
  const double* before;  // weight of the cells before each
  size_t count;
  double price;  // mu

  struct Reach {
    double slope, moment;  // of 2 sum w (d - t), and sum w (d^2 - t^2), over the values within d of the group
  };

  // Values near a border in the group: runs of cells, each taken as if all of it lay at its far end. Runs grow with the
  // distance, so a few dozen are enough.
  Reach within(const Group& group, double d) const noexcept {
    Reach reach{0, 0};
    const auto add = [&](double weight, double t) {
      reach.slope += 2 * weight * (d - t);
      reach.moment += weight * (d - t) * (d + t);
    };
    const double own = group.high - group.low;
    if (own < d) add(before[group.end] - before[group.first], own);
    size_t step = 1;
    unsigned taken = 0;
    bool grows = true;
    for (size_t i = group.end; i < count;) {
      const size_t end = count - i > step ? i + step : count;
      const double t = cells[end - 1].high - group.low;
      if (!(t < d)) {
        if (step == 1) break;
        step /= 2;
        grows = false;
        continue;
      }
      add(before[end] - before[i], t);
      i = end;
      if (grows && ++taken % 4 == 0) step *= 2;
    }
    step = 1;
    taken = 0;
    grows = true;
    for (size_t i = group.first; i > 0;) {
      const size_t end = i > step ? i - step : 0;
      const double t = group.high - cells[end].low;
      if (!(t < d)) {
        if (step == 1) break;
        step /= 2;
        grows = false;
        continue;
      }
      add(before[i] - before[end], t);
      i = end;
      if (grows && ++taken % 4 == 0) step *= 2;
    }
    return reach;
  }

  // An upper bound, for each cell of the group, of max over d of slack * d - price * (squared error of the values
  // around a border in the cell when the centroids beside it are at distance d). `guess`: a likely d, and the one
  // found.
  double of_group(const Group& group, double& guess) const noexcept {
    if (!(group.slack > 0)) return 0;
    const double target = group.slack / price;
    // At this distance the group's own values are reason enough.
    const double own = before[group.end] - before[group.first];
    const double farthest = (group.high - group.low + target / (2 * own)) * kAboveRounding;
    double d = guess > 0 && guess < farthest ? guess : farthest, best = -1;
    for (int round = 0; round < 8; round++) {
      const Reach reach = within(group, d);
      const double ratio = reach.slope > 0 ? target / reach.slope : 4;
      if (reach.slope >= target) {
        const double loss = price * reach.moment;
        if (best < 0 || loss < best) {
          best = loss;
          guess = d;
        }
        if (ratio > 0.85) break;
      } else if (d >= farthest) {
        break;
      }
      d = std::min(farthest, d * std::min(4.0, std::max(0.25, std::sqrt(ratio) * 1.03)));
    }
    if (best < 0) {
      best = price * within(group, farthest).moment;
      guess = farthest;
    }
    // Two or more borders in one cell are no farther apart than it is wide.
    return std::max(best, group.narrow);
  }
};

double largest(Array<double>& values, size_t count) noexcept {
  count = std::min(count, values.size());
  double* const end = values.data() + values.size();
  std::nth_element(values.data(), values.data() + count, end, std::greater<double>());
  std::sort(values.data(), values.data() + count);
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += values[i];
  return sum;
}

}  // namespace

Result border_loss(const Job& job, const GapCell* cells, size_t count, uint32_t clusters, double inertia,
                   double& loss) noexcept {
  loss = 0;
  const size_t n = count;
  if (n == 0) return Result{};
  // The means are rounded, each by a few 2^-53 of its magnitude, and so are sums of weights that are not whole.
  double magnitude = 0;
  for (size_t i = 0; i < n; i++) {
    const double most = std::max(std::fabs(cells[i].low), std::fabs(cells[i].high));
    if (cells[i].slack > 0) magnitude += cells[i].weight * (most * most);
  }
  const double rounding = 0x1p-50 * (std::sqrt(inertia * magnitude) + magnitude);
  loss = rounding;
  if (clusters < 2) return Result{};
  Array<double> before, value;
  if (!before.reset(n + 1) || !value.reset(n)) return fail(Status::nomem);
  before[0] = 0;
  for (size_t i = 0; i < n; i++) {
    before[i + 1] = before[i] + cells[i].weight;
    value[i] = cells[i].slack * (cells[i].high - cells[i].low);
  }
  const double narrow = largest(value, clusters - 1);
  if (!(narrow > 0)) return Result{};
  if (!(inertia > 0)) {
    loss = INFINITY;  // no error at all; the cells know nothing of that
    return Result{};
  }
  const size_t size = std::max<size_t>(1, n / (kGroupsCluster * clusters));
  Array<Group> groups;
  if (!groups.reset(n)) return fail(Status::nomem);
  size_t made = 0;
  for (size_t i = 0; i < n; made++) {
    Group& group = groups[made];
    group = {i, i, cells[i].low, cells[i].high, 0, 0};
    double widths = 0;
    do {  // neighbours of about one width without holes between them
      const double width = cells[i].high - cells[i].low;
      group.slack = std::max(group.slack, cells[i].slack);
      group.narrow = std::max(group.narrow, cells[i].slack * width);
      group.high = cells[i].high;
      widths += width;
      group.end = ++i;
    } while (i < n && i < group.first + size && cells[i].slack > group.slack / 2 && cells[i].slack < group.slack * 2 &&
             cells[i].high - group.low <= 1.25 * (widths + (cells[i].high - cells[i].low)));
  }
  // Of cells alike in a smooth density this is the price at which the bound is smallest.
  double price = cube_root(narrow / (4.2426 * inertia));
  price *= price;
  loss = INFINITY;
  for (int round = 0; round < 2; round++) {
    if (!(price > 0)) break;
    const Loss part{cells, before.data(), n, price};
    const Result done = parallel(job, (made + kChunk - 1) / kChunk, [&](size_t chunk, unsigned) {
      double guess = 0;
      for (size_t g = chunk * kChunk; g < made && g < (chunk + 1) * kChunk; g++) {
        const double loss = part.of_group(groups[g], guess);
        for (size_t i = groups[g].first; i < groups[g].end; i++) value[i] = loss;
      }
    });
    if (!done) return done;
    const double borders = largest(value, clusters - 1);
    loss = std::min(loss, (price * inertia + borders) * kAboveRounding + rounding);
    const double off = cube_root(borders / (2 * price * inertia));
    if (off > 0.78 && off < 1.28) break;
    price *= off * off;
  }
  return Result{};
}

}  // namespace dc
