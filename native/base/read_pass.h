#pragma once
#include "job.h"

namespace dc {

// Reads every value once, as fast as this machine's memory lets us, and answers the exclusive-or of their bits: the
// physical yardstick that a kernel's time is divided by, taken in the same run.
Result read_pass(const Job& job, const float* values, size_t count, uint32_t* bits) noexcept;

}  // namespace dc
