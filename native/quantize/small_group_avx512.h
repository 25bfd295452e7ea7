#pragma once
#include <cstddef>
#include <cstdint>

#include "../base/target.h"

#if DC_X86
namespace dc {

// See measure_spread in small_group_cells.cpp. `count` is a multiple of 16.
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

// See find_cells in small_group_cells.cpp. `count` is a multiple of 16.
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

// See add_prefixes in small_group_cells.cpp. `count` is a multiple of 8.
DC_TARGET_AVX512 static void add_prefixes_avx512(const float* values, size_t count, double centre, double unit,
                                                 double* carry, double* sums, double* squares) {
  const __m512d c = _mm512_set1_pd(centre), u = _mm512_set1_pd(unit), zero = _mm512_setzero_pd();
  const __m512i z = _mm512_castpd_si512(zero), last = _mm512_set1_epi64(7);
  __m512d before = _mm512_set1_pd(carry[0]), before2 = _mm512_set1_pd(carry[1]);
  for (size_t i = 0; i < count; i += 8) {
    __m512d t = _mm512_mul_pd(_mm512_sub_pd(_mm512_cvtps_pd(_mm256_loadu_ps(values + i)), c), u);
    __m512d t2 = _mm512_mul_pd(t, t);
    t = _mm512_add_pd(t, _mm512_castsi512_pd(_mm512_alignr_epi64(_mm512_castpd_si512(t), z, 7)));
    t2 = _mm512_add_pd(t2, _mm512_castsi512_pd(_mm512_alignr_epi64(_mm512_castpd_si512(t2), z, 7)));
    t = _mm512_add_pd(t, _mm512_castsi512_pd(_mm512_alignr_epi64(_mm512_castpd_si512(t), z, 6)));
    t2 = _mm512_add_pd(t2, _mm512_castsi512_pd(_mm512_alignr_epi64(_mm512_castpd_si512(t2), z, 6)));
    t = _mm512_add_pd(t, _mm512_castsi512_pd(_mm512_alignr_epi64(_mm512_castpd_si512(t), z, 4)));
    t2 = _mm512_add_pd(t2, _mm512_castsi512_pd(_mm512_alignr_epi64(_mm512_castpd_si512(t2), z, 4)));
    _mm512_storeu_pd(sums + i, _mm512_add_pd(before, t));
    _mm512_storeu_pd(squares + i, _mm512_add_pd(before2, t2));
    before = _mm512_add_pd(before, _mm512_permutexvar_pd(last, t));
    before2 = _mm512_add_pd(before2, _mm512_permutexvar_pd(last, t2));
  }
  carry[0] = _mm512_cvtsd_f64(before);
  carry[1] = _mm512_cvtsd_f64(before2);
}

// See add_distances in small_group_cells.cpp. `count` is a multiple of 8.
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
