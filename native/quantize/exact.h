#pragma once
#include <cstdint>
#include <cstring>

namespace dc {

// A sum of two doubles that holds about 106 bits (error-free transformations of Dekker and Knuth). Only + - * are used,
// so the results are the same on every machine that rounds to nearest; needs -ffp-contract=off.
struct Double2 {
  double high = 0, low = 0;
};

inline Double2 two_sum(double a, double b) noexcept {
  const double s = a + b;
  const double t = s - a;
  return {s, (a - (s - t)) + (b - t)};
}

inline Double2 quick_two_sum(double a, double b) noexcept {  // |a| >= |b|
  const double s = a + b;
  return {s, b - (s - a)};
}

// The leading 26 bits of the mantissa: a product of such a value with one of at most 27 bits is exact.
inline double leading_bits(double x) noexcept {
  uint64_t u;
  std::memcpy(&u, &x, 8);
  u &= ~((uint64_t{1} << 27) - 1);
  std::memcpy(&x, &u, 8);
  return x;
}

inline Double2 two_product(double a, double b) noexcept {
  const double product = a * b;
  const double a1 = leading_bits(a), a2 = a - a1, b1 = leading_bits(b), b2 = b - b1;
  return {product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2};
}

inline Double2 operator+(Double2 a, Double2 b) noexcept {
  Double2 s = two_sum(a.high, b.high);
  const Double2 t = two_sum(a.low, b.low);
  s = quick_two_sum(s.high, s.low + t.high);
  return quick_two_sum(s.high, s.low + t.low);
}

inline Double2 operator-(Double2 a, Double2 b) noexcept { return a + Double2{-b.high, -b.low}; }
inline Double2 operator+(Double2 a, double b) noexcept {
  const Double2 s = two_sum(a.high, b);
  return quick_two_sum(s.high, s.low + a.low);
}
inline double value(Double2 a) noexcept { return a.high + a.low; }

}  // namespace dc
