#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "../base/target.h"

#if DC_X86
namespace dc {

// See find_cells in small_group.cpp. `count` is a multiple of 16.
DC_TARGET_AVX2 static void find_cells_avx2(const float* values, size_t count, float centre, float scale,
                                           uint32_t scale_bits, unsigned shift, uint32_t side, uint16_t* cells) {
  const __m256 c = _mm256_set1_ps(centre), s = _mm256_set1_ps(scale);
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  const __m256i base = _mm256_set1_epi32(static_cast<int>(scale_bits)),
                first = _mm256_set1_epi32(static_cast<int>(side));
  const __m128i by = _mm_cvtsi32_si128(static_cast<int>(shift));
  for (size_t i = 0; i < count; i += 16) {
    __m256i cell[2];
    for (int h = 0; h < 2; h++) {
      const __m256 d = _mm256_sub_ps(_mm256_loadu_ps(values + i + 8 * h), c);
      const __m256i t = _mm256_castps_si256(_mm256_add_ps(_mm256_and_ps(d, magnitude), s));
      const __m256i step = _mm256_srl_epi32(_mm256_sub_epi32(t, base), by);
      const __m256i below = _mm256_srai_epi32(_mm256_castps_si256(d), 31);
      cell[h] = _mm256_add_epi32(first, _mm256_xor_si256(step, below));
    }
    const __m256i low = _mm256_set1_epi32(0xffff);
    const __m256i both = _mm256_packus_epi32(_mm256_and_si256(cell[0], low), _mm256_and_si256(cell[1], low));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(cells + i), _mm256_permute4x64_epi64(both, 0xd8));
  }
}

// See band_step in small_group.cpp. `band` is a multiple of 16.
DC_TARGET_AVX2 static void band_step_avx2(const double* from_weight, const double* from_sum, const double* from_gain,
                                          const double* to_weight, const double* to_sum, uint32_t band, double* gain,
                                          uint8_t* from) {
  const __m256d zero = _mm256_setzero_pd();
  for (uint32_t b = 0; b < band; b += 4) {
    const __m256d w = _mm256_loadu_pd(to_weight + b), s = _mm256_loadu_pd(to_sum + b);
    __m256d best = _mm256_set1_pd(-INFINITY), who = zero;
    for (uint32_t a = 0; a < band; a++) {
      const __m256d dw = _mm256_sub_pd(w, _mm256_set1_pd(from_weight[a]));
      const __m256d ds = _mm256_sub_pd(s, _mm256_set1_pd(from_sum[a]));
      const __m256d g = _mm256_add_pd(_mm256_set1_pd(from_gain[a]), _mm256_div_pd(_mm256_mul_pd(ds, ds), dw));
      const __m256d better = _mm256_and_pd(_mm256_cmp_pd(dw, zero, _CMP_GT_OQ), _mm256_cmp_pd(g, best, _CMP_GT_OQ));
      best = _mm256_blendv_pd(best, g, better);
      who = _mm256_blendv_pd(who, _mm256_set1_pd(static_cast<double>(a)), better);
    }
    _mm256_storeu_pd(gain + b, best);
    alignas(16) int32_t four[4];
    _mm_store_si128(reinterpret_cast<__m128i*>(four), _mm256_cvttpd_epi32(who));
    for (uint32_t l = 0; l < 4; l++) from[b + l] = static_cast<uint8_t>(four[l]);
  }
}

// See full_step in small_group.cpp.
DC_TARGET_AVX2 static void full_step_avx2(const double* before, const double* saved, uint32_t places, uint32_t stride,
                                          double* best) {
  for (uint32_t b = 0; b < stride; b += 4) {
    __m256d most = _mm256_set1_pd(-INFINITY);
    const uint32_t end = b + 4 < places ? b + 4 : places;  // a < b + 4: what lies behind is minus infinity
    const double* row = saved + b;
    for (uint32_t a = 0; a < end; a++, row += stride) {
      most = _mm256_max_pd(most, _mm256_add_pd(_mm256_set1_pd(before[a]), _mm256_loadu_pd(row)));
    }
    _mm256_storeu_pd(best + b, most);
  }
}

}  // namespace dc
#endif
