#pragma once
#include "../base/job.h"
#include "../base/memory.h"
#include "layout.h"

namespace dc {

// Format part 5; src/container/limits.ts has the same defaults.
struct Limits {
  uint64_t header_bytes = 1 << 20;
  uint64_t tensors = 65536;
  uint64_t sections = 262144;
  uint64_t metadata = 1024;
  uint64_t elements = uint64_t{1} << 32;
  uint64_t total_elements = uint64_t{1} << 33;
  uint64_t decoded_bytes = uint64_t{1} << 32;
};

struct TensorEntry {
  TensorDescriptor d;
  uint64_t name_at = 0;  // in the file
  uint8_t name_bytes = 0;
  uint8_t rank = 0;
  uint64_t shape[kRankMost] = {};
  int64_t section = -1;  // index of its payload
};

struct SectionEntry {
  uint8_t type = 0;
  uint64_t owner = 0, offset = 0, stored_bytes = 0;
  uint32_t padding_bytes = 0;
  uint64_t checksums_at = 0;  // in the file, 4 bytes a chunk
};

// A header that passed every check of format parts 2.1 to 2.4 (DCZ-10 to DCZ-36).
struct ArchiveHeader {
  uint64_t header_bytes = 0;
  uint64_t stored_bytes = 0, dense_bytes = 0, entries = 0;
  uint64_t metadata_pairs = 0;
  Array<TensorEntry> tensors;
  Array<SectionEntry> sections;
};

// Checks envelope and header of a whole file in memory. Sections are not looked at. Allocates at most what the header's
// own bytes bound: a tensor or section entry has at least 4 bytes. Result::offset is a byte of the file. With
// FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION checksums are taken but not compared.
Result read_header(CpuLevel level, const uint8_t* file, uint64_t size, const Limits& limits,
                   ArchiveHeader& header) noexcept;

// Padding and checksums of one section (DCZ-36, 37).
Result check_section(const Job& job, const uint8_t* file, const SectionEntry& section) noexcept;

}  // namespace dc
