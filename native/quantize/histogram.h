#pragma once
#include "cell_pass.h"
#include "kmeans.h"
#include "starts.h"

namespace dc {

// The `histogram` algorithm on unsorted, unweighted, finite values: exact optimum over the cells, then exact Lloyd
// steps for which only the values near a border are looked at one by one. Two or three passes over memory and about 4
// MiB. `answered` is false where the cells are too few to tell the values apart; nothing is written then, and the
// sorted way (kmeans.cpp) is to be taken.
Result histogram_kmeans(const Job& job, const float* values, size_t count, const KmeansRequest& request,
                        float* centroids, uint32_t* counts, KmeansSummary& summary, bool& answered) noexcept;

}  // namespace dc
