#include "histogram.h"

#include <algorithm>
#include <atomic>

#include "../base/bits.h"
#include "../base/mask.h"
#include "../base/memory.h"
#include "assign.h"
#include "starts.h"

namespace dc {

namespace {

constexpr size_t kChunk = 2048;

size_t block_size(size_t block, size_t count) noexcept {
  const size_t left = count - block * kBlockElements;
  return left < kBlockElements ? left : kBlockElements;
}

// Calls f(values, n) for the values of a block that take part, at most kChunk at a time.
template <typename F>
void each_chunk(const KmeansRequest& request, size_t block, const F& f) noexcept {
  const size_t first = block * kBlockElements, size = block_size(block, request.count);
  const float* values = request.values + first;
  for (size_t at = 0; at < size; at += kChunk) {
    const size_t here = size - at < kChunk ? size - at : kChunk;
    if (!request.mask && !request.ignore_zeros) {
      f(values + at, here);
      continue;
    }
    float kept[kChunk];
    size_t n = 0;
    for (size_t i = 0; i < here; i++) {
      const float x = values[at + i];
      kept[n] = x;
      n += !(request.mask && !mask_bit(request.mask, first + at + i)) && !(request.ignore_zeros && x == 0);
    }
    f(kept, n);
  }
}

struct Tally {
  uint64_t low;
  uint64_t count;
};

// The cells and what is in them. *kept = values that take part. Answers no cells when there are too few values.
Result fill_cells(const Job& job, const KmeansRequest& request, uint64_t* kept, Cells& out) noexcept {
  const unsigned workers = job.threads ? job.threads : 1;
  const size_t blocks = block_count(request.count);
  Array<uint32_t> prefixes;
  if (!prefixes.reset_zeroed(workers * 2 * CellMap::kPrefixes)) return fail(Status::nomem);
  std::atomic<uint64_t> nonfinite{UINT64_MAX};
  Result done = parallel(job, blocks, [&](size_t block, unsigned worker) {
    uint32_t* even = prefixes.data() + worker * 2 * CellMap::kPrefixes;
    uint32_t* odd = even + CellMap::kPrefixes;
    uint32_t largest = 0;
    each_chunk(request, block, [&](const float* x, size_t n) {
      for (size_t i = 0; i < n; i++) {
        const uint32_t magnitude = float_bits(x[i]) & 0x7fffffffu;
        largest = magnitude > largest ? magnitude : largest;
        (i & 1 ? odd : even)[order_key(x[i]) >> 20]++;
      }
    });
    if (largest < 0x7f800000u) return;
    size_t i = block * kBlockElements;
    while ((float_bits(request.values[i]) & 0x7fffffffu) < 0x7f800000u || (request.mask && !mask_bit(request.mask, i)))
      i++;
    uint64_t seen = nonfinite.load(std::memory_order_relaxed);
    while (i < seen && !nonfinite.compare_exchange_weak(seen, i, std::memory_order_relaxed)) {
    }
  });
  if (!done) return done;
  if (nonfinite != UINT64_MAX) return fail(Status::nonfinite, nonfinite);
  Array<uint64_t> counts;
  if (!counts.reset_zeroed(CellMap::kPrefixes)) return fail(Status::nomem);
  *kept = 0;
  for (size_t i = 0; i < prefixes.size(); i++) {
    counts[i % CellMap::kPrefixes] += prefixes[i];
    *kept += prefixes[i];
  }
  out.count = 0;
  if (*kept < kLeastHistogramValues) return {};

  Array<CellMap> map;
  if (!map.reset(1)) return fail(Status::nomem);
  map[0].design(counts.data(), static_cast<double>(cells_for(request.clusters)));
  const size_t cells = map[0].cells;
  Array<Tally> tallies;
  if (!tallies.reset_zeroed(workers * cells)) return fail(Status::nomem);
  done = parallel(job, blocks, [&](size_t block, unsigned worker) {
    Tally* mine = tallies.data() + worker * cells;
    const CellMap& cell_map = map[0];
    each_chunk(request, block, [&](const float* x, size_t n) {
      for (size_t i = 0; i < n; i++) {
        const uint32_t key = order_key(x[i]);
        Tally& tally = mine[cell_map.cell_of(key)];
        tally.low += key & 0xfffffu;
        tally.count++;
      }
    });
  });
  if (!done) return done;
  if (!out.values.reset(cells) || !out.weights.reset(cells)) return fail(Status::nomem);
  for (size_t prefix = 0; prefix < CellMap::kPrefixes; prefix++) {
    if (counts[prefix] == 0) continue;
    const uint32_t first = static_cast<uint32_t>(prefix) << 20;
    const size_t begin = map[0].cell_of(first), end = map[0].cell_of(first | 0xfffffu) + 1;
    for (size_t cell = begin; cell < end; cell++) {
      uint64_t low = 0, count = 0;
      for (unsigned w = 0; w < workers; w++) {
        low += tallies[w * cells + cell].low;
        count += tallies[w * cells + cell].count;
      }
      if (count == 0) continue;
      // Whole numbers below 2^53: the mean is rounded once, whatever the order of the additions was.
      const double mean_low = static_cast<double>(low) / static_cast<double>(count);
      out.values[out.count] = static_cast<double>(key_value(first)) + key_ulp(first) * mean_low;
      out.weights[out.count++] = static_cast<double>(count);
    }
  }
  return {};
}

// One pass over the values with their codes: how many values and what sum each cluster has, and the squared error. Sums
// are kept by block and merged in block order.
struct Round {
  Array<double> sums, errors;
  Array<uint32_t> counts;
  Array<double> total;
  Array<uint64_t> members;
  double error = 0;

