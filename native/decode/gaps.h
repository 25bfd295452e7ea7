#pragma once
#include "../base/job.h"

namespace dc {

// Inverses of native/encode/gaps.h. One call works on one block (docs/format-streams.md S4): a range of positions 0 ..
// range-1 of its own, the first gap counted from 0. Errors are those of S4.3; outputs are then indeterminate but
// nothing outside them was written. `end` answers one past the last kept weight of the range.

// Escape form -> dense: out[0..range) gets codebook[code] where kept and 0 elsewhere; with `out_is_zero` it holds zeros
// already and only kept weights are written. Number of codes = symbols that are no escape.
Result scatter_escape(CpuLevel level, const uint8_t* gaps, size_t symbols, unsigned alphabet, const uint8_t* codes,
                      size_t code_count, const float* codebook, unsigned clusters, float* out, uint64_t range,
                      uint64_t* end, bool out_is_zero = false) noexcept;

// Escape form -> mask: sets bits first .. first+range-1 of the mask where kept; other bits are left alone, so that
// blocks of one mask may be decoded at the same time (words at both ends are set atomically). The mask begins zeroed.
// `kept` answers the weights set.
Result mask_escape(CpuLevel level, const uint8_t* gaps, size_t symbols, unsigned alphabet, uint32_t* mask,
                   uint64_t first, uint64_t range, uint64_t* kept, uint64_t* end) noexcept;

// Relative form -> mask and compact codes (fillers left out): codes[0..kept).
Result mask_relative(CpuLevel level, const uint8_t* gaps, const uint8_t* entries, size_t symbols, unsigned index_bits,
                     uint32_t* mask, uint64_t first, uint64_t range, uint8_t* codes, uint64_t* kept,
                     uint64_t* end) noexcept;

// Relative form -> dense.
Result scatter_relative(CpuLevel level, const uint8_t* gaps, const uint8_t* entries, size_t symbols,
                        unsigned index_bits, const float* codebook, unsigned clusters, float* out, uint64_t range,
                        uint64_t* end, bool out_is_zero = false) noexcept;

// Mask and compact codes -> dense values of positions begin .. end-1: codes are those of the kept weights from `begin`
// on, in order. With a null mask every weight is kept. Status::index when there are not exactly code_count kept
// weights, Status::value for a code past the codebook.
Result expand_masked(CpuLevel level, const uint32_t* mask, uint64_t begin, uint64_t end, const uint8_t* codes,
                     size_t code_count, const float* codebook, unsigned clusters, float* out) noexcept;

}  // namespace dc
