#include "codebook.h"

#include <cmath>
#include <cstring>

#include "../base/bits.h"

namespace dc {

float half_to_float(uint16_t half) noexcept {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16, exponent = half >> 10 & 31, mantissa = half & 1023;
  if (exponent == 31) return bits_float(sign | 0x7f800000 | mantissa << 13);
  if (exponent) return bits_float(sign | (exponent + 112) << 23 | mantissa << 13);
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return sign ? -magnitude : magnitude;
}

bool exact_half(float value, uint16_t* half) noexcept {
  const uint32_t u = float_bits(value), sign = u >> 16 & 0x8000;
  const float magnitude = std::fabs(value);
  if (magnitude < 0x1p-14f) {  // subnormal halves are multiples of 2^-24
    const float steps = magnitude * 0x1p24f;
    if (steps != std::floor(steps)) return false;
    *half = static_cast<uint16_t>(sign | static_cast<uint32_t>(steps));
    return true;
  }
  if (!(magnitude <= 65504.0f) || (u & 0x1fff)) return false;
  *half = static_cast<uint16_t>(sign | ((u >> 23 & 255) - 112) << 10 | (u >> 13 & 1023));
  return true;
}

bool strictly_increasing(const float* values, unsigned count) noexcept {
  for (unsigned i = 1; i < count; i++) {
    if (!(values[i - 1] < values[i])) return false;
  }
  return true;
}

// DCZ-52: keys ascend with the value, float32 or half.
static uint32_t key_of(uint32_t bits, unsigned key_bits) noexcept {
  const uint32_t sign = uint32_t{1} << (key_bits - 1);
  return bits & sign ? (sign - 1) ^ (bits & (sign - 1)) : bits | sign;
}

static float value_of(uint32_t key, unsigned key_bits) noexcept {
  const uint32_t sign = uint32_t{1} << (key_bits - 1);
  const uint32_t bits = key & sign ? key ^ sign : sign | ((sign - 1) ^ key);
  return key_bits == 32 ? bits_float(bits) : half_to_float(static_cast<uint16_t>(bits));
}

namespace {

// What the forms of steps store (DCZ-52): step[i] is key i + 1 less key i less 1.
struct Steps {
  unsigned key_bits, count;  // count: the steps
  unsigned shift;            // the best
  uint32_t first, step[kClustersMost - 1];
};

}  // namespace

constexpr unsigned kOnesMost = 8;  // so many 1 bits, and the whole step follows

static unsigned shift_bits(unsigned key_bits) noexcept { return key_bits == 32 ? 5 : 4; }

static size_t bits_at(const Steps& s, unsigned shift) noexcept {
  size_t bits = shift_bits(s.key_bits) + s.key_bits;
  for (unsigned i = 0; i < s.count; i++) {
    const uint32_t ones = s.step[i] >> shift;
    bits += ones < kOnesMost ? ones + 1 + shift : kOnesMost + s.key_bits;
  }
  return bits;
}

static unsigned best_shift(const Steps& s) noexcept {
  unsigned best = 0;
  for (unsigned shift = 1; shift < s.key_bits; shift++) best = bits_at(s, shift) < bits_at(s, best) ? shift : best;
  return best;
}

// Of strictly increasing values; key_bits 16: they are halves.
static void make_steps(const float* values, unsigned clusters, unsigned key_bits, Steps& s) noexcept {
  s.key_bits = key_bits;
  s.count = clusters - 1;
  uint32_t before = 0;
  for (unsigned i = 0; i < clusters; i++) {
    uint16_t half = 0;
    if (key_bits == 16) (void)exact_half(values[i], &half);
    const uint32_t key = key_of(key_bits == 16 ? half : float_bits(values[i]), key_bits);
    if (i == 0)
      s.first = key;
    else
      s.step[i - 1] = key - before - 1;
    before = key;
  }
  s.shift = best_shift(s);
}

static size_t steps_bytes(const Steps& s) noexcept { return (bits_at(s, s.shift) + 7) / 8; }

CodebookForm smallest_form(const float* values, unsigned count, bool source_order, size_t* bytes) noexcept {
  bool halves = true;
  uint16_t half;
  for (unsigned i = 0; i < count; i++) halves = halves && exact_half(values[i], &half);
  const CodebookForm fixed = halves ? CodebookForm::float16 : CodebookForm::float32;
  *bytes = (halves ? 2 : 4) * count;
  if (source_order) return fixed;
  Steps steps;
  make_steps(values, count, halves ? 16 : 32, steps);
  if (steps_bytes(steps) >= *bytes) return fixed;
  *bytes = steps_bytes(steps);
  return halves ? CodebookForm::float16_steps : CodebookForm::float32_steps;
}

static void put_bits(uint8_t* out, size_t& bit, unsigned count, uint32_t value) noexcept {
  for (unsigned b = 0; b < count; b++, bit++) {
    out[bit / 8] = static_cast<uint8_t>(out[bit / 8] | (value >> b & 1) << (bit % 8));
  }
}

static void write_steps(const Steps& s, uint8_t* out, size_t bytes) noexcept {
  std::memset(out, 0, bytes);
  size_t bit = 0;
  put_bits(out, bit, shift_bits(s.key_bits), s.shift);
  put_bits(out, bit, s.key_bits, s.first);
  for (unsigned i = 0; i < s.count; i++) {
    const uint32_t ones = s.step[i] >> s.shift;
    if (ones < kOnesMost) {
      put_bits(out, bit, ones + 1, (uint32_t{1} << ones) - 1);
      put_bits(out, bit, s.shift, s.step[i]);
    } else {
      put_bits(out, bit, kOnesMost, (1u << kOnesMost) - 1);
      put_bits(out, bit, s.key_bits, s.step[i]);
    }
  }
}

void write_codebook(const float* values, unsigned count, CodebookForm form, uint8_t* out, size_t bytes) noexcept {
  if (form == CodebookForm::float32) {
    for (unsigned i = 0; i < count; i++) store_u32(out + 4 * i, float_bits(values[i]));
    return;
  }
  if (form == CodebookForm::float16) {
    for (unsigned i = 0; i < count; i++) {
      uint16_t half = 0;
      (void)exact_half(values[i], &half);
      store_u16(out + 2 * i, half);
    }
    return;
  }
  Steps steps;
  make_steps(values, count, form == CodebookForm::float16_steps ? 16 : 32, steps);
  write_steps(steps, out, bytes);
}

namespace {

class BitCursor {
 public:
  BitCursor(const uint8_t* bytes, uint64_t size) noexcept : bytes_(bytes), end_(8 * size) {}
  bool take(unsigned count, uint32_t& value) noexcept {
    if (count > end_ - at_) return false;
    value = 0;
    for (unsigned b = 0; b < count; b++, at_++) value |= static_cast<uint32_t>(bytes_[at_ / 8] >> (at_ % 8) & 1) << b;
    return true;
  }
  // 0 bits to the end, which is less than a byte away.
  bool ends() noexcept {
    if (end_ - at_ >= 8) return false;
    uint32_t rest = 0;
    (void)take(static_cast<unsigned>(end_ - at_), rest);  // as many as there are
    return rest == 0;
  }

