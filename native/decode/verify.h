#pragma once
#include "../container/reader.h"
#include "tensor.h"

namespace dc {

// Everything that can be checked about a file in memory: envelope, header, every section's padding and checksum, every
// tensor by decoding it. Status::limit when a tensor's decoded form exceeds limits.decoded_bytes. Result::offset is a
// byte of the file.
Result verify_file(const Job& job, const uint8_t* file, uint64_t size, const Limits& limits) noexcept;

}  // namespace dc
