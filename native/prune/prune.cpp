#include "prune.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "../base/bits.h"
#include "../base/mask.h"
#include "../base/memory.h"
#include "prune_avx2.h"
#include "prune_avx512.h"

namespace dc {

// Magnitudes are compared as the bits of |x|: they order as the magnitudes do, infinities and NaN above all numbers.
static constexpr uint32_t kInfinity = 0x7f800000u;
static uint32_t magnitude_bits(float x) noexcept { return float_bits(x) & 0x7fffffffu; }

static size_t block_first(size_t b) noexcept { return b * kBlockElements; }
static size_t block_size(size_t b, size_t count) noexcept {
  const size_t left = count - block_first(b);
  return left < kBlockElements ? left : kBlockElements;
}

static void note_lowest(std::atomic<uint64_t>& lowest, uint64_t index) noexcept {
  uint64_t seen = lowest.load(std::memory_order_relaxed);
  while (index < seen && !lowest.compare_exchange_weak(seen, index, std::memory_order_relaxed)) {
  }
}

// A block's largest magnitude says whether it has to be searched for the first weight that is no number.
static void note_nonfinite(std::atomic<uint64_t>& lowest, uint32_t largest, const float* values,
                           size_t first) noexcept {
  if (largest < kInfinity) return;
  size_t i = 0;
  while (magnitude_bits(values[i]) < kInfinity) i++;
  note_lowest(lowest, first + i);
}

static Result settle(const Result& ran, const std::atomic<uint64_t>& nonfinite) noexcept {
  if (!ran) return ran;
  const uint64_t index = nonfinite.load();
  return index == UINT64_MAX ? Result{} : fail(Status::nonfinite, index);
}

// ---- mask
// --------------------------------------------------------------------------------------------------------------

static uint32_t mask_run_serial(const float* values, size_t count, uint32_t floor, uint32_t* mask) noexcept {
  uint32_t largest = 0;
  for (size_t i = 0; i < count; i += kMaskBits) {
    const size_t here = count - i < kMaskBits ? count - i : kMaskBits;
    uint32_t bits = 0;
    for (size_t j = 0; j < here; j++) {
      const uint32_t m = magnitude_bits(values[i + j]);
      largest = m > largest ? m : largest;
      bits |= static_cast<uint32_t>(m >= floor) << j;
    }
    mask[i / kMaskBits] = bits;
  }
  return largest;
}

static uint32_t mask_run(CpuLevel level, const float* values, size_t count, uint32_t floor, uint32_t* mask) noexcept {
  size_t done = 0;
  uint32_t largest = 0;
#if DC_X86
  if (level == CpuLevel::avx512) {
    done = count & ~size_t{31};
    largest = mask_run_avx512(values, done, floor, mask);
  } else if (level == CpuLevel::avx2) {
    done = count & ~size_t{31};
    largest = mask_run_avx2(values, done, floor, mask);
  }
#endif
  (void)level;
  const uint32_t rest = mask_run_serial(values + done, count - done, floor, mask + done / kMaskBits);
  return rest > largest ? rest : largest;
}

// Which weights stay: magnitude bits above `floor`, and those equal to it up to position `last_tie`.
struct Cut {
  uint32_t floor;
  uint64_t last_tie;
};

static Result write_mask(const Job& job, const float* values, size_t count, const Cut& cut, uint32_t* mask,
                         uint64_t* kept) noexcept {
  std::atomic<uint64_t> nonfinite{UINT64_MAX}, sum{0};
  const size_t blocks = block_count(count);
  const Result ran = parallel(job, blocks, [&](size_t b, unsigned) {
    const size_t first = block_first(b), here = block_size(b, count);
    uint32_t* words = mask + first / kMaskBits;
    const bool ties_gone = cut.last_tie < first;
    const uint32_t largest = mask_run(job.level, values + first, here, cut.floor + (ties_gone ? 1 : 0), words);
    note_nonfinite(nonfinite, largest, values + first, first);
    if (!ties_gone && cut.last_tie < first + here) {
      for (size_t i = static_cast<size_t>(cut.last_tie - first) + 1; i < here; i++) {
        if (magnitude_bits(values[first + i]) == cut.floor) words[i >> 5] &= ~(1u << (i & 31));
      }
    }
    sum.fetch_add(count_mask(job.level, words, here), std::memory_order_relaxed);
    job.report(b + 1, blocks);
  });
  *kept = sum.load();
  return settle(ran, nonfinite);
}

// ---- the cut for an exact count
// -----------------------------------------------------------------------------------------

// By two histograms, whatever the values are: of the top 15 bits of the magnitudes, then of the low 16 bits inside the
// bin where the count falls; then, when not all of the equal ones fit, the blocks' numbers of ties.
static constexpr unsigned kLowBits = 16;
static constexpr size_t kTopBins = size_t{1} << (31 - kLowBits);
static constexpr size_t kLowBins = size_t{1} << kLowBits;

// The bin, counted from the top, in which the `rank`-th largest falls; `rank` becomes its rank inside the bin.
static size_t bin_of_rank(const uint64_t* bins, size_t lowest, size_t count, uint64_t* rank) noexcept {
  size_t bin = count - 1;
  while (bin > lowest && bins[bin] < *rank) *rank -= bins[bin--];
  return bin;
}

static void merge(const Array<uint32_t>& parts, unsigned workers, size_t bins, uint64_t* sum) noexcept {
  std::fill(sum, sum + bins, uint64_t{0});
  for (unsigned w = 0; w < workers; w++) {
    for (size_t i = 0; i < bins; i++) sum[i] += parts[w * bins + i];
  }
}

// keep >= 1. `cut->floor` stays kInfinity when every weight is zero.
static Result cut_by_histogram(const Job& job, const float* values, size_t count, uint64_t keep, Cut* cut) noexcept {
  const unsigned workers = job.threads ? job.threads : 1;
  Array<uint32_t> parts;
  Array<uint64_t> bins;
  if (!parts.reset_zeroed(workers * kLowBins) || !bins.reset(kLowBins)) return fail(Status::nomem);
  const size_t blocks = block_count(count);
  std::atomic<uint64_t> nonfinite{UINT64_MAX}, zeros{0};
  const Result counted = parallel(job, blocks, [&](size_t b, unsigned worker) {
    const size_t first = block_first(b), here = block_size(b, count);
    // Two tables, so that runs of equal values do not wait for their own stores.
    uint32_t* even = parts.data() + worker * kLowBins;
    uint32_t* odd = even + kTopBins;
    uint64_t zero = 0;
    uint32_t largest = 0;
    for (size_t i = 0; i < here; i++) {
      const uint32_t m = magnitude_bits(values[first + i]);
      zero += m == 0;
      largest = m > largest ? m : largest;
      (i & 1 ? odd : even)[m >> kLowBits]++;
    }
    zeros.fetch_add(zero, std::memory_order_relaxed);
    note_nonfinite(nonfinite, largest, values + first, first);
  });
  const Result finite = settle(counted, nonfinite);
  if (!finite) return finite;
  const uint64_t nonzero = count - zeros;
  *cut = Cut{kInfinity, UINT64_MAX};
  if (nonzero == 0) return {};

  static_assert(2 * kTopBins == kLowBins, "the two tables of a worker fill its part");
  merge(parts, 2 * workers, kTopBins, bins.data());
  bins[0] -= zeros;
  uint64_t rank = keep < nonzero ? keep : nonzero;
  const size_t top = bin_of_rank(bins.data(), 0, kTopBins, &rank);

  std::fill(parts.begin(), parts.end(), 0u);
  const Result refined = parallel(job, blocks, [&](size_t b, unsigned worker) {
    const size_t first = block_first(b), here = block_size(b, count);
    uint32_t* low = parts.data() + worker * kLowBins;
    for (size_t i = 0; i < here; i++) {
      const uint32_t m = magnitude_bits(values[first + i]);
      if (m >> kLowBits == top) low[m & (kLowBins - 1)]++;
    }
  });
  if (!refined) return refined;
  merge(parts, workers, kLowBins, bins.data());
  if (top == 0) bins[0] = 0;
  const size_t low = bin_of_rank(bins.data(), 0, kLowBins, &rank);
  cut->floor = static_cast<uint32_t>(top << kLowBits | low);
  if (rank == bins[low]) return {};  // all of the equal ones stay

  Array<uint64_t> ties;
  if (!ties.reset_zeroed(blocks)) return fail(Status::nomem);
  const Result tied = parallel(job, blocks, [&](size_t b, unsigned) {
    const float* block = values + block_first(b);
    const size_t here = block_size(b, count);
    uint64_t equal = 0;
    for (size_t i = 0; i < here; i++) equal += magnitude_bits(block[i]) == cut->floor;
    ties[b] = equal;
  });
  if (!tied) return tied;
  size_t b = 0;
  while (ties[b] < rank) rank -= ties[b++];
  size_t i = block_first(b);
  for (;; i++) {
    if (magnitude_bits(values[i]) == cut->floor && --rank == 0) break;
  }
  cut->last_tie = i;
  return {};
}

// The rank-th largest (1 = largest) of `n` distinct keys, by narrowing the range 4096-fold a pass; keys are reordered.
static uint64_t select_rank(uint64_t* keys, size_t n, uint64_t rank) noexcept {
  while (n > 64) {
    uint64_t low = keys[0], high = keys[0];
    for (size_t i = 1; i < n; i++) {
      low = keys[i] < low ? keys[i] : low;
      high = keys[i] > high ? keys[i] : high;
    }
    const int width = 64 - count_leading_zeros(high - low);
    const int shift = width > 12 ? width - 12 : 0;
    uint32_t bins[4096] = {};
    for (size_t i = 0; i < n; i++) bins[(keys[i] - low) >> shift]++;
    size_t bin = 4095;
    while (bins[bin] < rank) rank -= bins[bin--];
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
      const uint64_t key = keys[i];
      if ((key - low) >> shift == bin) keys[out++] = key;
    }
    n = out;
  }
  std::sort(keys, keys + n, [](uint64_t a, uint64_t b) { return a > b; });
  return keys[rank - 1];
}