  bool prepare(size_t blocks, uint32_t clusters) noexcept {
    return sums.reset(blocks * clusters) && counts.reset(blocks * clusters) && errors.reset(blocks) &&
           total.reset(clusters) && members.reset(clusters);
  }
};

template <typename Code>
void tally_block(const KmeansRequest& request, const Code* codes, size_t block, const float* centroids, double* sums,
                 uint32_t* counts, double* error) noexcept {
  double lanes[4] = {0, 0, 0, 0};
  size_t at = 0;
  const bool skip_zeros = request.ignore_zeros;
  const size_t first = block * kBlockElements, size = block_size(block, request.count);
  for (size_t i = first; i < first + size; i++) {
    if (request.mask && !mask_bit(request.mask, i)) continue;
    const float x = request.values[i];
    const Code code = codes[at++];
    if (skip_zeros && x == 0) continue;
    const double difference = static_cast<double>(x) - static_cast<double>(centroids[code]);
    sums[code] += static_cast<double>(x);
    counts[code]++;
    lanes[at & 3] += difference * difference;
  }
  *error = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

Result assign_and_tally(const Job& job, const KmeansRequest& request, const float* centroids, uint32_t clusters,
                        Array<uint8_t>& codes, uint64_t code_count, const uint64_t* offsets, Round& round) noexcept {
  const unsigned code_bytes = clusters <= 256 ? 1 : 2;
  const size_t blocks = block_count(request.count);
  Result done = assign(job, request.values, request.count, request.mask, centroids, clusters, codes.data(), code_bytes,
                       code_count);
  if (!done) return done;
  done = parallel(job, blocks, [&](size_t block, unsigned) {
    double* sums = round.sums.data() + block * clusters;
    uint32_t* counts = round.counts.data() + block * clusters;
    std::fill(sums, sums + clusters, 0.0);
    std::fill(counts, counts + clusters, 0u);
    const size_t at = offsets ? static_cast<size_t>(offsets[block]) : block * kBlockElements;
    if (code_bytes == 1) {
      tally_block(request, codes.data() + at, block, centroids, sums, counts, &round.errors[block]);
    } else {
      tally_block(request, reinterpret_cast<const uint16_t*>(codes.data()) + at, block, centroids, sums, counts,
                  &round.errors[block]);
    }
  });
  if (!done) return done;
  std::fill(round.total.begin(), round.total.end(), 0.0);
  std::fill(round.members.begin(), round.members.end(), uint64_t{0});
  round.error = 0;
  for (size_t block = 0; block < blocks; block++) {
    for (uint32_t c = 0; c < clusters; c++) {
      round.total[c] += round.sums[block * clusters + c];
      round.members[c] += round.counts[block * clusters + c];
    }
    round.error += round.errors[block];
  }
  return {};
}

float mean_of(const Round& round, uint32_t cluster) noexcept {
  return static_cast<float>(round.total[cluster] / static_cast<double>(round.members[cluster])) + 0.0f;
}

}  // namespace

Result histogram_kmeans(const Job& job, const KmeansRequest& request, float* centroids, uint32_t* counts,
                        KmeansSummary& summary, bool* taken) noexcept {
  *taken = false;
  if (request.weights || request.clusters > kMaxHistogramClusters || request.count < kLeastHistogramValues) return {};
  Cells cells;
  uint64_t kept = 0;
  Result done = fill_cells(job, request, &kept, cells);
  if (!done) return done;
  // With so few cells in use there may be fewer distinct values than clusters: the sorting way looks at each of them.
  if (cells.count < size_t{16} * request.clusters) return {};
  double lambda = 0, cost = 0;
  uint32_t clusters = request.clusters;
  done = partition_centroids(job, cells, clusters, &lambda, centroids, &cost);
  if (!done) return done;

  const size_t blocks = block_count(request.count);
  Array<uint64_t> offsets;
  uint64_t code_count = request.count;
  if (request.mask) {
    if (!offsets.reset(blocks + 1)) return fail(Status::nomem);
    done = mask_offsets(job, request.mask, request.count, offsets.data());
    if (!done) return done;
    code_count = offsets[blocks];
  }
  Array<uint8_t> codes;
  Round round;
  if (!codes.reset(static_cast<size_t>(code_count) * (clusters <= 256 ? 1 : 2)) || !round.prepare(blocks, clusters)) {
    return fail(Status::nomem);
  }
  const uint32_t steps = request.max_iterations ? 1 : 0;
  for (uint32_t step = 0; step <= steps; step++) {
    done = assign_and_tally(job, request, centroids, clusters, codes, code_count, offsets.data(), round);
    if (!done) return done;
    uint32_t live = 0;
    bool settled = true;
    for (uint32_t c = 0; c < clusters; c++) {
      settled = settled && round.members[c] > 0 && mean_of(round, c) == centroids[c];
      if (step < steps && round.members[c] > 0) centroids[live++] = mean_of(round, c);
    }
    summary.converged = settled;
    summary.iterations = step;
    if (step < steps) clusters = live;
  }
  uint32_t live = 0;
  for (uint32_t c = 0; c < clusters; c++) {
    if (round.members[c] == 0) continue;  // nothing is nearest to it
    centroids[live] = centroids[c];
    counts[live++] = static_cast<uint32_t>(round.members[c]);
  }
  summary.used = live;
  summary.kept = kept;
  summary.inertia = round.error;
  *taken = true;
  return {};
}

}  // namespace dc
