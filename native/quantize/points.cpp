#include "points.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "../base/mask.h"
#include "cell_pass.h"
#include "compact.h"
#include "order.h"

namespace dc {

namespace {

// The values of a word of the mask that take part: one bit each.
uint32_t members_of(const float* values, size_t count, uint32_t mask, bool ignore_zeros) noexcept {
  if (count < 32) mask &= (1u << count) - 1;
  if (!ignore_zeros || mask == 0) return mask;
  uint32_t bits = 0;
  for (size_t j = 0; j < count; j++) bits |= static_cast<uint32_t>(values[j] != 0) << j;
  return bits & mask;
}

}  // namespace

Result collect(const Job& job, const KmeansRequest& request, Collected& out, bool check_all) noexcept {
  const float* const values = request.values;
  const float* const weights = request.weights;
  const uint32_t* const mask = request.mask;
  const size_t n = request.count, blocks = block_count(n);
  const bool all = !mask && !request.ignore_zeros;
  out.count = n;
  out.values = values;
  out.weights = weights;
  if (all && !weights && !check_all) return Result{};
  Array<uint64_t> kept;
  Array<size_t> bad;
  if (!kept.reset_zeroed(blocks + 1) || !bad.reset_zeroed(blocks)) return fail(Status::nomem);
  // visit(values, index of the first, bits of those that take part) for each word of a block.
  const auto words = [&](size_t block, const auto& visit) {
    const size_t end = std::min(n, (block + 1) * kBlockElements);
    for (size_t i = block * kBlockElements; i < end; i += 32) {
      const size_t count = std::min<size_t>(32, end - i);
      const uint32_t bits = members_of(values + i, count, mask ? mask[i >> 5] : 0xffffffffu, request.ignore_zeros);
      if (bits) visit(i, bits);
    }
  };
  const auto is_bad = [=](size_t i) {
    return !is_finite(values[i]) || (weights && !(is_finite(weights[i]) && weights[i] >= 0));
  };
  Result done;
  if (all) {
    for (size_t block = 0; block < blocks; block++) kept[block + 1] = std::min(n, (block + 1) * kBlockElements);
  } else if (!request.ignore_zeros) {
    done = mask_offsets(job, mask, n, kept.data());
  } else {
    done = parallel(job, blocks, [&](size_t block, unsigned) {
      words(block, [&](size_t, uint32_t bits) { kept[block + 1] += static_cast<uint64_t>(count_ones(bits)); });
    });
    for (size_t block = 0; block < blocks; block++) kept[block + 1] += kept[block];
  }
  if (!done) return done;
  out.count = kept[blocks];
  if (!all && (!out.own_values.reset(out.count) || (weights && !out.own_weights.reset(out.count)))) {
    return fail(Status::nomem);
  }
  done = parallel(job, blocks, [&](size_t block, unsigned) {
    size_t wrong = 0;
    if (mask && !weights && !request.ignore_zeros) {
      alignas(64) float chunk[kCompactChunk + kCompactRoom];
      const size_t last = std::min(n, (block + 1) * kBlockElements), end = kept[block + 1];
      size_t at = kept[block];
      for (size_t i = block * kBlockElements; i < last; i += kCompactChunk) {
        const size_t found = compact(job.level, values + i, mask + i / 32, std::min(kCompactChunk, last - i), chunk);
        const size_t room = std::min(found, end - at);
        for (size_t j = 0; j < room; j++) wrong |= !is_finite(chunk[j]);
        if (found != room) wrong |= 2;
        if (room) std::memcpy(out.own_values.data() + at, chunk, room * sizeof(float));
        at += room;
      }
      if (at != end) wrong |= 2;
    } else if (all && !weights) {
      for (size_t i = block * kBlockElements; i < n && i < (block + 1) * kBlockElements; i++) {
        wrong |= (float_bits(values[i]) & 0x7f800000u) == 0x7f800000u;
      }
    } else {
      size_t at = kept[block];
      const size_t end = kept[block + 1];
      words(block, [&](size_t first, uint32_t bits) {
        for (; bits && at < end; bits &= bits - 1, at++) {  // at < end: the caller's mask may change under us
          const size_t i = first + static_cast<size_t>(count_trailing_zeros(bits));
          wrong |= is_bad(i);
          if (all) continue;
          out.own_values[at] = values[i];
          if (weights) out.own_weights[at] = weights[i];
        }
      });
      if (at != end) wrong |= 2;
    }
    bad[block] = wrong;
  });
  if (!done) return done;
  for (size_t block = 0; block < blocks; block++) {
    if (!bad[block]) continue;
    Result found;
    words(block, [&](size_t first, uint32_t bits) {
      for (; bits && found; bits &= bits - 1) {
        const size_t i = first + static_cast<size_t>(count_trailing_zeros(bits));
        if (is_bad(i)) {
          const bool negative = is_finite(values[i]) && weights && is_finite(weights[i]);
          found = fail(negative ? Status::value : Status::nonfinite, i);
        }
      }
    });
    return found ? fail(Status::arg) : found;  // arg: the caller's arrays changed under us
  }
  if (!all) {
    out.values = out.own_values.data();
    out.weights = weights ? out.own_weights.data() : nullptr;
  }
  if (!weights) return Result{};
  const size_t light = weight_out_of_reach(out.weights, out.count);
  if (light == out.count) return Result{};
  size_t at = 0;  // the place of the value that is number `light` of those that take part
  size_t block = 0;
  while (kept[block + 1] <= light) block++;
  uint64_t seen = kept[block];
  words(block, [&](size_t first, uint32_t bits) {
    for (; bits && seen <= light; bits &= bits - 1, seen++)
      at = first + static_cast<size_t>(count_trailing_zeros(bits));
  });
  return fail(Status::value, at);
}

size_t weight_out_of_reach(const float* weights, size_t count) noexcept {
  float most = 0;
  for (size_t i = 0; i < count; i++) most = weights[i] > most ? weights[i] : most;
  const double least = static_cast<double>(most) * 0x1p-64;
  size_t i = 0;
  while (i < count && !(weights[i] > 0 && static_cast<double>(weights[i]) < least)) i++;
  return i;
}

Result all_finite(const float* values, size_t count) noexcept {
  for (size_t i = 0; i < count; i++) {
    if (!is_finite(values[i])) return fail(Status::nonfinite, i);
  }
  return Result{};
}

void sort_small(uint32_t* keys, size_t count, unsigned bits, uint32_t* scratch) noexcept {
  if (bits == 0) return;  // all alike
  if (count <= 24) {
    for (size_t i = 1; i < count; i++) {
      const uint32_t key = keys[i];
      size_t at = i;
      for (; at > 0 && keys[at - 1] > key; at--) keys[at] = keys[at - 1];
      keys[at] = key;
    }
    return;
  }
  uint32_t *from = keys, *to = scratch;
  for (unsigned shift = 0; shift < bits; shift += 8) {
    size_t start[256] = {0}, sum = 0;
    for (size_t i = 0; i < count; i++) start[from[i] >> shift & 255]++;
    for (size_t& s : start) sum += s, s = sum - s;
    for (size_t i = 0; i < count; i++) to[start[from[i] >> shift & 255]++] = from[i];
    std::swap(from, to);
  }
  if (from != keys) std::memcpy(keys, from, count * sizeof(uint32_t));
}

namespace {

// Into cells by exact counts, then each cell by the low bits that are left: two passes over memory and no second copy.
// The order in which threads fill a cell is open, but after sorting it cannot be seen.
Result sort_values(const Job& job, const float* values, size_t n, SortedPoints& out) noexcept {
  static_assert(sizeof(float) == sizeof(uint32_t), "keys and values share the array");
  if (!out.values.reset(n)) return fail(Status::nomem);
  out.count = n;
  uint32_t* const keys = reinterpret_cast<uint32_t*>(out.values.data());
  constexpr size_t kPlain = 16384;
  if (n <= kPlain) {
    Array<uint32_t> scratch;
    if (!scratch.reset(n)) return fail(Status::nomem);
    for (size_t i = 0; i < n; i++) keys[i] = order_key(values[i]);
    sort_small(keys, n, 32, scratch.data());
    for (size_t i = 0; i < n; i++) keys[i] = float_bits(key_value(keys[i]));
    return Result{};
  }
  CellTable table;
  Result done = fill_cells(job, values, n, n / 512 < 4096 ? 4096 : n / 512 > 65536 ? 65536 : n / 512, table);
  if (!done) return done;
  const size_t cells = table.map.cells;
  Array<std::atomic<size_t>> place;
  Array<size_t> begin;
  if (!place.reset(cells) || !begin.reset(cells + 1)) return fail(Status::nomem);
  size_t largest = 0, at = 0;
  for (size_t c = 0; c < cells; c++) {
    begin[c] = at;
    new (&place[c]) std::atomic<size_t>(at);
    at += table.count[c];
    if ((table.map.packed[table.first_key[c] >> 20] & 31) > 0) largest = std::max<size_t>(largest, table.count[c]);
  }
  begin[cells] = at;
  if (at != n) return fail(Status::arg);
  std::atomic<bool> overrun{false};
  done = parallel(job, block_count(n), [&](size_t block, unsigned) {
    const size_t first = block * kBlockElements, end = std::min(n, first + kBlockElements);
    for (size_t i = first; i < end; i++) {
      const uint32_t key = order_key(values[i]);
      const size_t cell = table.map.cell_of(key);
      const size_t to = place[cell].fetch_add(1, std::memory_order_relaxed);
      if (to >= begin[cell + 1]) {  // the caller's array changed under us
        overrun.store(true, std::memory_order_relaxed);
        return;
      }
      keys[to] = key;
    }
  });
  if (!done) return done;
  if (overrun.load()) return fail(Status::arg);
  const unsigned workers = job.threads < 1 ? 1 : job.threads > 64 ? 64 : job.threads;
  Array<uint32_t> scratch;
  if (!scratch.reset(workers * largest)) return fail(Status::nomem);
  constexpr size_t kGroup = 64;
  return parallel(job, (cells + kGroup - 1) / kGroup, [&](size_t group, unsigned worker) {
    for (size_t c = group * kGroup; c < cells && c < (group + 1) * kGroup; c++) {
      const unsigned bits = table.map.packed[table.first_key[c] >> 20] & 31;
      sort_small(keys + begin[c], begin[c + 1] - begin[c], bits, scratch.data() + worker * largest);
      for (size_t i = begin[c]; i < begin[c + 1]; i++) keys[i] = float_bits(key_value(keys[i]));
    }
  });
}

}  // namespace

Result sort_points(const Job& job, const Collected& points, SortedPoints& out) noexcept {
  const size_t n = points.count;
  size_t live = 0;
  if (points.weights) {
    Array<uint64_t> a, b;
    if (!a.reset(n) || !b.reset(n)) return fail(Status::nomem);
    for (size_t i = 0; i < n; i++) {
      if (!(points.weights[i] > 0)) continue;
      a[live++] = static_cast<uint64_t>(order_key(points.values[i])) << 32 | float_bits(points.weights[i]);
    }
    // All 64 bits take part, so that equal values have their weights in one order, whatever order they came in.
    uint64_t *from = a.data(), *to = b.data();
    for (int pass = 0; pass < 8; pass++) {
      size_t start[256] = {0}, sum = 0;
      for (size_t i = 0; i < live; i++) start[from[i] >> (8 * pass) & 255]++;
      for (size_t& s : start) sum += s, s = sum - s;
      for (size_t i = 0; i < live; i++) {
        if (i % 65536 == 0 && job.cancelled()) return fail(Status::aborted);
        to[start[from[i] >> (8 * pass) & 255]++] = from[i];
      }
      std::swap(from, to);
    }
    if (!out.values.reset(live) || !out.weights.reset(live)) return fail(Status::nomem);
    for (size_t i = 0; i < live; i++) {
      out.values[i] = key_value(static_cast<uint32_t>(from[i] >> 32));
      out.weights[i] = bits_float(static_cast<uint32_t>(from[i]));
    }
    out.count = live;
    return Result{};
  }
  return sort_values(job, points.values, n, out);
}

Result RangeSums::build(const Job& job, const SortedPoints& points) noexcept {
  values_ = points.values.data();
  weights_ = points.weight_data();
  count_ = points.count;
  zero_ = first_above(values_, count_, -0.0f, 0);  // -0.0f == 0: the first point above zero; zeros add nothing
  const size_t ups = (count_ - zero_) / kStride, downs = zero_ / kStride;
  if (!up_.reset(ups + 1) || !down_.reset(downs + 1)) return fail(Status::nomem);
  const size_t group = 1024;
  const Result done = parallel(job, (ups + downs + group - 1) / group, [&](size_t index, unsigned) {
    for (size_t b = index * group; b < (index + 1) * group && b < ups + downs; b++) {
      const size_t first = b < ups ? zero_ + b * kStride : zero_ - (b - ups + 1) * kStride;
      double weight = 0, sum = 0;
      for (size_t i = first; i < first + kStride; i++) {
        const double w = weights_ ? weights_[i] : 1;
        weight += w;
        sum += w * values_[i];
      }
      (b < ups ? up_[b + 1] : down_[b - ups + 1]) = {{weight, 0}, {sum, 0}};
    }
  });
  if (!done) return done;
  up_[0] = down_[0] = Sums{};
  for (size_t b = 0; b < ups; b++) {
    up_[b + 1] = {up_[b].weight + up_[b + 1].weight, up_[b].sum + up_[b + 1].sum};
  }
  for (size_t b = 0; b < downs; b++) {
    down_[b + 1] = {down_[b].weight + down_[b + 1].weight, down_[b].sum + down_[b + 1].sum};
  }
  return Result{};
}

void RangeSums::before(size_t index, Double2& weight, Double2& sum) const noexcept {
  const bool up = index >= zero_;
  const size_t distance = up ? index - zero_ : zero_ - index, block = distance / kStride;
  const size_t first = up ? zero_ + block * kStride : index, end = up ? index : zero_ - block * kStride;
  double w = 0, s = 0;
  if (weights_) {
    for (size_t i = first; i < end; i++) w += weights_[i], s += static_cast<double>(weights_[i]) * values_[i];
  } else {
    w = static_cast<double>(end - first);
    for (size_t i = first; i < end; i++) s += values_[i];
  }
  const Sums& base = up ? up_[block] : down_[block];
  weight = base.weight + w;
  sum = base.sum + s;
  if (!up) {
    weight = {-weight.high, -weight.low};
    sum = {-sum.high, -sum.low};
  }
}

void RangeSums::between(size_t a, size_t b, double& weight, double& sum) const noexcept {
  Double2 wa, sa, wb, sb;
  before(a, wa, sa);
  before(b, wb, sb);
  weight = value(wb - wa);
  sum = value(sb - sa);
}

size_t first_above(const float* values, size_t count, float threshold, size_t hint) noexcept {
  size_t low = 0, high = count;  // everything before low is <= threshold, everything from high on is above it
  if (hint < count) {
    size_t step = 1;
    if (values[hint] > threshold) {
      high = hint;
      while (high > 0) {
        const size_t probe = high > step ? high - step : 0;
        if (!(values[probe] > threshold)) {
          low = probe + 1;
          break;
        }
        high = probe;
        step *= 2;
      }
    } else {
      low = hint + 1;
      while (low < count) {
        const size_t probe = count - low > step ? low + step : count - 1;
        if (values[probe] > threshold) {
          high = probe;
          break;
        }
        low = probe + 1;
        step *= 2;
      }
    }
  }
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (values[middle] > threshold) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

}  // namespace dc
