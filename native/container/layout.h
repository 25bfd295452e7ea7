#pragma once
#include <cstddef>
#include <cstdint>

#include "../base/bits.h"

namespace dc {

// Every number of the container format (docs/format.md); src/container/layout.ts is the same list for TypeScript, and
// test/boundary compares them.
constexpr uint8_t kMagic[8] = {0x89, 0x44, 0x43, 0x5a, 0x0d, 0x0a, 0x1a, 0x0a};
constexpr uint8_t kEndMagic[8] = {0x0a, 0x44, 0x43, 0x5a, 0x45, 0x4e, 0x44, 0x0a};
constexpr unsigned kVersionMajor = 1, kVersionMinor = 0;
constexpr size_t kPreambleBytes = 64;
constexpr size_t kFooterBytes = 16;
constexpr size_t kHeaderBytesLeast = 44;
constexpr size_t kChunkBytes = size_t{16} << 20;  // DCZ-25
constexpr uint64_t kAlignedSectionBytes = 65536;  // DCZ-36
constexpr uint64_t kSectionAlignment = 64;
constexpr uint8_t kSectionCritical = 0x80, kSectionPayload = 0x81;  // DCZ-26
constexpr unsigned kNameBytesMost = 255, kRankMost = 8;
constexpr uint64_t kDimensionMost = uint64_t{1} << 40;
constexpr uint64_t kWholeMost = (uint64_t{1} << 53) - 1;  // DCZ-01
constexpr unsigned kClustersMost = 256;
constexpr unsigned kBlockLog2Least = 10, kBlockLog2Most = 24;
constexpr unsigned kContextElementsLog2 = 20, kWidthMost = 65536, kStrideMost = 65535;  // DCZ-34
constexpr uint64_t kContextBitsFree = 16384, kContextBitsAByte = 1024;                  // DCZ-38
constexpr unsigned kIndexBitsLeast = 2, kIndexBitsMost = 8;
constexpr unsigned kVarintBytesMost = 8;
constexpr unsigned kFlagPruned = 1, kFlagSourceOrder = 2, kCodebookFormShift = 2;  // DCZ-34

enum class Layout : uint8_t { zero = 0, raw = 1, dense = 2, sparse = 3, relative = 4, context = 5 };
constexpr unsigned kLayouts = 6;
enum class RawForm : uint8_t { stored = 0, planes = 1 };
enum class CodebookForm : uint8_t { float32 = 0, float16 = 1, float32_steps = 2, float16_steps = 3 };
constexpr unsigned kCodebookForms = 4;

// What the header says of a tensor, its name and shape apart (format 2.3). Fields a layout does not have are 0.
struct TensorDescriptor {
  uint64_t elements = 0;
  Layout layout = Layout::zero;
  RawForm raw_form = RawForm::stored;
  CodebookForm codebook_form = CodebookForm::float32;
  bool pruned = false;
  bool source_order = false;
  unsigned block_log2 = 0;  // context: of the most elements it may have, so that there is one block
  unsigned clusters = 0;
  unsigned escape = 0;      // sparse: E
  unsigned index_bits = 0;  // relative: b
  uint64_t kept = 0;
  uint64_t extra_gaps = 0;  // escapes or fillers
  uint64_t codebook_bytes = 0;
  uint64_t table_bytes = 0;
  uint64_t index_bytes = 0;
  uint64_t code_bytes = 0;
  uint64_t code_entropy_bits = 0;
  uint64_t index_entropy_bits = 0;
  uint64_t stored_bytes = 0;
  uint64_t width = 0, stride = 0;  // context: S7
};

// DCZ-52: the codebook's length is a field of the header.
inline bool has_steps(CodebookForm form) noexcept {
  return form == CodebookForm::float32_steps || form == CodebookForm::float16_steps;
}
// DCZ-42: symbol 0 of the code stream is no code.
inline bool zero_is_symbol(const TensorDescriptor& d) noexcept {
  return d.layout == Layout::relative || (d.layout == Layout::dense && d.pruned);
}
inline bool has_gaps(const TensorDescriptor& d) noexcept {
  return d.layout == Layout::sparse || d.layout == Layout::relative;
}
// DCZ-38: no work without bytes.
inline bool context_bits_fit(const TensorDescriptor& d) noexcept {
  const uint64_t all = (d.pruned ? d.elements : 0) + d.kept * bit_length(d.clusters - 1);
  return all <= kContextBitsFree ||
         (all - kContextBitsFree + kContextBitsAByte - 1) / kContextBitsAByte <= d.index_bytes + d.code_bytes;
}
// DCZ-41
inline uint64_t tensor_blocks(const TensorDescriptor& d) noexcept {
  const uint64_t positions = uint64_t{1} << d.block_log2;
  return d.elements / positions + (d.elements % positions != 0);
}
inline uint64_t block_positions(const TensorDescriptor& d, uint64_t block) noexcept {
  const uint64_t begin = block << d.block_log2, whole = uint64_t{1} << d.block_log2;
  return d.elements - begin < whole ? d.elements - begin : whole;
}

}  // namespace dc
