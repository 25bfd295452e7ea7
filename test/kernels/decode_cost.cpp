// What decoding costs (failure list E2, E6). Each case is a valid file or payload of a kind that an attacker would
// choose: many blocks, many models, many tensors, no bytes at all, the slowest coder of each layout, in two sizes. Here
// each must decode; a line tells its size. test/format/cost.test.ts runs this program under callgrind, which counts the
// instructions of `measured`, and holds them against a bound that is linear in models, bytes and elements.
#include <string>
#include <vector>

#include "../support/dcz.h"
#include "base/target.h"
#include "check.h"
#include "decode/tensor.h"
#include "decode/verify.h"
#include "encode/tensor.h"

using namespace dc;

extern "C" {
DC_NOINLINE void measured(void (*body)(void*), void* context) {
  body(context);
#if defined(__GNUC__)
  __asm__ volatile("");  // no jump out of this function: callgrind counts what happens between call and return
#endif
}
}
// Not called by name: the compiler would make copies of it under other names.
void (*volatile const call_measured)(void (*)(void*), void*) = measured;

namespace {

template <typename F>
void measure(const std::string& name, CpuLevel level, uint64_t tensors, uint64_t models, uint64_t bytes,
             uint64_t elements, const F& f) {
  Result result;
  const auto run = [&] { result = f(); };
  call_measured([](void* context) { (*static_cast<decltype(run)*>(context))(); },
                const_cast<void*>(static_cast<const void*>(&run)));
  CHECK(result);
  const auto number = [](uint64_t v) { return static_cast<unsigned long long>(v); };
  std::printf("cost %s %s %llu %llu %llu %llu\n", name.c_str(), cpu_level_name(level), number(tensors), number(models),
              number(bytes), number(elements));
}

struct Tensor {
  TensorDescriptor d;
  Bytes payload;
};

// Values and, of coded tensors, mask and codes.
void both_forms(const std::string& name, const Tensor& t, uint64_t models) {
  const uint64_t n = t.d.elements;
  std::vector<float> out(n);
  std::vector<uint32_t> mask((n + 31) / 32);
  std::vector<uint8_t> codes(t.d.kept);
  float codebook[256];
  for (int l = 0; l < levels().count; l++) {
    Job job;
    job.level = levels().level[l];
    const DecodeOptions options;
    measure(name, job.level, 1, models, t.payload.size(), n,
            [&] { return decode_values(job, t.d, t.payload.data(), t.payload.size(), 0, n, options, out.data()); });
    // One weight: the models and the directory are read, and one block (2^16 symbols of our encoder at the most).
    const uint64_t block =
        t.d.layout == Layout::context || n >> t.d.block_log2 == 0 ? n : uint64_t{1} << t.d.block_log2;
    measure(name + "-last", job.level, 1, models, t.payload.size(), block,
            [&] { return decode_values(job, t.d, t.payload.data(), t.payload.size(), n - 1, 1, options, out.data()); });
    if (t.d.layout == Layout::raw) continue;
    measure(name + "-codes", job.level, 1, models, t.payload.size(), n, [&] {
      return decode_codes(job, t.d, t.payload.data(), t.payload.size(), options, mask.data(), codes.data(), codebook);
    });
  }
}

Tensor encoded(uint64_t n, double density, unsigned clusters, bool skewed, const TensorOptions& options) {
  std::vector<uint32_t> mask((n + 31) / 32);
  std::vector<uint8_t> codes;
  std::vector<float> codebook(clusters);
  for (unsigned k = 0; k < clusters; k++) codebook[k] = static_cast<float>(k) * 0.0137f - 1;
  for (uint64_t i = 0; i < n; i++) {
    if (random_unit(1, i) >= density) continue;
    mask[i / 32] |= 1u << i % 32;
    const double u = random_unit(2, i);
    codes.push_back(static_cast<uint8_t>((skewed ? u * u * u * u : u) * clusters));
  }
  QuantizedInput input;
  input.elements = n;
  input.mask = codes.size() == n ? nullptr : mask.data();
  input.codes = codes.data();
  input.kept = codes.size();
  input.codebook = codebook.data();
  input.clusters = clusters;
  Tensor t;
  t.payload.resize(quantized_bound(n, input.kept, clusters));
  CHECK(encode_quantized(Job(), input, options, t.payload.data(), t.payload.size(), t.d));
  t.payload.resize(t.d.stored_bytes);
  return t;
}

void layouts(uint64_t n) {
  const ModeChoice modes[] = {ModeChoice::raw, ModeChoice::huffman, ModeChoice::rans};
  const char* const names[] = {"raw", "huffman", "rans"};
  for (int m = 0; m < 3; m++) {
    const std::string mode = names[m];
    TensorOptions options;
    options.entropy = modes[m];
    options.layout = LayoutChoice::dense;
    both_forms("dense-256-" + mode, encoded(n, 2, 256, true, options), 1);
    both_forms("dense-2-" + mode, encoded(n, 2, 2, true, options), 1);
    both_forms("dense-pruned-" + mode, encoded(n, 0.5, 200, false, options), 1);
    options.index_bits = 2;
    options.layout = LayoutChoice::sparse;
    both_forms("sparse-" + mode, encoded(n, 0.9, 256, true, options), 2);
    both_forms("sparse-escapes-" + mode, encoded(n, 0.2, 256, true, options), 2);
    options.layout = LayoutChoice::relative;
    both_forms("relative-" + mode, encoded(n, 0.9, 200, true, options), 2);
    both_forms("relative-fillers-" + mode, encoded(n, 0.2, 200, true, options), 2);
  }
  TensorOptions context;
  context.layout = LayoutChoice::context;
  context.width = 100;
  n /= 8;  // a hundred times the work of the others for an element
  both_forms("context", encoded(n, 0.9, 256, false, context), 2);
  both_forms("context-one-value", encoded(n, 0.5, 1, false, context), 2);
}

void floats(uint64_t n) {
  std::vector<float> values(n);
  for (uint64_t i = 0; i < n; i++) values[i] = static_cast<float>(random_unit(3, i) * random_unit(4, i));
  Tensor t;
  t.payload.resize(raw_bound(n));
  CHECK(encode_raw(Job(), values.data(), n, ModeChoice::automatic, true, t.payload.data(), t.payload.size(), t.d));
  t.payload.resize(t.d.stored_bytes);
  CHECK(t.d.raw_form == RawForm::planes);
  both_forms("planes", t, 4);
}

// The least blocks there are, 2^10, of constant symbols: nothing but a directory.
void small_blocks(uint64_t blocks) {
  for (const Layout layout : {Layout::dense, Layout::sparse}) {
    const bool sparse = layout == Layout::sparse;
    Tensor t;
    t.d.layout = layout;
    t.d.block_log2 = 10;
    t.d.elements = blocks << 10;
    t.d.pruned = sparse;
    t.d.escape = sparse ? 1 : 0;
    t.d.kept = sparse ? blocks : t.d.elements;
    t.d.clusters = 1;
    t.d.codebook_form = CodebookForm::float16;
    t.payload.u16(0x3c00);
    t.d.codebook_bytes = 2;
    t.payload.u16(0);
    if (sparse) t.payload.u16(0);
    t.d.table_bytes = sparse ? 4 : 2;
    // Of each block but the last: a weight, no escapes, no bytes; or no bytes.
    for (uint64_t b = 1; b < blocks; b++) {
      if (sparse) t.payload.u8(1).u8(0).u8(0);
      t.payload.u8(0);
    }
    t.d.stored_bytes = t.payload.size();
    both_forms(sparse ? "small-blocks-sparse" : "small-blocks-dense", t, sparse ? 2 : 1);
  }
}

// Files of many tensors: a float each, or a model each (rANS of two symbols, whose table is 4,096 entries from six
// bytes).
void many_tensors(unsigned count, size_t name_bytes, bool models) {
  FileParts parts;
  for (unsigned i = 0; i < count; i++) {
    char number[16];
    std::snprintf(number, sizeof number, "%07u", i);
    const std::string name = std::string(name_bytes - 7, 'x') + number;
    const Bytes payload = models ? Bytes{0x00, 0x3c, 3, 1, 0x67, 0, 0, 0, 0, 0, 0x10, 0} : Bytes{0, 0, 0x80, 0x3f};
    const Bytes entry = models ? Bytes{1, 4, 2, 4, 16, 0, 6, 4, 0} : Bytes{1, 1, 1, 0};
    parts.tensors.push_back(Bytes().name(name).add(entry));
    parts.sections.push_back(section_entry(kSectionPayload, i, payload));
    parts.body.add(payload);
    parts.dense += models ? 16 : 4;
    parts.entries += models ? 4 : 0;
    parts.stored += payload.size();
  }
  const Bytes file = build_file(parts);
  const char* const name = models ? "tensors-with-models" : name_bytes > 7 ? "long-names" : "tensors";
  for (int l = 0; l < levels().count; l++) {
    Job job;
    job.level = levels().level[l];
    measure(name, job.level, count, models ? count : 0, file.size(), parts.dense / 4,
            [&] { return verify_file(job, file.data(), file.size(), Limits()); });
  }
}

}  // namespace

int main() {
  for (uint64_t scale : {1, 2}) {
    layouts(70000 * scale);
    floats(70000 * scale);
    small_blocks(200 * scale);
    many_tensors(static_cast<unsigned>(500 * scale), 7, false);
    many_tensors(static_cast<unsigned>(500 * scale), 248, false);
    many_tensors(static_cast<unsigned>(100 * scale), 7, true);
  }
  return finish();
}
