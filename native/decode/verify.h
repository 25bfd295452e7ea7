#pragma once
#include "../container/reader.h"
#include "tensor.h"

namespace dc {

// Everything that can be checked about a file in memory: envelope and header, then, section by section in the order of
// the file, padding, checksums, and the tensor by decoding it; of several damages the first in that order is told.
// Status::limit when a tensor's decoded form exceeds limits.decoded_bytes. Result::offset is a byte of the file.
Result verify_file(const Job& job, const uint8_t* file, uint64_t size, const Limits& limits) noexcept;

}  // namespace dc
