#pragma once
#include "../base/target.h"

#if DC_X86
namespace dc {

// See compact.h.
DC_TARGET_AVX512 static size_t compact_avx512(const float* values, const uint32_t* mask, size_t count, float* kept) {
  size_t out = 0, i = 0;
  for (; i + 32 <= count; i += 32) {
    const uint32_t bits = mask[i / 32];
    _mm512_storeu_ps(kept + out, _mm512_maskz_compress_ps((__mmask16)bits, _mm512_loadu_ps(values + i)));
    out += (unsigned)_mm_popcnt_u32(bits & 0xffff);
    _mm512_storeu_ps(kept + out, _mm512_maskz_compress_ps((__mmask16)(bits >> 16), _mm512_loadu_ps(values + i + 16)));
    out += (unsigned)_mm_popcnt_u32(bits >> 16);
  }
  for (; i < count; i++) {
    kept[out] = values[i];
    out += (mask[i / 32] >> (i % 32)) & 1;
  }
  return out;
}

}  // namespace dc
#endif
