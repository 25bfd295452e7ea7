#include "planes.h"

#include "../base/bits.h"

namespace dc {

Result merge_planes(const Job& job, const uint8_t* planes, size_t stride, float* values, size_t n) noexcept {
  return parallel(job, block_count(n), [&](size_t block, unsigned) {
    const size_t begin = block * kBlockElements, end = n - begin < kBlockElements ? n : begin + kBlockElements;
    for (size_t i = begin; i < end; i++) {
      uint32_t r = 0;
      for (size_t k = 0; k < 4; k++) r |= static_cast<uint32_t>(planes[k * stride + i]) << (8 * k);
      values[i] = bits_float(r >> 1 | r << 31);
    }
  });
}

}  // namespace dc
