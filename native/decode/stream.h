#pragma once
#include "../base/job.h"

namespace dc {

// Decodes a plain stream (docs/format-streams.md S6) of exactly n symbols: bytes[0..size) to out[0..n). Status::huffman
// or Status::bitstream, with the byte offset of the model or of the first damaged block.
Result decode_stream(const Job& job, const uint8_t* bytes, size_t size, uint8_t* out, size_t n) noexcept;

}  // namespace dc
