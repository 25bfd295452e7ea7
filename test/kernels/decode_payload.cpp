// Payloads through the decoder's own doors (decode/tensor.h), without a container that would refuse them first: ranges,
// damaged directories, descriptors that contradict their payload, no memory, a cancelled job.
#include <memory>

#include "../support/dcz.h"
#include "base/context_model.h"
#include "base/memory.h"
#include "base/target.h"
#include "check.h"
#include "container/reader.h"
#include "decode/block.h"
#include "decode/context.h"
#include "decode/gaps.h"
#include "decode/relative_index.h"
#include "decode/stream.h"
#include "decode/tensor.h"
#include "encode/block.h"
#include "encode/stream.h"
#include "encode/tensor.h"

using namespace dc;

namespace {

struct Tensor {
  TensorDescriptor d;
  Bytes payload;
};

Tensor golden_tensor(const char* name) {
  const Bytes file = golden_file(__FILE__, name);
  ArchiveHeader h;
  CHECK(read_header(CpuLevel::scalar, file.data(), file.size(), Limits(), h));
  const SectionEntry& s = h.sections[0];
  Tensor t;
  t.d = h.tensors[s.owner].d;
  const auto begin = file.begin() + static_cast<long>(s.offset);
  t.payload.assign(begin, begin + static_cast<long>(s.stored_bytes));
  return t;
}

const DecodeOptions kFinite, kAny = {true};

Result values_of(const Tensor& t, uint64_t first, uint64_t count, float* out, const DecodeOptions& options = kFinite,
                 const Job& job = Job()) {
  Guarded<uint8_t> exact(t.payload.size());
  if (!t.payload.empty()) std::memcpy(exact.data(), t.payload.data(), t.payload.size());
  return decode_values(job, t.d, exact.data(), t.payload.size(), first, count, options, out);
}

Result all_values(const Tensor& t, const DecodeOptions& options = kFinite, const Job& job = Job()) {
  Guarded<float> out(t.d.elements);
  return values_of(t, 0, t.d.elements, out.data(), options, job);
}

Result codes_of(const Tensor& t, const Job& job = Job()) {
  Guarded<uint8_t> exact(t.payload.size());
  if (!t.payload.empty()) std::memcpy(exact.data(), t.payload.data(), t.payload.size());
  Guarded<uint32_t> mask((t.d.elements + 31) / 32);
  Guarded<uint8_t> codes(t.d.kept);
  float codebook[256];
  return decode_codes(job, t.d, exact.data(), t.payload.size(), kFinite, mask.data(), codes.data(), codebook);
}

template <typename F>
Status changed(Tensor t, const F& change) {
  change(t);
  return all_values(t, kAny).status;
}

const char* const kCoded[] = {"context.dcz",          "context-all-kept.dcz",    "dense-all-kept.dcz",
                              "float32-codebook.dcz", "half-steps.dcz",          "dense-two-blocks.dcz",
                              "half-codebook.dcz",    "relative-two-blocks.dcz", "relative.dcz",
                              "source-order.dcz",     "sparse-huffman.dcz",      "sparse-rans.dcz",
                              "sparse-raw-codes.dcz", "sparse-two-blocks.dcz",   "substitution-4096.dcz"};
const char* const kRaw[] = {"planes.dcz", "planes-two-blocks.dcz", "scalar.dcz"};

std::vector<Tensor> all_tensors() {
  std::vector<Tensor> tensors;
  for (const char* name : kCoded) tensors.push_back(golden_tensor(name));
  for (const char* name : kRaw) tensors.push_back(golden_tensor(name));
  return tensors;
}

void ranges() {
  for (const Tensor& t : all_tensors()) {
    const uint64_t n = t.d.elements, block = uint64_t{1} << t.d.block_log2;
    std::vector<float> whole(n);
    CHECK(values_of(t, 0, n, whole.data()));
    const uint64_t border = block < n ? block : n / 2;
    const uint64_t cuts[][2] = {{0, 0},
                                {n, 0},
                                {0, 1},
                                {n - 1, 1},
                                {n / 3, n / 3},
                                {0, border},
                                {border, n - border},
                                {border / 2, border / 2},
                                {border / 2, n - border / 2 - n / 8}};
    for (const auto& cut : cuts) {
      const uint64_t first = cut[0], count = cut[1] > n - cut[0] ? n - cut[0] : cut[1];
      for (int l = 0; l < levels().count; l++) {
        Job job;
        job.level = levels().level[l];
        Guarded<float> out(count);
        CHECK(values_of(t, first, count, out.data(), kFinite, job));
        CHECK(count == 0 || std::memcmp(out.data(), whole.data() + first, count * sizeof(float)) == 0);
      }
    }
    float none;
    CHECK(values_of(t, n + 1, 0, &none).status == Status::arg);
    CHECK(values_of(t, n, 1, &none).status == Status::arg);
    CHECK(values_of(t, 1, UINT64_MAX, &none).status == Status::arg);
  }
}

// Any bytes at any place of the directory and the first blocks: one answer at every level, and mask and codes agree
// with the dense values on whether the payload is good.
void damaged_places() {
  const Bytes patterns[] = {{0x00},
                            {0x01},
                            {0x7f},
                            {0x80},
                            {0xff},
                            {0x80, 0x00},
                            {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80},
                            {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}};
  size_t tried = 0, accepted = 0;
  for (const char* name :
       {"sparse-two-blocks.dcz", "relative-two-blocks.dcz", "dense-two-blocks.dcz", "planes-two-blocks.dcz"}) {
    const Tensor good = golden_tensor(name);
    const size_t from = good.d.codebook_bytes, to = from + good.d.table_bytes + 64;
    for (size_t at = 0; at < to && at < good.payload.size(); at++) {
      for (const Bytes& pattern : patterns) {
        Tensor t = good;
        for (size_t i = 0; i < pattern.size() && at + i < t.payload.size(); i++) t.payload[at + i] = pattern[i];
        const Result first = all_values(t);
        tried++;
        accepted += first.status == Status::ok;
        CHECK(first || first.offset <= t.payload.size());
        for (int l = 1; l < levels().count; l++) {
          Job job;
          job.level = levels().level[l];
          const Result other = all_values(t, kFinite, job);
          CHECK(other.status == first.status && other.offset == first.offset);
        }
        if (t.d.layout != Layout::raw) CHECK(static_cast<bool>(codes_of(t)) == static_cast<bool>(first));
      }
    }
  }
  CHECK(tried > 2000 && accepted < tried / 2);
}

// Directories cut inside each of their numbers: the payload ends where a number should go on.
void cut_directories() {
  for (const char* name : {"sparse-two-blocks.dcz", "relative-two-blocks.dcz", "dense-two-blocks.dcz"}) {
    const Tensor good = golden_tensor(name);
    const size_t directory = good.d.codebook_bytes + good.d.table_bytes;
    const size_t body = good.d.stored_bytes - good.d.index_bytes - good.d.code_bytes;
    CHECK(body > directory);
    for (size_t keep = directory; keep < body; keep++) {
      Tensor t = good;
      t.payload.erase(t.payload.begin() + static_cast<long>(keep), t.payload.begin() + static_cast<long>(body));
      // As many bytes as there were, so that only the numbers are wrong: what is missing is given as continuation
      // bytes.
      t.payload.insert(t.payload.begin() + static_cast<long>(keep), body - keep, 0x80);
      CHECK(!all_values(t) && !codes_of(t));
      t.payload.erase(t.payload.begin() + static_cast<long>(keep), t.payload.begin() + static_cast<long>(body));
      t.d.stored_bytes = t.payload.size();
      CHECK(all_values(t).status == Status::structure && codes_of(t).status == Status::structure);
    }
  }
}

// What the header's checks do not let through, told by a caller of ours.
void contradictions() {
  for (const Tensor& t : all_tensors()) {
    CHECK(changed(t, [](Tensor& x) { x.payload.pop_back(); }) == Status::structure);
    CHECK(changed(t, [](Tensor& x) { x.payload.push_back(0); }) == Status::structure);
  }
  const Tensor sparse = golden_tensor("sparse-two-blocks.dcz");
  CHECK(changed(sparse, [](Tensor& x) { x.d.table_bytes = UINT64_MAX; }) == Status::structure);
  CHECK(changed(sparse, [](Tensor& x) { x.d.index_bytes = UINT64_MAX; }) == Status::structure);
  CHECK(changed(sparse, [](Tensor& x) { x.d.code_bytes = UINT64_MAX - x.d.codebook_bytes; }) == Status::structure);
  CHECK(changed(sparse, [](Tensor& x) { x.d.code_bytes += x.payload.size(); }) == Status::structure);
  CHECK(changed(sparse, [](Tensor& x) { x.d.table_bytes++; }) == Status::structure);
  const Tensor context = golden_tensor("context.dcz");
  CHECK(changed(context, [](Tensor& x) { x.d.index_bytes = UINT64_MAX; }) == Status::structure);
  CHECK(changed(context, [](Tensor& x) { x.d.code_bytes = UINT64_MAX; }) == Status::structure);
  CHECK(changed(context, [](Tensor& x) { x.d.code_bytes++; }) == Status::structure);
  const Tensor stored = golden_tensor("scalar.dcz");
  CHECK(changed(stored, [](Tensor& x) { x.d.elements = 2; }) == Status::structure);
  CHECK(changed(stored, [](Tensor& x) { x.payload.push_back(0), x.d.stored_bytes++; }) == Status::structure);
  const Tensor planes = golden_tensor("planes-two-blocks.dcz");
  CHECK(changed(planes, [](Tensor& x) { x.d.table_bytes = x.payload.size() + 1; }) == Status::structure);
  CHECK(changed(planes, [](Tensor& x) { x.d.table_bytes++; }) == Status::structure);
  CHECK(changed(planes, [](Tensor& x) { x.d.table_bytes = 1; }) == Status::huffman);
  float none;
  Tensor huge = planes;
  huge.d.elements = kWholeMost;  // more blocks than the payload has bytes: refused before their directory is allocated
  CHECK(values_of(huge, 0, 1, &none).status == Status::structure);
  huge = sparse;
  huge.d.elements = kWholeMost;
  CHECK(values_of(huge, 0, 1, &none).status == Status::structure);
  // Kept weights that are not as many as the header says, in a layout whose zeros are symbols.
  Tensor dense = golden_tensor("dense-two-blocks.dcz");
  CHECK(dense.d.pruned);
  dense.d.kept--;
  CHECK(all_values(dense).status == Status::index && codes_of(dense).status == Status::index);
}

// A payload by hand: codebook, models, one block.
Tensor by_hand(Layout layout, bool pruned, unsigned clusters, const Bytes& models, const Bytes& index,
               const Bytes& codes, uint64_t elements, uint64_t kept) {
  Tensor t;
  t.d.layout = layout;
  t.d.pruned = pruned;
  t.d.clusters = clusters;
  t.d.block_log2 = 10;
  t.d.elements = elements;
  t.d.kept = kept;
  t.d.escape = layout == Layout::sparse ? 15 : 0;
  t.d.codebook_form = CodebookForm::float16;
  for (unsigned k = 0; k < clusters; k++) t.payload.u16(0x3c00 + k);
  t.d.codebook_bytes = t.payload.size();
  t.d.table_bytes = models.size();
  t.d.index_bytes = index.size();
  t.d.code_bytes = codes.size();
  t.payload.add(models).add(index).add(codes);
  t.d.stored_bytes = t.payload.size();
  return t;
}

void values_and_codes() {
  // Constant code 5 of a codebook of 1, kept and pruned; code 0 is fine.
  for (bool pruned : {false, true}) {
    const Tensor past = by_hand(Layout::dense, pruned, 1, {0, 5}, {}, {}, 40, 40);
    CHECK(all_values(past).status == Status::value && codes_of(past).status == Status::value);
  }
  CHECK(all_values(by_hand(Layout::dense, false, 1, {0, 0}, {}, {}, 40, 40)).status == Status::ok);
  // Gaps 14 and 14 of 4 raw bits: positions 14 and 29 of 20.
  const Tensor far = by_hand(Layout::sparse, true, 1, {0, 0, 1, 4}, {0xee}, {}, 20, 2);
  CHECK(all_values(far).status == Status::index && codes_of(far).status == Status::index);
  // A sparse tensor of two blocks whose second keeps nothing.
  Tensor t = by_hand(Layout::sparse, true, 1, {0, 0, 0, 3}, {}, {}, 2000, 10);
  const size_t directory = t.d.codebook_bytes + t.d.table_bytes;
  const Bytes first_block = Bytes().varint(10).varint(0).varint(0).varint(0);
  t.payload.insert(t.payload.begin() + static_cast<long>(directory), first_block.begin(), first_block.end());
  t.d.stored_bytes = t.payload.size();
  CHECK(all_values(t) && codes_of(t));
  // All ten in the second block of a tensor that ends nine positions into it.
  t.d.elements = 1033;
  t.payload[directory] = 0;
  CHECK(all_values(t).status == Status::index && codes_of(t).status == Status::index);
  // Codes of layout zero are an empty mask; raw has none.
  Tensor zero;
  zero.d.elements = 70;
  Guarded<uint32_t> mask(3);
  for (size_t i = 0; i < 3; i++) mask[i] = ~0u;
  CHECK(decode_codes(Job(), zero.d, nullptr, 0, kFinite, mask.data(), nullptr, nullptr));
  CHECK(mask[0] == 0 && mask[1] == 0 && mask[2] == 0);
  CHECK(codes_of(golden_tensor("planes.dcz")).status == Status::arg);
  // scatter_escape looks at 256 centroids at the most, whatever it is told.
  std::vector<float> book(300, 2.0f);
  uint8_t gap = 1, code = 0;
  float out[4];
  uint64_t end;
  CHECK(scatter_escape(CpuLevel::scalar, &gap, 1, 16, &code, 1, book.data(), 300, out, 4, &end) && out[1] == 2.0f);
}

Tensor stored_tensor(const std::vector<float>& values) {
  Tensor t;
  for (float value : values) t.payload.u32(float_bits(value));
  t.d.elements = t.d.kept = values.size();
  t.d.layout = Layout::raw;
  t.d.stored_bytes = t.payload.size();
  return t;
}

Tensor planes_tensor(const std::vector<float>& values) {
  Tensor t;
  t.payload.resize(raw_bound(values.size()));
  CHECK(encode_raw(Job(), values.data(), values.size(), ModeChoice::automatic, true, t.payload.data(), t.payload.size(),
                   t.d));
  CHECK(t.d.raw_form == RawForm::planes);
  t.payload.resize(t.d.stored_bytes);
  return t;
}

// NaN and infinities in stored floats and in planes, in the first block and in a later one.
void nonfinite() {
  const size_t n = 200000;
  std::vector<float> values(n), out(n);
  for (size_t i = 0; i < n; i++) values[i] = static_cast<float>(random_u64(7, i) % 100) * 0.01f;
  for (Tensor (*make)(const std::vector<float>&) : {stored_tensor, planes_tensor}) {
    CHECK(all_values(make(values)));
    for (size_t at : {size_t{0}, size_t{70000}, n - 1}) {
      std::vector<float> odd = values;
      odd[at] = bits_float(at ? 0x7fc01234u : 0xff800000u);
      const Tensor t = make(odd);
      CHECK(values_of(t, 0, n, out.data(), kAny) && std::memcmp(out.data(), odd.data(), 4 * n) == 0);
      CHECK(values_of(t, 0, n, out.data()).status == Status::value);
      CHECK(values_of(t, at, 1, out.data()).status == Status::value);
      CHECK(values_of(t, at, 1, out.data(), kAny));
    }
  }
}

// A block at the end of a range that is decoded in part, and is damaged.
void damaged_partial_block() {
  Tensor t = golden_tensor("planes-two-blocks.dcz");
  const uint64_t n = t.d.elements;
  std::vector<float> out(n);
  for (size_t i = 0; i < 40; i++) t.payload[t.payload.size() - 1 - i] ^= 0xff;
  CHECK(!values_of(t, n - 3, 2, out.data(), kAny));
  CHECK(values_of(t, 1, 5, out.data(), kAny));
}

void no_memory() {
  for (const Tensor& t : all_tensors()) {
    const uint64_t n = t.d.elements;
    std::vector<float> out(n);
    const int64_t before = allocated_blocks();
    // Values from the second element on, values up to the last but one, codes.
    for (int form = 0; form < (t.d.layout == Layout::raw ? 2 : 3); form++) {
      for (int64_t k = 0;; k++) {
        fail_allocations_after(k);
        const Status status =
            form == 2 ? codes_of(t).status : values_of(t, form && n > 1 ? 1 : 0, n > 2 ? n - 2 : 1, out.data()).status;
        fail_allocations_after(-1);
        CHECK(status == Status::ok || status == Status::nomem);
        if (status != Status::nomem) break;
      }
    }
    CHECK(allocated_blocks() == before);
  }
}

void cancelled() {
  Control control = {};
  control.cancel = 1;
  Job job;
  job.control = &control;
  for (const Tensor& t : all_tensors()) {
    CHECK(all_values(t, kFinite, job).status == Status::aborted);
    if (t.d.layout != Layout::raw) CHECK(codes_of(t, job).status == Status::aborted);
  }
  uint32_t mask = 0;
  CHECK(decode_relative_index(job, nullptr, nullptr, 0, 4, &mask, 8, nullptr, 0).status == Status::aborted);
}

// A block of `bytes` bytes decodes to `in` at every level, and no word, nor many words, may follow its last.
void exactly_the_words(const DecodeTable& table, const std::vector<uint8_t>& room, size_t bytes,
                       const std::vector<uint8_t>& in, size_t many) {
  const size_t n = in.size();
  for (size_t more : {size_t{0}, size_t{2}, many}) {
    Guarded<uint8_t> exact(bytes + more), out(n);
    std::memcpy(exact.data(), room.data(), bytes);
    std::memset(exact.data() + bytes, 0, more);
    for (int l = 0; l < levels().count; l++) {
      const Result result = decode_block(levels().level[l], table, exact.data(), bytes + more, out.data(), n);
      CHECK(more ? result.status == Status::bitstream : result && std::memcmp(out.data(), in.data(), n) == 0);
    }
  }
}

// Every longest code length, with few symbols and with more than 128: each has its own loop at the wider levels.
// 120 codes of 7 bits, 14 of 8, and a chain down to the longest; or the chain alone.
void code_lengths() {
  auto encoder = std::make_unique<EncodeTable>();
  auto table = std::make_unique<DecodeTable>();
  for (unsigned longest = 1; longest <= kMaxCodeLength; longest++) {
    for (int wide = 0; wide < (longest >= 8 ? 2 : 1); wide++) {
      Model model;
      model.mode = CodeMode::huffman;
      model.lanes_log2 = kMaxLanesLog2;
      unsigned symbols = 0;
      if (wide) {
        for (int i = 0; i < 120; i++) model.lengths[symbols++] = 7;
        for (int i = 0; i < 14; i++) model.lengths[symbols++] = 8;
      }
      for (unsigned length = wide ? 8 : 1; length < longest; length++) {
        model.lengths[symbols++] = static_cast<uint8_t>(length);
      }
      model.lengths[symbols++] = static_cast<uint8_t>(longest);
      model.lengths[symbols++] = static_cast<uint8_t>(longest);
      model.alphabet = static_cast<uint16_t>(symbols);
      CHECK(build_encode_table(model, *encoder) && build_decode_table(model, *table));
      for (size_t n : {size_t{1}, size_t{70000}}) {
        std::vector<uint8_t> in(n), room(block_bound(n));
        for (size_t i = 0; i < n; i++) in[i] = static_cast<uint8_t>(random_u64(longest, i) % symbols);
        size_t bytes = 0;
        CHECK(encode_block(Job(), *encoder, in.data(), n, room.data(), room.size(), &bytes));
        exactly_the_words(*table, room, bytes, in, 512);
      }
    }
  }
}

// The same for rANS: symbols whose states take hardly a word, so that words are left when the symbols are all there.
void words_left() {
  Model model;
  model.mode = CodeMode::rans;
  model.lanes_log2 = kMaxLanesLog2;
  model.alphabet = 2;
  model.frequencies[0] = 4095;
  model.frequencies[1] = 1;
  auto encoder = std::make_unique<EncodeTable>();
  auto table = std::make_unique<DecodeTable>();
  CHECK(build_encode_table(model, *encoder) && build_decode_table(model, *table));
  const size_t n = 70000;
  std::vector<uint8_t> in(n), room(block_bound(n));
  in[100] = in[5000] = 1;
  size_t bytes = 0;
  CHECK(encode_block(Job(), *encoder, in.data(), n, room.data(), room.size(), &bytes));
  exactly_the_words(*table, room, bytes, in, 1024);
}

// Blocks of more symbols than a decoder decodes without a look at its job, in one lane, in eight, in all; and a job
// that was cancelled. The widest loops, a few milliseconds for the largest block, do not look.
void long_blocks() {
  auto encoder = std::make_unique<EncodeTable>();
  auto table = std::make_unique<DecodeTable>();
  Control control = {};
  control.cancel = 1;
  const size_t n = (size_t{2} << 18) + 77;
  std::vector<uint8_t> in(n), room(block_bound(n));
  for (const CodeMode mode : {CodeMode::huffman, CodeMode::rans}) {
    for (const unsigned symbols : {2u, 256u}) {
      for (const unsigned lanes_log2 : {0u, 3u, 6u}) {
        Model model;
        model.mode = mode;
        model.lanes_log2 = static_cast<uint8_t>(lanes_log2);
        model.alphabet = static_cast<uint16_t>(symbols);
        for (unsigned s = 0; s < symbols; s++) {
          model.lengths[s] = symbols == 2 ? 1 : 8;
          model.frequencies[s] = static_cast<uint16_t>(kCodeSpace / symbols);
        }
        CHECK(build_encode_table(model, *encoder) && build_decode_table(model, *table));
        for (size_t i = 0; i < n; i++) in[i] = static_cast<uint8_t>(random_u64(symbols, i) % symbols);
        size_t bytes = 0;
        CHECK(encode_block(Job(), *encoder, in.data(), n, room.data(), room.size(), &bytes));
        exactly_the_words(*table, room, bytes, in, 512);
        std::vector<uint8_t> out(n);
        Job job;
        job.control = &control;
        for (int l = 0; l < levels().count; l++) {
          job.level = levels().level[l];
          const Status status = decode_block(job, *table, room.data(), bytes, out.data(), n).status;
          const bool looks = job.level != CpuLevel::avx512 || lanes_log2 < (mode == CodeMode::huffman ? 3u : 4u);
          CHECK(status == (looks ? Status::aborted : Status::ok));
        }
      }
    }
  }
}

// Weights of the mixer stay within 2^20, however long an opinion that is hardly more than none is right, or wrong.
void mixer() {
  for (const uint16_t p : {uint16_t{32900}, uint16_t{32600}}) {
    Mixer m;
    const Counter same = {p, 4}, none = {32768, 4};
    unsigned before = 0, now = 0;
    for (int i = 0; i < 3000000; i++) {
      before = now;
      now = m.mix(same, none, none, none);
      m.learn(true);
    }
    CHECK(now == before && now > 32768);
  }
}

// One weight kept of many, and all but one: the first guess is not below 32 nor above 65,503 of 65,536.
void context_shares() {
  const uint64_t n = 5000;
  for (const bool all_but_one : {false, true}) {
    std::vector<uint32_t> mask((n + 31) / 32, all_but_one ? ~0u : 0u);
    mask[n / 64] ^= 1u << 3;
    if (all_but_one) mask[n / 32] &= (1u << n % 32) - 1;
    const uint64_t kept = all_but_one ? n - 1 : 1;
    const std::vector<uint8_t> codes(kept, 0);
    const float book[2] = {0.5f, 1.5f};
    QuantizedInput in;
    in.elements = n;
    in.mask = mask.data();
    in.codes = codes.data();
    in.kept = kept;
    in.codebook = book;
    in.clusters = 2;
    TensorOptions options;
    options.layout = LayoutChoice::context;
    options.width = 50;
    Tensor t;
    t.payload.resize(quantized_bound(n, kept, 2));
    CHECK(encode_quantized(Job(), in, options, t.payload.data(), t.payload.size(), t.d));
    t.payload.resize(t.d.stored_bytes);
    std::vector<float> out(n);
    CHECK(t.d.layout == Layout::context && values_of(t, 0, n, out.data()));
    for (uint64_t i = 0; i < n; i++) CHECK(out[i] == ((mask[i / 32] >> (i % 32) & 1) ? 0.5f : 0.0f));
  }
}

// E6: streams whose bits take more bytes than they have are left after a piece, and neither are their bytes past the
// end looked at.
void context_ends_early() {
  const uint64_t n = uint64_t{1} << kContextElementsLog2;
  std::vector<uint8_t> marks(n, 7), codes(n, 7);
  Guarded<uint8_t> bytes(6);
  for (size_t i = 0; i < 6; i++) bytes[i] = static_cast<uint8_t>(random_u64(5, i));
  CHECK(decode_context_mask(Job(), {n, n / 2, 100, 2}, bytes.data(), 6, marks.data()).status == Status::bitstream);
  CHECK(marks[0] != 7 && marks[kContextPiece] == 7);
  std::fill(marks.begin(), marks.end(), uint8_t{1});
  CHECK(decode_context_codes(Job(), {n, n, 100, 2}, 256, bytes.data(), 6, marks.data(), codes.data()).status ==
        Status::bitstream);
  CHECK(codes[kContextPiece] == 7);
}

// C6: positions around 2^31 and 2^32, in blocks of 2^20; the last block keeps one weight, the others none.
void large_tensors() {
  for (const uint64_t n : {(uint64_t{1} << 31) - 1, uint64_t{1} << 31, (uint64_t{1} << 31) + 1, (uint64_t{1} << 32) - 1,
                           uint64_t{1} << 32, (uint64_t{1} << 32) + 1}) {
    const uint64_t last = (n - 1) >> 20, gap = n - (last << 20) > 5 ? 5 : 0, place = (last << 20) + gap;
    Tensor t = by_hand(Layout::sparse, true, 1, Bytes({0, 0, 0}).u8(static_cast<unsigned>(gap)), {}, {}, n, 1);
    t.d.block_log2 = 20;
    t.payload.resize(t.d.codebook_bytes + t.d.table_bytes + 4 * last);  // kept, escapes and lengths of each block: 0
    t.d.stored_bytes = t.payload.size();
    float out[4] = {7, 7, 7, 7};
    const uint64_t first = place + 3 > n ? n - 3 : place - 1;
    CHECK(values_of(t, first, 3, out));
    for (uint64_t i = 0; i < 3; i++) CHECK(out[i] == (first + i == place ? 1.0f : 0.0f));
    CHECK(out[3] == 7 && values_of(t, n - 2, 3, out).status == Status::arg);
  }
}

#if DC_X86
// D4: another library made the processor flush denormals. A job makes denormals exact and leaves the thread as it was.
void denormals() {
  const unsigned before = _mm_getcsr(), flush = before | 0x8040;
  Tensor t;
  const uint32_t bits[4] = {0xff000000u, 0x80000003u, 0x00000001u, 0x7f000000u};  // too far apart for steps
  for (uint32_t b : bits) t.payload.u32(b);
  t.d.layout = Layout::dense;
  t.d.clusters = 4;
  t.d.codebook_bytes = 16;
  t.d.block_log2 = 10;
  t.d.elements = t.d.kept = 4;
  t.payload.add({1, 2, 0xe4});  // raw codes of 2 bits: 0, 1, 2, 3
  t.d.table_bytes = 2;
  t.d.code_bytes = 1;
  t.d.stored_bytes = t.payload.size();
  float out[4];
  _mm_setcsr(flush);
  Result result;
  {
    const FloatEnvironment exact;
    result = values_of(t, 0, 4, out);
  }
  const unsigned after = _mm_getcsr();
  _mm_setcsr(before);
  CHECK(after == flush);
  CHECK(result && std::memcmp(out, bits, sizeof bits) == 0);
}
#endif

// A raw stream of several blocks with a bit after its last symbol: told at the last block.
void raw_stream() {
  const size_t n = 2 * kStreamBlockSymbols + 3;
  std::vector<uint8_t> symbols(n), room(stream_bound(n));
  for (size_t i = 0; i < n; i++) symbols[i] = static_cast<uint8_t>(random_u64(9, i) & 7);
  size_t bytes = 0;
  CHECK(encode_stream(Job(), symbols.data(), n, ModeChoice::raw, room.data(), room.size(), &bytes));
  std::vector<uint8_t> back(n);
  CHECK(decode_stream(Job(), room.data(), bytes, back.data(), n) && back == symbols);
  room[bytes - 1] |= 0x80;
  const Result result = decode_stream(Job(), room.data(), bytes, back.data(), n);
  CHECK(result.status == Status::bitstream && result.offset == 2 + 2 * kStreamBlockSymbols / 8 * 3);
}

}  // namespace

int main() {
  ranges();
  damaged_places();
  cut_directories();
  contradictions();
  values_and_codes();
  nonfinite();
  damaged_partial_block();
  no_memory();
  cancelled();
  code_lengths();
  words_left();
  long_blocks();
  raw_stream();
  mixer();
  context_shares();
  context_ends_early();
  large_tensors();
#if DC_X86
  denormals();
#endif
  return finish();
}
