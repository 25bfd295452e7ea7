#pragma once
#include "../base/job.h"

namespace dc {

// The inverse of the byte planes of docs/format-streams.md S5.
Result merge_planes(const Job& job, const uint8_t* planes, size_t stride, float* values, size_t n) noexcept;

}  // namespace dc
