#include "gap.h"

#include <algorithm>
#include <cmath>

#include "cells.h"

namespace dc {

namespace {

constexpr size_t kChunk = 256;         // groups a task
constexpr size_t kGroupsCluster = 48;  // groups a cluster, about
constexpr size_t kRuns = 16;           // runs of cells to either side of a border, about
constexpr size_t kSample = 8;          // one in so many groups tells the price
constexpr double kAboveRounding = 1 + 1e-9;

// Cells [first, end), which are bounded together: a border in any of them.
struct Group {
  size_t first, end;
  double low, high, slack, narrow;  // the most slack of one, and the most slack * width
  double loss;                      // of a border in one of its cells
};

struct Loss {
  const GapCell* cells;
  const double* before;  // weight of the cells before each
  size_t count;
  double price;  // mu

  struct Reach {
    double slope, moment;  // of 2 sum w (d - t), and sum w (d^2 - t^2), over the values within d of the group
  };

  // Values near a border in the group: runs of cells, each taken as if all of it lay at its far end. What is left out
  // only makes the bound larger.
  Reach within(const Group& group, double d) const noexcept {
    Reach reach{0, 0};
    const auto add = [&](double weight, double t) {
      reach.slope += 2 * weight * (d - t);
      reach.moment += weight * (d - t) * (d + t);
    };
    const double own = group.high - group.low;
    if (own < d) add(before[group.end] - before[group.first], own);
    // As many cells a run as the group's width lets expect; the cells farther away may be narrower.
    const double fair = own > 0 ? d * static_cast<double>(group.end - group.first) / (own * kRuns) : 1;
    const size_t start = fair > 1 ? fair < static_cast<double>(count) ? static_cast<size_t>(fair) : count : 1;
    size_t step = start;
    unsigned taken = 0;
    bool grows = true;
    for (size_t i = group.end; i < count;) {
      const size_t end = count - i > step ? i + step : count;
      const double t = cells[end - 1].high - group.low;
      if (!(t < d)) {
        if (step == 1 || (taken > 1 && step < start / 4)) break;
        step /= 2;
        grows = false;
        continue;
      }
      add(before[end] - before[i], t);
      i = end;
      if (grows && ++taken % (start > 1 ? kRuns : 4) == 0) step *= 2;
    }
    step = start;
    taken = 0;
    grows = true;
    for (size_t i = group.first; i > 0;) {
      const size_t end = i > step ? i - step : 0;
      const double t = group.high - cells[end].low;
      if (!(t < d)) {
        if (step == 1 || (taken > 1 && step < start / 4)) break;
        step /= 2;
        grows = false;
        continue;
      }
      add(before[i] - before[end], t);
      i = end;
      if (grows && ++taken % (start > 1 ? kRuns : 4) == 0) step *= 2;
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
    double near = 0, far = farthest;  // at `near` the slope is too small, at `far` it is not
    for (int round = 0; round < 12; round++) {
      const Reach reach = within(group, d);
      const double ratio = reach.slope > 0 ? target / reach.slope : 4;
      if (reach.slope >= target) {
        const double loss = price * reach.moment;
        if (best < 0 || loss < best) {
          best = loss;
          guess = d;
        }
        if (ratio > 0.85) break;
        far = d;
      } else if (d >= farthest) {
        break;
      } else {
        near = d;
      }
      if (far < near * 1.01) break;
      d = d * std::min(4.0, std::max(0.25, std::sqrt(ratio) * 1.03));
      if (!(d > near && d < far)) d = near > 0 ? std::sqrt(near * far) : far == farthest ? farthest : far / 4;
    }
    if (best < 0) {
      best = price * within(group, farthest).moment;
      guess = farthest;
    }
    // Two or more borders in one cell are no farther apart than it is wide.
    return std::max(best, group.narrow);
  }
};

struct Share {
  double loss;
  size_t cells;
};

// The sum of the `count` largest losses of cells.
double largest(Array<Share>& shares, size_t size, size_t count) noexcept {
  const auto above = [](const Share& a, const Share& b) {
    return a.loss > b.loss || (a.loss == b.loss && a.cells > b.cells);
  };
  const size_t most = std::min(count, size);
  std::nth_element(shares.data(), shares.data() + most, shares.data() + size, above);
  std::sort(shares.data(), shares.data() + most, above);
  double sum = 0;
  for (size_t i = 0; i < most && count > 0; i++) {
    const size_t taken = std::min(count, shares[i].cells);
    sum += shares[i].loss * static_cast<double>(taken);
    count -= taken;
  }
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
  const size_t size = std::max<size_t>(1, n / (kGroupsCluster * clusters));
  Array<double> before;
  Array<Group> groups;
  Array<Share> shares;
  if (!before.reset(n + 1) || !groups.reset(n)) return fail(Status::nomem);
  before[0] = 0;
  for (size_t i = 0; i < n; i++) before[i + 1] = before[i] + cells[i].weight;
  size_t made = 0;
  for (size_t i = 0; i < n; made++) {
    Group& group = groups[made];
    group = {i, i, cells[i].low, cells[i].high, 0, 0, 0};
    double widths = 0;
    do {  // neighbours of about one width without holes between them
      const double width = cells[i].high - cells[i].low;
      group.slack = std::max(group.slack, cells[i].slack);
      group.narrow = std::max(group.narrow, cells[i].slack * width);
      group.high = cells[i].high;
      widths += width;
      group.end = ++i;
    } while (i < n && i < group.first + size && cells[i].slack < group.slack * 2 &&
             cells[i].high - group.low <= 1.25 * (widths + (cells[i].high - cells[i].low)));
  }
  if (!shares.reset(made)) return fail(Status::nomem);
  for (size_t g = 0; g < made; g++) shares[g] = {groups[g].narrow, groups[g].end - groups[g].first};
  const double narrow = largest(shares, made, clusters - 1);
  if (!(narrow > 0)) return Result{};
  if (!(inertia > 0)) {
    loss = INFINITY;  // no error at all; the cells know nothing of that
    return Result{};
  }
  // Of cells alike in a smooth density this is the price at which the bound is smallest.
  double price = cube_root(narrow / (4.2426 * inertia));
  price *= price;
  // Every `step`-th group, each standing for as many.
  const auto borders_at = [&](size_t step, double& borders) {
    const Loss part{cells, before.data(), n, price};
    const size_t taken = made / step;
    const Result done = parallel(job, (taken + kChunk - 1) / kChunk, [&](size_t chunk, unsigned) {
      double guess = 0;
      for (size_t t = chunk * kChunk; t < taken && t < (chunk + 1) * kChunk; t++) {
        Group& group = groups[t * step];
        group.loss = part.of_group(group, guess);
      }
    });
    for (size_t t = 0; t < taken; t++) {
      shares[t] = {groups[t * step].loss, (groups[t * step].end - groups[t * step].first) * step};
    }
    borders = largest(shares, taken, clusters - 1);
    return done;
  };
  loss = INFINITY;
  for (size_t step = made < 64 * kSample ? 1 : kSample, round = 0; round < 3 && price > 0; round++) {
    double borders = 0;
    const Result done = borders_at(step, borders);
    if (!done) return done;
    if (step == 1) loss = std::min(loss, (price * inertia + borders) * kAboveRounding + rounding);
    const double off = cube_root(borders / (2 * price * inertia));
    if (step == 1 && off > 0.78 && off < 1.28) break;
    if (step == 1 || off > 0) price *= off * off;
    step = 1;
  }
  return Result{};
}

}  // namespace dc
