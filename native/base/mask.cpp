#include "mask.h"

#include "bits.h"
#include "target.h"

namespace dc {

static uint64_t count_words_serial(const uint32_t* mask, size_t words) noexcept {
  uint64_t sum = 0;
  for (size_t i = 0; i < words; i++) sum += static_cast<unsigned>(count_ones(mask[i]));
  return sum;
}

#if DC_X86
DC_TARGET_AVX2 static uint64_t count_words_popcnt(const uint32_t* mask, size_t words) {
  uint64_t sum = 0;
  for (size_t i = 0; i < words; i++) sum += static_cast<unsigned>(_mm_popcnt_u32(mask[i]));
  return sum;
}
#endif

uint64_t count_mask(CpuLevel level, const uint32_t* mask, size_t count) noexcept {
  const size_t words = count / kMaskBits;
  const unsigned rest = count % kMaskBits;
  uint64_t sum = 0;
#if DC_X86
  if (level >= CpuLevel::avx2) {
    sum = count_words_popcnt(mask, words);
  } else
#endif
  {
    sum = count_words_serial(mask, words);
  }
  (void)level;
  if (rest) sum += static_cast<unsigned>(count_ones(mask[words] & ((1u << rest) - 1)));
  return sum;
}

Result mask_offsets(const Job& job, const uint32_t* mask, size_t count, uint64_t* before) noexcept {
  const size_t blocks = block_count(count);
  const Result counted = parallel(job, blocks, [&](size_t b, unsigned) {
    const size_t first = b * kBlockElements;
    const size_t here = count - first < kBlockElements ? count - first : kBlockElements;
    before[b] = count_mask(job.level, mask + first / kMaskBits, here);
  });
  if (!counted) return counted;
  uint64_t sum = 0;
  for (size_t b = 0; b < blocks; b++) {
    const uint64_t here = before[b];
    before[b] = sum;
    sum += here;
  }
  before[blocks] = sum;
  return {};
}

}  // namespace dc
