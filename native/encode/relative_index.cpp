#include "relative_index.h"

#include "histogram.h"
#include "model.h"

namespace dc {

namespace {
constexpr uint64_t kKeptPerBlock = 65536;

bool mask_ends_clean(const uint32_t* mask, uint64_t weights) noexcept {
  return weights % 32 == 0 || mask[weights / 32] >> (weights % 32) == 0;
}

double huffman_bytes(const uint64_t counts[256]) noexcept {
  Model model;
  build_model(counts, kUsualBlockSymbols, ModeChoice::huffman, model);
  return coded_bytes(model, counts, kUsualBlockSymbols);
}
}  // namespace

Result plan_relative_index(const Job& job, const uint32_t* mask, uint64_t weights, unsigned index_bits,
                           const uint8_t* codes, size_t code_count, RelativePlan& plan) noexcept {
  if (!mask_ends_clean(mask, weights)) return fail(Status::arg, weights);
  RunHistogram runs;
  Result result = run_histogram(job, mask, weights, runs);
  if (!result) return result;
  plan.kept = runs.kept;
  uint64_t of_code[256] = {}, entries[256] = {}, gaps[256];
  if (code_count != plan.kept) return fail(Status::arg);
  result = histogram(job, codes, code_count, of_code);
  if (!result) return result;
  if (of_code[255]) return fail(Status::value);
  for (int c = 0; c < 255; c++) entries[c + 1] = of_code[c];
  plan.index_bits = 0;
  for (unsigned bits = index_bits ? index_bits : 2; bits <= (index_bits ? index_bits : 8); bits++) {
    uint64_t fillers;
    relative_counts(runs, bits, gaps, &fillers);
    entries[0] = fillers;
    const double bytes = huffman_bytes(gaps) + huffman_bytes(entries);
    if (plan.index_bits == 0 || bytes < plan.coded_bytes) {
      plan.index_bits = bits;
      plan.fillers = fillers;
      plan.coded_bytes = bytes;
    }
  }
  return {};
}

Result encode_relative_index(const Job& job, const uint32_t* mask, uint64_t weights, unsigned index_bits,
                             const uint8_t* codes, size_t code_count, uint8_t* gaps, uint8_t* entries,
                             size_t capacity) noexcept {
  if (!mask_ends_clean(mask, weights)) return fail(Status::arg, weights);
  const size_t room = code_count / kKeptPerBlock + 2;
  Array<uint64_t> starts, first_entry;
  if (!starts.reset(room) || !first_entry.reset_zeroed(room)) return fail(Status::nomem);
  size_t blocks = 0;
  uint64_t kept = 0;
  Result result = block_starts(job, mask, weights, kKeptPerBlock, starts.data(), room, &blocks, &kept);
  if (!result) return result;
  if (kept != code_count) return fail(Status::arg);
  // Where the entries of each block begin: positions it covers fix the fillers only together with its runs, so count
  // first.
  result = parallel(job, blocks, [&](size_t b, unsigned) {
    first_entry[b + 1] = count_relative(mask, starts[b], starts[b + 1], index_bits);
  });
  if (!result) return result;
  for (size_t b = 0; b < blocks; b++) first_entry[b + 1] += first_entry[b];
  if (first_entry[blocks] != capacity) return fail(Status::arg);
  std::atomic<bool> valid{true};
  result = parallel(job, blocks, [&](size_t b, unsigned) {
    const size_t at = static_cast<size_t>(first_entry[b]),
                 size = static_cast<size_t>(first_entry[b + 1] - first_entry[b]);
    size_t symbols;
    if (!relative_gaps(job.level, mask, starts[b], starts[b + 1], index_bits, codes + b * kKeptPerBlock, gaps + at,
                       entries + at, size, &symbols)) {
      valid.store(false, std::memory_order_relaxed);
    }
  });
  if (!result) return result;
  return valid.load() ? Result{} : fail(Status::value);
}

}  // namespace dc
