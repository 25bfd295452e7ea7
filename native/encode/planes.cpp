#include "planes.h"

#include "../base/bits.h"

namespace dc {

Result split_planes(const Job& job, const float* values, size_t n, uint8_t* planes, size_t stride) noexcept {
  return parallel(job, block_count(n), [&](size_t block, unsigned) {
    const size_t begin = block * kBlockElements, end = n - begin < kBlockElements ? n : begin + kBlockElements;
    for (size_t i = begin; i < end; i++) {
      const uint32_t u = float_bits(values[i]), r = u << 1 | u >> 31;
      for (size_t k = 0; k < 4; k++) planes[k * stride + i] = static_cast<uint8_t>(r >> (8 * k));
    }
  });
}

}  // namespace dc
