#pragma once
#include "../base/job.h"
#include "../container/layout.h"

namespace dc {

// A payload (format part 3) read by its descriptor. The descriptor passed the header's checks (DCZ-30 to 35); the
// payload may be anything: every length is checked before it is used, and the checksum is not relied on. Errors:
// Status::structure, huffman, bitstream, index, value, nomem; `offset` is a byte of the payload. Of several damaged
// blocks the first is reported.

struct DecodeOptions {
  bool allow_nonfinite = false;
  bool out_is_zero = false;  // decode_values: `out` holds zeros (fresh memory), which need not be written again
};

// out[0..count) = elements first .. first + count - 1 as floats. Only the blocks that the range touches are decoded.
// Status::arg when the range is not inside the tensor.
Result decode_values(const Job& job, const TensorDescriptor& d, const uint8_t* payload, uint64_t size, uint64_t first,
                     uint64_t count, const DecodeOptions& options, float* out) noexcept;

// A coded tensor or layout zero as the encoder got it: mask[0..ceil(N / 32)) (all ones where nothing is pruned),
// codes[0..d.kept), codebook[0..d.clusters). Status::arg for layout raw.
Result decode_codes(const Job& job, const TensorDescriptor& d, const uint8_t* payload, uint64_t size,
                    const DecodeOptions& options, uint32_t* mask, uint8_t* codes, float* codebook) noexcept;

}  // namespace dc
