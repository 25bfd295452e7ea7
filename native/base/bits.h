#pragma once
#include <cstdint>
#include <cstring>

namespace dc {

// Little-endian loads and stores through bytes: the format is little-endian on every machine.
inline uint16_t load_u16(const uint8_t* p) noexcept { return static_cast<uint16_t>(p[0] | p[1] << 8); }
inline uint32_t load_u32(const uint8_t* p) noexcept {
  return static_cast<uint32_t>(p[0]) | static_cast<uint32_t>(p[1]) << 8 | static_cast<uint32_t>(p[2]) << 16 |
         static_cast<uint32_t>(p[3]) << 24;
}
inline uint64_t load_u64(const uint8_t* p) noexcept {
  return static_cast<uint64_t>(load_u32(p)) | static_cast<uint64_t>(load_u32(p + 4)) << 32;
}
// Bits of a number without leading zeros, 0 of 0; of k - 1: what it takes to tell k things apart.
inline unsigned bit_length(unsigned v) noexcept {
  unsigned bits = 0;
  for (; v; v >>= 1) bits++;
  return bits;
}
inline void store_u16(uint8_t* p, uint16_t v) noexcept {
  p[0] = static_cast<uint8_t>(v);
  p[1] = static_cast<uint8_t>(v >> 8);
}
inline void store_u32(uint8_t* p, uint32_t v) noexcept {
  for (int i = 0; i < 4; i++) p[i] = static_cast<uint8_t>(v >> (8 * i));
}
inline void store_u64(uint8_t* p, uint64_t v) noexcept {
  for (int i = 0; i < 8; i++) p[i] = static_cast<uint8_t>(v >> (8 * i));
}

inline uint32_t float_bits(float v) noexcept {
  uint32_t u;
  std::memcpy(&u, &v, 4);
  return u;
}
inline float bits_float(uint32_t u) noexcept {
  float v;
  std::memcpy(&v, &u, 4);
  return v;
}

inline bool is_finite(float x) noexcept { return (float_bits(x) & 0x7f800000u) != 0x7f800000u; }

#if defined(__GNUC__) || defined(__clang__)
inline int count_trailing_zeros(uint64_t v) noexcept { return __builtin_ctzll(v); }
inline int count_leading_zeros(uint64_t v) noexcept { return __builtin_clzll(v); }
inline int count_ones(uint64_t v) noexcept { return __builtin_popcountll(v); }
#else
inline int count_trailing_zeros(uint64_t v) noexcept {
  int n = 0;
  while (!(v & 1)) v >>= 1, n++;
  return n;
}
inline int count_leading_zeros(uint64_t v) noexcept {
  int n = 0;
  while (!(v >> 63)) v <<= 1, n++;
  return n;
}
inline int count_ones(uint64_t v) noexcept {
  int n = 0;
  for (; v; v &= v - 1) n++;
  return n;
}
#endif

}  // namespace dc
