#pragma once
#include "kmeans.h"

namespace dc {

// k-means without sorting and without a copy of the values: two passes count the values and sum them up, exactly, in
// data-adaptive cells (cells.h), the cheapest partition of the cells gives the centroids, one Lloyd step over the
// values refines them (none when max_iterations is 0), one more pass counts and prices the answer. Extra memory: one or
// two bytes a value (codes) and a few MiB.
//
// *taken stays false, and nothing is written, when another way serves better: importance weights, few values, few
// distinct ones, more clusters than kMaxHistogramClusters.
constexpr uint32_t kMaxHistogramClusters = 4096;
constexpr size_t kLeastHistogramValues = size_t{1} << 18;
Result histogram_kmeans(const Job& job, const KmeansRequest& request, float* centroids, uint32_t* counts,
                        KmeansSummary& summary, bool* taken) noexcept;

}  // namespace dc
