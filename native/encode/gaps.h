#pragma once
#include "../base/job.h"
#include "../base/memory.h"
#include "model.h"

namespace dc {

// Positions come as a mask: bit i & 31 of word i >> 5 is set when weight i is kept; bits past the last weight are zero.

constexpr unsigned kShortRuns = 4096;

// How often each run of z zeros before a kept weight occurs.
struct RunHistogram {
  uint64_t kept = 0;
  Array<uint64_t> counts;  // kShortRuns of them
  Array<uint64_t> longer;  // the runs of kShortRuns or more, in order of position
};
Result run_histogram(const Job& job, const uint32_t* mask, uint64_t weights, RunHistogram& runs) noexcept;

// Counts of the symbols of the escape form (S4.1) with this alphabet, of the relative form (S4.2) with these bits
// (*fillers: entries that are fillers). Both over the whole tensor.
void escape_counts(const RunHistogram& runs, unsigned alphabet, uint64_t counts[256]) noexcept;
void relative_counts(const RunHistogram& runs, unsigned index_bits, uint64_t counts[256], uint64_t* fillers) noexcept;

// The power of two 2..256 whose gap stream is smallest in coded bytes (the model included), and those bytes; where
// sizes are all but equal, the one with fewer symbols to decode.
unsigned best_alphabet(const RunHistogram& runs, uint64_t block_symbols, ModeChoice choice, double* bytes) noexcept;

// starts[j] = the first position of block j, where a block is `per_block` kept weights: one past the last kept weight
// of block j-1. There are ceil(kept / per_block) starts; starts[0] = 0; one more element is the end of the last block.
// `capacity` counts elements.
Result block_starts(const Job& job, const uint32_t* mask, uint64_t weights, uint64_t per_block, uint64_t* starts,
                    size_t capacity, size_t* blocks, uint64_t* kept) noexcept;

// Gap symbols of the kept weights in positions begin .. end-1, the run of zeros counted from `begin`; zeros after the
// last kept weight give nothing. Answers the symbols written to out; Status::arg when capacity is short (escape_room
// tells what is enough).
Result escape_gaps(CpuLevel level, const uint32_t* mask, uint64_t begin, uint64_t end, unsigned alphabet, uint8_t* out,
                   size_t capacity, size_t* symbols) noexcept;
inline uint64_t escape_room(uint64_t kept, uint64_t positions, unsigned alphabet) noexcept {
  return kept + positions / (alphabet - 1) + 64;
}

// The relative form of the same: a gap symbol and an entry symbol (0 filler, code + 1) each entry. `codes` are those of
// the kept weights in order, each at most 254, in order.
Result relative_gaps(CpuLevel level, const uint32_t* mask, uint64_t begin, uint64_t end, unsigned index_bits,
                     const uint8_t* codes, uint8_t* gaps, uint8_t* entries, size_t capacity, size_t* symbols) noexcept;
// Entries of the relative form of positions begin .. end-1.
uint64_t count_relative(const uint32_t* mask, uint64_t begin, uint64_t end, unsigned index_bits) noexcept;

inline uint64_t relative_room(uint64_t kept, uint64_t positions, unsigned index_bits) noexcept {
  return kept + (positions >> index_bits) + 64;
}

}  // namespace dc
