#include "read_pass.h"

#include <atomic>

#include "bits.h"
#include "target.h"

namespace dc {

static uint32_t read_serial(const float* values, size_t count) noexcept {
  uint32_t bits = 0;
  for (size_t i = 0; i < count; i++) bits ^= float_bits(values[i]);
  return bits;
}

#if DC_X86
DC_TARGET_AVX2 static uint32_t read_avx2(const float* values, size_t count) {
  __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
  for (size_t i = 0; i + 32 <= count; i += 32) {
    a = _mm256_xor_si256(a, _mm256_loadu_si256((const __m256i*)(values + i)));
    b = _mm256_xor_si256(b, _mm256_loadu_si256((const __m256i*)(values + i + 8)));
    c = _mm256_xor_si256(c, _mm256_loadu_si256((const __m256i*)(values + i + 16)));
    d = _mm256_xor_si256(d, _mm256_loadu_si256((const __m256i*)(values + i + 24)));
  }
  a = _mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d));
  __m128i m = _mm_xor_si128(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  m = _mm_xor_si128(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_xor_si128(m, _mm_shuffle_epi32(m, 0xb1));
  return (uint32_t)_mm_cvtsi128_si32(m);
}
#endif

Result read_pass(const Job& job, const float* values, size_t count, uint32_t* bits) noexcept {
  std::atomic<uint32_t> all{0};
  const Result ran = parallel(job, block_count(count), [&](size_t b, unsigned) {
    const size_t first = b * kBlockElements;
    const size_t here = count - first < kBlockElements ? count - first : kBlockElements;
    size_t done = 0;
    uint32_t mine = 0;
#if DC_X86
    if (job.level >= CpuLevel::avx2) {
      done = here & ~size_t{31};
      mine = read_avx2(values + first, done);
    }
#endif
    all.fetch_xor(mine ^ read_serial(values + first + done, here - done), std::memory_order_relaxed);
  });
  *bits = all.load();
  return ran;
}

}  // namespace dc
