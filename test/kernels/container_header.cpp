// The header reader, one named case for each way out of it: what test/format/rules.test.ts asks all readers is asked
// here under guard pages, and what only a C++ caller can ask (limits one below, no memory at the k-th allocation).
#include "../support/dcz.h"
#include "../support/reseal.h"
#include "base/memory.h"
#include "check.h"
#include "container/descriptor.h"
#include "decode/verify.h"

using namespace dc;

namespace {

Result read(const Bytes& file, const Limits& limits = Limits()) {
  Guarded<uint8_t> exact(file.size());
  std::memcpy(exact.data(), file.data(), file.size());
  Result result[2];
  for (int level = 0; level < 2; level++) {
    ArchiveHeader header;
    result[level] = read_header(level ? cpu_level() : CpuLevel::scalar, exact.data(), file.size(), limits, header);
  }
  CHECK(result[0].status == result[1].status && result[0].offset == result[1].offset);
  return result[0];
}

Status status(const FileParts& parts) { return read(build_file(parts)).status; }

// One tensor "w" of layout raw, two stored floats: the smallest file with a payload.
const Bytes kFloats = Bytes().u32(0x3f800000).u32(0x40000000);
const Bytes kRawEntry = Bytes().name("w").u8(1).varint(2).u8(1).u8(0);

FileParts raw_file() {
  FileParts p;
  p.tensors = {kRawEntry};
  p.sections = {section_entry(kSectionPayload, 0, kFloats)};
  p.body = kFloats;
  p.stored = 8;
  p.dense = 8;
  return p;
}

FileParts with_tensor(const Bytes& entry, uint64_t elements = 2) {
  FileParts p = raw_file();
  p.tensors = {Bytes().name("w").add(entry)};
  p.dense = 4 * elements;
  return p;
}

FileParts named(std::initializer_list<Bytes> names) {
  FileParts p;
  for (const Bytes& name : names) {
    p.tensors.push_back(Bytes().u8(static_cast<unsigned>(name.size())).add(name).u8(0).u8(0));
    p.dense += 4;
    p.entries += 0;
  }
  return p;
}

void names() {
  const Bytes accepted[] = {{'a'},
                            {' '},
                            {'~'},
                            {0xc2, 0xa0},              // the first character that is no C1 control
                            {0xdf, 0xbf},              // the last of two bytes
                            {0xe0, 0xa0, 0x80},        // the first of three
                            {0xed, 0x9f, 0xbf},        // before the surrogates
                            {0xee, 0x80, 0x80},        // after them
                            {0xef, 0xbf, 0xbf},        // the last of three
                            {0xf0, 0x90, 0x80, 0x80},  // the first of four
                            {0xf4, 0x8f, 0xbf, 0xbf}};
  for (const Bytes& name : accepted) CHECK(status(named({name})) == Status::ok);
  const Bytes refused[] = {{},
                           {0x00},
                           {0x1f},
                           {0x7f},
                           {0xc2, 0x80},
                           {0xc2, 0x9f},
                           {0x80},
                           {0xbf, 0x80},
                           {0xc1, 0xbf},
                           {0xc2},
                           {0xc2, 0x41},
                           {0xc2, 0xc2},
                           {0xe0, 0x9f, 0xbf},  // overlong
                           {0xed, 0xa0, 0x80},  // surrogates
                           {0xed, 0xbf, 0xbf},
                           {0xe1, 0x80},
                           {0xe1, 0x80, 0x41},
                           {0xf0, 0x8f, 0xbf, 0xbf},  // overlong
                           {0xf4, 0x90, 0x80, 0x80},  // past U+10FFFF
                           {0xf5, 0x80, 0x80, 0x80},
                           {0xff},
                           {0xf1, 0x80, 0x80}};
  for (const Bytes& name : refused) CHECK(status(named({name})) == Status::structure);
  CHECK(status(named({{'a'}, {'a', 'b'}, {'b'}})) == Status::ok);
  CHECK(status(named({{'a'}, {'a'}})) == Status::structure);
  CHECK(status(named({{'a', 'b'}, {'a'}})) == Status::structure);
  CHECK(status(named({{'b'}, {'a', 'b'}})) == Status::structure);
  FileParts p = raw_file();
  p.metadata = {Bytes().name("k").u16(2).u8(0x1f).u8(0x7f), Bytes().name("l").u16(0)};
  CHECK(status(p) == Status::ok);  // controls are legal in a value
  p.metadata = {Bytes().name("k").u16(1).u8(0)};
  CHECK(status(p) == Status::structure);
  p.metadata = {Bytes().name("k").u16(1).u8(0x80)};
  CHECK(status(p) == Status::structure);
  p.metadata = {Bytes().name("k").u16(2000)};
  CHECK(status(p) == Status::structure);
  p.metadata = {Bytes().name("k").u16(0), Bytes().name("k").u16(0)};
  CHECK(status(p) == Status::structure);
  p = FileParts();
  p.metadata = {Bytes().name("k").u8(0)};  // half a length at the header's end
  CHECK(status(p) == Status::structure);
}

void tensors() {
  CHECK(status(raw_file()) == Status::ok);
  CHECK(status(with_tensor(Bytes().u8(9))) == Status::structure);
  CHECK(status(with_tensor(Bytes().u8(1).varint(kDimensionMost + 1))) == Status::structure);
  // 2^80: the product does not fit 64 bits; 2^60: it fits, and is above 2^53.
  CHECK(status(with_tensor(Bytes().u8(2).varint(kDimensionMost).varint(kDimensionMost))) == Status::structure);
  CHECK(status(with_tensor(Bytes().u8(2).varint(kDimensionMost).varint(1 << 20))) == Status::structure);
  // Numbers that are not in their shortest form, too long, or past 2^53.
  CHECK(status(with_tensor(Bytes().u8(1).u8(0x82).u8(0).u8(1).u8(0))) == Status::structure);
  CHECK(status(with_tensor(Bytes().u8(1).add(Bytes(8, 0x80)).u8(1))) == Status::structure);
  CHECK(status(with_tensor(Bytes().u8(1).add(Bytes(7, 0xff)).u8(0x7f))) == Status::structure);
  CHECK(status(with_tensor(Bytes().u8(1).varint(2).u8(kLayouts))) == Status::structure);
  CHECK(status(with_tensor(Bytes().u8(1).varint(2).u8(1).u8(2))) == Status::structure);  // raw form 2
  CHECK(status(with_tensor(Bytes().u8(1).varint(3).u8(1).u8(0), 3)) == Status::structure);
  CHECK(status(with_tensor(Bytes().u8(1).varint(0).u8(1).u8(0), 0)) == Status::structure);
  // A flag that is reserved; planes and codebooks of steps whose numbers are missing are cut below.
  CHECK(status(with_tensor(Bytes().u8(1).varint(2).u8(2).u8(kCodebookForms << kCodebookFormShift))) ==
        Status::structure);
  // Clusters past the room beside the zero symbol.
  CHECK(status(with_tensor(
            Bytes().u8(1).varint(2).u8(2).u8(kFlagPruned).u8(16).u8(255).varint(1).varint(2).varint(1).varint(0))) ==
        Status::structure);
  FileParts p = raw_file();
  p.dense = 10;
  CHECK(status(p) == Status::structure);
  for (uint64_t* total : {&p.stored, &p.dense, &p.entries}) {
    p = raw_file();
    *total += 4;
    CHECK(status(p) == Status::structure);
  }
  for (int which = 0; which < 3; which++) {
    p = raw_file();
    (which == 0 ? p.stored : which == 1 ? p.dense : p.entries) = uint64_t{1} << 53;
    const Result result = read(build_file(p));
    CHECK(result.status == Status::structure && result.offset == kPreambleBytes + 16 + 8 * which);
  }
  p = raw_file();
  p.more_header.u8(0);
  CHECK(status(p) == Status::structure);
  p = raw_file();
  p.tensor_count = 2;
  CHECK(status(p) == Status::structure);
  // More tensors and sections than the header's bytes can hold: refused before anything is allocated for them.
  p = FileParts();
  p.tensor_count = 65536;
  const int64_t before = allocated_blocks();
  CHECK(status(p) == Status::structure && allocated_blocks() == before);
  p.tensor_count = 0;
  p.section_count = 262144;
  CHECK(status(p) == Status::structure);
}

void sections() {
  FileParts p = raw_file();
  p.sections[0][0] = 0;
  CHECK(status(p) == Status::structure);
  p.sections[0][0] = 0x80;
  CHECK(status(p) == Status::structure);
  p.sections[0][0] = 0x82;
  CHECK(status(p) == Status::feature);
  p.sections[0][0] = 1;
  CHECK(status(p) == Status::structure);  // the payload is missing
  p = raw_file();
  p.sections[0][1] = 1;
  CHECK(status(p) == Status::structure);  // of another tensor
  p.sections[0] = Bytes().u8(kSectionPayload).varint(0).varint(0);
  CHECK(status(p) == Status::structure);
  p.sections[0] = Bytes().u8(kSectionPayload).varint(0).varint(uint64_t{1} << 40).u32(0);  // 65,536 checksums
  CHECK(status(p) == Status::structure);
  p.sections[0] = Bytes().u8(kSectionPayload).varint(0).varint(9).u32(0);
  CHECK(status(p) == Status::structure);  // nine bytes for two floats
  p = raw_file();
  p.sections.clear();
  CHECK(status(p) == Status::structure);

  // Optional sections: by type, then by owner; owners up to the number of tensors.
  const Bytes one(1, 7);
  auto optional = [&](std::initializer_list<Bytes> entries) {
    FileParts q = raw_file();
    for (const Bytes& entry : entries) {
      q.sections.push_back(entry);
      q.body.add(one);
      q.stored++;
    }
    return status(q);
  };
  CHECK(optional({section_entry(1, 0, one), section_entry(1, 1, one), section_entry(2, 0, one)}) == Status::ok);
  CHECK(optional({section_entry(1, 0, one), section_entry(1, 0, one)}) == Status::structure);
  CHECK(optional({section_entry(1, 1, one), section_entry(1, 0, one)}) == Status::structure);
  CHECK(optional({section_entry(2, 0, one), section_entry(1, 0, one)}) == Status::structure);
  CHECK(optional({section_entry(1, 2, one)}) == Status::structure);
  CHECK(optional({section_entry(kSectionPayload, 0, one)}) == Status::structure);

  // A tensor without a payload before, between and after: layout zero has no section.
  const Bytes zero = Bytes().u8(1).varint(3).u8(0);
  p = raw_file();
  p.tensors = {Bytes().name("a").add(zero), kRawEntry, Bytes().name("x").add(zero), Bytes().name("y").add(zero)};
  p.sections = {section_entry(kSectionPayload, 1, kFloats)};
  p.dense = 8 + 3 * 12;
  CHECK(status(p) == Status::ok);
  p.sections = {section_entry(kSectionPayload, 0, kFloats)};
  CHECK(status(p) == Status::structure);
}

// A payload of 64 KiB and more begins at a multiple of 64; the padding before it is zero.
void alignment() {
  Bytes floats(kAlignedSectionBytes, 0);
  FileParts p = with_tensor(Bytes().u8(1).varint(floats.size() / 4).u8(1).u8(0), floats.size() / 4);
  p.sections = {section_entry(kSectionPayload, 0, floats)};
  p.stored = floats.size();
  p.body.clear();
  const size_t header_end = build_file(p).size() - kFooterBytes;
  const size_t padding = (header_end + 63) / 64 * 64 - header_end;
  CHECK(padding > 1);
  p.body = Bytes(padding, 0).add(floats);
  Bytes file = build_file(p);
  CHECK(verify_file(Job(), file.data(), file.size(), Limits()).status == Status::ok);
  file[header_end + padding - 1] = 1;
  const Result dirty = verify_file(Job(), file.data(), file.size(), Limits());
  CHECK(dirty.status == Status::structure && dirty.offset == header_end + padding - 1);
  p.body = floats;
  CHECK(status(p) == Status::structure);
  p.body = Bytes(padding + 64, 0).add(floats);
  CHECK(status(p) == Status::structure);
}

const char* const kGolden[] = {"context.dcz",
                               "context-all-kept.dcz",
                               "dense-all-kept.dcz",
                               "dense-two-blocks.dcz",
                               "empty.dcz",
                               "half-codebook.dcz",
                               "names-metadata-optional.dcz",
                               "planes-two-blocks.dcz",
                               "planes.dcz",
                               "relative-two-blocks.dcz",
                               "relative.dcz",
                               "scalar.dcz",
                               "source-order.dcz",
                               "sparse-huffman.dcz",
                               "sparse-rans.dcz",
                               "sparse-raw-codes.dcz",
                               "sparse-two-blocks.dcz",
                               "substitution-4096.dcz"};

// The header ends at every byte it can end at, its checksum right: each field is missing once, and half of it.
void cut_headers() {
  size_t cuts = 0;
  for (const char* name : kGolden) {
    const Bytes whole = golden_file(__FILE__, name);
    CHECK(read(whole).status == Status::ok);
    const size_t header = load_u32(whole.data() + 12);
    for (size_t keep = kHeaderBytesLeast - 4; keep < header - 4; keep++, cuts++) {
      Bytes file(whole.begin(), whole.begin() + static_cast<long>(kPreambleBytes + keep));
      file.u32(0);
      file.insert(file.end(), whole.begin() + static_cast<long>(kPreambleBytes + header), whole.end());
      store_u32(file.data() + 12, static_cast<uint32_t>(keep + 4));
      store_u64(file.data() + 16, file.size());
      store_u64(file.data() + file.size() - kFooterBytes, file.size());
      reseal_header(file.data(), file.size());
      const Result result = read(file);
      CHECK(result.status == Status::structure);
      CHECK(result.offset <= kPreambleBytes + header);
    }
  }
  CHECK(cuts > 500);
}

// A codebook of steps says its own length, which may be missing too (no golden file has one in its last bytes).
void cut_steps() {
  const Bytes entry = Bytes().u8(1).varint(8).u8(2).u8(2 << kCodebookFormShift).u8(16).u8(3);
  FileParts p = with_tensor(entry, 8);
  p.sections.clear();
  CHECK(status(p) == Status::structure);
  p.tensors[0].varint(9);
  CHECK(status(p) == Status::structure);
}

void limits() {
  Bytes file = golden_file(__FILE__, "names-metadata-optional.dcz");
  ArchiveHeader h;
  CHECK(read_header(CpuLevel::scalar, file.data(), file.size(), Limits(), h));
  uint64_t most = 0;
  for (size_t i = 0; i < h.tensors.size(); i++) most = h.tensors[i].d.elements > most ? h.tensors[i].d.elements : most;
  CHECK(h.metadata_pairs > 0 && most > 0);
  struct {
    uint64_t Limits::*limit;
    uint64_t declared;
  } const cases[] = {{&Limits::header_bytes, h.header_bytes},
                     {&Limits::tensors, h.tensors.size()},
                     {&Limits::sections, h.sections.size()},
                     {&Limits::metadata, h.metadata_pairs},
                     {&Limits::elements, most},
                     {&Limits::total_elements, h.dense_bytes / 4}};
  for (const auto& c : cases) {
    Limits exact;
    exact.*c.limit = c.declared;
    CHECK(read(file, exact).status == Status::ok);
    exact.*c.limit = c.declared - 1;
    CHECK(read(file, exact).status == Status::limit);
  }
  // What a tensor decodes to: its floats, whatever its layout.
  for (const char* name : {"planes.dcz", "sparse-huffman.dcz", "context.dcz"}) {
    file = golden_file(__FILE__, name);
    CHECK(read_header(CpuLevel::scalar, file.data(), file.size(), Limits(), h));
    Limits exact;
    exact.decoded_bytes = 4 * h.tensors[0].d.elements;
    CHECK(verify_file(Job(), file.data(), file.size(), exact).status == Status::ok);
    exact.decoded_bytes--;
    CHECK(verify_file(Job(), file.data(), file.size(), exact).status == Status::limit);
  }
}

void no_memory() {
  for (const char* name : kGolden) {
    const Bytes file = golden_file(__FILE__, name);
    const int64_t before = allocated_blocks();
    int64_t k = 0;
    for (;; k++) {
      fail_allocations_after(k);
      const Status s = verify_file(Job(), file.data(), file.size(), Limits()).status;
      fail_allocations_after(-1);
      CHECK(s == Status::ok || s == Status::nomem);
      if (s != Status::nomem) break;
    }
    CHECK(k >= 2 || file.size() < 200);
    CHECK(allocated_blocks() == before);
  }
}

void cancelled() {
  const Bytes file = golden_file(__FILE__, "sparse-two-blocks.dcz");
  Control control = {};
  control.cancel = 1;
  Job job;
  job.control = &control;
  CHECK(verify_file(job, file.data(), file.size(), Limits()).status == Status::aborted);
}

// Two damages: the section that comes first in the file is told, its checksum before its contents.
void two_damages() {
  FileParts p;
  const Bytes nan = Bytes().u32(0x7fc00000).u32(0);
  p.tensors = {Bytes().name("a").u8(1).varint(2).u8(1).u8(0), Bytes().name("b").u8(1).varint(2).u8(1).u8(0)};
  p.sections = {section_entry(kSectionPayload, 0, nan), section_entry(kSectionPayload, 1, kFloats)};
  p.body = Bytes().add(nan).add(kFloats);
  p.stored = p.dense = 16;
  Bytes file = build_file(p);
  const size_t first = file.size() - kFooterBytes - 16;
  auto told = [&] { return verify_file(Job(), file.data(), file.size(), Limits()); };
  CHECK(told().status == Status::value && told().offset == first);
  file[first + 8] ^= 1;  // the second section's checksum: the first section is still told
  CHECK(told().status == Status::value && told().offset == first);
  file[first] ^= 1;
  CHECK(told().status == Status::checksum && told().offset == first);
}

}  // namespace

int main() {
  names();
  tensors();
  sections();
  alignment();
  cut_headers();
  cut_steps();
  limits();
  no_memory();
  cancelled();
  two_damages();
  return finish();
}
