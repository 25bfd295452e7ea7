#include "verify.h"

#include "../base/mask.h"

namespace dc {

static Result verify_tensor(const Job& job, const TensorEntry& t, const uint8_t* payload,
                            const Limits& limits) noexcept {
  const TensorDescriptor& d = t.d;
  // As decoding it counts, though codes and mask take less.
  if (d.elements > limits.decoded_bytes / 4) return fail(Status::limit);
  if (d.layout == Layout::raw) {
    Array<float> values;
    if (!values.reset(d.elements)) return fail(Status::nomem);
    return decode_values(job, d, payload, d.stored_bytes, 0, d.elements, {}, values.data());
  }
  Array<uint32_t> mask;
  Array<uint8_t> codes;
  float codebook[kClustersMost];
  if (!mask.reset(mask_words(d.elements)) || !codes.reset(d.kept)) return fail(Status::nomem);
  return decode_codes(job, d, payload, d.stored_bytes, {}, mask.data(), codes.data(), codebook);
}

Result verify_file(const Job& job, const uint8_t* file, uint64_t size, const Limits& limits) noexcept {
  ArchiveHeader header;
  Result result = read_header(job.level, file, size, limits, header);
  if (!result) return result;
  for (size_t i = 0; i < header.sections.size(); i++) {
    const SectionEntry& s = header.sections[i];
    result = check_section(job, file, s);
    if (!result) return result;
    if (s.type != kSectionPayload) continue;
    result = verify_tensor(job, header.tensors[s.owner], file + s.offset, limits);
    if (!result) return fail(result.status, s.offset + result.offset);
  }
  return {};
}

}  // namespace dc
