#pragma once
#include <cstddef>
#include <cstdint>

#include "../base/bits.h"
#include "../base/target.h"

#if DC_X86
namespace dc {

// Mask of magnitude >= floor (as float bits) for count / 32 * 32 values; answers the largest magnitude.
DC_TARGET_AVX512 static uint32_t mask_run_avx512(const float* values, size_t count, uint32_t floor, uint32_t* mask) {
  const __m512i magnitude = _mm512_set1_epi32(INT32_MAX), least = _mm512_set1_epi32((int)floor);
  __m512i largest_a = _mm512_setzero_si512(), largest_b = largest_a;
  for (size_t i = 0; i + 32 <= count; i += 32) {
    const __m512i a = _mm512_and_si512(_mm512_loadu_si512(values + i), magnitude);
    const __m512i b = _mm512_and_si512(_mm512_loadu_si512(values + i + 16), magnitude);
    largest_a = _mm512_max_epu32(largest_a, a);
    largest_b = _mm512_max_epu32(largest_b, b);
    mask[i / 32] = (uint32_t)_mm512_cmpge_epu32_mask(a, least) | (uint32_t)_mm512_cmpge_epu32_mask(b, least) << 16;
  }
  return _mm512_reduce_max_epu32(_mm512_max_epu32(largest_a, largest_b));
}

// One pass over count / 16 * 16 values: counts magnitudes above `high`, lists (magnitude << 32 | ~index) of those in
// low..high (at most `room`, then *listed = room + 1), answers the largest magnitude.
DC_TARGET_AVX512 static uint32_t bracket_run_avx512(const float* values, size_t count, uint32_t first_index,
                                                    uint32_t low, uint32_t high, uint64_t* list, size_t room,
                                                    size_t* listed, uint64_t* above) {
  const __m512i magnitude = _mm512_set1_epi32(INT32_MAX);
  const __m512i least = _mm512_set1_epi32((int)low), most = _mm512_set1_epi32((int)high);
  __m512i largest = _mm512_setzero_si512();
  uint64_t over = 0;
  size_t out = *listed;
  for (size_t i = 0; i + 32 <= count; i += 32) {
    const __m512i a = _mm512_and_si512(_mm512_loadu_si512(values + i), magnitude);
    const __m512i b = _mm512_and_si512(_mm512_loadu_si512(values + i + 16), magnitude);
    largest = _mm512_max_epu32(largest, _mm512_max_epu32(a, b));
    const uint32_t reached = (uint32_t)_mm512_cmpge_epu32_mask(a, least) | (uint32_t)_mm512_cmpge_epu32_mask(b, least)
                                                                               << 16;
    const uint32_t passed = (uint32_t)_mm512_cmpgt_epu32_mask(a, most) | (uint32_t)_mm512_cmpgt_epu32_mask(b, most)
                                                                             << 16;
    over += (unsigned)_mm_popcnt_u32(passed);
    for (uint32_t inside = reached & ~passed; inside != 0; inside &= inside - 1) {
      const size_t at = i + (size_t)__builtin_ctz(inside);
      if (out >= room) {
        *listed = room + 1;
        return _mm512_reduce_max_epu32(largest);
      }
      list[out++] = (uint64_t)(float_bits(values[at]) & 0x7fffffffu) << 32 | (uint32_t) ~(first_index + (uint32_t)at);
    }
  }
  *listed = out;
  *above += over;
  return _mm512_reduce_max_epu32(largest);
}

// Adds count / 16 * 16 values to sixteen sums: (x - centre) ^ power, power 1 or 2.
DC_TARGET_AVX512 static void sum_run_avx512(const float* values, size_t count, double centre, bool squared,
                                            double* sums) {
  const __m512d c = _mm512_set1_pd(centre);
  __m512d s0 = _mm512_loadu_pd(sums), s1 = _mm512_loadu_pd(sums + 8);
  for (size_t i = 0; i + 16 <= count; i += 16) {
    __m512d a = _mm512_sub_pd(_mm512_cvtps_pd(_mm256_loadu_ps(values + i)), c);
    __m512d b = _mm512_sub_pd(_mm512_cvtps_pd(_mm256_loadu_ps(values + i + 8)), c);
    if (squared) {
      a = _mm512_mul_pd(a, a);
      b = _mm512_mul_pd(b, b);
    }
    s0 = _mm512_add_pd(s0, a);
    s1 = _mm512_add_pd(s1, b);
  }
  _mm512_storeu_pd(sums, s0);
  _mm512_storeu_pd(sums + 8, s1);
}

}  // namespace dc
#endif
