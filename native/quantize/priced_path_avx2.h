#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "../base/target.h"

#if DC_X86
namespace dc {

// What a cluster from one of eight places a to one of eight places b costs, beside what depends on b alone; infinite
// where it would hold nothing.
DC_TARGET_AVX2 static inline __m256 cost_avx2(__m256 best_a, __m256 weight_a, __m256 sum_a, __m256 weight_b,
                                              __m256 sum_b) {
  const __m256 dw = _mm256_sub_ps(weight_b, weight_a), ds = _mm256_sub_ps(sum_b, sum_a);
  const __m256 g = _mm256_sub_ps(best_a, _mm256_div_ps(_mm256_mul_ps(ds, ds), dw));
  return _mm256_blendv_ps(_mm256_set1_ps(INFINITY), g, _mm256_cmp_ps(dw, _mm256_setzero_ps(), _CMP_GT_OQ));
}

// See best_before in priced_path.cpp.
DC_TARGET_AVX2 static inline uint32_t best_before_avx2(const float* weight, const float* sum, const float* best,
                                                       const float* total, uint32_t from, uint32_t end, uint32_t b,
                                                       float limit, float* least) {
  const __m256 w = _mm256_set1_ps(weight[b]), s = _mm256_set1_ps(sum[b]), none = _mm256_set1_ps(INFINITY);
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), after = _mm256_set1_epi32(static_cast<int>(end));
  __m256 low = none;
  __m256i who = _mm256_set1_epi32(static_cast<int>(from));
  for (uint32_t first = from; first < end && total[first] < limit; first += 16) {
    for (uint32_t a = first; a < first + 16 && a < end; a += 8) {
      const __m256i at = _mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(a)), lane);
      __m256 g = cost_avx2(_mm256_loadu_ps(best + a), _mm256_loadu_ps(weight + a), _mm256_loadu_ps(sum + a), w, s);
      g = _mm256_blendv_ps(none, g, _mm256_castsi256_ps(_mm256_cmpgt_epi32(after, at)));
      const __m256 less = _mm256_cmp_ps(g, low, _CMP_LT_OQ);
      low = _mm256_blendv_ps(low, g, less);
      who = _mm256_blendv_epi8(who, at, _mm256_castps_si256(less));
    }
  }
  float lows[8];
  uint32_t whose[8];
  _mm256_storeu_ps(lows, low);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(whose), who);
  uint32_t first = 0;
  for (uint32_t l = 1; l < 8; l++) {
    if (lows[l] < lows[first] || (lows[l] == lows[first] && whose[l] < whose[first])) first = l;
  }
  *least = lows[first];
  return whose[first];
}

// See walk in priced_path.cpp.
DC_TARGET_AVX2 static void walk_avx2(const float* weight, const float* sum, const float* square, uint32_t base,
                                     uint32_t count, uint32_t low, float price, float* best, float* total,
                                     uint32_t* from) {
  const __m256 p = _mm256_set1_ps(price);
  uint32_t first = from[base] - low;
  for (uint32_t b = base + 1; b < count; b += 16) {
    const uint32_t size = count - b < 16 ? count - b : 16, final = b + size - 1;
    float least;
    const float limit = limit_of(weight, sum, best, first, b, size) + square[final];
    const uint32_t stop = best_before_avx2(weight, sum, best, total, first, b, final, limit, &least);
    __m256 w[2], s[2], found[2];
    __m256i who[2];
    for (uint32_t h = 0; h < 2; h++) {
      w[h] = _mm256_loadu_ps(weight + b + 8 * h);
      s[h] = _mm256_loadu_ps(sum + b + 8 * h);
      found[h] = _mm256_set1_ps(INFINITY);
      who[h] = _mm256_set1_epi32(static_cast<int>(first));
    }
    float before = total[b - 1];
    for (uint32_t a = first; a < final; a++) {
      if (a > stop && a < b) a = b;
      // Each of the 16 in turn begins clusters that end behind it, as long as that can be cheaper for the last.
      if (a >= b) {
        if (a == final || !(before < least + square[final])) break;
        alignas(32) float now[16];
        _mm256_store_ps(now, found[0]);
        _mm256_store_ps(now + 8, found[1]);
        best[a] = now[a - b] + price;
        before = best[a] + square[a];
      }
      const __m256 wa = _mm256_set1_ps(weight[a]), sa = _mm256_set1_ps(sum[a]), ba = _mm256_set1_ps(best[a]);
      for (uint32_t h = 0; h < 2; h++) {
        const __m256 g = cost_avx2(ba, wa, sa, w[h], s[h]);
        const __m256 less = _mm256_cmp_ps(g, found[h], _CMP_LT_OQ);
        found[h] = _mm256_blendv_ps(found[h], g, less);
        who[h] = _mm256_blendv_epi8(who[h], _mm256_set1_epi32(static_cast<int>(a)), _mm256_castps_si256(less));
      }
    }
    for (uint32_t h = 0; h < 2; h++) {
      const __m256 now = _mm256_add_ps(found[h], p);
      alignas(32) float bests[8], totals[8];
      alignas(32) uint32_t froms[8];
      _mm256_store_ps(bests, now);
      _mm256_store_ps(totals, _mm256_add_ps(now, _mm256_loadu_ps(square + b + 8 * h)));
      _mm256_store_si256(reinterpret_cast<__m256i*>(froms),
                         _mm256_add_epi32(who[h], _mm256_set1_epi32(static_cast<int>(low))));
      for (uint32_t l = 0; l < 8 && 8 * h + l < size; l++) {
        best[b + 8 * h + l] = bests[l];
        total[b + 8 * h + l] = totals[l];
        from[b + 8 * h + l] = froms[l];
      }
    }
    first = from[final] - low;
  }
}

}  // namespace dc
#endif
