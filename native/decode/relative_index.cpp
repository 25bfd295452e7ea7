#include "relative_index.h"

#include <cstring>

#include "../base/memory.h"
#include "gaps.h"

namespace dc {

namespace {
constexpr size_t kEntriesPerBlock = 65536;
}

Result decode_relative_index(const Job& job, const uint8_t* gaps, const uint8_t* entries, size_t symbols,
                             unsigned index_bits, uint32_t* mask, uint64_t weights, uint8_t* codes,
                             size_t code_count) noexcept {
  if (index_bits < 2 || index_bits > 8) return fail(Status::arg);
  if (weights) std::memset(mask, 0, static_cast<size_t>((weights + 31) / 32) * sizeof(uint32_t));
  const size_t most_blocks = symbols / kEntriesPerBlock + 2;
  Array<size_t> begins;
  Array<uint64_t> positions, kept;
  Array<Result> results;
  if (!begins.reset(most_blocks) || !positions.reset_zeroed(most_blocks) || !kept.reset_zeroed(most_blocks) ||
      !results.reset_zeroed(most_blocks)) {
    return fail(Status::nomem);
  }
  // A block ends with an entry that is no filler, so that the rule about the last entry holds for each.
  size_t blocks = 0, at = 0;
  while (at < symbols) {
    begins[blocks++] = at;
    at = symbols - at > kEntriesPerBlock ? at + kEntriesPerBlock : symbols;
    while (at < symbols && entries[at - 1] == 0) at++;
    if (job.cancelled()) return fail(Status::aborted);
  }
  begins[blocks] = symbols;
  Result result = parallel(job, blocks, [&](size_t b, unsigned) {
    uint64_t advance = 0, weights_kept = 0;
    for (size_t i = begins[b]; i < begins[b + 1]; i++) {
      advance += gaps[i] + 1u;
      weights_kept += entries[i] != 0;
    }
    positions[b + 1] = advance;
    kept[b + 1] = weights_kept;
  });
  if (!result) return result;
  for (size_t b = 0; b < blocks; b++) {
    positions[b + 1] += positions[b];
    kept[b + 1] += kept[b];
  }
  if (kept[blocks] != code_count) return fail(Status::arg);
  result = parallel(job, blocks, [&](size_t b, unsigned) {
    // Past the end already: the block before has the error.
    if (positions[b] >= weights) {
      results[b] = fail(Status::index);
      return;
    }
    uint64_t block_kept, end;
    const size_t size = begins[b + 1] - begins[b];
    results[b] = mask_relative(job.level, gaps + begins[b], entries + begins[b], size, index_bits, mask, positions[b],
                               weights - positions[b], codes + kept[b], &block_kept, &end);
  });
  for (size_t b = 0; b < blocks; b++) {
    if (!results[b]) return fail(results[b].status, begins[b] + results[b].offset);
  }
  return result;
}

}  // namespace dc
