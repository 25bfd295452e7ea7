#pragma once
#include "../base/job.h"
#include "model.h"

namespace dc {

// A plain stream (docs/format-streams.md S6): model, block lengths, blocks of kUsualBlockSymbols.
size_t stream_bound(size_t n) noexcept;

// out[0..bytes) of symbols[0..n); `capacity` is at least stream_bound(n) (else Status::arg). Parallel over blocks; the
// bytes depend on neither threads nor level.
Result encode_stream(const Job& job, const uint8_t* symbols, size_t n, ModeChoice choice, uint8_t* out, size_t capacity,
                     size_t* bytes) noexcept;

}  // namespace dc
