#pragma once
#include "../base/context_model.h"
#include "tensor.h"

namespace dc {

// Streams of layout `context` (docs/format-streams.md S7).

// The row distance, other than 1, at which kept weights most often stand above each other (28 for the pixels of a 28 by
// 28 image); 1 when there is none, or when the job was cancelled. Looks at the first kept weights only.
uint64_t context_stride(const Job& job, const uint32_t* mask, uint64_t elements, uint64_t width) noexcept;

// Writes mask and code streams to out[0..capacity). *index_bytes and *code_bytes say how long they are. Status::arg
// when they do not fit.
Result encode_context(const Job& job, const QuantizedInput& in, uint64_t width, uint64_t stride, uint8_t* out,
                      uint64_t capacity, uint64_t* index_bytes, uint64_t* code_bytes) noexcept;

}  // namespace dc
