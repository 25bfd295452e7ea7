#pragma once
#include "../base/job.h"

namespace dc {

// counts[s] = how often the symbol s occurs among symbols[0..n).
Result histogram(const Job& job, const uint8_t* symbols, size_t n, uint64_t counts[256]) noexcept;

}  // namespace dc
