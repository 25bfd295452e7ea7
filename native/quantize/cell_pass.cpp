#include "cell_pass.h"

#include <atomic>

#include "cell_pass_avx512.h"
#include "points.h"

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
  Array<uint64_t> packed, count, low;  // the wide sums stay empty where one table holds everything
  Array<uint32_t> keys;
  size_t held = 0;
  bool ready = false, failed = false;

  static void empty_into(Array<uint64_t>& packed, Array<uint64_t>& count, Array<uint64_t>& low) noexcept {
    for (size_t c = 0; c < packed.size(); c++) {
      count[c] += packed[c] >> kCountShift;
      low[c] += packed[c] & ((uint64_t{1} << kCountShift) - 1);
    }
  }
  void flush() noexcept {
    empty_into(packed, count, low);
    for (uint64_t& word : packed) word = 0;
    held = 0;
  }
};

Result design_from_sample(const Job& job, const float* values, size_t count, size_t target, CellMap& map) noexcept {
  // Whole cache lines, one in `step`: at most a quarter of a million values and all of a small input.
  constexpr size_t kParts = 8, kLine = 16;
  Array<uint32_t> part;
  uint64_t counts[CellMap::kPrefixes] = {0};
  const size_t step = count >> 17 ? count >> 17 : 1, lines = (count + kLine - 1) / kLine;
  const size_t taken = (lines + step - 1) / step;
  if (!part.reset_zeroed(kParts * 2 * CellMap::kPrefixes)) return fail(Status::nomem);
  const Result done = parallel(job, kParts, [&](size_t index, unsigned) {
    // Two tables in turn: neighbours often have one prefix, and an addition to memory waits for the one before it.
    uint32_t* const even = part.data() + index * 2 * CellMap::kPrefixes;
    uint32_t* const odd = even + CellMap::kPrefixes;
    for (size_t t = taken * index / kParts; t < taken * (index + 1) / kParts; t++) {
      const size_t first = t * step * kLine, here = count - first < kLine ? count - first : kLine;
      uint32_t prefix[kLine];
      for (size_t i = 0; i < here; i++) prefix[i] = order_key(values[first + i]) >> 20;
      for (size_t i = 0; i + 1 < here; i += 2) {
        even[prefix[i]]++;
        odd[prefix[i + 1]]++;
      }
      if (here & 1) even[prefix[here - 1]]++;
    }
  });
  if (!done) return done;
  for (size_t i = 0; i < part.size(); i++) counts[i % CellMap::kPrefixes] += part[i] * step;
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
  return Result{};
}

// Cells of even bits: the top 17 bits of the float as it is, so the half below zero runs the other way.
constexpr unsigned kEvenShift = 15;
constexpr size_t kEvenCells = size_t{1} << (32 - kEvenShift);

// Two values a load. No wider body: there is nothing to look up, and the additions to memory take the time.
void count_even_block(const float* values, size_t count, uint64_t* table) {
  constexpr uint64_t one = uint64_t{1} << kCountShift, low = (1u << kEvenShift) - 1;
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    uint64_t a, b;
    std::memcpy(&a, values + i, sizeof(a));
    std::memcpy(&b, values + i + 2, sizeof(b));
    table[static_cast<uint32_t>(a) >> kEvenShift] += one + (a & low);
    table[a >> (32 + kEvenShift)] += one + (a >> 32 & low);
    table[static_cast<uint32_t>(b) >> kEvenShift] += one + (b & low);
    table[b >> (32 + kEvenShift)] += one + (b >> 32 & low);
  }
  for (; i < count; i++) {
    const uint32_t bits = float_bits(values[i]);
    table[bits >> kEvenShift] += one + (bits & low);
  }
}

