#pragma once
#include "../base/job.h"

namespace dc {

// The gradient of each centroid from those of its weights (paper, section 3.3): sums[c] = sum of the values whose code
// is c, in f64. `positions` names the value of each code (ascending or not); null: code i is of value i, and there are
// `count` codes. Codes of 65,536 at a time are summed in four sums a centroid, code i of a block into sum i % 4 (the
// last code_count % 4 into the first), merged as (s0 + s1) + (s2 + s3), and the blocks are added in order: TypeScript
// does the same additions in the same order (src/retrain/clusters.ts), so the result depends on no level, on no number
// of threads and not on whether there is an addon. Errors: arg (k is not 1 to 256; code_count is not count without
// positions: offset = count), value (a code >= k or a position >= count: offset = its index), nomem, aborted.
Result sum_by_code(const Job& job, const float* values, size_t count, const uint32_t* positions, const uint8_t* codes,
                   size_t code_count, uint32_t k, double* sums) noexcept;

}  // namespace dc