 private:
  const uint8_t* bytes_;
  uint64_t at_ = 0, end_;
};

}  // namespace

static bool read_step(BitCursor& in, unsigned shift, unsigned key_bits, uint32_t& step) noexcept {
  uint32_t ones = 0, bit = 1, low = 0;
  while (ones < kOnesMost) {
    if (!in.take(1, bit)) return false;
    if (bit == 0) break;
    ones++;
  }
  if (ones == kOnesMost) return in.take(key_bits, step) && step >> shift >= kOnesMost;
  if (!in.take(shift, low)) return false;
  const uint64_t wide = (uint64_t{ones} << shift) + low;
  step = static_cast<uint32_t>(wide);
  return wide >> key_bits == 0;
}

static bool read_steps(const TensorDescriptor& d, const uint8_t* bytes, float* values) noexcept {
  Steps s;
  s.key_bits = d.codebook_form == CodebookForm::float16_steps ? 16 : 32;
  s.count = d.clusters - 1;
  BitCursor in(bytes, d.codebook_bytes);
  if (!in.take(shift_bits(s.key_bits), s.shift) || !in.take(s.key_bits, s.first)) return false;
  uint64_t key = s.first;
  values[0] = value_of(s.first, s.key_bits);
  for (unsigned i = 0; i < s.count; i++) {
    if (!read_step(in, s.shift, s.key_bits, s.step[i])) return false;
    key += uint64_t{s.step[i]} + 1;
    if (key >> s.key_bits != 0) return false;
    values[i + 1] = value_of(static_cast<uint32_t>(key), s.key_bits);
  }
  return in.ends() && best_shift(s) == s.shift;
}

Result read_codebook(const TensorDescriptor& d, const uint8_t* bytes, bool allow_nonfinite, float* values) noexcept {
  bool finite = true;
  if (has_steps(d.codebook_form)) {
    if (!read_steps(d, bytes, values)) return fail(Status::value);
  } else {
    for (unsigned i = 0; i < d.clusters; i++) {
      values[i] = d.codebook_form == CodebookForm::float32 ? bits_float(load_u32(bytes + 4 * i))
                                                           : half_to_float(load_u16(bytes + 2 * i));
    }
  }
  for (unsigned i = 0; i < d.clusters; i++) {
    if (float_bits(values[i]) == 0x80000000u) return fail(Status::value);
    finite = finite && std::isfinite(values[i]);
  }
  if (!finite && !allow_nonfinite) return fail(Status::value);
  if (strictly_increasing(values, d.clusters) == d.source_order) return fail(Status::value);
  size_t least;
  if (finite && smallest_form(values, d.clusters, d.source_order, &least) != d.codebook_form)
    return fail(Status::value);
  return {};
}

}  // namespace dc
