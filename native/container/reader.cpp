#include "reader.h"

#include <cstring>

#include "../base/bits.h"
#include "../base/checked.h"
#include "crc32c.h"
#include "descriptor.h"

namespace dc {

namespace {

bool checksum_is(uint32_t found, uint32_t stored) noexcept {
#if defined(FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION)
  (void)found, (void)stored;
  return true;
#else
  return found == stored;
#endif
}

struct Preamble {
  uint64_t header_bytes, file_bytes;
};

// DCZ-10 to DCZ-14
Result read_preamble(CpuLevel level, const uint8_t* file, uint64_t size, const Limits& limits, Preamble& p) noexcept {
  if (std::memcmp(file, kMagic, size < 8 ? size : 8) != 0) return fail(Status::magic);
  if (size < kPreambleBytes) return fail(Status::truncated, size);
  if (!checksum_is(crc32c(level, file, 60), load_u32(file + 60))) return fail(Status::checksum, 60);
  if (load_u16(file + 8) != kVersionMajor) return fail(Status::version, 8);
  for (size_t at = 40; at < 60; at++) {
    if (file[at]) return fail(Status::structure, at);
  }
  if (load_u64(file + 24)) return fail(Status::feature, 24);
  p.header_bytes = load_u32(file + 12);
  p.file_bytes = load_u64(file + 16);
  if (p.file_bytes > kWholeMost) return fail(Status::structure, 16);
  if (size < p.file_bytes) return fail(Status::truncated, size);
  if (size > p.file_bytes) return fail(Status::trailing, p.file_bytes);
  if (p.header_bytes < kHeaderBytesLeast || kPreambleBytes + p.header_bytes + kFooterBytes > size) {
    return fail(Status::structure, 12);
  }
  return p.header_bytes > limits.header_bytes ? fail(Status::limit, 12) : Result{};
}

// DCZ-24: shortest forms, no surrogates, at most U+10FFFF.
bool valid_utf8(const uint8_t* p, uint64_t size, bool controls) noexcept {
  for (uint64_t i = 0; i < size;) {
    const uint8_t lead = p[i];
    const unsigned more = lead < 0x80 ? 0 : lead < 0xc2 ? 4 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : lead < 0xf5 ? 3 : 4;
    if (more == 4 || size - i <= more) return false;
    uint32_t code = more == 0 ? lead : lead & (0x3f >> more);
    for (unsigned k = 1; k <= more; k++) {
      if ((p[i + k] & 0xc0) != 0x80) return false;
      code = code << 6 | (p[i + k] & 0x3f);
    }
    if (more == 2 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) return false;
    if (more == 3 && (code < 0x10000 || code > 0x10ffff)) return false;
    if (controls ? code == 0 : code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;
    i += more + 1;
  }
  return true;
}

int compare_bytes(const uint8_t* a, uint64_t a_size, const uint8_t* b, uint64_t b_size) noexcept {
  const int order = std::memcmp(a, b, a_size < b_size ? a_size : b_size);
  return order ? order : a_size < b_size ? -1 : a_size > b_size ? 1 : 0;
}

// Reads the header's bytes in order; every read is checked against what is left.
class Cursor {
 public:
  Cursor(const uint8_t* file, uint64_t at, uint64_t end) noexcept : file_(file), at_(at), end_(end) {}
  uint64_t at() const noexcept { return at_; }
  uint64_t left() const noexcept { return end_ - at_; }
  const uint8_t* take(uint64_t size) noexcept {
    if (size > left()) return nullptr;
    at_ += size;
    return file_ + at_ - size;
  }
  bool u8(uint64_t& value) noexcept {
    const uint8_t* p = take(1);
    if (p) value = *p;
    return p != nullptr;
  }
  bool u8_in(uint64_t least, uint64_t most, uint64_t& value) noexcept {
    return u8(value) && value >= least && value <= most;
  }
  bool u16(uint64_t& value) noexcept {
    const uint8_t* p = take(2);
    if (p) value = load_u16(p);
    return p != nullptr;
  }
  // DCZ-02
  bool varint(uint64_t& value) noexcept {
    value = 0;
    for (unsigned i = 0; i < kVarintBytesMost; i++) {
      const uint8_t* p = take(1);
      if (!p) return false;
      value |= static_cast<uint64_t>(*p & 127) << (7 * i);
      if (*p < 128) return (*p != 0 || i == 0) && value <= kWholeMost;
    }
    return false;
  }
  bool varint_in(uint64_t least, uint64_t most, uint64_t& value) noexcept {
    return varint(value) && value >= least && value <= most;
  }
  // DCZ-24; greater than the name before it.
  bool name(const uint8_t*& bytes, uint64_t& size) noexcept {
    const uint8_t* before = bytes;
    const uint64_t before_size = size;
    if (!u8_in(1, kNameBytesMost, size) || !(bytes = take(size)) || !valid_utf8(bytes, size, false)) return false;
    return !before || compare_bytes(before, before_size, bytes, size) < 0;
  }

 private:
  const uint8_t* file_;
  uint64_t at_, end_;
};

// DCZ-34
bool read_coded(Cursor& c, TensorDescriptor& d) noexcept {
  uint64_t v;
  if (!c.u8(v) || v >> kCodebookFormShift >= kCodebookForms) return false;
  d.pruned = v & kFlagPruned;
  d.source_order = v & kFlagSourceOrder;
  d.codebook_form = static_cast<CodebookForm>(v >> kCodebookFormShift);
  const bool context = d.layout == Layout::context, index = has_gaps(d) || (context && d.pruned);
  v = kContextElementsLog2;
  if (!context && !c.u8_in(kBlockLog2Least, kBlockLog2Most, v)) return false;
  d.block_log2 = static_cast<unsigned>(v);
  if (!c.u8(v)) return false;
  d.clusters = static_cast<unsigned>(v) + 1;
  d.kept = d.elements;
  if (d.pruned && !c.varint(d.kept)) return false;
  if (has_gaps(d)) {
    if (!c.u8(v)) return false;
    (d.layout == Layout::sparse ? d.escape : d.index_bits) = static_cast<unsigned>(v);
    if (!c.varint(d.extra_gaps)) return false;
  }
  if (context && (!c.varint(d.width) || !c.varint(d.stride))) return false;
  if (!fixed_codebook_bytes(d.codebook_form, d.clusters, d.codebook_bytes) && !c.varint(d.codebook_bytes)) return false;
  if ((!context && !c.varint(d.table_bytes)) || (index && !c.varint(d.index_bytes)) || !c.varint(d.code_bytes)) {
    return false;
  }
  return c.varint(d.code_entropy_bits) && (!index || c.varint(d.index_entropy_bits));
}

// DCZ-30 to DCZ-34; `start`: of the entry, which errors name (DCZ-06).
Result read_tensor(Cursor& c, const Limits& limits, uint64_t start, TensorEntry& t) noexcept {
  uint64_t v, product = 1;
  bool empty = false;
  if (!c.u8_in(0, kRankMost, v)) return fail(Status::structure, start);
  t.rank = static_cast<uint8_t>(v);
  for (unsigned i = 0; i < t.rank; i++) {
    if (!c.varint_in(0, kDimensionMost, t.shape[i])) return fail(Status::structure, start);
    if (t.shape[i] == 0) {
      empty = true;
    } else if (!checked_mul(product, t.shape[i], product) || product > kWholeMost) {
      return fail(Status::structure, start);
    }
  }
  t.d.elements = empty ? 0 : product;
  if (t.d.elements > limits.elements) return fail(Status::limit, start);
  if (!c.u8_in(0, kLayouts - 1, v)) return fail(Status::structure, start);
  t.d.layout = static_cast<Layout>(v);
  bool fine = true;
  if (t.d.layout == Layout::raw) {
    t.d.kept = t.d.elements;
    fine = c.u8_in(0, 1, v);
    t.d.raw_form = static_cast<RawForm>(fine ? v : 0);
    if (fine && t.d.raw_form == RawForm::planes) {
      fine = c.u8(v) && c.varint(t.d.table_bytes);
      t.d.block_log2 = static_cast<unsigned>(v);
    }
  } else if (t.d.layout != Layout::zero) {
    fine = read_coded(c, t.d);
  }
  if (!fine || !valid_fields(t.d)) return fail(Status::structure, start);
  return {};
}

// DCZ-25 to DCZ-27, 35, 36
Result read_sections(Cursor& c, ArchiveHeader& h, uint64_t tensor_count, uint64_t first) noexcept {
  uint64_t end = first, tensor = 0;
  const SectionEntry* before = nullptr;
  for (size_t i = 0; i < h.sections.size(); i++) {
    SectionEntry& s = h.sections[i];
    s = SectionEntry();
    const uint64_t start = c.at();
    uint64_t type, chunks;
    if (!c.u8(type) || (type & 0x7f) == 0) return fail(Status::structure, start);
    if (type > kSectionCritical && type != kSectionPayload) return fail(Status::feature, start);
    s.type = static_cast<uint8_t>(type);
    if (!c.varint(s.owner) || !c.varint_in(1, kWholeMost, s.stored_bytes)) return fail(Status::structure, start);
    chunks = s.stored_bytes / kChunkBytes + (s.stored_bytes % kChunkBytes != 0);
    s.checksums_at = c.at();
    if (chunks > c.left() / 4) return fail(Status::structure, start);
    (void)c.take(4 * chunks);
    while (tensor < tensor_count && h.tensors[tensor].d.layout == Layout::zero) tensor++;
    if (tensor < tensor_count) {
      TensorEntry& t = h.tensors[tensor];
      if (type != kSectionPayload || s.owner != tensor) return fail(Status::structure, start);
      t.d.stored_bytes = s.stored_bytes;
      t.section = static_cast<int64_t>(i);
      if (!valid_stored_bytes(t.d)) return fail(Status::structure, start);
      if (t.d.layout == Layout::raw) t.d.code_bytes = s.stored_bytes - t.d.table_bytes;
      tensor++;
    } else {
      if (type == kSectionPayload || s.owner > tensor_count) return fail(Status::structure, start);
      if (before && (before->type > s.type || (before->type == s.type && before->owner >= s.owner))) {
        return fail(Status::structure, start);
      }
      before = &s;
    }
    s.offset = end;
    if (s.stored_bytes >= kAlignedSectionBytes) s.offset = (end + kSectionAlignment - 1) & ~(kSectionAlignment - 1);
    s.padding_bytes = static_cast<uint32_t>(s.offset - end);
    // No overflow: the header is under 4 GiB and has 4 bytes of it for each chunk of 2^24, so that all sections and
    // their paddings together are below 2^55. That they end where the footer begins is checked when all are known.
    end = s.offset + s.stored_bytes;
    h.stored_bytes += s.stored_bytes;
  }
  while (tensor < tensor_count && h.tensors[tensor].d.layout == Layout::zero) tensor++;
  return tensor == tensor_count ? Result{} : fail(Status::structure, c.at());
}

// DCZ-22
Result read_metadata(Cursor& c, uint64_t pairs) noexcept {
  const uint8_t* key = nullptr;
  uint64_t key_size = 0;
  for (uint64_t i = 0; i < pairs; i++) {
    const uint64_t start = c.at();
    uint64_t size;
    if (!c.name(key, key_size) || !c.u16(size)) return fail(Status::structure, start);
    const uint8_t* value = c.take(size);
    if (!value || !valid_utf8(value, size, true)) return fail(Status::structure, start);
  }
  return {};
}

}  // namespace

Result read_header(CpuLevel level, const uint8_t* file, uint64_t size, const Limits& limits,
                   ArchiveHeader& h) noexcept {
  Preamble p;
  Result result = read_preamble(level, file, size, limits, p);
  if (!result) return result;
  const uint8_t* footer = file + size - kFooterBytes;
  if (load_u64(footer) != size || std::memcmp(footer + 8, kEndMagic, 8) != 0) {
    return fail(Status::checksum, size - kFooterBytes);
  }
  const uint64_t end = kPreambleBytes + p.header_bytes - 4;
  if (!checksum_is(crc32c(level, file + kPreambleBytes, p.header_bytes - 4), load_u32(file + end))) {
    return fail(Status::checksum, end);
  }
  // Counts and totals: 40 bytes that are there (kHeaderBytesLeast).
  const uint8_t* const counts = file + kPreambleBytes;
  const uint64_t tensors = load_u32(counts), sections = load_u32(counts + 8);
  const uint64_t stored = load_u64(counts + 16), dense = load_u64(counts + 24), entries = load_u64(counts + 32);
  Cursor c(file, kPreambleBytes + 40, end);
  h.header_bytes = p.header_bytes;
  h.metadata_pairs = load_u32(counts + 4);
  if (load_u32(counts + 12)) return fail(Status::structure, kPreambleBytes + 12);
  for (size_t at = 16; at < 40; at += 8) {
    if (load_u64(counts + at) > kWholeMost) return fail(Status::structure, kPreambleBytes + at);
  }
  if (tensors > limits.tensors) return fail(Status::limit, kPreambleBytes);
  if (h.metadata_pairs > limits.metadata) return fail(Status::limit, kPreambleBytes + 4);
  if (sections > limits.sections) return fail(Status::limit, kPreambleBytes + 8);
  if (dense % 4) return fail(Status::structure, kPreambleBytes + 24);
  if (dense / 4 > limits.total_elements) return fail(Status::limit, kPreambleBytes + 24);
  result = read_metadata(c, h.metadata_pairs);
  if (!result) return result;
  // A tensor entry has at least 4 bytes, a section entry 7.
  if (tensors > c.left() / 4 || sections > c.left() / 7) return fail(Status::structure, c.at());
  if (!h.tensors.reset(tensors) || !h.sections.reset(sections)) return fail(Status::nomem);
  const uint8_t* name = nullptr;
  uint64_t name_size = 0, elements = 0, found_entries = 0;
  for (uint64_t i = 0; i < tensors; i++) {
    TensorEntry& t = h.tensors[i];
    t = TensorEntry();
    const uint64_t start = c.at();
    if (!c.name(name, name_size)) return fail(Status::structure, start);
    t.name_at = start + 1;
    t.name_bytes = static_cast<uint8_t>(name_size);
    result = read_tensor(c, limits, start, t);
    if (!result) return result;
    elements += t.d.elements;  // each at most limits.elements and the sum at most dense / 4: no overflow
    if (t.d.layout != Layout::raw) found_entries += t.d.kept + t.d.extra_gaps;
    if (elements > dense / 4 || found_entries > entries) return fail(Status::structure, start);
  }
  h.stored_bytes = 0;
  result = read_sections(c, h, tensors, kPreambleBytes + p.header_bytes);
  if (!result) return result;
  if (h.stored_bytes != stored || elements != dense / 4 || found_entries != entries) {
    return fail(Status::structure, kPreambleBytes);
  }
  if (c.left()) return fail(Status::structure, c.at());
  const uint64_t last = sections ? h.sections[sections - 1].offset + h.sections[sections - 1].stored_bytes
                                 : kPreambleBytes + p.header_bytes;
  h.dense_bytes = dense;
  h.entries = entries;
  return last == size - kFooterBytes ? Result{} : fail(Status::structure, c.at());
}

Result check_section(const Job& job, const uint8_t* file, const SectionEntry& s) noexcept {
  for (uint64_t at = s.offset - s.padding_bytes; at < s.offset; at++) {
    if (file[at]) return fail(Status::structure, at);
  }
  const uint64_t chunks = s.stored_bytes / kChunkBytes + (s.stored_bytes % kChunkBytes != 0);
  Array<uint32_t> sums;
  if (!sums.reset(chunks)) return fail(Status::nomem);
  for (uint64_t i = 0; i < chunks; i++) sums[i] = load_u32(file + s.checksums_at + 4 * i);
  const Result result = check_chunks(job, file + s.offset, s.stored_bytes, sums.data());
#if defined(FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION)
  if (result.status == Status::checksum) return {};
#endif
  return result ? result : fail(result.status, s.offset + result.offset);
}

}  // namespace dc
