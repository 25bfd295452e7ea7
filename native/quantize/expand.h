#pragma once
#include "../base/job.h"

namespace dc {

// The inverse of assign(): values[i] = codebook[code of i]. Without a mask there is one code a value; with one, one a
// kept value in position order, and what is not kept becomes +0. Codes are bytes (`code_bytes` 1, k <= 256) or uint16_t
// (2); `code_count` of them. Nothing is read outside the codebook, whatever the codes are. Errors: arg (k, code_bytes,
// code_count is not the number of values or of kept ones: offset = that number), value (a code
// >= k: offset = index of the first one; values are then indeterminate), nomem, aborted.
Result expand(const Job& job, const void* codes, unsigned code_bytes, uint64_t code_count, const uint32_t* mask,
              const float* codebook, uint32_t k, float* values, size_t count) noexcept;

}  // namespace dc