// One pass instead of two or three: a sample brackets the cut, the pass counts what lies above the bracket and lists
// what lies inside (about 1 %), and the cut is selected from the list. The sample decides the time only, never the
// answer: when the bracket missed or its list ran over (many equal weights), *found stays false and the histograms are
// asked.
static constexpr size_t kSample = 16384;
static constexpr size_t kBlockRoom = 8192;

static uint32_t bracket_run_serial(const float* values, size_t count, uint32_t first_index, uint32_t low, uint32_t high,
                                   uint64_t* list, size_t room, size_t* listed, uint64_t* above) noexcept {
  uint32_t largest = 0;
  size_t out = *listed;
  for (size_t i = 0; i < count; i++) {
    const uint32_t m = magnitude_bits(values[i]);
    largest = m > largest ? m : largest;
    if (m < low) continue;
    if (m > high) {
      ++*above;
    } else {
      if (out >= room) {
        *listed = room + 1;
        return largest;
      }
      list[out++] = static_cast<uint64_t>(m) << 32 | static_cast<uint32_t>(~(first_index + static_cast<uint32_t>(i)));
    }
  }
  *listed = out;
  return largest;
}

static uint32_t bracket_run(CpuLevel level, const float* values, size_t count, uint32_t first_index, uint32_t low,
                            uint32_t high, uint64_t* list, size_t room, size_t* listed, uint64_t* above) noexcept {
  size_t done = 0;
  uint32_t largest = 0;
#if DC_X86
  if (level >= CpuLevel::avx2) {
    done = count & ~size_t{31};
    largest = level == CpuLevel::avx512
                  ? bracket_run_avx512(values, done, first_index, low, high, list, room, listed, above)
                  : bracket_run_avx2(values, done, first_index, low, high, list, room, listed, above);
    if (*listed > room) return largest;
  }
#endif
  (void)level;
  const uint32_t rest = bracket_run_serial(values + done, count - done, first_index + static_cast<uint32_t>(done), low,
                                           high, list, room, listed, above);
  return rest > largest ? rest : largest;
}

