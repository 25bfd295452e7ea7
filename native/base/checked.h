#pragma once
#include <cstdint>
#include <limits>

namespace dc {

// Size arithmetic on values that came from a file. Each returns false on overflow and leaves `out` alone.
inline bool checked_add(uint64_t a, uint64_t b, uint64_t& out) noexcept {
  if (b > std::numeric_limits<uint64_t>::max() - a) return false;
  out = a + b;
  return true;
}

inline bool checked_mul(uint64_t a, uint64_t b, uint64_t& out) noexcept {
  if (a != 0 && b > std::numeric_limits<uint64_t>::max() / a) return false;
  out = a * b;
  return true;
}

// `alignment` is a power of two.
inline bool checked_align(uint64_t value, uint64_t alignment, uint64_t& out) noexcept {
  uint64_t bumped;
  if (!checked_add(value, alignment - 1, bumped)) return false;
  out = bumped & ~(alignment - 1);
  return true;
}

}  // namespace dc
