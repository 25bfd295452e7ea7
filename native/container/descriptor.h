#pragma once
#include "layout.h"

namespace dc {

// A descriptor as numbers, the form in which it crosses the Node boundary; src/container/layout.ts has the same order.
constexpr size_t kDescriptorFields = 21;
void descriptor_to_fields(const TensorDescriptor& d, double fields[kDescriptorFields]) noexcept;
// False when a field is out of its range, or the fields contradict each other (DCZ-31 to 35).
bool descriptor_from_fields(const double fields[kDescriptorFields], TensorDescriptor& d) noexcept;

// DCZ-31 to 34: the ranges of all fields but stored_bytes.
bool valid_fields(const TensorDescriptor& d) noexcept;
// DCZ-35: stored_bytes agrees with the others.
bool valid_stored_bytes(const TensorDescriptor& d) noexcept;
// DCZ-50: codebook_bytes, where the form says them; false for steps.
bool fixed_codebook_bytes(CodebookForm form, unsigned clusters, uint64_t& bytes) noexcept;

}  // namespace dc