static Result cut_by_sample(const Job& job, const float* values, size_t count, uint64_t keep, Cut* cut,
                            bool* found) noexcept {
  *found = false;
  Array<uint32_t> sample;
  if (!sample.reset(kSample)) return fail(Status::nomem);
  const size_t stride = count / kSample;
  for (size_t i = 0; i < kSample; i++) {
    // A place inside each stride by a multiplicative hash, so that no period of the tensor is hit.
    const size_t inside = static_cast<size_t>((i * 0x9e3779b97f4a7c15ull >> 32) % stride);
    sample[i] = magnitude_bits(values[i * stride + inside]);
  }
  const double share = static_cast<double>(keep) / static_cast<double>(count);
  const double centre = share * kSample;
  const double spread = 4 * std::sqrt(centre * (1 - share)) + 8;
  uint32_t low = 1, high = kInfinity - 1;
  const auto falling = [](uint32_t a, uint32_t b) { return a > b; };
  if (centre - spread >= 0) {
    const size_t at = static_cast<size_t>(centre - spread);
    std::nth_element(sample.begin(), sample.begin() + at, sample.end(), falling);
    high = sample[at] < kInfinity - 1 ? sample[at] : kInfinity - 1;
  }
  if (centre + spread < kSample) {
    const size_t at = static_cast<size_t>(centre + spread);
    std::nth_element(sample.begin(), sample.begin() + at, sample.end(), falling);
    low = sample[at] > 1 ? sample[at] : 1;
  }
  if (high < low) return {};

  const unsigned workers = job.threads ? job.threads : 1;
  const size_t capacity = count / 16;
  Array<uint64_t> list, scratch;
  if (!list.reset(capacity) || !scratch.reset(workers * kBlockRoom)) return fail(Status::nomem);
  std::atomic<uint64_t> nonfinite{UINT64_MAX}, above{0}, listed{0};
  std::atomic<bool> overrun{false};
  const size_t blocks = block_count(count);
  const Result ran = parallel(job, blocks, [&](size_t b, unsigned worker) {
    if (overrun.load(std::memory_order_relaxed)) return;
    const size_t first = block_first(b), here = block_size(b, count);
    uint64_t* mine = scratch.data() + worker * kBlockRoom;
    uint64_t over = 0;
    size_t n = 0;
    const uint32_t largest = bracket_run(job.level, values + first, here, static_cast<uint32_t>(first), low, high, mine,
                                         kBlockRoom, &n, &over);
    note_nonfinite(nonfinite, largest, values + first, first);
    const uint64_t place = n <= kBlockRoom ? listed.fetch_add(n) : capacity;
    if (place + n > capacity) {
      overrun.store(true);
      return;
    }
    std::copy(mine, mine + n, list.data() + place);
    above.fetch_add(over, std::memory_order_relaxed);
  });
  if (!ran) return ran;
  // After an overrun not every block was looked at: the histogram pass finds the first weight that is no number.
  if (overrun) return {};
  const Result finite = settle(ran, nonfinite);
  if (!finite) return finite;
  if (keep <= above || keep > above + listed) return {};
  const uint64_t key = select_rank(list.data(), static_cast<size_t>(listed), keep - above);
  *cut = Cut{static_cast<uint32_t>(key >> 32), static_cast<uint32_t>(~key)};
  *found = true;
  return {};
}

