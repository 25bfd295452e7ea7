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

}  // namespace dc
