#pragma once
// Makes every checksum of a damaged file right again, as an attacker would: a checksum guards nothing.
#include "base/bits.h"
#include "container/crc32c.h"
#include "container/reader.h"

namespace dc {

inline void reseal_header(uint8_t* file, size_t size) {
  store_u32(file + 60, crc32c(cpu_level(), file, 60));
  const uint64_t header = load_u32(file + 12);
  if (header >= 4 && header <= size - kPreambleBytes) {
    const uint64_t end = kPreambleBytes + header - 4;
    store_u32(file + end, crc32c(cpu_level(), file + kPreambleBytes, header - 4));
  }
}

// Lengths are set right too. Files whose header is not valid keep the section checksums they have.
inline void reseal(uint8_t* file, size_t size) {
  if (size < kPreambleBytes + kFooterBytes) return;
  store_u64(file + 16, size);
  store_u64(file + size - kFooterBytes, size);
  for (size_t i = 0; i < 8; i++) file[size - 8 + i] = kEndMagic[i];
  reseal_header(file, size);
  ArchiveHeader header;
  if (!read_header(cpu_level(), file, size, Limits(), header)) return;
  for (size_t i = 0; i < header.sections.size(); i++) {
    const SectionEntry& s = header.sections[i];
    for (uint64_t at = 0, chunk = 0; at < s.stored_bytes; at += kChunkBytes, chunk++) {
      const size_t left = s.stored_bytes - at < kChunkBytes ? s.stored_bytes - at : kChunkBytes;
      store_u32(file + s.checksums_at + 4 * chunk, crc32c(cpu_level(), file + s.offset + at, left));
    }
  }
  reseal_header(file, size);
}

}  // namespace dc
