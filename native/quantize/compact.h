#pragma once
#include <cstddef>
#include <cstdint>

#include "../base/cpu.h"

namespace dc {

// The kept values of a masked block are packed so many at a time, in the first-level cache.
constexpr size_t kCompactChunk = 2048;
constexpr size_t kCompactRoom = 16;  // values written past the last kept one at the most

// Packs the kept of `count` values to the front of `kept`, which has room for count + kCompactRoom, and answers how
// many.
size_t compact(CpuLevel level, const float* values, const uint32_t* mask, size_t count, float* kept) noexcept;

}  // namespace dc
