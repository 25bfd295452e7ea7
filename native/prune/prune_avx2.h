#pragma once
#include <cstddef>
#include <cstdint>

#include "../base/bits.h"
#include "../base/target.h"

#if DC_X86
namespace dc {

DC_TARGET_AVX2 static uint32_t largest_lane_avx2(__m256i v) {
  __m128i m = _mm_max_epu32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xb1));
  return (uint32_t)_mm_cvtsi128_si32(m);
}

// Magnitudes are below 2^31, so signed compares serve.
#define DC_REACHED_AVX2(at) (uint32_t) _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(at, below)))

// See prune_avx512.h; count / 32 * 32 values, floor >= 1.
DC_TARGET_AVX2 static uint32_t mask_run_avx2(const float* values, size_t count, uint32_t floor, uint32_t* mask) {
  const __m256i magnitude = _mm256_set1_epi32(INT32_MAX), below = _mm256_set1_epi32((int)(floor - 1));
  __m256i largest = _mm256_setzero_si256();
  for (size_t i = 0; i + 32 <= count; i += 32) {
    uint32_t bits = 0;
    for (unsigned part = 0; part < 4; part++) {
      const __m256i a = _mm256_and_si256(_mm256_loadu_si256((const __m256i*)(values + i + 8 * part)), magnitude);
      largest = _mm256_max_epu32(largest, a);
      bits |= DC_REACHED_AVX2(a) << (8 * part);
    }
    mask[i / 32] = bits;
  }
  return largest_lane_avx2(largest);
}

DC_TARGET_AVX2 static uint32_t bracket_run_avx2(const float* values, size_t count, uint32_t first_index, uint32_t low,
                                                uint32_t high, uint64_t* list, size_t room, size_t* listed,
                                                uint64_t* above) {
  const __m256i magnitude = _mm256_set1_epi32(INT32_MAX);
  const __m256i below = _mm256_set1_epi32((int)(low - 1)), most = _mm256_set1_epi32((int)high);
  __m256i largest = _mm256_setzero_si256();
  uint64_t over = 0;
  size_t out = *listed;
  for (size_t i = 0; i + 32 <= count; i += 32) {
    uint32_t reached = 0, passed = 0;
    for (unsigned part = 0; part < 4; part++) {
      const __m256i a = _mm256_and_si256(_mm256_loadu_si256((const __m256i*)(values + i + 8 * part)), magnitude);
      largest = _mm256_max_epu32(largest, a);
      reached |= DC_REACHED_AVX2(a) << (8 * part);
      passed |= (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(a, most))) << (8 * part);
    }
    over += (unsigned)_mm_popcnt_u32(passed);
    for (uint32_t inside = reached & ~passed; inside != 0; inside &= inside - 1) {
      const size_t at = i + (size_t)__builtin_ctz(inside);
      if (out >= room) {
        *listed = room + 1;
        return largest_lane_avx2(largest);
      }
      list[out++] = (uint64_t)(float_bits(values[at]) & 0x7fffffffu) << 32 | (uint32_t) ~(first_index + (uint32_t)at);
    }
  }
  *listed = out;
  *above += over;
  return largest_lane_avx2(largest);
}

DC_TARGET_AVX2 static void sum_run_avx2(const float* values, size_t count, double centre, bool squared, double* sums) {
  const __m256d c = _mm256_set1_pd(centre);
  __m256d s[4];
  for (unsigned part = 0; part < 4; part++) s[part] = _mm256_loadu_pd(sums + 4 * part);
  for (size_t i = 0; i + 16 <= count; i += 16) {
    for (unsigned part = 0; part < 4; part++) {
      __m256d a = _mm256_sub_pd(_mm256_cvtps_pd(_mm_loadu_ps(values + i + 4 * part)), c);
      if (squared) a = _mm256_mul_pd(a, a);
      s[part] = _mm256_add_pd(s[part], a);
    }
  }
  for (unsigned part = 0; part < 4; part++) _mm256_storeu_pd(sums + 4 * part, s[part]);
}

}  // namespace dc
#endif
