#pragma once
#include "../base/canonical_code.h"

namespace dc {

// Which coder a stream gets; `automatic` is the smallest, table included. A stream of one distinct symbol (or none) is
// constant whatever is asked for.
enum class ModeChoice : uint8_t { automatic, raw, huffman, rans };

// Symbols of a full block unless there is a reason: enough for 64 lanes at 4.5 bits.
constexpr uint64_t kUsualBlockSymbols = kStreamBlockSymbols;

// Builds the model of a stream with these counts. `block_symbols` is the length of its full blocks: it decides the
// number of lanes (each costs about two bytes a block, and they are kept under 0.25 % of the payload). Huffman: optimal
// lengths under kMaxCodeLength (package-merge). rANS: frequencies near the optimum for kCodeSpace.
void build_model(const uint64_t counts[256], uint64_t block_symbols, ModeChoice choice, Model& model) noexcept;

// Coded bytes of a stream with these counts: the serialized model and its blocks. Exact for constant and raw and but
// for the last word of each lane for Huffman; rANS within about 0.1 %.
double coded_bytes(const Model& model, const uint64_t counts[256], uint64_t block_symbols) noexcept;

// Order-0 entropy of the counts, in bits for all symbols together.
double entropy_bits(const uint64_t counts[256]) noexcept;

// Writes the one form of S1 to out[0..kMaxModelBytes); answers the bytes used. The model is valid.
size_t serialize_model(const Model& model, uint8_t* out) noexcept;

// Length-limited optimal code lengths (package-merge, Larmore and Hirschberg 1990) for counts[0..alphabet); 0 for a
// count of 0. At least two counts are not 0.
void code_lengths(const uint64_t* counts, size_t alphabet, uint8_t* lengths) noexcept;

// Frequencies that sum to kCodeSpace, 1 at least where the count is not 0. At least two counts are not 0.
void normalize_frequencies(const uint64_t* counts, size_t alphabet, uint16_t* frequencies) noexcept;

}  // namespace dc
