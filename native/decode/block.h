#pragma once
#include "../base/canonical_code.h"
#include "../base/job.h"

namespace dc {

// What decode_block looks up: made once for a stream from a model, read by every thread. Its size is constant: no
// number of a file takes part in it. About 17 KiB: not for the stack.
struct DecodeTable {
  Model model;
  CanonicalCode canonical;  // huffman
  // The entry of the kCodeSpace possible next 12 bits (huffman) or slots (rans).
  // huffman: symbol | length << 8.  rans: symbol | frequency << 8 | (slot - start) << 20.
  alignas(64) uint32_t entries[kCodeSpace];
};

// Validates the model again (Kraft equality, sum of frequencies) before the first entry is written, so it may be fed
// anything: Status::huffman, with nothing written, for what is no model.
Result build_decode_table(const Model& model, DecodeTable& table) noexcept;

// Decodes one block (docs/format-streams.md S3): payload[0..bytes) must be exactly the code of n symbols, else
// Status::bitstream, the same at every level. Reads nothing outside the payload and writes nothing outside out[0..n);
// after an error out is indeterminate. A loop of at most n steps: a caller bounds n. Of the job its level is taken, and
// whether it was cancelled (Status::aborted).
Result decode_block(const Job& job, const DecodeTable& table, const uint8_t* payload, size_t bytes, uint8_t* out,
                    size_t n) noexcept;
Result decode_block(CpuLevel level, const DecodeTable& table, const uint8_t* payload, size_t bytes, uint8_t* out,
                    size_t n) noexcept;

}  // namespace dc
