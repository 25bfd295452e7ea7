#pragma once
#include "../base/canonical_code.h"
#include "../base/job.h"

namespace dc {

// What encode_block looks up: made once for a stream, read by every thread. About 4 KiB.
struct EncodeTable {
  Model model;
  CanonicalCode canonical;                     // huffman
  alignas(64) uint32_t entries[kMaxAlphabet];  // huffman: code | length << 16, rans: frequency | start << 16; else 0
  alignas(64) uint8_t low[kMaxAlphabet];       // huffman: low 8 bits of the code
  alignas(64) uint8_t high[kMaxAlphabet];      // huffman: length | high 4 bits of the code << 4
  alignas(64) bool in_use[kMaxAlphabet];       // symbols that the model can code
};

// The model is valid (build_model). Status::huffman otherwise.
Result build_encode_table(const Model& model, EncodeTable& table) noexcept;

// An upper bound of the payload bytes of n symbols under any model, and scratch room for the encoder.
size_t block_bound(size_t n) noexcept;

// Encodes one block (docs/format-streams.md S3) into out[0..bytes); `capacity` is at least block_bound(n). The bytes
// are the same at every level. Status::value with the index of the first symbol that the model cannot code; Status::arg
// when capacity is short.
Result encode_block(const Job& job, const EncodeTable& table, const uint8_t* symbols, size_t n, uint8_t* out,
                    size_t capacity, size_t* bytes) noexcept;

}  // namespace dc
