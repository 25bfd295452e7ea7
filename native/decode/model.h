#pragma once
#include "../base/canonical_code.h"

namespace dc {

// Reads a serialized model from bytes[0..size) (docs/format-streams.md S1), `consumed` bytes of it. Only the one valid
// form of a valid model is accepted: Status::huffman otherwise, and then `model` is not to be used.
Result parse_model(const uint8_t* bytes, size_t size, Model& model, size_t* consumed) noexcept;

struct DecodeTable;

// The same, and the table of the model (block.h).
Result read_table(const uint8_t* bytes, size_t size, DecodeTable& table, size_t* consumed) noexcept;

}  // namespace dc
