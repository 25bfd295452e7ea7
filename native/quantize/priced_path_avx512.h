#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "../base/target.h"

#if DC_X86
namespace dc {

// See relate in priced_path.cpp. Writes whole eights.
DC_TARGET_AVX512 static void relate_avx512(const double* weight, const double* sum, const double* square, size_t count,
                                           double weight0, double sum0, double square0, double mean, float* weights,
                                           float* sums, double* squares, float* squares32) {
  const __m512d w0 = _mm512_set1_pd(weight0), s0 = _mm512_set1_pd(sum0), q0 = _mm512_set1_pd(square0);
  const __m512d m = _mm512_set1_pd(mean);
  for (size_t i = 0; i < count; i += 8) {
    const __mmask8 here = static_cast<__mmask8>(count - i >= 8 ? 0xff : (1u << (count - i)) - 1);
    const __m512d w = _mm512_sub_pd(_mm512_maskz_loadu_pd(here, weight + i), w0);
    const __m512d s = _mm512_sub_pd(_mm512_maskz_loadu_pd(here, sum + i), s0);
    const __m512d q = _mm512_sub_pd(_mm512_maskz_loadu_pd(here, square + i), q0);
    const __m512d around = _mm512_sub_pd(s, _mm512_mul_pd(m, w));
    const __m512d spread = _mm512_sub_pd(q, _mm512_mul_pd(m, _mm512_add_pd(s, around)));
    _mm256_storeu_ps(weights + i, _mm512_cvtpd_ps(w));
    _mm256_storeu_ps(sums + i, _mm512_cvtpd_ps(around));
    _mm512_storeu_pd(squares + i, spread);
    _mm256_storeu_ps(squares32 + i, _mm512_cvtpd_ps(spread));
  }
}

// See begin_stretch in priced_path.cpp.
DC_TARGET_AVX512 static void begin_stretch_avx512(const double* totals, const double* squares, uint32_t base,
                                                  float* best, float* total) {
  const __m512d origin = _mm512_set1_pd(totals[base]);
  for (uint32_t i = 0; i <= base; i += 8) {
    const __mmask8 here = static_cast<__mmask8>(base + 1 - i >= 8 ? 0xff : (1u << (base + 1 - i)) - 1);
    const __m512d t = _mm512_sub_pd(_mm512_maskz_loadu_pd(here, totals + i), origin);
    _mm256_mask_storeu_ps(total + i, here, _mm512_cvtpd_ps(t));
    _mm256_mask_storeu_ps(best + i, here, _mm512_cvtpd_ps(_mm512_sub_pd(t, _mm512_loadu_pd(squares + i))));
  }
}

// See best_before in priced_path.cpp.
DC_TARGET_AVX512 static inline uint32_t best_before_avx512(const float* weight, const float* sum, const float* best,
                                                           const float* total, uint32_t from, uint32_t end, uint32_t b,
                                                           float limit, float* least) {
  const __m512 w = _mm512_set1_ps(weight[b]), s = _mm512_set1_ps(sum[b]);
  __m512 low = _mm512_set1_ps(INFINITY);
  __m512i at = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(from)),
                                _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  __m512i who = at;
  for (uint32_t a = from; a < end && total[a] < limit; a += 16) {
    const __mmask16 here = static_cast<__mmask16>(end - a >= 16 ? 0xffff : (1u << (end - a)) - 1);
    const __m512 dw = _mm512_sub_ps(w, _mm512_loadu_ps(weight + a));
    const __m512 ds = _mm512_sub_ps(s, _mm512_loadu_ps(sum + a));
    const __m512 g = _mm512_sub_ps(_mm512_loadu_ps(best + a), _mm512_div_ps(_mm512_mul_ps(ds, ds), dw));
    const __mmask16 less =
        _mm512_mask_cmp_ps_mask(_mm512_mask_cmp_ps_mask(here, dw, _mm512_setzero_ps(), _CMP_GT_OQ), g, low, _CMP_LT_OQ);
    low = _mm512_mask_mov_ps(low, less, g);
    who = _mm512_mask_mov_epi32(who, less, at);
    at = _mm512_add_epi32(at, _mm512_set1_epi32(16));
  }
  *least = _mm512_reduce_min_ps(low);
  const __mmask16 first = _mm512_cmp_ps_mask(low, _mm512_set1_ps(*least), _CMP_EQ_OQ);
  if ((first & (first - 1)) == 0) {
    return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm512_castsi512_si128(_mm512_maskz_compress_epi32(first, who))));
  }
  return _mm512_mask_reduce_min_epu32(first, who);
}

