#pragma once
#include "../base/target.h"
#include "assign_table.h"

#if DC_X86
namespace dc {

// QNaN, +inf, -inf, SNaN.
#define DC_FPCLASS_NONFINITE 0x99

// Codes of count / 16 * 16 values. False when one of them is not finite.
DC_TARGET_AVX512 static bool assign_cells_avx512(const AssignTable* table, const float* values, size_t count,
                                                 void* codes, unsigned code_bytes) {
  const __m512i top = _mm512_set1_epi32(INT32_MIN);
  const __m512i base = _mm512_set1_epi32(static_cast<int>(table->base));
  const __m512i last = _mm512_set1_epi32(static_cast<int>(table->cells - 1));
  const __m512i low = _mm512_set1_epi32(static_cast<int>((1u << table->shift) - 1));
  const __m128i shift = _mm_cvtsi32_si128(static_cast<int>(table->shift));
  const uint32_t* entries = table->entries;
  __mmask16 bad = 0;
  for (size_t i = 0; i + 16 <= count; i += 16) {
    const __m512 x = _mm512_loadu_ps(values + i);
    const __m512i u = _mm512_castps_si512(x);
    // float_key(): u ^ ((u >> 31 arithmetic) | top)
    const __m512i key = _mm512_ternarylogic_epi32(u, _mm512_srai_epi32(u, 31), top, 0x1e);
    bad = _kor_mask16(bad, _mm512_fpclass_ps_mask(x, DC_FPCLASS_NONFINITE));
    __m512i cell = _mm512_sub_epi32(_mm512_max_epu32(_mm512_srl_epi32(key, shift), base), base);
    cell = _mm512_min_epu32(cell, last);
    const __m512i entry = _mm512_i32gather_epi32(cell, entries, 4);
    // Outside the table's range the low bits mean nothing, but there is no threshold to compare with either: the sum of
    // an empty cell's entry (all low bits clear) and any low bits does not carry.
    const __m512i code = _mm512_srl_epi32(_mm512_add_epi32(entry, _mm512_and_si512(key, low)), shift);
    if (code_bytes == 1) {
      _mm_storeu_si128((__m128i*)((uint8_t*)codes + i), _mm512_cvtepi32_epi8(code));
    } else {
      _mm256_storeu_si256((__m256i*)((uint16_t*)codes + i), _mm512_cvtepi32_epi16(code));
    }
    const unsigned crowded = _mm512_movepi32_mask(entry);
    if (DC_UNLIKELY(crowded != 0)) {
      alignas(64) uint32_t lanes[16];
      _mm512_store_si512((__m512i*)lanes, cell);
      assign_crowded(*table, values + i, lanes, crowded, (uint8_t*)codes + i * code_bytes, code_bytes);
    }
  }
  return bad == 0;
}

// The same for k <= 32, by a branch-free search in registers: step s looks at thresholds[found + s - 1], whose table is
// the threshold list moved down by s - 1, so that `found` itself is the index.
DC_TARGET_AVX512 static bool assign_registers_avx512(const AssignTable* table, const float* values, size_t count,
                                                     void* codes, unsigned code_bytes) {
  float padded[64];
  for (unsigned i = 0; i < 64; i++) padded[i] = i + 1 < table->k ? table->thresholds[i] : __builtin_inff();
  const __m512 step16 = _mm512_set1_ps(padded[15]);
  const __m512 step8a = _mm512_loadu_ps(padded + 7), step8b = _mm512_loadu_ps(padded + 23);
  const __m512 step4a = _mm512_loadu_ps(padded + 3), step4b = _mm512_loadu_ps(padded + 19);
  const __m512 step2a = _mm512_loadu_ps(padded + 1), step2b = _mm512_loadu_ps(padded + 17);
  const __m512 step1a = _mm512_loadu_ps(padded), step1b = _mm512_loadu_ps(padded + 16);
  const __m512i n16 = _mm512_set1_epi32(16), n8 = _mm512_set1_epi32(8), n4 = _mm512_set1_epi32(4);
  const __m512i n2 = _mm512_set1_epi32(2), n1 = _mm512_set1_epi32(1);
  const bool wide = table->k > 16;
  __mmask16 bad = 0;
  for (size_t i = 0; i + 16 <= count; i += 16) {
    const __m512 x = _mm512_loadu_ps(values + i);
    bad = _kor_mask16(bad, _mm512_fpclass_ps_mask(x, DC_FPCLASS_NONFINITE));
    __m512i found;
    if (wide) {
      found = _mm512_maskz_mov_epi32(_mm512_cmp_ps_mask(x, step16, _CMP_GT_OQ), n16);
      __m512 t = _mm512_permutex2var_ps(step8a, found, step8b);
      found = _mm512_mask_add_epi32(found, _mm512_cmp_ps_mask(x, t, _CMP_GT_OQ), found, n8);
      t = _mm512_permutex2var_ps(step4a, found, step4b);
      found = _mm512_mask_add_epi32(found, _mm512_cmp_ps_mask(x, t, _CMP_GT_OQ), found, n4);
      t = _mm512_permutex2var_ps(step2a, found, step2b);
      found = _mm512_mask_add_epi32(found, _mm512_cmp_ps_mask(x, t, _CMP_GT_OQ), found, n2);
      t = _mm512_permutex2var_ps(step1a, found, step1b);
      found = _mm512_mask_add_epi32(found, _mm512_cmp_ps_mask(x, t, _CMP_GT_OQ), found, n1);
    } else {
      found = _mm512_maskz_mov_epi32(_mm512_cmp_ps_mask(x, _mm512_set1_ps(padded[7]), _CMP_GT_OQ), n8);
      __m512 t = _mm512_permutexvar_ps(found, step4a);
      found = _mm512_mask_add_epi32(found, _mm512_cmp_ps_mask(x, t, _CMP_GT_OQ), found, n4);
      t = _mm512_permutexvar_ps(found, step2a);
      found = _mm512_mask_add_epi32(found, _mm512_cmp_ps_mask(x, t, _CMP_GT_OQ), found, n2);
      t = _mm512_permutexvar_ps(found, step1a);
      found = _mm512_mask_add_epi32(found, _mm512_cmp_ps_mask(x, t, _CMP_GT_OQ), found, n1);
    }
    if (code_bytes == 1) {
      _mm_storeu_si128((__m128i*)((uint8_t*)codes + i), _mm512_cvtepi32_epi8(found));
    } else {
      _mm256_storeu_si256((__m256i*)((uint16_t*)codes + i), _mm512_cvtepi32_epi16(found));
    }
  }
  return bad == 0;
}

}  // namespace dc
#endif
