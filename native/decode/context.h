#pragma once
#include "../base/context_model.h"

namespace dc {

// Streams of layout `context` (docs/format-streams.md S7): marks[0..elements) = 1 where a position is kept, else 0.
// Status::index when fewer are kept than the shape says, Status::bitstream when the bytes are not those that coding
// gives.
Result decode_context_mask(const Job& job, const ContextShape& shape, const uint8_t* bytes, uint64_t size,
                           uint8_t* marks) noexcept;

// codes[0..kept), each below `clusters`. `marks` are used up.
Result decode_context_codes(const Job& job, const ContextShape& shape, unsigned clusters, const uint8_t* bytes,
                            uint64_t size, uint8_t* marks, uint8_t* codes) noexcept;

}  // namespace dc
