#include "descriptor.h"

#include "../base/checked.h"

namespace dc {

bool fixed_codebook_bytes(CodebookForm form, unsigned clusters, uint64_t& bytes) noexcept {
  if (has_steps(form)) return false;
  bytes = uint64_t{clusters} * (form == CodebookForm::float32 ? 4 : 2);
  return true;
}

static bool valid_block(unsigned log2) noexcept { return log2 >= kBlockLog2Least && log2 <= kBlockLog2Most; }

static bool valid_coded(const TensorDescriptor& d) noexcept {
  uint64_t bytes;
  if (!valid_block(d.block_log2) || d.clusters < 1 || d.clusters > kClustersMost - (zero_is_symbol(d) ? 1 : 0))
    return false;
  if (d.pruned ? d.kept < 1 || d.kept >= d.elements : d.kept != d.elements) return false;
  if (d.source_order && has_steps(d.codebook_form)) return false;
  if (fixed_codebook_bytes(d.codebook_form, d.clusters, bytes) && bytes != d.codebook_bytes) return false;
  if (d.layout == Layout::sparse && (d.escape < 1 || d.escape > 255)) return false;
  if (d.layout == Layout::relative && (d.index_bits < kIndexBitsLeast || d.index_bits > kIndexBitsMost)) return false;
  if (d.layout == Layout::context) {
    return d.elements <= uint64_t{1} << kContextElementsLog2 && d.block_log2 == kContextElementsLog2 && d.width >= 1 &&
           d.width <= d.elements && d.width <= kWidthMost && d.stride >= 1 && d.stride <= kStrideMost &&
           d.extra_gaps == 0 && d.table_bytes == 0 && (d.pruned || d.index_bytes == 0) && context_bits_fit(d);
  }
  return has_gaps(d) ? d.extra_gaps <= d.elements : d.extra_gaps == 0 && d.index_bytes == 0;
}

bool valid_fields(const TensorDescriptor& d) noexcept {
  if (d.elements > kWholeMost) return false;
  if (d.layout == Layout::zero) return d.stored_bytes == 0;
  if (d.elements == 0) return false;
  if (d.layout == Layout::raw) return d.raw_form == RawForm::stored || valid_block(d.block_log2);
  return valid_coded(d);
}

bool valid_stored_bytes(const TensorDescriptor& d) noexcept {
  if (d.layout == Layout::zero) return d.stored_bytes == 0;
  if (d.layout == Layout::raw && d.raw_form == RawForm::stored) {
    return d.stored_bytes % 4 == 0 && d.stored_bytes / 4 == d.elements;
  }
  if (d.layout == Layout::raw) return d.table_bytes <= d.stored_bytes;
  uint64_t named = d.codebook_bytes;
  const bool sum = checked_add(named, d.table_bytes, named) && checked_add(named, d.index_bytes, named) &&
                   checked_add(named, d.code_bytes, named);
  return sum && named <= d.stored_bytes && (tensor_blocks(d) > 1 || named == d.stored_bytes);
}

void descriptor_to_fields(const TensorDescriptor& d, double* f) noexcept {
  const uint64_t numbers[kDescriptorFields] = {d.elements,
                                               static_cast<uint64_t>(d.layout),
                                               static_cast<uint64_t>(d.raw_form),
                                               static_cast<uint64_t>(d.codebook_form),
                                               d.pruned,
                                               d.source_order,
                                               d.block_log2,
                                               d.clusters,
                                               d.escape,
                                               d.index_bits,
                                               d.kept,
                                               d.extra_gaps,
                                               d.codebook_bytes,
                                               d.table_bytes,
                                               d.index_bytes,
                                               d.code_bytes,
                                               d.code_entropy_bits,
                                               d.index_entropy_bits,
                                               d.stored_bytes,
                                               d.width,
                                               d.stride};
  for (size_t i = 0; i < kDescriptorFields; i++) f[i] = static_cast<double>(numbers[i]);
}

bool descriptor_from_fields(const double* f, TensorDescriptor& d) noexcept {
  constexpr double most[10] = {static_cast<double>(kWholeMost),
                               kLayouts - 1,
                               1,
                               kCodebookForms - 1,
                               1,
                               1,
                               kBlockLog2Most,
                               kClustersMost,
                               255,
                               kIndexBitsMost};
  for (size_t i = 0; i < kDescriptorFields; i++) {
    if (!(f[i] >= 0) || !(f[i] <= (i < 10 ? most[i] : most[0])) ||
        f[i] != static_cast<double>(static_cast<uint64_t>(f[i]))) {
      return false;
    }
  }
  d.elements = static_cast<uint64_t>(f[0]);
  d.layout = static_cast<Layout>(static_cast<uint8_t>(f[1]));
  d.raw_form = static_cast<RawForm>(static_cast<uint8_t>(f[2]));
  d.codebook_form = static_cast<CodebookForm>(static_cast<uint8_t>(f[3]));
  d.pruned = f[4] != 0;
  d.source_order = f[5] != 0;
  d.block_log2 = static_cast<unsigned>(f[6]);
  d.clusters = static_cast<unsigned>(f[7]);
  d.escape = static_cast<unsigned>(f[8]);
  d.index_bits = static_cast<unsigned>(f[9]);
  d.kept = static_cast<uint64_t>(f[10]);
  d.extra_gaps = static_cast<uint64_t>(f[11]);
  d.codebook_bytes = static_cast<uint64_t>(f[12]);
  d.table_bytes = static_cast<uint64_t>(f[13]);
  d.index_bytes = static_cast<uint64_t>(f[14]);
  d.code_bytes = static_cast<uint64_t>(f[15]);
  d.code_entropy_bits = static_cast<uint64_t>(f[16]);
  d.index_entropy_bits = static_cast<uint64_t>(f[17]);
  d.stored_bytes = static_cast<uint64_t>(f[18]);
  d.width = static_cast<uint64_t>(f[19]);
  d.stride = static_cast<uint64_t>(f[20]);
  return valid_fields(d) && valid_stored_bytes(d);
}

}  // namespace dc
