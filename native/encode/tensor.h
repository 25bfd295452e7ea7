#pragma once
#include "../base/job.h"
#include "../container/layout.h"
#include "model.h"

namespace dc {

// A tensor after sharing (src/tensor.ts): `codes` has one code a kept weight, in order of position.
struct QuantizedInput {
  uint64_t elements = 0;
  const uint32_t* mask = nullptr;  // one bit a weight, bits past the last are 0; nullptr: all are kept
  const uint8_t* codes = nullptr;
  uint64_t kept = 0;
  const float* codebook = nullptr;  // finite; in any order (DCZ-51); -0.0 is stored as +0.0
  unsigned clusters = 0;            // 0 only when nothing is kept
};

enum class LayoutChoice : uint8_t { automatic = 0, dense = 2, sparse = 3, relative = 4, context = 5 };

struct TensorOptions {
  LayoutChoice layout = LayoutChoice::automatic;
  unsigned index_bits = 0;  // 2..8: bits of a gap symbol; 0: the cheapest
  ModeChoice entropy = ModeChoice::automatic;
  uint64_t width = 0;  // columns of the matrix that the tensor is, for layout context; 0: not known
};

// Enough for any encoding of such a tensor.
uint64_t quantized_bound(uint64_t elements, uint64_t kept, unsigned clusters) noexcept;
uint64_t raw_bound(uint64_t elements) noexcept;

// Writes the payload (format part 3) to out[0..d.stored_bytes) and what the header says of it to `d`. Same bytes at
// every level and for every number of threads. Status::arg: mask, codes and kept disagree, no such layout (relative or
// dense with pruning has room for 255 clusters; context for 2^20 elements and DCZ-38), capacity is short.
// Status::value: a code past the codebook. Status::nonfinite: a centroid that is NaN or infinite.
Result encode_quantized(const Job& job, const QuantizedInput& input, const TensorOptions& options, uint8_t* out,
                        uint64_t capacity, TensorDescriptor& d) noexcept;

// The same for floats that are kept as they are. Status::nonfinite with the index of the first NaN or infinity, unless
// allowed.
Result encode_raw(const Job& job, const float* values, uint64_t elements, ModeChoice entropy, bool allow_nonfinite,
                  uint8_t* out, uint64_t capacity, TensorDescriptor& d) noexcept;

}  // namespace dc