Result prune_to_count(const Job& job, const float* values, size_t count, uint64_t keep, uint32_t* mask,
                      Pruned* pruned) noexcept {
  if (count > UINT32_MAX) return fail(Status::too_large);
  Cut cut{kInfinity, UINT64_MAX};
  if (keep > 0 && count > 0) {
    bool found = false;
    if (count >= 64 * kSample && keep < count) {
      const Result sampled = cut_by_sample(job, values, count, keep, &cut, &found);
      if (!sampled) return sampled;
    }
    if (!found) {
      const Result counted = cut_by_histogram(job, values, count, keep, &cut);
      if (!counted) return counted;
    }
  }
  const Result written = write_mask(job, values, count, cut, mask, &pruned->kept);
  pruned->threshold = static_cast<double>(bits_float(cut.floor));
  return written;
}

Result prune_below(const Job& job, const float* values, size_t count, double threshold, uint32_t* mask,
                   Pruned* pruned) noexcept {
  if (!(threshold >= 0)) return fail(Status::arg);
  // The smallest float that is not below the threshold; never zero, so that zeros go.
  uint32_t floor = kInfinity;
  if (threshold == 0) {
    floor = 1;
  } else if (threshold <= std::numeric_limits<float>::max()) {
    const float nearest = static_cast<float>(threshold);
    floor = float_bits(nearest) + (static_cast<double>(nearest) < threshold ? 1 : 0);
  }
  pruned->threshold = threshold;
  return write_mask(job, values, count, Cut{floor, UINT64_MAX}, mask, &pruned->kept);
}

