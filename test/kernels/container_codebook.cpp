// Codebooks and descriptors of the format, value by value, and the checksum against its definition.
#include <cmath>
#include <limits>

#include "../support/dcz.h"
#include "base/checked.h"
#include "base/memory.h"
#include "check.h"
#include "container/codebook.h"
#include "container/descriptor.h"

using namespace dc;

namespace {

void integers() {
  uint64_t v = 7;
  CHECK(checked_add(UINT64_MAX - 1, 1, v) && v == UINT64_MAX);
  CHECK(!checked_add(UINT64_MAX, 1, v) && v == UINT64_MAX);
  CHECK(checked_mul(0, UINT64_MAX, v) && v == 0);
  CHECK(checked_mul(UINT64_MAX / 3, 3, v) && v == UINT64_MAX / 3 * 3);
  CHECK(!checked_mul(UINT64_MAX / 3 + 1, 3, v) && v == UINT64_MAX / 3 * 3);
  uint8_t bytes[8];
  store_u64(bytes, 0x8877665544332211u);
  for (unsigned i = 0; i < 8; i++) CHECK(bytes[i] == 0x11 * (i + 1));
  CHECK(load_u64(bytes) == 0x8877665544332211u && load_u32(bytes) == 0x44332211u && load_u16(bytes) == 0x2211u);
  for (int bit = 0; bit < 64; bit++) {
    CHECK(count_trailing_zeros(uint64_t{1} << bit) == bit && count_leading_zeros(uint64_t{1} << bit) == 63 - bit);
    CHECK(count_ones((uint64_t{1} << bit) - 1) == bit);
  }
  CHECK(is_finite(3.4e38f) && !is_finite(bits_float(0x7f800000)) && !is_finite(bits_float(0xffc00000)));
}

// All 65,536 halves: to a float and back to the same half; what lies between two of them is none.
void halves() {
  for (uint32_t h = 0; h < 65536; h++) {
    const float value = half_to_float(static_cast<uint16_t>(h));
    const uint32_t exponent = h >> 10 & 31, mantissa = h & 1023;
    uint16_t back = 0;
    if (exponent == 31) {
      CHECK(mantissa ? std::isnan(value) : std::isinf(value));
      CHECK(!exact_half(value, &back));
      continue;
    }
    const double expected = (exponent ? std::ldexp(1024.0 + mantissa, static_cast<int>(exponent) - 25)
                                      : std::ldexp(static_cast<double>(mantissa), -24)) *
                            (h & 0x8000 ? -1 : 1);
    CHECK(static_cast<double>(value) == expected && std::signbit(value) == (h >> 15 != 0));
    CHECK(exact_half(value, &back) && back == h);
    CHECK(!exact_half(bits_float(float_bits(value) + 1), &back));
  }
  uint16_t back;
  CHECK(!exact_half(65536.0f, &back) && !exact_half(-65536.0f, &back));
}

TensorDescriptor described(CodebookForm form, unsigned clusters, size_t bytes, bool source_order) {
  TensorDescriptor d;
  d.codebook_form = form;
  d.clusters = clusters;
  d.codebook_bytes = bytes;
  d.source_order = source_order;
  return d;
}

Status read(CodebookForm form, unsigned clusters, const Bytes& bytes, bool source_order = false, bool any = false) {
  Guarded<uint8_t> exact(bytes.size());
  if (!bytes.empty()) std::memcpy(exact.data(), bytes.data(), bytes.size());
  Guarded<float> values(clusters);
  return read_codebook(described(form, clusters, bytes.size(), source_order), exact.data(), any, values.data()).status;
}

Bytes floats(std::initializer_list<float> values) {
  Bytes bytes;
  for (float v : values) bytes.u32(float_bits(v));
  return bytes;
}

// Every form comes back to the bit, and no other form of the same values is accepted.
void forms() {
  const float third = 1.0f / 3.0f;
  constexpr CodebookForm wide = CodebookForm::float32, half = CodebookForm::float16;
  constexpr CodebookForm wide_steps = CodebookForm::float32_steps, half_steps = CodebookForm::float16_steps;
  const struct {
    std::vector<float> values;
    CodebookForm smallest;
    size_t bytes;
  } cases[] = {
      {{0.5f}, half, 2},
      {{third}, wide, 4},
      {{-2.0f, 0.25f, 65504.0f}, half, 6},           // keys 3fff, b400, fbff: 4 + 16 + (3 + 1 + 13) + (2 + 1 + 13)
      {{-0x1p-24f, 0.0f, 0x1p-24f}, half_steps, 3},  // keys 7ffe, 8000, 8001; 4 + 16 + 2 + 1 bits
      {{1.0f, 1.0f + 0x1p-10f}, half_steps, 3},      // 4 + 16 + 1
      {{1.0f, 1.0f + 0x1p-23f}, wide_steps, 5},      // 5 + 32 + 1
      {{-third, third}, wide, 8},                    // a step of 31 bits
      {{-0.1f, -0.05f, 1e-30f, 0.1f}, wide, 16},     // steps of 2^23, 2^30 and 2^29
      {{0.1f, 0.100001f, 0.100002f, 0.100003f}, wide_steps, 8},
      {{-1.0000001f, -1.0f, -0.99999994f, -0.9999999f, -0.9999998f}, wide_steps, 6},
      {{1e-45f, 3e-45f, 4e-45f, 6e-45f, 7e-45f, 8e-45f}, wide_steps, 6},
  };
  for (const auto& c : cases) {
    const unsigned n = static_cast<unsigned>(c.values.size());
    size_t bytes = 0;
    CHECK(smallest_form(c.values.data(), n, false, &bytes) == c.smallest && bytes == c.bytes);
    std::vector<uint8_t> out(bytes);
    write_codebook(c.values.data(), n, c.smallest, out.data(), bytes);
    std::vector<float> back(n);
    CHECK(read_codebook(described(c.smallest, n, bytes, false), out.data(), false, back.data()));
    CHECK(std::memcmp(back.data(), c.values.data(), n * sizeof(float)) == 0);
    if (c.smallest != CodebookForm::float32) {
      Bytes wide;
      for (float v : c.values) wide.u32(float_bits(v));
      CHECK(read(CodebookForm::float32, n, wide) == Status::value);
    }
  }
  CHECK(read(CodebookForm::float32, 2, floats({0.1f, 0.2f})) == Status::ok);
  CHECK(read(CodebookForm::float32, 2, floats({0.2f, 0.1f})) == Status::value);
  CHECK(read(CodebookForm::float32, 2, floats({0.2f, 0.2f})) == Status::value);
  CHECK(read(CodebookForm::float32, 2, floats({0.2f, 0.1f}), true) == Status::ok);
  CHECK(read(CodebookForm::float32, 2, floats({0.1f, 0.2f}), true) == Status::value);
  CHECK(read(CodebookForm::float32, 2, floats({-0.0f, 0.1f})) == Status::value);
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(read(CodebookForm::float32, 2, floats({0.1f, infinity})) == Status::value);
  CHECK(read(CodebookForm::float32, 2, floats({0.1f, infinity}), false, true) == Status::ok);
  CHECK(read(CodebookForm::float32, 2, floats({0.1f, bits_float(0x7fc00000)}), true, true) == Status::ok);
  CHECK(read(CodebookForm::float16, 2, Bytes().u16(0xbc00).u16(0x7c00), false, true) == Status::ok);
}

// Bits low first: a number of some bits, or text of bits in their order.
struct BitText {
  Bytes bytes;
  size_t count = 0;
  BitText& put(unsigned bits, uint64_t value) {
    for (unsigned b = 0; b < bits; b++, count++) {
      if (count % 8 == 0) bytes.u8(0);
      bytes.back() = static_cast<uint8_t>(bytes.back() | (value >> b & 1) << (count % 8));
    }
    return *this;
  }
  BitText& put(const char* text) {
    for (; *text; text++) {
      if (*text != ' ') put(1, *text == '1');
    }
    return *this;
  }
};

BitText wide_steps(unsigned shift, uint32_t first) { return BitText().put(5, shift).put(32, first); }
BitText half_steps(unsigned shift, uint32_t first) { return BitText().put(4, shift).put(16, first); }

// DCZ-52: shift, first key, then the steps; one thing wrong at a time.
void steps() {
  constexpr CodebookForm wide = CodebookForm::float32_steps, half = CodebookForm::float16_steps;
  const uint32_t one = 0x80000000u | float_bits(1.0f), half_one = 0x8000 | 0x3c00;
  // Four values; steps 2, 1, 2. Shift 1 takes as many bits, and is the greater.
  CHECK(read(wide, 4, wide_steps(0, one).put("110 10 110").bytes) == Status::ok);
  CHECK(read(half, 4, half_steps(0, half_one).put("110 10 110").bytes) == Status::ok);
  CHECK(read(wide, 4, wide_steps(1, one).put("100 01 100").bytes) == Status::value);
  CHECK(read(wide, 4, wide_steps(0, one).put("110 10 110 1").bytes) == Status::value);      // a bit of the padding
  CHECK(read(wide, 4, wide_steps(0, one).put("110 10 110").bytes.u8(0)) == Status::value);  // a byte more
  CHECK(read(wide, 4, wide_steps(0, one).put("110 10 111111").bytes) == Status::value);     // an end among 1 bits
  CHECK(read(wide, 4, Bytes()) == Status::value);
  CHECK(read(wide, 4, Bytes().u32(one)) == Status::value);
  CHECK(read(wide, 4, wide_steps(0, one).bytes) == Status::ok);  // three zeros of the byte that the key began
  CHECK(read(wide, 5, wide_steps(0, one).bytes) == Status::value);
  CHECK(read(wide, 4, wide_steps(31, one).put("0").bytes) == Status::value);  // low bits that are not there
  // Past the last key, by a little and by a step that no key has.
  CHECK(read(wide, 4, wide_steps(0, 0xffffffff).put("110 10 110").bytes) == Status::value);
  CHECK(read(half, 4, half_steps(0, 0xffff).put("110 10 110").bytes) == Status::value);
  CHECK(read(wide, 2, wide_steps(31, 0).put("110").put(31, 0).bytes) == Status::value);
  CHECK(read(half, 2, half_steps(15, 0).put("110").put(15, 0).bytes) == Status::value);
  CHECK(read(half, 2, half_steps(0, one).put(8, 255).put(15, 30000).bytes) == Status::value);  // one bit short
  CHECK(read(half, 4, half_steps(0, 0x7fff).put("000").bytes) == Status::value);               // -0.0
  // Eight 1 bits: the whole step follows, which may not be one that has fewer of them.
  CHECK(read(half, 4, half_steps(0, 0x1000).put("0").put(8, 255).put(16, 30000).put("0").bytes) == Status::ok);
  CHECK(read(half, 4, half_steps(0, 0x1000).put("0").put(8, 255).put(16, 7).put("0").bytes) == Status::value);
  // Infinity is a key like another, where the caller allows it; NaN is never in order.
  CHECK(read(half, 4, half_steps(0, 0xfbfd).put("000").bytes) == Status::value);
  CHECK(read(half, 4, half_steps(0, 0xfbfd).put("000").bytes, false, true) == Status::ok);
  CHECK(read(half, 4, half_steps(0, 0xfbfe).put("000").bytes, false, true) == Status::value);
  // Halves in the steps of floats, and the other way about by the fixed form.
  CHECK(read(wide, 3, wide_steps(12, one).put("10").put(12, 4095).put("10").put(12, 4095).bytes) == Status::value);
  CHECK(read(CodebookForm::float16, 3, Bytes().u16(0x3c00).u16(0x3c01).u16(0x3c02)) == Status::value);
}

// Random ascending values come back to the bit from the smallest form, and no shift but that one is shorter.
void many_steps() {
  for (uint64_t seed = 0; seed < 400; seed++) {
    const bool halves = seed & 1;
    const unsigned key_bits = halves ? 16 : 32, spread = static_cast<unsigned>(random_u64(seed, 0) % (key_bits - 1));
    std::vector<float> values;
    uint64_t key = halves ? 0x0c00 : 0x01000000;  // above the infinity
    for (uint64_t i = 1; values.size() < 256; i++) {
      const float value = halves ? half_to_float(static_cast<uint16_t>(key >> 15 ? key - 0x8000 : 0xffff - key))
                                 : bits_float(static_cast<uint32_t>(key >> 31 ? key - 0x80000000u : 0xffffffffu - key));
      if (!std::isfinite(value)) break;
      if (float_bits(value) != 0x80000000u) values.push_back(value);
      const uint64_t far = random_u64(seed, 2 * i) % 50 == 0 ? key_bits - 2 : spread;
      key += 1 + random_u64(seed, 2 * i + 1) % (uint64_t{1} << far);
      if (key >> key_bits) break;
    }
    const unsigned n = static_cast<unsigned>(values.size());
    size_t bytes = 0;
    const CodebookForm form = smallest_form(values.data(), n, false, &bytes);
    Guarded<uint8_t> out(bytes);
    write_codebook(values.data(), n, form, out.data(), bytes);
    Guarded<float> back(n);
    CHECK(read_codebook(described(form, n, bytes, false), out.data(), false, back.data()));
    CHECK(std::memcmp(back.data(), values.data(), n * sizeof(float)) == 0);
    CHECK(bytes <= (halves ? 2 : 4) * n);
    // Any bit that is another is refused or another codebook.
    for (uint64_t i = 0; i < 20; i++) {
      const size_t bit = random_u64(seed, 1000 + i) % (8 * bytes);
      out[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      const bool fine = bool(read_codebook(described(form, n, bytes, false), out.data(), false, back.data()));
      CHECK(!fine || std::memcmp(back.data(), values.data(), n * sizeof(float)) != 0);
      out[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    }
  }
}

TensorDescriptor sparse() {
  TensorDescriptor d;
  d.elements = 5000;
  d.layout = Layout::sparse;
  d.codebook_form = CodebookForm::float16;
  d.pruned = true;
  d.block_log2 = 16;
  d.clusters = 4;
  d.escape = 15;
  d.kept = 100;
  d.extra_gaps = 3;
  d.codebook_bytes = 8;
  d.table_bytes = 20;
  d.index_bytes = 30;
  d.code_bytes = 40;
  d.stored_bytes = 98;
  return d;
}

template <typename F>
bool valid(TensorDescriptor d, const F& change) {
  change(d);
  double fields[kDescriptorFields];
  descriptor_to_fields(d, fields);
  TensorDescriptor back;
  const bool fine = valid_fields(d) && valid_stored_bytes(d);
  if (d.elements <= kWholeMost) CHECK(descriptor_from_fields(fields, back) == fine);
  return fine;
}

void descriptors() {
  using D = TensorDescriptor;
  CHECK(valid(sparse(), [](D&) {}));
  CHECK(!valid(sparse(), [](D& d) { d.elements = kWholeMost + 1; }));
  CHECK(!valid(sparse(), [](D& d) { d.elements = 0; }));
  CHECK(!valid(sparse(), [](D& d) { d.block_log2 = kBlockLog2Least - 1; }));
  CHECK(!valid(sparse(), [](D& d) { d.block_log2 = kBlockLog2Most + 1; }));
  CHECK(!valid(sparse(), [](D& d) { d.clusters = 0; }));
  CHECK(!valid(sparse(), [](D& d) { d.clusters = 257; }));
  CHECK(valid(sparse(), [](D& d) { d.clusters = 256, d.codebook_bytes = 512, d.stored_bytes = 602; }));
  CHECK(!valid(sparse(), [](D& d) { d.kept = 0; }));
  CHECK(!valid(sparse(), [](D& d) { d.kept = 5000; }));
  CHECK(!valid(sparse(), [](D& d) { d.pruned = false; }));
  CHECK(valid(sparse(), [](D& d) { d.pruned = false, d.kept = 5000; }));
  CHECK(valid(sparse(), [](D& d) { d.source_order = true; }));
  CHECK(!valid(sparse(), [](D& d) { d.codebook_bytes = 7; }));
  CHECK(valid(sparse(), [](D& d) { d.codebook_form = CodebookForm::float32_steps; }));
  CHECK(!valid(sparse(), [](D& d) { d.codebook_form = CodebookForm::float16_steps, d.source_order = true; }));
  CHECK(!valid(sparse(), [](D& d) { d.codebook_form = CodebookForm::float32; }));
  CHECK(!valid(sparse(), [](D& d) { d.escape = 0; }));
  CHECK(!valid(sparse(), [](D& d) { d.escape = 256; }));
  CHECK(!valid(sparse(), [](D& d) { d.extra_gaps = 5001; }));
  CHECK(!valid(sparse(), [](D& d) { d.stored_bytes = 97; }));
  CHECK(!valid(sparse(), [](D& d) { d.stored_bytes = 99; }));
  CHECK(valid(sparse(), [](D& d) { d.block_log2 = 12, d.stored_bytes = 99; }));
  // Lengths that would wrap 64 bits one after the other.
  CHECK(!valid(sparse(), [](D& d) { d.table_bytes = UINT64_MAX; }));
  CHECK(!valid(sparse(), [](D& d) { d.index_bytes = UINT64_MAX; }));
  CHECK(!valid(sparse(), [](D& d) { d.code_bytes = UINT64_MAX - 50; }));
  auto relative = [](D& d) { d.layout = Layout::relative, d.escape = 0, d.index_bits = 5; };
  CHECK(valid(sparse(), relative));
  CHECK(!valid(sparse(), [&](D& d) { relative(d), d.index_bits = 1; }));
  CHECK(!valid(sparse(), [&](D& d) { relative(d), d.index_bits = 9; }));
  CHECK(!valid(sparse(), [&](D& d) { relative(d), d.clusters = 256, d.codebook_bytes = 512, d.stored_bytes = 602; }));
  auto dense = [](D& d) {
    d.layout = Layout::dense, d.escape = 0, d.extra_gaps = d.index_bytes = 0, d.stored_bytes = 68;
  };
  CHECK(valid(sparse(), dense));
  CHECK(!valid(sparse(), [&](D& d) { dense(d), d.extra_gaps = 1; }));
  CHECK(!valid(sparse(), [&](D& d) { dense(d), d.index_bytes = 1, d.stored_bytes = 69; }));
  auto context = [&](D& d) {
    dense(d), d.layout = Layout::context, d.block_log2 = kContextElementsLog2, d.width = d.stride = 1;
    d.table_bytes = 0, d.index_bytes = 10, d.stored_bytes = 58;
  };
  CHECK(valid(sparse(), context));
  CHECK(!valid(sparse(), [&](D& d) { context(d), d.elements = (uint64_t{1} << kContextElementsLog2) + 1; }));
  CHECK(!valid(sparse(), [&](D& d) { context(d), d.block_log2--; }));
  CHECK(!valid(sparse(), [&](D& d) { context(d), d.width = 0; }));
  CHECK(!valid(sparse(), [&](D& d) { context(d), d.width = d.elements + 1; }));
  CHECK(!valid(sparse(), [&](D& d) { context(d), d.elements = 2 * kWidthMost, d.width = kWidthMost + 1; }));
  CHECK(!valid(sparse(), [&](D& d) { context(d), d.stride = 0; }));
  CHECK(!valid(sparse(), [&](D& d) { context(d), d.stride = kStrideMost + 1; }));
  CHECK(!valid(sparse(), [&](D& d) { context(d), d.extra_gaps = 1; }));
  CHECK(!valid(sparse(), [&](D& d) { context(d), d.table_bytes = 1, d.stored_bytes++; }));
  CHECK(!valid(sparse(), [&](D& d) { context(d), d.pruned = false, d.kept = d.elements; }));
  // DCZ-38: 50 bytes are enough for 16,384 + 50 * 1,024 bits, of which the codes take 2 each.
  auto bits = [&](D& d, uint64_t of_mask) {
    context(d), d.kept = 5, d.clusters = 4, d.codebook_bytes = 16, d.stored_bytes = 66, d.elements = of_mask;
    d.codebook_form = CodebookForm::float32;
  };
  CHECK(valid(sparse(), [&](D& d) { bits(d, 16384 + 50 * 1024 - 10); }));
  CHECK(!valid(sparse(), [&](D& d) { bits(d, 16384 + 50 * 1024 - 9); }));
  CHECK(valid(sparse(), [&](D& d) {
    context(d), d.pruned = false, d.kept = d.elements, d.index_bytes = 0, d.stored_bytes = 48;
  }));
  auto raw = [](D& d) { d = D(), d.layout = Layout::raw, d.elements = d.kept = 10, d.stored_bytes = 40; };
  CHECK(valid(sparse(), raw));
  CHECK(!valid(sparse(), [&](D& d) { raw(d), d.stored_bytes = 41; }));
  CHECK(!valid(sparse(), [&](D& d) { raw(d), d.stored_bytes = 44; }));
  auto planes = [&](D& d) { raw(d), d.raw_form = RawForm::planes, d.block_log2 = 16, d.table_bytes = 8; };
  CHECK(valid(sparse(), planes));
  CHECK(!valid(sparse(), [&](D& d) { planes(d), d.block_log2 = 9; }));
  CHECK(!valid(sparse(), [&](D& d) { planes(d), d.table_bytes = 41; }));
  CHECK(valid(sparse(), [](D& d) { d = D(), d.elements = 10; }));
  CHECK(!valid(sparse(), [](D& d) { d = D(), d.elements = 10, d.stored_bytes = 1; }));
  D zero;
  zero.stored_bytes = 1;
  CHECK(!valid_stored_bytes(zero));
  // As numbers from JavaScript: each out of its range, a fraction, NaN.
  double fields[kDescriptorFields];
  for (size_t i = 0; i < kDescriptorFields; i++) {
    D back;
    for (double bad : {-1.0, 0.5, 1e300, std::nan(""), std::numeric_limits<double>::infinity()}) {
      descriptor_to_fields(sparse(), fields);
      CHECK(descriptor_from_fields(fields, back));
      fields[i] = bad;
      CHECK(!descriptor_from_fields(fields, back));
    }
  }
}

// Bit by bit, from the definition.
uint32_t slow_crc(const uint8_t* p, size_t size) {
  uint32_t crc = ~uint32_t{0};
  for (size_t i = 0; i < size; i++) {
    crc ^= p[i];
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78u : crc >> 1;
  }
  return ~crc;
}

void checksums() {
  CHECK(crc32c(CpuLevel::scalar, reinterpret_cast<const uint8_t*>("123456789"), 9) == 0xe3069283u);
  for (size_t size : {0, 1, 7, 8, 9, 63, 4096, 12287, 12288, 12289, 24576, 40001}) {
    Guarded<uint8_t> bytes(size);
    for (size_t i = 0; i < size; i++) bytes[i] = static_cast<uint8_t>(random_u64(1, i));
    const uint32_t expected = slow_crc(bytes.data(), size);
    for (int l = 0; l < levels().count; l++) {
      const CpuLevel level = levels().level[l];
      CHECK(crc32c(level, bytes.data(), size) == expected);
      const uint32_t half = crc32c(level, bytes.data(), size / 2);
      CHECK(crc32c(level, bytes.data() + size / 2, size - size / 2, half) == expected);
    }
  }
  // Two chunks and a bit: the checksum that is wrong is told by its place.
  const size_t size = 2 * kChunkBytes + 5;
  std::vector<uint8_t> bytes(size, 3);
  uint32_t sums[3];
  Job job;
  job.level = cpu_level();
  CHECK(chunk_checksums(job, bytes.data(), size, sums) && check_chunks(job, bytes.data(), size, sums));
  for (size_t chunk = 0; chunk < 3; chunk++) {
    sums[chunk] ^= 1;
    const Result result = check_chunks(job, bytes.data(), size, sums);
    CHECK(result.status == Status::checksum && result.offset == chunk * kChunkBytes);
    sums[chunk] ^= 1;
  }
  Control control = {};
  control.cancel = 1;
  job.control = &control;
  CHECK(check_chunks(job, bytes.data(), size, sums).status == Status::aborted);
  fail_allocations_after(0);
  CHECK(check_chunks(job, bytes.data(), size, sums).status == Status::nomem);
  fail_allocations_after(-1);
}

}  // namespace

int main() {
  integers();
  halves();
  forms();
  steps();
  many_steps();
  descriptors();
  checksums();
  return finish();
}
