#pragma once
#include "../base/target.h"
#include "assign_table.h"

#if DC_X86
namespace dc {

// Eight codes (32-bit lanes, each in range) to bytes or 16-bit words.
DC_TARGET_AVX2 static DC_ALWAYS_INLINE void store_codes_avx2(__m256i code, size_t i, void* codes, unsigned code_bytes) {
  const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(code), _mm256_extracti128_si256(code, 1));
  if (code_bytes == 1) {
    _mm_storel_epi64((__m128i*)((uint8_t*)codes + i), _mm_packus_epi16(words, words));
  } else {
    _mm_storeu_si128((__m128i*)((uint16_t*)codes + i), words);
  }
}

// Codes of count / 8 * 8 values. False when one of them is not finite.
DC_TARGET_AVX2 static bool assign_cells_avx2(const AssignTable* table, const float* values, size_t count, void* codes,
                                             unsigned code_bytes) {
  const __m256i top = _mm256_set1_epi32(INT32_MIN);
  const __m256i base = _mm256_set1_epi32(static_cast<int>(table->base));
  const __m256i last = _mm256_set1_epi32(static_cast<int>(table->cells - 1));
  const __m256i low = _mm256_set1_epi32(static_cast<int>((1u << table->shift) - 1));
  const __m256i magnitude = _mm256_set1_epi32(INT32_MAX), largest = _mm256_set1_epi32(0x7f7fffff);
  const __m128i shift = _mm_cvtsi32_si128(static_cast<int>(table->shift));
  const uint32_t* entries = table->entries;
  __m256i bad = _mm256_setzero_si256();
  for (size_t i = 0; i + 8 <= count; i += 8) {
    const __m256i u = _mm256_loadu_si256((const __m256i*)(values + i));
    const __m256i key = _mm256_xor_si256(u, _mm256_or_si256(_mm256_srai_epi32(u, 31), top));
    bad = _mm256_or_si256(bad, _mm256_cmpgt_epi32(_mm256_and_si256(u, magnitude), largest));
    __m256i cell = _mm256_sub_epi32(_mm256_max_epu32(_mm256_srl_epi32(key, shift), base), base);
    cell = _mm256_min_epu32(cell, last);
    const __m256i entry = _mm256_i32gather_epi32((const int*)entries, cell, 4);
    const __m256i code = _mm256_srl_epi32(_mm256_add_epi32(entry, _mm256_and_si256(key, low)), shift);
    const unsigned crowded = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(entry));
    store_codes_avx2(code, i, codes, code_bytes);
    if (DC_UNLIKELY(crowded != 0)) {
      alignas(64) uint32_t lanes[8];
      _mm256_store_si256((__m256i*)lanes, cell);
      assign_crowded(*table, values + i, lanes, crowded, (uint8_t*)codes + i * code_bytes, code_bytes);
    }
  }
  return _mm256_testz_si256(bad, bad);
}

// The same for k <= 16: the code is the number of thresholds below the value.
DC_TARGET_AVX2 static bool assign_registers_avx2(const AssignTable* table, const float* values, size_t count,
                                                 void* codes, unsigned code_bytes) {
  __m256 thresholds[16];
  const uint32_t n = table->k - 1;
  for (uint32_t i = 0; i < n; i++) thresholds[i] = _mm256_set1_ps(table->thresholds[i]);
  const __m256i magnitude = _mm256_set1_epi32(INT32_MAX), largest = _mm256_set1_epi32(0x7f7fffff);
  __m256i bad = _mm256_setzero_si256();
  for (size_t i = 0; i + 8 <= count; i += 8) {
    const __m256 x = _mm256_loadu_ps(values + i);
    bad = _mm256_or_si256(bad, _mm256_cmpgt_epi32(_mm256_and_si256(_mm256_castps_si256(x), magnitude), largest));
    __m256i found = _mm256_setzero_si256();
    for (uint32_t t = 0; t < n; t++) {
      found = _mm256_sub_epi32(found, _mm256_castps_si256(_mm256_cmp_ps(x, thresholds[t], _CMP_GT_OQ)));
    }
    store_codes_avx2(found, i, codes, code_bytes);
  }
  return _mm256_testz_si256(bad, bad);
}

}  // namespace dc
#endif