// ---- standard deviation
// --------------------------------------------------------------------------------------------------

// Sixteen sums side by side, element i into sum i % 16, at every level: the additions are then the same ones.
static void sum_run_serial(const float* values, size_t count, double centre, bool squared, double* sums) noexcept {
  for (size_t i = 0; i < count; i++) {
    const double d = static_cast<double>(values[i]) - centre;
    sums[i % 16] += squared ? d * d : d;
  }
}

static double sum_block(CpuLevel level, const float* values, size_t count, double centre, bool squared) noexcept {
  double sums[16] = {};
  size_t done = 0;
#if DC_X86
  if (level == CpuLevel::avx512) {
    done = count & ~size_t{15};
    sum_run_avx512(values, done, centre, squared, sums);
  } else if (level == CpuLevel::avx2) {
    done = count & ~size_t{15};
    sum_run_avx2(values, done, centre, squared, sums);
  }
#endif
  (void)level;
  sum_run_serial(values + done, count - done, centre, squared, sums);
  double sum = 0;
  for (double s : sums) sum += s;
  return sum;
}

static Result sum_blocks(const Job& job, const float* values, size_t count, double centre, bool squared,
                         Array<double>& parts, double* sum) noexcept {
  const size_t blocks = block_count(count);
  const Result ran = parallel(job, blocks, [&](size_t b, unsigned) {
    parts[b] = sum_block(job.level, values + block_first(b), block_size(b, count), centre, squared);
  });
  if (!ran) return ran;
  *sum = 0;
  for (size_t b = 0; b < blocks; b++) {
    // Finite floats never overflow a float64 sum.
    if (!std::isfinite(parts[b])) {
      size_t i = block_first(b);
      while (magnitude_bits(values[i]) < kInfinity) i++;
      return fail(Status::nonfinite, i);
    }
    *sum += parts[b];
  }
  return {};
}

Result standard_deviation(const Job& job, const float* values, size_t count, double* deviation) noexcept {
  *deviation = 0;
  if (count == 0) return {};
  Array<double> parts;
  if (!parts.reset(block_count(count))) return fail(Status::nomem);
  double sum = 0;
  const Result summed = sum_blocks(job, values, count, 0, false, parts, &sum);
  if (!summed) return summed;
  const double mean = sum / static_cast<double>(count);
  const Result squared = sum_blocks(job, values, count, mean, true, parts, &sum);
  if (!squared) return squared;
  *deviation = std::sqrt(sum / static_cast<double>(count));
  return {};
}

Result prune_below_deviations(const Job& job, const float* values, size_t count, double factor, uint32_t* mask,
                              Pruned* pruned) noexcept {
  double deviation = 0;
  const Result measured = standard_deviation(job, values, count, &deviation);
  if (!measured) return measured;
  return prune_below(job, values, count, factor * deviation, mask, pruned);
}

}  // namespace dc
