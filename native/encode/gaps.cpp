#include "gaps.h"

#include <cstring>

#include "../base/bits.h"
#include "model.h"

namespace dc {

namespace {

// The mask as 64-bit words, cut to positions begin .. end-1.
struct MaskWords {
  const uint32_t* mask;
  uint64_t begin, end;
  uint64_t word(uint64_t index) const noexcept {
    const uint64_t first = index * 64, halves = (end + 31) / 32;
    uint64_t bits = mask[index * 2];
    if (index * 2 + 1 < halves) bits |= static_cast<uint64_t>(mask[index * 2 + 1]) << 32;
    if (first < begin) bits &= ~uint64_t{0} << (begin - first);
    if (end - first < 64) bits &= (uint64_t{1} << (end - first)) - 1;
    return bits;
  }
};

// Calls run(z) for each kept weight of begin .. end-1, z = zeros before it (from `begin` on for the first). Answers one
// past the last kept weight.
template <typename F>
uint64_t for_each_run(const uint32_t* mask, uint64_t begin, uint64_t end, F run) noexcept {
  const MaskWords words{mask, begin, end};
  uint64_t after = begin;
  if (begin >= end) return after;
  for (uint64_t index = begin / 64; index * 64 < end; index++) {
    for (uint64_t bits = words.word(index); bits; bits &= bits - 1) {
      const uint64_t position = index * 64 + static_cast<unsigned>(count_trailing_zeros(bits));
      run(position - after);
      after = position + 1;
    }
  }
  return after;
}

}  // namespace

Result run_histogram(const Job& job, const uint32_t* mask, uint64_t weights, RunHistogram& runs) noexcept {
  // Runs that cross a piece are put together afterwards: each piece tells its first run, and the zeros after its last
  // kept weight.
  constexpr uint64_t kPiece = uint64_t{1} << 20;
  struct Piece {
    uint64_t kept, first, tail;
    uint32_t counts[kShortRuns];
  };
  const size_t pieces = static_cast<size_t>((weights + kPiece - 1) / kPiece);
  runs.kept = 0;
  runs.longer.clear();
  if (!runs.counts.reset_zeroed(kShortRuns)) return fail(Status::nomem);
  Array<Piece> of_piece;
  if (!of_piece.reset_zeroed(pieces)) return fail(Status::nomem);
  const Result counted = parallel(job, pieces, [&](size_t index, unsigned) {
    Piece& piece = of_piece[index];
    const uint64_t begin = index * kPiece, end = weights - begin < kPiece ? weights : begin + kPiece;
    const uint64_t after = for_each_run(mask, begin, end, [&](uint64_t zeros) {
      if (piece.kept++ == 0) {
        piece.first = zeros;
      } else if (zeros < kShortRuns) {
        piece.counts[zeros]++;
      }
    });
    piece.tail = end - after;
  });
  if (!counted) return counted;
  uint64_t open = 0, crossing_long = 0, inner_long = 0;
  for (const Piece& piece : of_piece) {
    uint64_t inner = 0;
    for (unsigned z = 0; z < kShortRuns; z++) runs.counts[z] += piece.counts[z], inner += piece.counts[z];
    if (piece.kept) {
      inner_long += piece.kept - 1 - inner;
      open += piece.first;
      if (open < kShortRuns) {
        runs.counts[open]++;
      } else {
        crossing_long++;
      }
      open = 0;
    }
    open += piece.tail;
    runs.kept += piece.kept;
  }
  if (inner_long + crossing_long == 0) return {};
  // Long runs are rare (at most one in kShortRuns positions): a second pass over the pieces that have one finds them in
  // order.
  if (!runs.longer.reset(static_cast<size_t>(inner_long + crossing_long))) return fail(Status::nomem);
  size_t found = 0;
  open = 0;
  for (size_t index = 0; index < pieces; index++) {
    if (job.cancelled()) return fail(Status::aborted);
    const Piece& piece = of_piece[index];
    const uint64_t begin = index * kPiece, end = weights - begin < kPiece ? weights : begin + kPiece;
    if (piece.kept) {
      if (open + piece.first >= kShortRuns) runs.longer[found++] = open + piece.first;
      bool first = true;
      uint64_t inner = 0;
      for (unsigned z = 0; z < kShortRuns; z++) inner += piece.counts[z];
      if (inner != piece.kept - 1) {
        for_each_run(mask, begin, end, [&](uint64_t zeros) {
          if (!first && zeros >= kShortRuns) runs.longer[found++] = zeros;
          first = false;
        });
      }
      open = 0;
    }
    open += piece.tail;
  }
  return {};
}

void escape_counts(const RunHistogram& runs, unsigned alphabet, uint64_t counts[256]) noexcept {
  const unsigned escape = alphabet - 1;
  std::memset(counts, 0, 256 * sizeof counts[0]);
  for (unsigned z = 0, remainder = 0, escapes = 0; z < kShortRuns; z++) {
    counts[remainder] += runs.counts[z];
    counts[escape] += runs.counts[z] * escapes;
    if (++remainder == escape) remainder = 0, escapes++;
  }
  for (size_t i = 0; i < runs.longer.size(); i++) {
    counts[runs.longer[i] % escape]++;
    counts[escape] += runs.longer[i] / escape;
  }
}

void relative_counts(const RunHistogram& runs, unsigned index_bits, uint64_t counts[256], uint64_t* fillers) noexcept {
  const uint64_t reach = uint64_t{1} << index_bits;
  std::memset(counts, 0, 256 * sizeof counts[0]);
  *fillers = 0;
  for (unsigned z = 0; z < kShortRuns; z++) {
    counts[z & (reach - 1)] += runs.counts[z];
    *fillers += runs.counts[z] * (z >> index_bits);
  }
  for (size_t i = 0; i < runs.longer.size(); i++) {
    counts[runs.longer[i] & (reach - 1)]++;
    *fillers += runs.longer[i] >> index_bits;
  }
  counts[reach - 1] += *fillers;
}

// Bytes that one symbol less is worth. With rANS an escape costs next to nothing in bytes: on a layer with 4 % kept all
// alphabets come out within 0.1 %, and without this the smallest wins, with three escapes to decode for each gap.
constexpr double kSymbolBytes = 0.0005;

unsigned best_alphabet(const RunHistogram& runs, uint64_t block_symbols, ModeChoice choice, double* bytes) noexcept {
  unsigned best = 2;
  double least = -1, least_size = 0;
  uint64_t counts[256];
  Model model;
  for (unsigned alphabet = 2; alphabet <= 256; alphabet *= 2) {
    escape_counts(runs, alphabet, counts);
    build_model(counts, block_symbols, choice, model);
    const double size = coded_bytes(model, counts, block_symbols);
    const double cost = size + kSymbolBytes * static_cast<double>(counts[alphabet - 1]);
    if (least < 0 || cost < least) {
      least = cost;
      least_size = size;
      best = alphabet;
    }
  }
  if (bytes) *bytes = least_size;
  return best;
}

Result block_starts(const Job& job, const uint32_t* mask, uint64_t weights, uint64_t per_block, uint64_t* starts,
                    size_t capacity, size_t* blocks, uint64_t* kept_out) noexcept {
  constexpr uint64_t kPiece = uint64_t{1} << 20;
  *blocks = 0;
  const size_t pieces = static_cast<size_t>((weights + kPiece - 1) / kPiece);
  Array<uint64_t> before;
  if (!before.reset_zeroed(pieces + 1)) return fail(Status::nomem);
  Result result = parallel(job, pieces, [&](size_t index, unsigned) {
    const uint64_t begin = index * kPiece, end = weights - begin < kPiece ? weights : begin + kPiece;
    uint64_t kept = 0;
    for (uint64_t word = begin / 32; word < (end + 31) / 32; word++)
      kept += static_cast<unsigned>(count_ones(mask[word]));
    before[index + 1] = kept;
  });
  if (!result) return result;
  for (size_t index = 0; index < pieces; index++) before[index + 1] += before[index];
  const uint64_t kept = before[pieces], count = (kept + per_block - 1) / per_block;
  *kept_out = kept;
  if (count + 1 > capacity) return fail(Status::arg);
  starts[0] = 0;
  // Boundary j >= 1 lies behind kept weight number min(j * per_block, kept).
  result = parallel(job, pieces, [&](size_t index, unsigned) {
    const uint64_t begin = index * kPiece, end = weights - begin < kPiece ? weights : begin + kPiece;
    uint64_t boundary = before[index] / per_block + 1, seen = before[index];
    for (uint64_t word = begin / 32; word < (end + 31) / 32; word++) {
      uint64_t bits = mask[word];
      uint64_t after = seen + static_cast<unsigned>(count_ones(bits));
      while (boundary <= count) {
        const uint64_t wanted = boundary * per_block < kept ? boundary * per_block : kept;
        if (wanted > after) break;
        for (; seen + 1 < wanted; seen++) bits &= bits - 1;
        starts[boundary++] = word * 32 + static_cast<unsigned>(count_trailing_zeros(bits)) + 1;
      }
      seen = after;
    }
  });
  *blocks = static_cast<size_t>(count);
  return result;
}

Result escape_gaps(CpuLevel, const uint32_t* mask, uint64_t begin, uint64_t end, unsigned alphabet, uint8_t* out,
                   size_t capacity, size_t* symbols) noexcept {
  const unsigned escape = alphabet - 1;
  size_t at = 0;
  bool room = true;
  for_each_run(mask, begin, end, [&](uint64_t zeros) {
    if (zeros < escape && at < capacity) {
      out[at++] = static_cast<uint8_t>(zeros);
      return;
    }
    const uint64_t escapes = zeros / escape;
    if (!room || escapes + 1 > capacity - at) {
      room = false;
      return;
    }
    std::memset(out + at, static_cast<int>(escape), static_cast<size_t>(escapes));
    at += static_cast<size_t>(escapes);
    out[at++] = static_cast<uint8_t>(zeros % escape);
  });
  *symbols = at;
  return room ? Result{} : fail(Status::arg);
}

uint64_t count_relative(const uint32_t* mask, uint64_t begin, uint64_t end, unsigned index_bits) noexcept {
  uint64_t entries = 0;
  for_each_run(mask, begin, end, [&](uint64_t zeros) { entries += 1 + (zeros >> index_bits); });
  return entries;
}

Result relative_gaps(CpuLevel, const uint32_t* mask, uint64_t begin, uint64_t end, unsigned index_bits,
                     const uint8_t* codes, uint8_t* gaps, uint8_t* entries, size_t capacity, size_t* symbols) noexcept {
  const uint64_t reach = uint64_t{1} << index_bits;
  size_t at = 0, kept = 0;
  bool room = true, valid = true;
  for_each_run(mask, begin, end, [&](uint64_t zeros) {
    const uint64_t fillers = zeros >> index_bits;
    if (!room || fillers + 1 > capacity - at) {
      room = false;
      return;
    }
    std::memset(gaps + at, static_cast<int>(reach - 1), static_cast<size_t>(fillers));
    std::memset(entries + at, 0, static_cast<size_t>(fillers));
    at += static_cast<size_t>(fillers);
    gaps[at] = static_cast<uint8_t>(zeros & (reach - 1));
    valid = valid && codes[kept] < 255;
    entries[at++] = static_cast<uint8_t>(codes[kept++] + 1);
  });
  *symbols = at;
  if (!room) return fail(Status::arg);
  return valid ? Result{} : fail(Status::value);
}

}  // namespace dc
