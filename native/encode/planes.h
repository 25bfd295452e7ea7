#pragma once
#include "../base/job.h"

namespace dc {

// Byte planes of float32 (docs/format-streams.md S5): plane k of values[0..n) goes to planes[k * stride .. k * stride +
// n). Every bit pattern is kept, NaN included.
Result split_planes(const Job& job, const float* values, size_t n, uint8_t* planes, size_t stride) noexcept;

}  // namespace dc
