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

// See add_prefixes in small_group.cpp. `count` is a multiple of 8.
DC_TARGET_AVX512 static double add_prefixes_avx512(const float* values, size_t count, double centre, double unit,
                                                   double carry, double* sums) {
  const __m512d c = _mm512_set1_pd(centre), u = _mm512_set1_pd(unit), zero = _mm512_setzero_pd();
  const __m512i z = _mm512_castpd_si512(zero), last = _mm512_set1_epi64(7);
  __m512d before = _mm512_set1_pd(carry);
  for (size_t i = 0; i < count; i += 8) {
    __m512d t = _mm512_mul_pd(_mm512_sub_pd(_mm512_cvtps_pd(_mm256_loadu_ps(values + i)), c), u);
    t = _mm512_add_pd(t, _mm512_castsi512_pd(_mm512_alignr_epi64(_mm512_castpd_si512(t), z, 7)));
    t = _mm512_add_pd(t, _mm512_castsi512_pd(_mm512_alignr_epi64(_mm512_castpd_si512(t), z, 6)));
    t = _mm512_add_pd(t, _mm512_castsi512_pd(_mm512_alignr_epi64(_mm512_castpd_si512(t), z, 4)));
    _mm512_storeu_pd(sums + i, _mm512_add_pd(before, t));
    before = _mm512_add_pd(before, _mm512_permutexvar_pd(last, t));
  }
  return _mm512_cvtsd_f64(before);
}

// See cost_row in small_group.cpp. Writes whole eights from `length` on, `end` or a few more.
DC_TARGET_AVX512 static void cost_row_avx512(const double* weight, const double* sum, const double* square,
                                             uint32_t length, uint32_t end, float* row) {
  for (uint32_t b = length; b < end; b += 8) {
    const uint32_t a = b - length;
    const __m512d w = _mm512_sub_pd(_mm512_loadu_pd(weight + b), _mm512_loadu_pd(weight + a));
    const __m512d s = _mm512_sub_pd(_mm512_loadu_pd(sum + b), _mm512_loadu_pd(sum + a));
    const __m512d q = _mm512_sub_pd(_mm512_loadu_pd(square + b), _mm512_loadu_pd(square + a));
    const __m512d cost = _mm512_sub_pd(q, _mm512_div_pd(_mm512_mul_pd(s, s), w));
    _mm256_storeu_ps(row + b, _mm512_cvtpd_ps(cost));
  }
}

// See programme_step in small_group.cpp.
DC_TARGET_AVX512 static void programme_step_avx512(const float* before, const float* table, size_t stride,
                                                   uint32_t longest, uint32_t window, float* best) {
  for (uint32_t v = 0; v < window; v += 32) {
    __m512 low = _mm512_set1_ps(INFINITY), high = low;
    const float *b = before + v - 1, *t = table + v;
    for (uint32_t n = 0; n < longest; n++, b--, t += stride) {
      low = _mm512_min_ps(_mm512_add_ps(_mm512_loadu_ps(b), _mm512_loadu_ps(t)), low);
      high = _mm512_min_ps(_mm512_add_ps(_mm512_loadu_ps(b + 16), _mm512_loadu_ps(t + 16)), high);
    }
    _mm512_storeu_ps(best + v, low);
    _mm512_storeu_ps(best + v + 16, high);
  }
}

// See band_step in small_group.cpp. `band` is a multiple of 16.
DC_TARGET_AVX512 static void band_step_avx512(const float* from_weight, const float* from_sum, const float* from_cost,
                                              const float* to_weight, const float* to_sum, const float* to_cost,
                                              uint32_t band, float* cost, uint8_t* from) {
  const __m512 zero = _mm512_setzero_ps();
  for (uint32_t b = 0; b < band; b += 16) {
    const __m512 w = _mm512_loadu_ps(to_weight + b), s = _mm512_loadu_ps(to_sum + b);
    __m512 best[2] = {_mm512_set1_ps(INFINITY), _mm512_set1_ps(INFINITY)};
    __m512i who[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    for (uint32_t a = 0; a < band; a += 2) {
      for (uint32_t h = 0; h < 2; h++) {
        const __m512 dw = _mm512_sub_ps(w, _mm512_set1_ps(from_weight[a + h]));
        const __m512 ds = _mm512_sub_ps(s, _mm512_set1_ps(from_sum[a + h]));
        const __m512 g = _mm512_sub_ps(_mm512_set1_ps(from_cost[a + h]), _mm512_div_ps(_mm512_mul_ps(ds, ds), dw));
        const __mmask16 better =
            _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(dw, zero, _CMP_GT_OQ), g, best[h], _CMP_LT_OQ);
        best[h] = _mm512_mask_mov_ps(best[h], better, g);
        who[h] = _mm512_mask_mov_epi32(who[h], better, _mm512_set1_epi32(static_cast<int>(a + h)));
      }
    }
    // The first of equals: of two, the one with the smaller number.
    const __mmask16 less = _mm512_cmp_ps_mask(best[1], best[0], _CMP_LT_OQ);
    const __mmask16 equal = _mm512_cmp_ps_mask(best[1], best[0], _CMP_EQ_OQ);
    const __mmask16 second = static_cast<__mmask16>(less | (equal & _mm512_cmplt_epi32_mask(who[1], who[0])));
    const __m512 least = _mm512_mask_mov_ps(best[0], less, best[1]);
    _mm512_storeu_ps(cost + b, _mm512_add_ps(least, _mm512_loadu_ps(to_cost + b)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(from + b),
                     _mm512_cvtepi32_epi8(_mm512_mask_mov_epi32(who[0], second, who[1])));
  }
}

// See add_distances in small_group.cpp. `count` is a multiple of 8.
DC_TARGET_AVX512 static void add_distances_avx512(const float* values, size_t count, double centroid, double* lanes) {
  const __m512d c = _mm512_set1_pd(centroid);
  __m512d total = _mm512_loadu_pd(lanes);
  for (size_t i = 0; i < count; i += 8) {
    const __m512d d = _mm512_sub_pd(_mm512_cvtps_pd(_mm256_loadu_ps(values + i)), c);
    total = _mm512_add_pd(total, _mm512_mul_pd(d, d));
  }
  _mm512_storeu_pd(lanes, total);
}

}  // namespace dc
#endif
