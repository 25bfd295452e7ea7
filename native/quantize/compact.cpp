#include "compact.h"

#include "../base/bits.h"
#include "../base/mask.h"
#include "compact_avx512.h"

namespace dc {

static size_t compact_serial(const float* values, const uint32_t* mask, size_t count, float* kept) noexcept {
  size_t out = 0;
  for (size_t word = 0; word * kMaskBits < count; word++) {
    uint32_t bits = mask[word];
    const size_t here = count - word * kMaskBits;
    if (here < kMaskBits) bits &= (1u << here) - 1;
    for (; bits; bits &= bits - 1) kept[out++] = values[word * kMaskBits + count_trailing_zeros(bits)];
  }
  return out;
}

size_t compact(CpuLevel level, const float* values, const uint32_t* mask, size_t count, float* kept) noexcept {
#if DC_X86
  if (level == CpuLevel::avx512) return compact_avx512(values, mask, count, kept);
#endif
  (void)level;
  return compact_serial(values, mask, count, kept);
}

}  // namespace dc
