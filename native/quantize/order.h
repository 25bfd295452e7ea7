#pragma once
#include <cstdint>

#include "../base/bits.h"

namespace dc {

// A key that orders as the float does, -0 just below +0.
inline uint32_t float_key(float x) noexcept {
  const uint32_t u = float_bits(x);
  return u & 0x80000000u ? ~u : u | 0x80000000u;
}

// The same with -0 equal to +0. Inside a run of keys that share their top 12 bits (sign,
// exponent, 3 bits of mantissa) the value is first_value + (key - first_key) * ulp, with one ulp for the whole run.
inline uint32_t order_key(float x) noexcept { return float_bits(x) == 0x80000000u ? 0x80000000u : float_key(x); }

inline float key_value(uint32_t key) noexcept { return bits_float(key & 0x80000000u ? key & 0x7fffffffu : ~key); }

// The largest float that is not above the midpoint of a < b: a value x belongs to a when x <= it. A
// midpoint that rounds to -0 lies below every zero.
inline float midpoint_threshold(float a, float b) noexcept {
  const double middle = (static_cast<double>(a) + static_cast<double>(b)) / 2;
  const float rounded = static_cast<float>(middle);
  return static_cast<double>(rounded) <= middle ? rounded : key_value(float_key(rounded) - 1);
}

constexpr uint32_t kKeyOfZero = 0x80000000u;
constexpr uint32_t kFirstFiniteKey = 0x00800000u;  // -FLT_MAX
constexpr uint32_t kLastFiniteKey = 0xff7fffffu;   // +FLT_MAX

// The distance between neighbouring floats around `key` (subnormals included).
inline double key_ulp(uint32_t key) noexcept {
  const uint32_t u = key & 0x80000000u ? key & 0x7fffffffu : ~key & 0x7fffffffu;
  const uint32_t exponent = u >> 23;
  const uint64_t bits = static_cast<uint64_t>((exponent ? exponent : 1) + 1023 - 127 - 23) << 52;
  double ulp;
  std::memcpy(&ulp, &bits, 8);
  return ulp;
}

}  // namespace dc
