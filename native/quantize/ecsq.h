#pragma once
#include "../base/job.h"

namespace dc {

// Entropy-constrained scalar quantization: shares weights so that squared error + lambda * code bits is least, where
// code bits are the order-0 entropy of the codes plus 32 a centroid (the codebook). As in Chou, Lookabaugh and Gray
// (1989), but from a shortest path over cells (Muresan and Effros 2008) instead of a random start. A value goes to the
// centroid of least error plus rate, so codes are not those of the nearest centroid.
struct EcsqRequest {
  const float* values = nullptr;  // as of KmeansRequest
  size_t count = 0;
  const uint32_t* mask = nullptr;
  uint32_t clusters = 256;  // at the most, 1 .. 256
  double lambda = 0;        // squared error that a bit is worth; ignored when there is a budget
  double budget = -1;       // >= 0: the largest lambda whose squared error is not above it
};

struct EcsqSummary {
  uint32_t used = 0;
  uint64_t kept = 0;
  double squared_error = 0, entropy_bits = 0 /* a code */, lambda = 0;
};

// centroids[0 .. used) strictly ascending, counts of each, and one code a value that takes part, in position order
// (`code_count` of them). Errors: arg (limits; a budget that so many clusters cannot keep: offset = clusters),
// nonfinite, nomem, aborted. The same result for every level and number of threads.
Result ecsq(const Job& job, const EcsqRequest& request, float* centroids, uint32_t* counts, uint8_t* codes,
            uint64_t code_count, EcsqSummary& summary) noexcept;

}  // namespace dc
