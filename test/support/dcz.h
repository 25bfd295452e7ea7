#pragma once
// Plain builder of .dcz files for tests of broken ones: bytes by hand, so that any rule can be broken one at a time.
#include <cstdio>
#include <string>
#include <vector>

#include "base/bits.h"
#include "container/crc32c.h"
#include "container/layout.h"

namespace dc {

struct Bytes : std::vector<uint8_t> {
  using std::vector<uint8_t>::vector;
  Bytes& u8(unsigned v) { return push_back(static_cast<uint8_t>(v)), *this; }
  Bytes& u16(unsigned v) { return u8(v & 255).u8(v >> 8 & 255); }
  Bytes& u32(uint32_t v) { return u16(v & 0xffff).u16(v >> 16); }
  Bytes& u64(uint64_t v) { return u32(static_cast<uint32_t>(v)).u32(static_cast<uint32_t>(v >> 32)); }
  Bytes& varint(uint64_t v) {
    for (; v >= 128; v >>= 7) u8(static_cast<unsigned>(v & 127) | 128);
    return u8(static_cast<unsigned>(v));
  }
  Bytes& add(const std::vector<uint8_t>& more) { return insert(end(), more.begin(), more.end()), *this; }
  Bytes& name(const std::string& s) {
    u8(static_cast<unsigned>(s.size()));
    return insert(end(), s.begin(), s.end()), *this;
  }
};

inline uint32_t checksum(const Bytes& bytes) { return crc32c(CpuLevel::scalar, bytes.data(), bytes.size()); }

struct FileParts {
  std::vector<Bytes> metadata, tensors, sections;
  Bytes body, more_header;
  uint64_t stored = 0, dense = 0, entries = 0;
  int64_t tensor_count = -1, metadata_count = -1, section_count = -1;  // as many as there are
  size_t header_cut = 0;                                               // bytes left away at the header's end
};

// A file whose checksums are right and everything else is as the caller says.
inline Bytes build_file(const FileParts& p) {
  auto count = [](int64_t given, size_t there) { return static_cast<uint32_t>(given < 0 ? there : given); };
  Bytes header;
  header.u32(count(p.tensor_count, p.tensors.size())).u32(count(p.metadata_count, p.metadata.size()));
  header.u32(count(p.section_count, p.sections.size())).u32(0).u64(p.stored).u64(p.dense).u64(p.entries);
  for (const std::vector<Bytes>* list : {&p.metadata, &p.tensors, &p.sections}) {
    for (const Bytes& entry : *list) header.add(entry);
  }
  header.add(p.more_header);
  header.resize(header.size() - p.header_cut);
  header.u32(checksum(header));
  const uint64_t size = kPreambleBytes + header.size() + p.body.size() + kFooterBytes;
  Bytes file(kMagic, kMagic + 8);
  file.u16(kVersionMajor).u16(kVersionMinor).u32(static_cast<uint32_t>(header.size())).u64(size);
  file.resize(60);
  file.u32(checksum(file));
  file.add(header).add(p.body).u64(size);
  return file.insert(file.end(), kEndMagic, kEndMagic + 8), file;
}

// A section entry with a checksum for each chunk.
inline Bytes section_entry(unsigned type, uint64_t owner, const Bytes& payload) {
  Bytes entry;
  entry.u8(type).varint(owner).varint(payload.size());
  for (size_t at = 0; at < payload.size(); at += kChunkBytes) {
    const size_t left = payload.size() - at < kChunkBytes ? payload.size() - at : kChunkBytes;
    entry.u32(crc32c(CpuLevel::scalar, payload.data() + at, left));
  }
  return entry;
}

inline Bytes golden_file(const char* this_file, const std::string& name) {
  std::string path = this_file;
  path = path.substr(0, path.find_last_of('/')) + "/../format/golden/1.0/" + name;
  Bytes bytes;
  if (std::FILE* file = std::fopen(path.c_str(), "rb")) {
    for (int c; (c = std::fgetc(file)) != EOF;) bytes.u8(static_cast<unsigned>(c));
    std::fclose(file);
  }
  return bytes;
}

}  // namespace dc