// Counts all values with `count_one(values, count, table)` into tables of `cells` words, and adds those up.
template <typename F>
Result count_all(const Job& job, const float* values, size_t count, size_t cells, CellTable& out,
                 const F& count_one) noexcept {
  const size_t blocks = block_count(count);
  const unsigned workers = job.threads < 1 ? 1 : job.threads > 64 ? 64 : job.threads;
  const bool wide = count >= kFlushAfter;
  Worker worker[64];
  if (!out.first_key.reset(cells) || !out.count.reset_zeroed(cells) || !out.low.reset_zeroed(cells)) {
    return fail(Status::nomem);
  }
  const Result done = parallel(job, blocks, [&](size_t block, unsigned index) {
    Worker& w = worker[index];
    if (!w.ready) {
      w.ready = true;
      w.failed =
          !w.packed.reset_zeroed(cells) || (wide && (!w.count.reset_zeroed(cells) || !w.low.reset_zeroed(cells)));
    }
    if (w.failed) return;
    const size_t first = block * kBlockElements;
    const size_t size = count - first < kBlockElements ? count - first : kBlockElements;
    count_one(values + first, size, w.packed.data());
    w.held += size;
    if (wide && w.held >= kFlushAfter) w.flush();
  });
  if (!done) return done;
  for (unsigned i = 0; i < workers; i++) {
    Worker& w = worker[i];
    if (w.failed) return fail(Status::nomem);
    if (!w.ready) continue;
    Worker::empty_into(w.packed, out.count, out.low);
    for (size_t c = 0; wide && c < cells; c++) {
      out.count[c] += w.count[c];
      out.low[c] += w.low[c];
    }
  }
  return Result{};
}

}  // namespace

Result fill_cells(const Job& job, const float* values, size_t count, size_t target, CellTable& out) noexcept {
  Result done = design_from_sample(job, values, count, target, out.map);
  if (!done) return done;
  done = count_all(job, values, count, out.map.cells, out, [&](const float* block, size_t size, uint64_t* table) {
#if DC_X86
    if (job.level >= CpuLevel::avx512) {
      return count_block_avx512(block, size, out.map, uint64_t{1} << kCountShift, table);
    }
#endif
    count_block(block, size, out.map, table);
  });
  if (!done) return done;
  for (size_t p = 0; p < CellMap::kPrefixes; p++) {
    const uint32_t shift = out.map.packed[p] & 31, base = out.map.packed[p] >> 5;
    for (uint32_t c = 0; c < 1u << (20 - shift); c++) {
      out.first_key[base + c] = static_cast<uint32_t>(p) << 20 | c << shift;
    }
  }
  return Result{};
}

Result fill_even_cells(const Job& job, const float* values, size_t count, CellTable& out) noexcept {
  const Result done = count_all(job, values, count, kEvenCells, out, count_even_block);
  if (!done) return done;
  // From the order of the bits to that of the keys. -0 is the last of the cells below zero, at its end: 0 again.
  constexpr size_t half = kEvenCells / 2;
  for (size_t i = 0; i < half / 2; i++) {
    std::swap(out.count[half + i], out.count[kEvenCells - 1 - i]);
    std::swap(out.low[half + i], out.low[kEvenCells - 1 - i]);
  }
  for (size_t i = 0; i < half; i++) {
    const uint64_t below = out.count[half + i], low = out.low[half + i];
    out.count[half + i] = out.count[i];
    out.low[half + i] = out.low[i];
    out.count[i] = below;
    out.low[i] = below * ((1u << kEvenShift) - 1) - low;
  }
  for (size_t c = 0; c < kEvenCells; c++) out.first_key[c] = static_cast<uint32_t>(c) << kEvenShift;
  for (uint32_t p = 0; p < CellMap::kPrefixes; p++) {
    out.map.packed[p] = p << (20 - kEvenShift) << 5 | kEvenShift;
  }
  out.map.cells = kEvenCells;
  return Result{};
}

Result finite_cells(const float* values, size_t count, const CellTable& table) noexcept {
  for (size_t c = 0; c < table.map.cells; c++) {
    const bool finite = table.first_key[c] >= kFirstFiniteKey && table.first_key[c] <= kLastFiniteKey;
    if (table.count[c] > 0 && !finite) return all_finite(values, count);
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
