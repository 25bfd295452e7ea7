#pragma once
#include <cmath>

#include "../base/job.h"
#include "../base/memory.h"

namespace dc {

// What the values of one cell can do to a bound on the optimum. Cells are in ascending order and do not overlap.
struct GapCell {
  double low, high;  // between these all its values lie
  double weight;     // of its values together, above 0
  // At least 4 * (sum of w * max(x - b, 0) - weight * max(mean - b, 0)) for any b: what the squared error loses, for
  // each unit of half the distance between two centroids, when the values are taken as one at their mean.
  double slack;
};

// The slack of a cell of which nothing else is known: by two values at its ends (Jensen), for whole numbers of values.
inline double slack_of_count(double count, double width) noexcept {
  const double half = static_cast<double>(static_cast<uint64_t>(count) / 2);
  return count > 0 ? 4 * width * (half * (count - half) / count) : 0;
}

// Of one whose squared error around its mean is known (Cauchy-Schwarz).
inline double slack_of_spread(double weight, double spread) noexcept { return 2 * std::sqrt(weight * spread); }

// Let the squared error of the cheapest partition of the cells' means, plus the squared error inside the cells around
// their means, be E: no partition of the values themselves into `clusters` clusters costs less than E - border_loss.
// `inertia`: what some partition of the values costs. Infinite where the cells say nothing. Derivation: README.md.
Result border_loss(const Job& job, const GapCell* cells, size_t count, uint32_t clusters, double inertia,
                   double& loss) noexcept;

// E - loss, less what rounding may have added to it.
inline double bound_below(double cheapest, double loss, double inertia) noexcept {
  const double bound = cheapest - loss - 1e-12 * inertia;
  return bound > 0 ? bound : 0;
}

}  // namespace dc
