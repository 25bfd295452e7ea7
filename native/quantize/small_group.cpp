#include "small_group.h"

#include <algorithm>

#include "cells.h"
#include "order.h"

namespace dc {

bool SmallGroup::reset(size_t count, uint32_t clusters, bool weighted) noexcept {
  clusters_ = clusters;
  weighted_ = weighted;
  least_bits_ = 8;
  while (least_bits_ < 12 && (1u << least_bits_) < 16 * clusters) least_bits_++;
  for (uint32_t i = 0; i < 256; i++) roots_[i] = cube_root(i);
  target_ = 4 * std::max(64u, 4 * clusters);
  const size_t cells = std::min(size_t{2} * kOctaves << least_bits_, size_t{kMostCells});
  const size_t most = std::max(count, size_t{2} * target_) + 2;
  if (!(cell_.reset(count) && dealt_.reset(count) && (!weighted || dealt_weights_.reset(count)) &&
        first_.reset(cells + 1) && next_low_.reset(cells) && next_high_.reset(cells) && edge_.reset(cells + 2) &&
        sum_before_.reset(count + 1) && square_before_.reset(count + 1) &&
        (!weighted || weight_before_.reset(count + 1)) && share_.reset(std::max(256u, 4 * clusters)) &&
        place_.reset(most) && rank_.reset(most) && place_weight_.reset(most) && place_sum_.reset(most) &&
        place_square_.reset(most) && place_edge_.reset(most) && path_.reset(most) &&
        borders_.reset(PricedPath::most_borders(clusters)) && at_.reset(clusters + 1) && below_.reset(clusters + 1))) {
    return false;
  }
  for (uint32_t i = 0; i < edge_.size(); i++) {
    edge_[i] = static_cast<double>(bits_float(0x3f800000u + (i << (22 - least_bits_)))) - 1;
  }
  // From 0 to a half, and the same backwards from the next border.
  uint32_t half = 0;
  for (double offset = 0; offset < 0.5 && half < kMostSteps / 2; half++) {
    step_[half] = static_cast<uint32_t>(offset * (1u << kStepBits));
    offset += std::max(1.0 / 64, 0.12 * offset);
  }
  for (steps_ = half; steps_ < 2 * half - 1; steps_++) step_[steps_] = (1u << kStepBits) - step_[2 * half - 1 - steps_];
  return true;
}

// What lies up to `threshold`: whole cells, and a look at each value of the one it falls into.
void SmallGroup::border(uint32_t i, float threshold) noexcept {
  Below& b = below_[i];
  b.threshold = threshold;
  b.cell = cell_of(threshold);
  const uint32_t first = first_[b.cell];
  b.count = first;
  b.weight = weight_below(first);
  b.sum = sum_before_[first];
  const double centre = centre_, unit = 1 / static_cast<double>(scale_);
  for (uint32_t j = first; j < first_[b.cell + 1]; j++) {
    if (!(dealt_[j] <= threshold)) continue;
    const double w = weighted_ ? dealt_weights_[j] * weight_unit_ : 1;
    b.count++;
    b.weight += w;
    b.sum += w * ((static_cast<double>(dealt_[j]) - centre) * unit);
  }
}

// Lloyd steps from the partition to the fixed point. False when a cluster has become empty.
bool SmallGroup::settle(uint32_t max_iterations, float* centroids) noexcept {
  const uint32_t k = clusters_, count = static_cast<uint32_t>(count_);
  const double centre = centre_, scale = scale_;
  below_[0] = Below{};
  Below& all = below_[k];
  all.count = count_;
  all.weight = weight_below(count);
  all.sum = sum_before_[count];
  for (uint32_t i = 0; i < k; i++) {
    const uint32_t from = at_[i], to = at_[i + 1];
    const double w = weight_below(to) - weight_below(from), s = sum_before_[to] - sum_before_[from];
    centroids[i] = static_cast<float>(centre + scale * (s / w)) + 0.0f;
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
      const float mean = static_cast<float>(centre + scale * (s / w)) + 0.0f;
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

bool SmallGroup::run(CpuLevel level, const float* values, const float* weights, size_t count, uint32_t max_iterations,
                     float* centroids, uint32_t* counts, double& inertia) noexcept {
  count_ = count;
  if (!lay_out(level, values, count)) return false;
  deal(values, weights, count);
  add_up(level);
  if (!choose_places()) return false;
  double coarse, fine;
  if (!path_.search(level, places(), clusters_, price_, borders_.data(), coarse)) return false;
  if (!path_.search(level, places_around_borders(), clusters_, price_, borders_.data(), fine)) return false;
  for (uint32_t i = 0; i <= clusters_; i++) at_[i] = rank_[borders_[i]];
  if (!settle(max_iterations, centroids)) return false;
  for (uint32_t i = 0; i < clusters_; i++) {
    counts[i] = static_cast<uint32_t>(below_[i + 1].count - below_[i].count);
  }
  inertia = squared_error(level, centroids);
  // What float32 may have lost is little beside the error, and beside what so many clusters cost at their price, which
  // by the law is twice that: a partition that rounding has spoilt has an error beyond it. The borders of the first
  // partition are among the second places, so only rounding can make these dearer.
  const double dear = std::min(fine, price_ * clusters_);
  return coarse <= fine * (1 + kTrusted) && fine <= coarse * (1 + kRounding) && path_.error() <= kRounding * dear;
}

}  // namespace dc
