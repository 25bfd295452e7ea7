#pragma once
#include "../base/job.h"
#include "../base/memory.h"
#include "exact.h"

namespace dc {

// Prefix sums of weight, weight * x and weight * x^2 up to a place in the ascending values. They are counted from zero
// outwards, both ways, so that the difference of two of them never has to cancel something larger than itself: a value
// of 1e38 does not disturb the sums among values of 1e-38.
struct Node {
  Double2 weight, sum, square;
  double allowance = 0;  // what a boundary here may be cheaper than computed (optimal.cpp); 0 for a plain problem
  double unused = 0;
};

// Squared error of the values between two nodes around their own mean. The sums are shifted to a rounded mean of 24
// bits before they are squared, all products that would cancel are exact: the relative error is a few 2^-53 whatever
// the ratio of the mean to the width.
inline double cluster_cost(const Node& a, const Node& b) noexcept {
  const double w = (b.weight.high - a.weight.high) + (b.weight.low - a.weight.low);
  if (!(w > 0)) return 0;
  const double sum = b.sum.high - a.sum.high;
  // What the subtraction rounded away is kept (two_diff), else clusters far from zero would lose it.
  const double sum_virtual = sum - b.sum.high;
  const double sum_low = ((b.sum.high - (sum - sum_virtual)) - (a.sum.high + sum_virtual)) + (b.sum.low - a.sum.low);
  const double square = b.square.high - a.square.high;
  const double square_virtual = square - b.square.high;
  const double square_low =
      ((b.square.high - (square - square_virtual)) - (a.square.high + square_virtual)) + (b.square.low - a.square.low);
  const double inverse = 1.0 / w;
  double mean = sum * inverse;
  uint64_t bits;
  std::memcpy(&bits, &mean, 8);
  bits &= ~((uint64_t{1} << 29) - 1);
  std::memcpy(&mean, &bits, 8);
  const double w1 = leading_bits(w), w2 = w - w1;
  // Sum of (x - mean): its leading part is exact, as are the products with it; only then may they cancel.
  const double off = (sum - mean * w1) - mean * w2;
  const double off1 = leading_bits(off), off2 = off - off1, off_all = off + sum_low;
  const double sum1 = leading_bits(sum), sum2 = sum - sum1;
  const double around_mean = (((square - mean * sum1) - mean * sum2) - mean * off1) - mean * off2;
  const double cost = (around_mean + (square_low - 2 * (mean * sum_low))) - off_all * off_all * inverse;
  return cost > 0 ? cost : 0;
}

// nodes[0 .. cells] from ascending cell values and their weights (nullptr: 1 each).
Result build_nodes(const Job& job, const double* values, const double* weights, size_t cells, Node* nodes) noexcept;

// The cheapest partition of the cells into exactly `clusters` <= cells runs: boundaries[0] = 0 .. boundaries[clusters]
// = cells, strictly ascending. `lambda_hint`: a guess of the saving by one more cluster, 0 for none.
Result best_partition(const Job& job, const Node* nodes, size_t cells, uint32_t clusters, double lambda_hint,
                      uint32_t* boundaries, double* lambda_out = nullptr) noexcept;

// best[j], j = 0 .. cells: what the cheapest partition of the cells before j (cheapest_from: from j on) costs at the
// price lambda a cluster, whatever the number of clusters, less the allowances of all its borders, both ends included.
Result cheapest_to(const Job& job, const Node* nodes, size_t cells, double lambda, double* best) noexcept;
Result cheapest_from(const Job& job, const Node* nodes, size_t cells, double lambda, double* best) noexcept;

}  // namespace dc
