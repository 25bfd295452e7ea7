#pragma once
#include <cstddef>
#include <cstdint>

#include "../base/target.h"

#if DC_X86
namespace dc {

// See find_cells in small_group_cells.cpp. `count` is a multiple of 16.
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

// See add_distances in small_group_cells.cpp. `count` is a multiple of 8.
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
