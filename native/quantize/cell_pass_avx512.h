#pragma once
#include "../base/target.h"
#include "cells.h"

#if DC_X86
namespace dc {

// Order keys of 16 values, -0 as +0.
DC_TARGET_AVX512 static DC_ALWAYS_INLINE __m512i keys_avx512(__m512i bits) {
  const __m512i sign = _mm512_set1_epi32(static_cast<int>(0x80000000u));
  bits = _mm512_mask_mov_epi32(bits, _mm512_cmpeq_epi32_mask(bits, sign), _mm512_setzero_si512());
  return _mm512_xor_si512(bits, _mm512_or_si512(_mm512_srai_epi32(bits, 31), sign));
}

// Places are worked out a batch ahead of the additions: a scalar load right after the wide store it comes from waits
// for it.
DC_TARGET_AVX512 static void count_block_avx512(const float* values, size_t count, const CellMap& map, uint64_t one,
                                                uint64_t* table) {
  enum { kBatch = 512 };
  alignas(64) uint32_t cell[kBatch], low[kBatch];
  const __m512i low_mask = _mm512_set1_epi32(0xfffff), ones = _mm512_set1_epi32(-1);
  const __m512i shift_mask = _mm512_set1_epi32(31);
  size_t i = 0;
  for (; i + kBatch <= count; i += kBatch) {
    for (size_t j = 0; j < kBatch; j += 16) {
      const __m512i key = keys_avx512(_mm512_loadu_si512(values + i + j));
      const __m512i entry = _mm512_i32gather_epi32(_mm512_srli_epi32(key, 20), map.packed, 4);
      const __m512i shift = _mm512_and_si512(entry, shift_mask), rest = _mm512_and_si512(key, low_mask);
      const __m512i at = _mm512_add_epi32(_mm512_srli_epi32(entry, 5), _mm512_srlv_epi32(rest, shift));
      _mm512_store_si512(cell + j, at);
      _mm512_store_si512(low + j, _mm512_andnot_si512(_mm512_sllv_epi32(ones, shift), rest));
    }
    for (size_t j = 0; j < kBatch; j++) table[cell[j]] += one + low[j];
  }
  for (; i < count; i++) {
    const uint32_t key = order_key(values[i]);
    const uint32_t e = map.packed[key >> 20], shift = e & 31, rest = key & 0xfffff;
    table[(e >> 5) + (rest >> shift)] += one + (rest & ((1u << shift) - 1));
  }
}

// See collect_block in cell_pass.cpp: 16 sums, one a lane. `count` is a multiple of 16.
DC_TARGET_AVX512 static size_t collect_block_avx512(const float* values, size_t count, const CellMap& map,
                                                    const uint32_t* flags, uint32_t* keys, double* lanes) {
  const __m512i low_mask = _mm512_set1_epi32(0xfffff), shift_mask = _mm512_set1_epi32(31);
  const __m512i one = _mm512_set1_epi32(1), ones = _mm512_set1_epi32(-1);
  const __m512i sign = _mm512_set1_epi32(static_cast<int>(0x80000000u));
  __m512d sum0 = _mm512_loadu_pd(lanes), sum1 = _mm512_loadu_pd(lanes + 8);
  size_t found = 0;
  for (size_t i = 0; i < count; i += 16) {
    const __m512i key = keys_avx512(_mm512_loadu_si512(values + i));
    const __m512i entry = _mm512_i32gather_epi32(_mm512_srli_epi32(key, 20), map.packed, 4);
    const __m512i shift = _mm512_and_si512(entry, shift_mask), rest = _mm512_and_si512(key, low_mask);
    const __m512i at = _mm512_add_epi32(_mm512_srli_epi32(entry, 5), _mm512_srlv_epi32(rest, shift));
    const __m512i word = _mm512_i32gather_epi32(_mm512_srli_epi32(at, 5), flags, 4);
    const __mmask16 flagged = _mm512_test_epi32_mask(word, _mm512_sllv_epi32(one, _mm512_and_si512(at, shift_mask)));
    // The value in the middle of the cell: its key has the low bits 100...0. Both have one exponent, so the difference
    // is exact in float.
    const __m512i half = _mm512_srli_epi32(_mm512_sllv_epi32(one, shift), 1);
    const __m512i middle = _mm512_or_si512(_mm512_and_si512(key, _mm512_sllv_epi32(ones, shift)), half);
    const __m512 d =
        _mm512_sub_ps(_mm512_castsi512_ps(_mm512_xor_si512(
                          key, _mm512_or_si512(_mm512_srai_epi32(_mm512_xor_si512(key, ones), 31), sign))),
                      _mm512_castsi512_ps(_mm512_xor_si512(
                          middle, _mm512_or_si512(_mm512_srai_epi32(_mm512_xor_si512(middle, ones), 31), sign))));
    const __m512d d0 = _mm512_cvtps_pd(_mm512_castps512_ps256(d)), d1 = _mm512_cvtps_pd(_mm512_extractf32x8_ps(d, 1));
    const __mmask16 others = static_cast<__mmask16>(~flagged);
    sum0 = _mm512_mask_add_pd(sum0, static_cast<__mmask8>(others), sum0, _mm512_mul_pd(d0, d0));
    sum1 = _mm512_mask_add_pd(sum1, static_cast<__mmask8>(others >> 8), sum1, _mm512_mul_pd(d1, d1));
    // Packed in a register: a packing store takes a hundred cycles on Zen 4. There is room, for found <= i.
    _mm512_storeu_si512(keys + found, _mm512_maskz_compress_epi32(flagged, key));
    found += static_cast<size_t>(_mm_popcnt_u32(flagged));
  }
  _mm512_storeu_pd(lanes, sum0);
  _mm512_storeu_pd(lanes + 8, sum1);
  return found;
}

}  // namespace dc
#endif