// See walk in priced_path.cpp.
DC_TARGET_AVX512 static void walk_avx512(const float* weight, const float* sum, const float* square, uint32_t base,
                                         uint32_t count, uint32_t low, float price, float* best, float* total,
                                         uint32_t* from) {
  const __m512 zero = _mm512_setzero_ps();
  uint32_t first = from[base] - low;
  for (uint32_t b = base + 1; b < count; b += 16) {
    const uint32_t size = count - b < 16 ? count - b : 16, final = b + size - 1;
    float least;
    const float limit = limit_of(weight, sum, best, first, b, size) + square[final];
    const uint32_t stop = best_before_avx512(weight, sum, best, total, first, b, final, limit, &least);
    const __m512 w = _mm512_loadu_ps(weight + b), s = _mm512_loadu_ps(sum + b);
    __m512 found[2] = {_mm512_set1_ps(INFINITY), _mm512_set1_ps(INFINITY)};
    __m512i who[2] = {_mm512_set1_epi32(static_cast<int>(first)), _mm512_set1_epi32(static_cast<int>(first))};
    const uint32_t end = stop + 1;
    for (uint32_t a = first; a < end; a += 2) {  // an odd one at the end is looked at twice
      for (uint32_t h = 0; h < 2; h++) {
        const uint32_t of = a + h < end ? a + h : a;
        const __m512 dw = _mm512_sub_ps(w, _mm512_set1_ps(weight[of]));
        const __m512 ds = _mm512_sub_ps(s, _mm512_set1_ps(sum[of]));
        const __m512 g = _mm512_sub_ps(_mm512_set1_ps(best[of]), _mm512_div_ps(_mm512_mul_ps(ds, ds), dw));
        const __mmask16 less =
            _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(dw, zero, _CMP_GT_OQ), g, found[h], _CMP_LT_OQ);
        found[h] = _mm512_mask_mov_ps(found[h], less, g);
        who[h] = _mm512_mask_mov_epi32(who[h], less, _mm512_set1_epi32(static_cast<int>(of)));
      }
    }
    // The first of equals: of two, the one with the smaller number.
    const __mmask16 better = _mm512_cmp_ps_mask(found[1], found[0], _CMP_LT_OQ);
    const __mmask16 equal = _mm512_cmp_ps_mask(found[1], found[0], _CMP_EQ_OQ);
    const __mmask16 second = static_cast<__mmask16>(better | (equal & _mm512_cmplt_epu32_mask(who[1], who[0])));
    found[0] = _mm512_mask_mov_ps(found[0], better, found[1]);
    who[0] = _mm512_mask_mov_epi32(who[0], second, who[1]);
    const __m512 t = _mm512_set1_ps(price);
    const __mmask16 here = static_cast<__mmask16>(size == 16 ? 0xffff : (1u << size) - 1);
    // Each of the 16 in turn begins clusters that end behind it, as long as that can be cheaper for the last.
    float before = total[b - 1];
    for (uint32_t a = b; a < final && before < least + square[final]; a++) {
      _mm512_mask_storeu_ps(best + b, here, _mm512_add_ps(found[0], t));
      before = best[a] + square[a];
      const __m512 dw = _mm512_sub_ps(w, _mm512_set1_ps(weight[a]));
      const __m512 ds = _mm512_sub_ps(s, _mm512_set1_ps(sum[a]));
      const __m512 g = _mm512_sub_ps(_mm512_set1_ps(best[a]), _mm512_div_ps(_mm512_mul_ps(ds, ds), dw));
      const __mmask16 less = _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(dw, zero, _CMP_GT_OQ), g, found[0], _CMP_LT_OQ);
      found[0] = _mm512_mask_mov_ps(found[0], less, g);
      who[0] = _mm512_mask_mov_epi32(who[0], less, _mm512_set1_epi32(static_cast<int>(a)));
    }
    const __m512 now = _mm512_add_ps(found[0], t);
    _mm512_mask_storeu_ps(best + b, here, now);
    _mm512_mask_storeu_ps(total + b, here, _mm512_add_ps(now, _mm512_loadu_ps(square + b)));
    _mm512_mask_storeu_epi32(from + b, here, _mm512_add_epi32(who[0], _mm512_set1_epi32(static_cast<int>(low))));
    first = from[final] - low;
  }
}

}  // namespace dc
#endif
