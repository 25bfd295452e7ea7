#pragma once
#include <cstddef>
#include <cstdint>

#include "../base/target.h"

#if DC_X86
namespace dc {

// values[i] = book[codes[i]] for count / 64 * 64 byte codes, book of 256 floats. The four bytes of the floats are
// looked up on their own, 64 codes at a time (two 128-byte permutes and a blend for each), and woven together: a third
// of the time of gathers. The weaving works inside 128-bit lanes, so the codes are first dealt to lanes such that it
// ends in order: dword 4 * lane + j of the codes goes where dword j of lane `lane` of output j is made.
DC_TARGET_AVX512 static void expand_bytes_avx512(const uint8_t* codes, size_t count, const float* book, float* values) {
  alignas(64) uint8_t planes[4][256];
  for (unsigned i = 0; i < 256; i++) {
    for (unsigned p = 0; p < 4; p++) planes[p][i] = ((const uint8_t*)(book + i))[p];
  }
  __m512i t[4][4];
  for (unsigned p = 0; p < 4; p++) {
    for (unsigned q = 0; q < 4; q++) t[p][q] = _mm512_load_si512(planes[p] + 64 * q);
  }
  const __m512i deal = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  for (size_t i = 0; i + 64 <= count; i += 64) {
    const __m512i c = _mm512_permutexvar_epi32(deal, _mm512_loadu_si512(codes + i));
    const __mmask64 upper = _mm512_movepi8_mask(c);
    __m512i b[4];
    for (unsigned p = 0; p < 4; p++) {
      b[p] = _mm512_mask_blend_epi8(upper, _mm512_permutex2var_epi8(t[p][0], c, t[p][1]),
                                    _mm512_permutex2var_epi8(t[p][2], c, t[p][3]));
    }
    const __m512i lo01 = _mm512_unpacklo_epi8(b[0], b[1]), hi01 = _mm512_unpackhi_epi8(b[0], b[1]);
    const __m512i lo23 = _mm512_unpacklo_epi8(b[2], b[3]), hi23 = _mm512_unpackhi_epi8(b[2], b[3]);
    _mm512_storeu_si512(values + i, _mm512_unpacklo_epi16(lo01, lo23));
    _mm512_storeu_si512(values + i + 16, _mm512_unpackhi_epi16(lo01, lo23));
    _mm512_storeu_si512(values + i + 32, _mm512_unpacklo_epi16(hi01, hi23));
    _mm512_storeu_si512(values + i + 48, _mm512_unpackhi_epi16(hi01, hi23));
  }
}

// Spreads kept values to their places, 0 elsewhere, for count / 32 * 32 places. Reads up to 16 floats past the last
// kept one.
DC_TARGET_AVX512 static size_t spread_avx512(const float* kept, const uint32_t* mask, size_t count, float* values) {
  size_t in = 0;
  for (size_t i = 0; i + 32 <= count; i += 32) {
    const uint32_t bits = mask[i / 32];
    _mm512_storeu_ps(values + i, _mm512_maskz_expand_ps((__mmask16)bits, _mm512_loadu_ps(kept + in)));
    in += (unsigned)_mm_popcnt_u32(bits & 0xffff);
    _mm512_storeu_ps(values + i + 16, _mm512_maskz_expand_ps((__mmask16)(bits >> 16), _mm512_loadu_ps(kept + in)));
    in += (unsigned)_mm_popcnt_u32(bits >> 16);
  }
  return in;
}

}  // namespace dc
#endif
