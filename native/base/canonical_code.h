#pragma once
#include <cstddef>
#include <cstdint>

#include "status.h"

namespace dc {

// What the coder and the decoder of a stream share (docs/format-streams.md S1 and S2). Every number of it has its name
// here.
constexpr unsigned kMaxCodeLength = 12;
constexpr unsigned kCodeSpace = 1u << kMaxCodeLength;  // entries of a decode table; sum of rANS frequencies
constexpr unsigned kMaxAlphabet = 256;
constexpr unsigned kMaxLanesLog2 = 6;
constexpr unsigned kMaxLanes = 1u << kMaxLanesLog2;
constexpr unsigned kSymbolsPerLane = 1024;      // a block has at most one lane for each so many symbols
constexpr uint32_t kRansLowerBound = 1u << 16;  // the least state between two symbols, and the last one
constexpr unsigned kFirstListValue = 6;         // S1.6: `p` before the first number
constexpr size_t kMaxModelBytes = 2 + 256 * 3;  // more than the longest serialized model (S1.6: 7 + 11 bits a symbol)

constexpr size_t kStreamBlockSymbols = 262144;  // S6: symbols of a full block of a plain stream

enum class CodeMode : uint8_t { constant = 0, raw = 1, huffman = 2, rans = 3 };

// How the symbols of one stream are coded. Plain data; parse_model() answers only valid ones, and so does
// build_model().
struct Model {
  CodeMode mode = CodeMode::constant;
  uint8_t lanes_log2 = 0;                   // huffman, rans
  uint8_t symbol = 0;                       // constant
  uint8_t width = 0;                        // raw: bits a symbol
  uint16_t alphabet = 0;                    // huffman, rans: highest symbol in use + 1
  uint8_t lengths[kMaxAlphabet] = {};       // huffman: code length of each symbol, 0 = not in use
  uint16_t frequencies[kMaxAlphabet] = {};  // rans: they sum to kCodeSpace
};

// S2: lanes of a block of `symbols` symbols.
unsigned block_lanes(const Model& model, uint64_t symbols) noexcept;

// A canonical prefix code: the symbols in use in the order of their codes.
struct CanonicalCode {
  unsigned shortest = 0, longest = 0;
  unsigned used = 0;                        // symbols in use
  uint16_t first_code[kMaxCodeLength + 1];  // the first code of each length
  uint16_t first_rank[kMaxCodeLength + 2];  // its place in `sorted`; [length + 1] ends the length
  uint8_t sorted[kMaxAlphabet];             // symbols by (length, symbol)
};

// Status::huffman, with nothing of `code` to be used, unless every length is at most kMaxCodeLength, two are not 0, and
// the Kraft sum is exactly full.
Result canonical_code(const uint8_t* lengths, size_t alphabet, CanonicalCode& code) noexcept;

// Status::huffman unless two frequencies are not 0 and they sum to kCodeSpace.
Result check_frequencies(const uint16_t* frequencies, size_t alphabet) noexcept;

}  // namespace dc
