#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "../base/target.h"

#if DC_X86
namespace dc {

// See measure_spread in small_group.cpp. `count` is a multiple of 16.
DC_TARGET_AVX512 static void measure_spread_avx512(const float* values, size_t count, float centre, uint64_t* exponents,
                                                   uint64_t* nonzero, uint32_t* largest) {
  const __m512 c = _mm512_set1_ps(centre);
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  __m512i sum = _mm512_setzero_si512(), most = _mm512_setzero_si512();
  for (size_t i = 0; i < count; i += 16) {
    const __m512i d = _mm512_and_si512(_mm512_castps_si512(_mm512_sub_ps(_mm512_loadu_ps(values + i), c)), magnitude);
    sum = _mm512_add_epi32(sum, _mm512_srli_epi32(d, 23));
    most = _mm512_max_epu32(most, d);
    *nonzero += static_cast<uint64_t>(_mm_popcnt_u32(_mm512_test_epi32_mask(d, d)));
  }
  *exponents += static_cast<uint64_t>(static_cast<uint32_t>(_mm512_reduce_add_epi32(sum)));
  const uint32_t here = _mm512_reduce_max_epu32(most);
  if (here > *largest) *largest = here;
}

// See find_cells in small_group.cpp. `count` is a multiple of 16.
DC_TARGET_AVX512 static void find_cells_avx512(const float* values, size_t count, float centre, float scale,
                                               uint32_t scale_bits, unsigned shift, uint32_t side, uint16_t* cells) {
  const __m512 c = _mm512_set1_ps(centre), s = _mm512_set1_ps(scale);
  const __m512i base = _mm512_set1_epi32(static_cast<int>(scale_bits)),
                first = _mm512_set1_epi32(static_cast<int>(side));
  const __m512i ones = _mm512_set1_epi32(-1);
  const __m128i by = _mm_cvtsi32_si128(static_cast<int>(shift));
  for (size_t i = 0; i < count; i += 16) {
    const __m512 d = _mm512_sub_ps(_mm512_loadu_ps(values + i), c);
    const __m512i t = _mm512_castps_si512(_mm512_add_ps(_mm512_abs_ps(d), s));
    const __m512i step = _mm512_srl_epi32(_mm512_sub_epi32(t, base), by);
    const __mmask16 below = _mm512_movepi32_mask(_mm512_castps_si512(d));
    const __m512i cell = _mm512_add_epi32(first, _mm512_mask_xor_epi32(step, below, step, ones));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(cells + i), _mm512_cvtepi32_epi16(cell));
  }
}

// See band_step in small_group.cpp. `band` is a multiple of 16.
DC_TARGET_AVX512 static void band_step_avx512(const double* from_weight, const double* from_sum,
                                              const double* from_gain, const double* to_weight, const double* to_sum,
                                              uint32_t band, double* gain, uint8_t* from) {
  const __m512d zero = _mm512_setzero_pd();
  for (uint32_t b = 0; b < band; b += 16) {
    const __m512d w0 = _mm512_loadu_pd(to_weight + b), w1 = _mm512_loadu_pd(to_weight + b + 8);
    const __m512d s0 = _mm512_loadu_pd(to_sum + b), s1 = _mm512_loadu_pd(to_sum + b + 8);
    __m512d best0 = _mm512_set1_pd(-INFINITY), best1 = best0;
    __m512i who0 = _mm512_setzero_si512(), who1 = who0;
    for (uint32_t a = 0; a < band; a++) {
      const __m512d aw = _mm512_set1_pd(from_weight[a]), as = _mm512_set1_pd(from_sum[a]);
      const __m512d ag = _mm512_set1_pd(from_gain[a]);
      const __m512i who = _mm512_set1_epi64(static_cast<int>(a));
      const __m512d dw0 = _mm512_sub_pd(w0, aw), dw1 = _mm512_sub_pd(w1, aw);
      const __m512d ds0 = _mm512_sub_pd(s0, as), ds1 = _mm512_sub_pd(s1, as);
      const __m512d g0 = _mm512_add_pd(ag, _mm512_div_pd(_mm512_mul_pd(ds0, ds0), dw0));
      const __m512d g1 = _mm512_add_pd(ag, _mm512_div_pd(_mm512_mul_pd(ds1, ds1), dw1));
      const __mmask8 m0 = _mm512_mask_cmp_pd_mask(_mm512_cmp_pd_mask(dw0, zero, _CMP_GT_OQ), g0, best0, _CMP_GT_OQ);
      const __mmask8 m1 = _mm512_mask_cmp_pd_mask(_mm512_cmp_pd_mask(dw1, zero, _CMP_GT_OQ), g1, best1, _CMP_GT_OQ);
      best0 = _mm512_mask_mov_pd(best0, m0, g0);
      best1 = _mm512_mask_mov_pd(best1, m1, g1);
      who0 = _mm512_mask_mov_epi64(who0, m0, who);
      who1 = _mm512_mask_mov_epi64(who1, m1, who);
    }
    _mm512_storeu_pd(gain + b, best0);
    _mm512_storeu_pd(gain + b + 8, best1);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(from + b), _mm512_cvtepi64_epi8(who0));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(from + b + 8), _mm512_cvtepi64_epi8(who1));
  }
}

// See full_step in small_group.cpp.
DC_TARGET_AVX512 static void full_step_avx512(const double* before, const double* saved, uint32_t places,
                                              uint32_t stride, double* best) {
  for (uint32_t b = 0; b < stride; b += 8) {
    __m512d most = _mm512_set1_pd(-INFINITY);
    const uint32_t end = b + 8 < places ? b + 8 : places;  // a < b + 8: what lies behind is minus infinity
    const double* row = saved + b;
    for (uint32_t a = 0; a < end; a++, row += stride) {
      most = _mm512_max_pd(most, _mm512_add_pd(_mm512_set1_pd(before[a]), _mm512_loadu_pd(row)));
    }
    _mm512_storeu_pd(best + b, most);
  }
}

}  // namespace dc
#endif
