#pragma once
#include "../base/status.h"
#include "layout.h"

namespace dc {

// Codebooks in the file (format 3.1).

float half_to_float(uint16_t half) noexcept;
// True, and *half, when a half-precision number means exactly this finite value.
bool exact_half(float value, uint16_t* half) noexcept;

// Strictly increasing (DCZ-51). Values are finite.
bool strictly_increasing(const float* values, unsigned count) noexcept;

// DCZ-53: the form of fewest bytes, the lowest number of equals, and those bytes.
CodebookForm smallest_form(const float* values, unsigned count, bool source_order, size_t* bytes) noexcept;

// Writes the values in this form, which can hold them; `bytes` as smallest_form answered.
void write_codebook(const float* values, unsigned count, CodebookForm form, uint8_t* out, size_t bytes) noexcept;

// Reads and checks: DCZ-47, 50 to 53. Status::value for what breaks them. d.clusters is at most 256.
Result read_codebook(const TensorDescriptor& d, const uint8_t* bytes, bool allow_nonfinite, float* values) noexcept;

}  // namespace dc
