#pragma once
#include "../base/job.h"

namespace dc {

// The inverse of the paper's relative index (docs/format-streams.md S4.2). First how many weights the entries keep
// (entries that are no filler), then the mask of `weights` positions and the codes of the kept weights, kept of them
// (another `code_count`: Status::arg).  Status::index with the entry that breaks a rule.
Result decode_relative_index(const Job& job, const uint8_t* gaps, const uint8_t* entries, size_t symbols,
                             unsigned index_bits, uint32_t* mask, uint64_t weights, uint8_t* codes,
                             size_t code_count) noexcept;

}  // namespace dc
