#pragma once
#include "kmeans.h"

namespace dc {

// The `fit` algorithm (fit.h) on such values, in one pass over memory. Counts and squared error come from the cells
// too: a cell that a border parts is shared out in proportion, which is off by less than the values of one cell a
// border.
Result fit_kmeans(const Job& job, const float* values, size_t count, const KmeansRequest& request, float* centroids,
                  uint32_t* counts, KmeansSummary& summary, bool& answered) noexcept;

}  // namespace dc
