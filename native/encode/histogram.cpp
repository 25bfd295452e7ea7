#include "histogram.h"

#include <cstring>

#include "../base/memory.h"

namespace dc {

namespace {

// Four tables: neighbours that are equal would otherwise wait for each other's store.
void count_block(const uint8_t* p, size_t n, uint64_t counts[256]) noexcept {
  uint32_t part[4][256] = {};
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t v;
    std::memcpy(&v, p + i, 8);  // the order of the bytes does not matter to a count
    part[0][v & 255]++;
    part[1][v >> 8 & 255]++;
    part[2][v >> 16 & 255]++;
    part[3][v >> 24 & 255]++;
    part[0][v >> 32 & 255]++;
    part[1][v >> 40 & 255]++;
    part[2][v >> 48 & 255]++;
    part[3][v >> 56]++;
  }
  for (; i < n; i++) part[0][p[i]]++;
  for (int s = 0; s < 256; s++) counts[s] += static_cast<uint64_t>(part[0][s]) + part[1][s] + part[2][s] + part[3][s];
}

}  // namespace

Result histogram(const Job& job, const uint8_t* symbols, size_t n, uint64_t counts[256]) noexcept {
  constexpr size_t kPiece = size_t{1} << 20;
  std::memset(counts, 0, 256 * sizeof counts[0]);
  const size_t pieces = (n + kPiece - 1) / kPiece;
  if (pieces <= 1) {
    count_block(symbols, n, counts);
    return job.cancelled() ? fail(Status::aborted) : Result{};
  }
  Array<uint64_t> of_piece;
  if (!of_piece.reset_zeroed(pieces * 256)) return fail(Status::nomem);
  const Result result = parallel(job, pieces, [&](size_t piece, unsigned) {
    const size_t begin = piece * kPiece;
    count_block(symbols + begin, n - begin < kPiece ? n - begin : kPiece, of_piece.data() + piece * 256);
  });
  for (size_t piece = 0; piece < pieces; piece++) {
    for (int s = 0; s < 256; s++) counts[s] += of_piece[piece * 256 + static_cast<size_t>(s)];
  }
  return result;
}

}  // namespace dc
