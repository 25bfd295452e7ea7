#include "cell_pass.h"

#include <atomic>

#include "cell_pass_avx512.h"

namespace dc {

namespace {

// One word a cell while counting: the count above, the sum of low bits (each below 2^20) below. A table is emptied into
// wide sums before 2^22 values could overflow either.
constexpr unsigned kCountShift = 42;
constexpr size_t kFlushAfter = (size_t{1} << 22) - kBlockElements;

void count_block(const float* values, size_t count, const CellMap& map, uint64_t* table) {
  constexpr uint64_t one = uint64_t{1} << kCountShift;
  for (size_t i = 0; i < count; i++) {
    const uint32_t key = order_key(values[i]);
    const uint32_t e = map.packed[key >> 20], shift = e & 31, rest = key & 0xfffff;
    table[(e >> 5) + (rest >> shift)] += one + (rest & ((1u << shift) - 1));
  }
}

// Lane i & 15 adds up the squares of the values at i, whatever the vector width.
size_t collect_block(const float* values, size_t count, const CellMap& map, const uint32_t* flags, uint32_t* keys,
                     double* lanes) {
  size_t found = 0;
  for (size_t i = 0; i < count; i++) {
    const uint32_t key = order_key(values[i]), cell = map.cell_of(key);
    if (flags[cell >> 5] >> (cell & 31) & 1) {
      keys[found++] = key;
    } else {
      const double d = static_cast<double>(key_value(key)) - static_cast<double>(key_value(map.middle_key(key)));
      lanes[i & 15] += d * d;
    }
  }
  return found;
}

struct Worker {
  Array<uint64_t> packed, count, low;
  Array<uint32_t> keys;
  size_t held = 0;
  bool ready = false, failed = false;

  void flush() noexcept {
    for (size_t c = 0; c < packed.size(); c++) {
      count[c] += packed[c] >> kCountShift;
      low[c] += packed[c] & ((uint64_t{1} << kCountShift) - 1);
      packed[c] = 0;
    }
    held = 0;
  }
};

void design_from_sample(const float* values, size_t count, size_t target, CellMap& map) noexcept {
  // Whole cache lines, one in `step`: at most half a million values and all of a small input.
  uint64_t counts[CellMap::kPrefixes] = {0};
  const size_t step = count >> 18 ? count >> 18 : 1;
  for (size_t line = 0; line * 16 < count; line += step) {
    for (size_t i = line * 16; i < line * 16 + 16 && i < count; i++) counts[order_key(values[i]) >> 20] += step;
  }
  // The sample may miss the thin ends; they get a few cells an eighth of an octave all the same.
  size_t largest = 0;
  for (size_t p = 0; p < 2048; p++) {
    if (counts[2048 + p] || counts[2047 - p]) largest = p;
  }
  for (size_t p = largest > 32 ? largest - 32 : 0; step > 1 && p < largest + 24 && p < 2040; p++) {
    if (counts[2048 + p] < 8) counts[2048 + p] = 8;
    if (counts[2047 - p] < 8) counts[2047 - p] = 8;
  }
  map.design(counts, static_cast<double>(target));
}

}  // namespace

Result fill_cells(const Job& job, const float* values, size_t count, size_t target, CellTable& out) noexcept {
  design_from_sample(values, count, target, out.map);
  const size_t cells = out.map.cells, blocks = block_count(count);
  const unsigned workers = job.threads < 1 ? 1 : job.threads > 64 ? 64 : job.threads;
  Worker worker[64];
  if (!out.first_key.reset(cells) || !out.count.reset_zeroed(cells) || !out.low.reset_zeroed(cells)) {
    return fail(Status::nomem);
  }
  const Result done = parallel(job, blocks, [&](size_t block, unsigned index) {
    Worker& w = worker[index];
    if (!w.ready) {
      w.ready = true;
      w.failed = !w.packed.reset_zeroed(cells) || !w.count.reset_zeroed(cells) || !w.low.reset_zeroed(cells);
    }
    if (w.failed) return;
    const size_t first = block * kBlockElements;
    const size_t size = count - first < kBlockElements ? count - first : kBlockElements;
#if DC_X86
    if (job.level >= CpuLevel::avx512) {
      count_block_avx512(values + first, size, out.map, uint64_t{1} << kCountShift, w.packed.data());
    } else
#endif
    {
      count_block(values + first, size, out.map, w.packed.data());
    }
    w.held += size;
    if (w.held >= kFlushAfter) w.flush();
  });
  if (!done) return done;
  for (unsigned i = 0; i < workers; i++) {
    Worker& w = worker[i];
    if (w.failed) return fail(Status::nomem);
    if (!w.ready) continue;
    w.flush();
    for (size_t c = 0; c < cells; c++) {
      out.count[c] += w.count[c];
      out.low[c] += w.low[c];
    }
  }
  for (size_t p = 0; p < CellMap::kPrefixes; p++) {
    const uint32_t shift = out.map.packed[p] & 31, base = out.map.packed[p] >> 5;
    for (uint32_t c = 0; c < 1u << (20 - shift); c++) {
      out.first_key[base + c] = static_cast<uint32_t>(p) << 20 | c << shift;
    }
  }
  return Result{};
}

Result collect_members(const Job& job, const float* values, size_t count, const CellMap& map, const uint32_t* flags,
                       Array<uint32_t>& keys, double& squares) noexcept {
  const size_t blocks = block_count(count);
  Array<double> part;
  if (!part.reset_zeroed(blocks)) return fail(Status::nomem);
  Worker worker[64];
  std::atomic<size_t> end{0};
  const Result done = parallel(job, blocks, [&](size_t block, unsigned index) {
    Worker& w = worker[index];
    if (!w.ready) {
      w.ready = true;
      w.failed = !w.keys.reset(kBlockElements);
    }
    if (w.failed) return;
    const size_t first = block * kBlockElements;
    const size_t size = count - first < kBlockElements ? count - first : kBlockElements;
    double lanes[16] = {0};
    size_t found = 0, whole = 0;
#if DC_X86
    if (job.level >= CpuLevel::avx512) {
      whole = size & ~size_t{15};
      found = collect_block_avx512(values + first, whole, map, flags, w.keys.data(), lanes);
    }
#endif
    found += collect_block(values + first + whole, size - whole, map, flags, w.keys.data() + found, lanes);
    double sum = 0;
    for (const double lane : lanes) sum += lane;
    part[block] = sum;
    const size_t at = end.fetch_add(found, std::memory_order_relaxed);
    if (found && at + found <= keys.size()) std::memcpy(keys.data() + at, w.keys.data(), found * sizeof(uint32_t));
  });
  if (!done) return done;
  for (const Worker& w : worker) {
    if (w.failed) return fail(Status::nomem);
  }
  // The values are not ours: who writes to them during the job gets an error and no overrun.
  if (end.load() != keys.size()) return fail(Status::arg);
  squares = 0;
  for (size_t block = 0; block < blocks; block++) squares += part[block];
  return Result{};
}

}  // namespace dc
