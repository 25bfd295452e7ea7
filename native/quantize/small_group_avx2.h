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

// See cost_row in small_group.cpp. Writes whole eights from `length` on, `end` or a few more.
DC_TARGET_AVX2 static void cost_row_avx2(const double* weight, const double* sum, const double* square, uint32_t length,
                                         uint32_t end, float* row) {
  for (uint32_t b = length; b < end; b += 4) {
    const uint32_t a = b - length;
    const __m256d w = _mm256_sub_pd(_mm256_loadu_pd(weight + b), _mm256_loadu_pd(weight + a));
    const __m256d s = _mm256_sub_pd(_mm256_loadu_pd(sum + b), _mm256_loadu_pd(sum + a));
    const __m256d q = _mm256_sub_pd(_mm256_loadu_pd(square + b), _mm256_loadu_pd(square + a));
    const __m256d cost = _mm256_sub_pd(q, _mm256_div_pd(_mm256_mul_pd(s, s), w));
    _mm_storeu_ps(row + b, _mm256_cvtpd_ps(cost));
  }
}

// See programme_step in small_group.cpp.
DC_TARGET_AVX2 static void programme_step_avx2(const float* before, const float* table, size_t stride, uint32_t longest,
                                               uint32_t window, float* best) {
  for (uint32_t v = 0; v < window; v += 16) {
    __m256 low = _mm256_set1_ps(INFINITY), high = low;
    for (uint32_t n = 1; n <= longest; n++) {
      const float *const b = before + v - n, *const t = table + (n - 1) * stride + v;
      low = _mm256_min_ps(_mm256_add_ps(_mm256_loadu_ps(b), _mm256_loadu_ps(t)), low);
      high = _mm256_min_ps(_mm256_add_ps(_mm256_loadu_ps(b + 8), _mm256_loadu_ps(t + 8)), high);
    }
    _mm256_storeu_ps(best + v, low);
    _mm256_storeu_ps(best + v + 8, high);
  }
}

// See band_step in small_group.cpp. `band` is a multiple of 16.
DC_TARGET_AVX2 static void band_step_avx2(const float* from_weight, const float* from_sum, const float* from_cost,
                                          const float* to_weight, const float* to_sum, const float* to_cost,
                                          uint32_t band, float* cost, uint8_t* from) {
  const __m256 zero = _mm256_setzero_ps();
  for (uint32_t b = 0; b < band; b += 8) {
    const __m256 w = _mm256_loadu_ps(to_weight + b), s = _mm256_loadu_ps(to_sum + b);
    __m256 best = _mm256_set1_ps(INFINITY), who = zero;
    for (uint32_t a = 0; a < band; a++) {
      const __m256 dw = _mm256_sub_ps(w, _mm256_set1_ps(from_weight[a]));
      const __m256 ds = _mm256_sub_ps(s, _mm256_set1_ps(from_sum[a]));
      const __m256 g = _mm256_sub_ps(_mm256_set1_ps(from_cost[a]), _mm256_div_ps(_mm256_mul_ps(ds, ds), dw));
      const __m256 better = _mm256_and_ps(_mm256_cmp_ps(dw, zero, _CMP_GT_OQ), _mm256_cmp_ps(g, best, _CMP_LT_OQ));
      best = _mm256_blendv_ps(best, g, better);
      who = _mm256_blendv_ps(who, _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(a))), better);
    }
    _mm256_storeu_ps(cost + b, _mm256_add_ps(best, _mm256_loadu_ps(to_cost + b)));
    alignas(32) int32_t eight[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(eight), _mm256_castps_si256(who));
    for (uint32_t l = 0; l < 8; l++) from[b + l] = static_cast<uint8_t>(eight[l]);
  }
}

// See add_distances in small_group.cpp. `count` is a multiple of 8.
DC_TARGET_AVX2 static void add_distances_avx2(const float* values, size_t count, double centroid, double* lanes) {
  const __m256d c = _mm256_set1_pd(centroid);
  __m256d low = _mm256_loadu_pd(lanes), high = _mm256_loadu_pd(lanes + 4);
  for (size_t i = 0; i < count; i += 8) {
    const __m256d d = _mm256_sub_pd(_mm256_cvtps_pd(_mm_loadu_ps(values + i)), c);
    const __m256d e = _mm256_sub_pd(_mm256_cvtps_pd(_mm_loadu_ps(values + i + 4)), c);
    low = _mm256_add_pd(low, _mm256_mul_pd(d, d));
    high = _mm256_add_pd(high, _mm256_mul_pd(e, e));
  }
  _mm256_storeu_pd(lanes, low);
  _mm256_storeu_pd(lanes + 4, high);
}

}  // namespace dc
#endif
