#include "gap.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "cells.h"

namespace dc {

namespace {

constexpr size_t kChunk = 1024;  // cells a task
constexpr double kAboveRounding = 1 + 1e-9;

struct Loss {
  const GapCell* cells;
  const double* before;  // weight of the cells before each
  size_t count;
  double price;  // mu

  struct Reach {
    double slope, moment;  // of 2 sum w (d - t), and sum w (d^2 - t^2), over the values within d of cell j
  };

  // Values near a border in cell `j`: runs of cells, each taken as if all of it lay at its far end. Runs grow with the
  // distance, so a few dozen are enough.
  Reach within(size_t j, double d) const noexcept {
    Reach reach{0, 0};
    const auto add = [&](double weight, double t) {
      reach.slope += 2 * weight * (d - t);
      reach.moment += weight * (d - t) * (d + t);
    };
    const double own = cells[j].high - cells[j].low;
    if (own < d) add(cells[j].weight, own);
    size_t step = 1;
    unsigned taken = 0;
    bool grows = true;
    for (size_t i = j + 1; i < count;) {
      const size_t end = count - i > step ? i + step : count;
      const double t = cells[end - 1].high - cells[j].low;
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
    for (size_t i = j; i > 0;) {
      const size_t end = i > step ? i - step : 0;
      const double t = cells[j].high - cells[end].low;
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

  // An upper bound of max over d of slack * d - price * (squared error of the values around a border in cell j when the
  // centroids beside it are at distance d). `guess`: a likely d, and the one found.
  double of_cell(size_t j, double& guess) const noexcept {
    const double width = cells[j].high - cells[j].low, slack = cells[j].slack;
    if (!(slack > 0)) return 0;
    const double target = slack / price;
    // At this distance the cell's own values are reason enough.
    const double farthest = (width + target / (2 * cells[j].weight)) * kAboveRounding;
    double d = guess > 0 && guess < farthest ? guess : farthest, best = -1;
    for (int round = 0; round < 8; round++) {
      const Reach reach = within(j, d);
      const double ratio = reach.slope > 0 ? target / reach.slope : 4;
      if (reach.slope >= target) {
        const double loss = price * reach.moment;
        if (best < 0 || loss < best) {
          best = loss;
          guess = d;
        }
        if (ratio > 0.9) break;
      } else if (d >= farthest) {
        break;
      }
      d = std::min(farthest, d * std::min(4.0, std::max(0.25, std::sqrt(ratio) * 1.02)));
    }
    if (best < 0) {
      best = price * within(j, farthest).moment;
      guess = farthest;
    }
    // Two or more borders in one cell are no farther apart than it is wide.
    return std::max(best, slack * width);
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
  // Of cells alike in a smooth density this is the price at which the bound is smallest.
  double price = cube_root(narrow / (4.2426 * inertia));
  price *= price;
  loss = INFINITY;
  for (int round = 0; round < 2; round++) {
    if (!(price > 0)) break;
    const Loss part{cells, before.data(), n, price};
    const Result done = parallel(job, (n + kChunk - 1) / kChunk, [&](size_t chunk, unsigned) {
      double guess = 0;
      for (size_t i = chunk * kChunk; i < n && i < (chunk + 1) * kChunk; i++) value[i] = part.of_cell(i, guess);
    });
    if (!done) return done;
    const double borders = largest(value, clusters - 1);
    loss = std::min(loss, (price * inertia + borders) * kAboveRounding + rounding);
    const double off = cube_root(borders / (2 * price * inertia));
    if (off > 0.85 && off < 1.18) break;
    price *= off * off;
  }
  return Result{};
}

}  // namespace dc
