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

// DCZ-52: ascending with the value.
static uint32_t key_of(float value) noexcept {
  const uint32_t u = float_bits(value);
  return u >> 31 ? ~u : u | 0x80000000u;
}

static float value_of(uint32_t key) noexcept { return bits_float(key >> 31 ? key & 0x7fffffffu : ~key); }

static unsigned delta_width(const float* values, unsigned count) noexcept {
  uint32_t greatest = 0;
  for (unsigned i = 1; i < count; i++) {
    const uint32_t step = key_of(values[i]) - key_of(values[i - 1]) - 1;
    greatest = step > greatest ? step : greatest;
  }
  unsigned width = 0;
  for (; greatest; greatest >>= 1) width++;
  return width;
}

static size_t delta_bytes(unsigned count, unsigned width) noexcept { return 5 + ((count - 1) * width + 7) / 8; }

CodebookForm smallest_form(const float* values, unsigned count, bool source_order, size_t* bytes) noexcept {
  bool halves = true;
  uint16_t half;
  for (unsigned i = 0; i < count; i++) halves = halves && exact_half(values[i], &half);
  CodebookForm form = halves ? CodebookForm::float16 : CodebookForm::float32;
  *bytes = (halves ? 2 : 4) * count;
  if (!source_order) {
    const size_t delta = delta_bytes(count, delta_width(values, count));
    if (delta < *bytes) {
      form = CodebookForm::delta;
      *bytes = delta;
    }
  }
  return form;
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
  const unsigned width = delta_width(values, count);
  std::memset(out, 0, bytes);
  store_u32(out, key_of(values[0]));
  out[4] = static_cast<uint8_t>(width);
  size_t bit = 40;
  for (unsigned i = 1; i < count; i++) {
    const uint32_t step = key_of(values[i]) - key_of(values[i - 1]) - 1;
    for (unsigned b = 0; b < width; b++, bit++) {
      out[bit / 8] = static_cast<uint8_t>(out[bit / 8] | (step >> b & 1) << (bit % 8));
    }
  }
}

static Result read_delta(const TensorDescriptor& d, const uint8_t* bytes, float* values) noexcept {
  if (d.codebook_bytes < 5 || bytes[4] > 32 || d.codebook_bytes != delta_bytes(d.clusters, bytes[4])) {
    return fail(Status::value);
  }
  const unsigned width = bytes[4];
  uint64_t key = load_u32(bytes);
  size_t bit = 40;
  values[0] = value_of(static_cast<uint32_t>(key));
  for (unsigned i = 1; i < d.clusters; i++) {
    uint64_t step = 0;
    for (unsigned b = 0; b < width; b++, bit++) step |= static_cast<uint64_t>(bytes[bit / 8] >> (bit % 8) & 1) << b;
    key += step + 1;
    if (key > 0xffffffffu) return fail(Status::value);
    values[i] = value_of(static_cast<uint32_t>(key));
  }
  for (; bit < 8 * d.codebook_bytes; bit++) {
    if (bytes[bit / 8] >> (bit % 8) & 1) return fail(Status::value);
  }
  return delta_width(values, d.clusters) == width ? Result{} : fail(Status::value);
}

Result read_codebook(const TensorDescriptor& d, const uint8_t* bytes, bool allow_nonfinite, float* values) noexcept {
  bool finite = true;
  if (d.codebook_form == CodebookForm::delta) {
    const Result result = read_delta(d, bytes, values);
    if (!result) return result;
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
