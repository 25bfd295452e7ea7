#include "assign.h"

#include <atomic>

#include "../base/bits.h"
#include "../base/mask.h"
#include "../base/memory.h"
#include "assign_avx2.h"
#include "assign_avx512.h"
#include "assign_table.h"
#include "compact.h"

namespace dc {

void assignment_thresholds(const float* centroids, uint32_t k, float* thresholds) noexcept {
  for (uint32_t i = 0; i + 1 < k; i++) {
    const float t = midpoint_threshold(centroids[i], centroids[i + 1]);
    thresholds[i] = t == 0 ? 0.0f : t;
  }
}

uint32_t assign_one(float x, const float* thresholds, uint32_t k) noexcept {
  uint32_t low = 0, high = k - 1;
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    if (x > thresholds[middle]) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

uint32_t assign_from(uint32_t first, float x, const float* thresholds, uint32_t k) noexcept {
  // Doubling steps: a crowded cell mostly holds few thresholds.
  uint32_t step = 1, at = first;
  while (at < k - 1 && x > thresholds[at]) {
    first = at + 1;
    at = first + step;
    step *= 2;
  }
  const uint32_t limit = at < k - 1 ? at : k - 1;
  uint32_t low = first, high = limit;
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    if (x > thresholds[middle]) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

void assign_crowded(const AssignTable& table, const float* values, const uint32_t* cells, unsigned crowded, void* codes,
                    unsigned code_bytes) noexcept {
  for (unsigned lane = 0; crowded != 0; lane++, crowded >>= 1) {
    if (!(crowded & 1)) continue;
    const uint32_t code = assign_from(table.entries[cells[lane]] & ~kCrowded, values[lane], table.thresholds, table.k);
    if (code_bytes == 1) {
      static_cast<uint8_t*>(codes)[lane] = static_cast<uint8_t>(code);
    } else {
      static_cast<uint16_t*>(codes)[lane] = static_cast<uint16_t>(code);
    }
  }
}

// A table with more entries than this would not pay.
static constexpr uint64_t kMaxCells = 1u << 20;

// Builds the cells of `table`, whose thresholds are set: the coarsest cells in which no two thresholds meet or, when
// that would take more than `most` cells, those with the fewest meetings. Leaves entries null when not even coarse
// cells fit.
static bool build_cells(AssignTable& table, uint64_t most, Array<uint32_t>& storage) noexcept {
  const uint32_t n = table.k - 1;
  const uint32_t first_key = float_key(table.thresholds[0]), last_key = float_key(table.thresholds[n - 1]);
  uint32_t fewest = UINT32_MAX;
  unsigned best = 0;
  for (unsigned shift = 22; shift >= 5; shift--) {
    if (static_cast<uint64_t>(n) << shift >= kCrowded) continue;
    if (static_cast<uint64_t>(last_key >> shift) - (first_key >> shift) + 3 > most) break;
    uint32_t meetings = 0;
    uint32_t previous = first_key >> shift;
    for (uint32_t i = 1; i < n; i++) {
      const uint32_t cell = float_key(table.thresholds[i]) >> shift;
      meetings += cell == previous;
      previous = cell;
    }
    if (meetings < fewest) {
      fewest = meetings;
      best = shift;
    }
    if (meetings == 0) break;
  }
  if (best == 0) return true;
  table.shift = best;
  table.base = (first_key >> best) - 1;
  table.cells = (last_key >> best) - table.base + 2;
  if (!storage.reset(table.cells)) return false;
  const uint32_t low = (1u << best) - 1;
  uint32_t code = 0;
  for (uint32_t cell = 0; cell < table.cells; cell++) {
    uint32_t after = code;
    while (after < n && (float_key(table.thresholds[after]) >> best) - table.base == cell) after++;
    if (after == code) {
      storage[cell] = code << best;
    } else if (after == code + 1) {
      storage[cell] = (code << best) + (low - (float_key(table.thresholds[code]) & low));
    } else {
      storage[cell] = kCrowded + code;
    }
    code = after;
  }
  table.entries = storage.data();
  return true;
}

static void store_code(void* codes, size_t i, uint32_t code, unsigned code_bytes) noexcept {
  if (code_bytes == 1) {
    static_cast<uint8_t*>(codes)[i] = static_cast<uint8_t>(code);
  } else {
    static_cast<uint16_t*>(codes)[i] = static_cast<uint16_t>(code);
  }
}

static bool assign_search(const AssignTable& table, const float* values, size_t count, void* codes,
                          unsigned code_bytes) noexcept {
  bool finite = true;
  for (size_t i = 0; i < count; i++) {
    finite &= is_finite(values[i]);
    store_code(codes, i, assign_one(values[i], table.thresholds, table.k), code_bytes);
  }
  return finite;
}

static bool assign_cells(const AssignTable& table, const float* values, size_t count, void* codes,
                         unsigned code_bytes) noexcept {
  const uint32_t low = (1u << table.shift) - 1;
  bool finite = true;
  for (size_t i = 0; i < count; i++) {
    const uint32_t key = float_key(values[i]);
    finite &= is_finite(values[i]);
    uint32_t cell = key >> table.shift;
    cell = cell > table.base ? cell - table.base : 0;
    if (cell >= table.cells) cell = table.cells - 1;
    const uint32_t entry = table.entries[cell];
    const uint32_t code = entry & kCrowded ? assign_from(entry & ~kCrowded, values[i], table.thresholds, table.k)
                                           : (entry + (key & low)) >> table.shift;
    store_code(codes, i, code, code_bytes);
  }
  return finite;
}

// Codes of a run of values; false when one is not finite.
static bool assign_run(CpuLevel level, const AssignTable& table, const float* values, size_t count, void* codes,
                       unsigned code_bytes) noexcept {
  size_t done = 0;
  bool finite = true;
#if DC_X86
  if (level == CpuLevel::avx512) {
    done = count & ~size_t{15};
    if (table.k <= kRegisterCentroidsAvx512) {
      finite = assign_registers_avx512(&table, values, done, codes, code_bytes);
    } else if (table.entries) {
      finite = assign_cells_avx512(&table, values, done, codes, code_bytes);
    } else {
      done = 0;
    }
  } else if (level == CpuLevel::avx2) {
    done = count & ~size_t{7};
    if (table.k <= kRegisterCentroidsAvx2) {
      finite = assign_registers_avx2(&table, values, done, codes, code_bytes);
    } else if (table.entries) {
      finite = assign_cells_avx2(&table, values, done, codes, code_bytes);
    } else {
      done = 0;
    }
  }
#endif
  (void)level;
  void* rest = static_cast<uint8_t*>(codes) + done * code_bytes;
  const bool rest_finite = table.entries ? assign_cells(table, values + done, count - done, rest, code_bytes)
                                         : assign_search(table, values + done, count - done, rest, code_bytes);
  return finite && rest_finite;
}

static bool assign_masked(CpuLevel level, const AssignTable& table, const float* values, const uint32_t* mask,
                          size_t count, void* codes, unsigned code_bytes) noexcept {
  alignas(64) float kept[kCompactChunk + kCompactRoom];
  uint8_t* out = static_cast<uint8_t*>(codes);
  bool finite = true;
  for (size_t at = 0; at < count; at += kCompactChunk) {
    const size_t here = count - at < kCompactChunk ? count - at : kCompactChunk;
    const size_t n = compact(level, values + at, mask + at / kMaskBits, here, kept);
    finite &= assign_run(level, table, kept, n, out, code_bytes);
    out += n * code_bytes;
  }
  return finite;
}

static void note_lowest(std::atomic<uint64_t>& lowest, uint64_t index) noexcept {
  uint64_t seen = lowest.load(std::memory_order_relaxed);
  while (index < seen && !lowest.compare_exchange_weak(seen, index, std::memory_order_relaxed)) {
  }
}

static Result check_arguments(const float* centroids, uint32_t k, unsigned code_bytes) noexcept {
  if (k < 1 || k > kMaxCentroids) return fail(Status::arg);
  if (code_bytes != 2 && !(code_bytes == 1 && k <= 256)) return fail(Status::arg);
  for (uint32_t i = 0; i < k; i++) {
    if (!is_finite(centroids[i]) || (i > 0 && centroids[i] < centroids[i - 1])) return fail(Status::arg, i);
  }
  return {};
}

Result assign(const Job& job, const float* values, size_t count, const uint32_t* mask, const float* centroids,
              uint32_t k, void* codes, unsigned code_bytes, uint64_t code_count) noexcept {
  const Result checked = check_arguments(centroids, k, code_bytes);
  if (!checked) return checked;
  Array<float> thresholds;
  if (!thresholds.reset(k)) return fail(Status::nomem);
  assignment_thresholds(centroids, k, thresholds.data());
  return assign_by_thresholds(job, values, count, mask, thresholds.data(), k, codes, code_bytes, code_count);
}

Result assign_by_thresholds(const Job& job, const float* values, size_t count, const uint32_t* mask,
                            const float* thresholds, uint32_t k, void* codes, unsigned code_bytes,
                            uint64_t code_count) noexcept {
  const size_t blocks = block_count(count);

  Array<uint64_t> offsets;
  uint64_t written = count;
  if (mask) {
    if (!offsets.reset(blocks + 1)) return fail(Status::nomem);
    const Result counted = mask_offsets(job, mask, count, offsets.data());
    if (!counted) return counted;
    written = offsets[blocks];
  }
  if (code_count != UINT64_MAX && code_count != written) return fail(Status::arg, written);

  Array<uint32_t> entries;
  AssignTable table{thresholds, k, nullptr, 0, 0, 0};
  const uint32_t in_registers = job.level == CpuLevel::avx512 ? kRegisterCentroidsAvx512
                                : job.level == CpuLevel::avx2 ? kRegisterCentroidsAvx2
                                                              : 1;
  if (k > in_registers) {
    const uint64_t most = 2 * written < kMaxCells ? 2 * written : kMaxCells;
    if (!build_cells(table, most, entries)) return fail(Status::nomem);
  }

  std::atomic<uint64_t> nonfinite{UINT64_MAX};
  const Result ran = parallel(job, blocks, [&](size_t b, unsigned) {
    const size_t first = b * kBlockElements;
    const size_t here = count - first < kBlockElements ? count - first : kBlockElements;
    const size_t out = mask ? static_cast<size_t>(offsets[b]) : first;
    void* block_codes = static_cast<uint8_t*>(codes) + out * code_bytes;
    const bool finite =
        mask ? assign_masked(job.level, table, values + first, mask + first / kMaskBits, here, block_codes, code_bytes)
             : assign_run(job.level, table, values + first, here, block_codes, code_bytes);
    if (!finite) {
      size_t i = 0;
      while (is_finite(values[first + i]) || (mask && !mask_bit(mask, first + i))) i++;
      note_lowest(nonfinite, first + i);
    }
    job.report(b + 1, blocks);
  });
  if (!ran) return ran;
  return nonfinite == UINT64_MAX ? Result{} : fail(Status::nonfinite, nonfinite);
}

}  // namespace dc
