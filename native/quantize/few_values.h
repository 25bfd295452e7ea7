#pragma once
#include <cstddef>
#include <cstdint>

#include "../base/job.h"

namespace dc {

constexpr uint32_t kFewMost = 256;

// The distinct ones of `count` values in ascending order and how often each occurs, when there are at most `limit` <=
// kFewMost of them, all finite (weights that are shared already): then `few` is true and `distinct` says how many.
// Otherwise false, known after the first limit + 1 distinct values. -0 counts as +0. `values` and `counts` have room
// for `limit`.
Result few_values(const Job& job, const float* from, size_t count, uint32_t limit, float* values, uint32_t* counts,
                  uint32_t& distinct, bool& few) noexcept;

}  // namespace dc
