#include "histogram.h"

#include <algorithm>

#include "fit.h"
#include "partition.h"

namespace dc {

namespace {

// The values in ascending order, as far as they matter: a cell that no border comes near is one item, a cell that one
// does is as many items as it has values.
struct Items {
  Array<uint32_t> first, last;  // keys
  Array<uint64_t> before;       // values before item i
  Array<Double2> sum;           // of the values before item i, counted from zero outwards
  size_t count = 0;
  double spread = 0;  // squared error of the one-item cells around their own means

  // Items with all keys <= `key`; false when `key` parts an item.
  bool split(uint32_t key, size_t hint, size_t& at) const noexcept {
    size_t low = 0, high = count, step = 1;
    if (hint < count && first[hint] <= key) {
      low = hint + 1;
      while (low < count) {
        const size_t probe = count - low > step ? low + step : count - 1;
        if (first[probe] > key) {
          high = probe;
          break;
        }
        low = probe + 1;
        step *= 2;
      }
    } else if (hint < count) {
      high = hint;
      while (high > 0) {
        const size_t probe = high > step ? high - step : 0;
        if (first[probe] <= key) {
          low = probe + 1;
          break;
        }
        high = probe;
        step *= 2;
      }
    }
    while (low < high) {
      const size_t middle = low + (high - low) / 2;
      if (first[middle] > key) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    at = low;
    return low == 0 || last[low - 1] <= key;
  }
};

void sort_keys(Array<uint32_t>& keys, Array<uint32_t>& other) noexcept {
  for (int pass = 0; pass < 4; pass++) {
    size_t start[256] = {0}, sum = 0;
    for (size_t i = 0; i < keys.size(); i++) start[keys[i] >> (8 * pass) & 255]++;
    for (size_t& s : start) sum += s, s = sum - s;
    for (size_t i = 0; i < keys.size(); i++) other[start[keys[i] >> (8 * pass) & 255]++] = keys[i];
    std::swap(keys, other);
  }
}

class Refiner {
 public:
  Refiner(const Job& job, const float* values, size_t count, const CellTable& table, const Array<uint32_t>& used,
          const Array<double>& means)
      : job_(job), values_(values), count_(count), table_(table), used_(used), means_(means) {}

  // Opens the cells within `reach` places of a border of these centroids.
  Result open(const float* centroids, uint32_t clusters, size_t reach) noexcept {
    const size_t cells = table_.map.cells, live = used_.size();
    Array<uint32_t> flags, keys, other;
    if (!flags.reset_zeroed((cells + 31) / 32)) return fail(Status::nomem);
    for (uint32_t i = 1; i < clusters; i++) {
      const uint32_t cell = table_.map.cell_of(order_key(midpoint_threshold(centroids[i - 1], centroids[i])));
      const size_t at = static_cast<size_t>(std::lower_bound(used_.data(), used_.data() + live, cell) - used_.data());
      for (size_t j = at > reach ? at - reach : 0; j < live && j <= at + reach; j++) {
        flags[used_[j] >> 5] |= 1u << (used_[j] & 31);
      }
    }
    const auto is_open = [&](uint32_t cell) { return (flags[cell >> 5] >> (cell & 31) & 1) != 0; };
    size_t members = 0, items = 0;
    for (size_t i = 0; i < live; i++) {
      if (is_open(used_[i])) {
        members += table_.count[used_[i]];
      } else {
        items++;
      }
    }
    items += members;
    if (!keys.reset(members) || !other.reset(members)) return fail(Status::nomem);
    const Result done = collect_members(job_, values_, count_, table_.map, flags.data(), keys, items_.spread);
    if (!done) return done;
    sort_keys(keys, other);
    other.clear();
    if (!items_.first.reset(items) || !items_.last.reset(items) || !items_.before.reset(items + 1) ||
        !items_.sum.reset(items + 1)) {
      return fail(Status::nomem);
    }
    items_.count = items;
    Double2 closed_spread;
    size_t at = 0, member = 0, zero = items;
    uint64_t before = 0;
    for (size_t i = 0; i < live; i++) {
      const uint32_t cell = used_[i], first = table_.first_key[cell];
      const uint32_t shift = table_.map.packed[first >> 20] & 31, last = first + ((1u << shift) - 1);
      const uint64_t held = table_.count[cell];
      const bool opened = is_open(cell);
      for (uint64_t j = 0; j < (opened ? held : 1); j++) {
        const uint32_t key = opened ? keys[member++] : first;
        if (zero == items && key >= kKeyOfZero) zero = at;
        items_.first[at] = key;
        items_.last[at] = opened ? key : last;
        items_.before[at] = before;
        const double mean = opened ? static_cast<double>(key_value(key)) : means_[i];
        items_.sum[at] = two_product(static_cast<double>(opened ? 1 : held), mean);
        before += opened ? 1 : held;
        at++;
      }
      if (!opened) {
        // The squares were taken around the middle of the cell.
        const double off = means_[i] - static_cast<double>(key_value(table_.map.middle_key(first)));
        closed_spread = closed_spread + static_cast<double>(held) * (off * off);
      }
    }
    items_.before[items] = before;
    items_.spread = std::max(0.0, items_.spread - value(closed_spread));
    // Item sums become prefix sums, from zero outwards.
    Double2 carried = zero < items ? items_.sum[zero] : Double2{};
    items_.sum[zero] = Double2{};
    for (size_t i = zero; i < items; i++) {
      const Double2 own = carried;
      carried = i + 1 < items ? items_.sum[i + 1] : Double2{};
      items_.sum[i + 1] = items_.sum[i] + own;
    }
    for (size_t i = zero; i > 0; i--) items_.sum[i - 1] = items_.sum[i] - items_.sum[i - 1];
    return Result{};
  }

  // Borders of the centroids as places between items; false when one of them falls inside a closed cell.
  bool place(const float* centroids, uint32_t clusters, size_t* boundaries) const noexcept {
    bool exact = true;
    boundaries[0] = 0;
    boundaries[clusters] = items_.count;
    for (uint32_t i = 1; i < clusters; i++) {
      const uint32_t key = order_key(midpoint_threshold(centroids[i - 1], centroids[i]));
      exact = items_.split(key, boundaries[i] <= items_.count ? boundaries[i] : 0, boundaries[i]) && exact;
    }
    return exact;
  }

  float mean(size_t a, size_t b) const noexcept {
    const double sum = value(items_.sum[b] - items_.sum[a]);
    const float mean = static_cast<float>(sum / static_cast<double>(items_.before[b] - items_.before[a]));
    const float lowest = key_value(items_.first[a]), highest = key_value(items_.last[b - 1]);
    return (mean < lowest ? lowest : mean > highest ? highest : mean) + 0.0f;
  }

  uint64_t held(size_t a, size_t b) const noexcept { return items_.before[b] - items_.before[a]; }

  double inertia(const float* centroids, uint32_t clusters, const size_t* boundaries) const noexcept {
    Double2 total{items_.spread, 0};
    for (uint32_t i = 0; i < clusters; i++) {
      const double c = centroids[i];
      double sum = 0;
      for (size_t j = boundaries[i]; j < boundaries[i + 1]; j++) {
        const uint64_t held = items_.before[j + 1] - items_.before[j];
        const double mean = items_.first[j] == items_.last[j] && held == 1
                                ? static_cast<double>(key_value(items_.first[j]))
                                : cell_mean(table_, table_.map.cell_of(items_.first[j]));
        sum += static_cast<double>(held) * ((mean - c) * (mean - c));
      }
      total = total + sum;
    }
    return value(total);
  }

 private:
  const Job& job_;
  const float* values_;
  size_t count_;
  const CellTable& table_;
  const Array<uint32_t>& used_;
  const Array<double>& means_;
  Items items_;
};

}  // namespace

constexpr size_t kReopenUpTo = size_t{1} << 21;

Result histogram_kmeans(const Job& job, const float* values, size_t count, const KmeansRequest& request,
                        float* centroids, uint32_t* counts, KmeansSummary& summary, bool& answered) noexcept {
  answered = false;
  const uint32_t clusters = request.clusters;
  CellTable table;
  Result done = fill_cells(job, values, count, cells_for(clusters), table);
  if (!done) return done;
  size_t live = 0;
  for (size_t c = 0; c < table.map.cells; c++) live += table.count[c] > 0;
  if (live < static_cast<size_t>(clusters) * 8) return Result{};
  Array<uint32_t> used, borders;
  Array<double> means, weights;
  Array<Node> nodes;
  Array<size_t> boundaries, next_boundaries;
  Array<float> earlier, fresh, next;
  if (!used.reset(live) || !means.reset(live) || !weights.reset(live) || !nodes.reset(live + 1) ||
      !borders.reset(clusters + 1) || !boundaries.reset(clusters + 1) || !earlier.reset(clusters) ||
      !fresh.reset(clusters) || !next.reset(clusters) || !next_boundaries.reset(clusters + 1)) {
    return fail(Status::nomem);
  }
  live = 0;
  for (size_t c = 0; c < table.map.cells; c++) {
    if (!table.count[c]) continue;
    used[live] = static_cast<uint32_t>(c);
    means[live] = cell_mean(table, c);
    weights[live++] = static_cast<double>(table.count[c]);
  }
  job.report(1, 4);
  build_nodes(means.data(), weights.data(), live, nodes.data());
  done = best_partition(job, nodes.data(), live, clusters, 0, borders.data());
  if (!done) return done;
  for (uint32_t i = 0; i < clusters; i++) {
    const Node &a = nodes[borders[i]], &b = nodes[borders[i + 1]];
    fresh[i] = static_cast<float>(value(b.sum - a.sum) / value(b.weight - a.weight)) + 0.0f;
    if (i > 0 && !(fresh[i] > fresh[i - 1])) return Result{};
  }
  nodes.clear();
  job.report(2, 4);
  // Lloyd steps as in lloyd.cpp. Where a border leaves the opened cells, others are opened; of a large input, whose
  // cells are a small step and whose passes cost the most, once: the step that would leave them is then not taken.
  const int openings = count > kReopenUpTo ? 1 : 5;
  Refiner refiner(job, values, count, table, used, means);
  uint32_t steps = 0;
  bool converged = false, placed = false;
  std::copy(fresh.begin(), fresh.end(), earlier.data());
  for (int opening = 0; opening < openings && !placed; opening++) {
    done = refiner.open(fresh.data(), clusters, size_t{1} << opening);
    if (!done) return done;
    for (uint32_t i = 0; i <= clusters; i++) boundaries[i] = 0;
    if (!refiner.place(fresh.data(), clusters, boundaries.data())) return fail(Status::structure);
    placed = true;
    const bool final_opening = opening + 1 == openings;
    while (!converged && steps < request.max_iterations) {
      if (job.cancelled()) return fail(Status::aborted);
      double moved = 0;
      bool changed = false;
      for (uint32_t i = 0; i < clusters; i++) {
        if (refiner.held(boundaries[i], boundaries[i + 1]) == 0) return Result{};
        next[i] = refiner.mean(boundaries[i], boundaries[i + 1]);
        const double move = static_cast<double>(next[i]) - static_cast<double>(fresh[i]);
        changed = changed || next[i] != fresh[i];
        moved = std::max(moved, move < 0 ? -move : move);
      }
      std::copy(boundaries.begin(), boundaries.end(), next_boundaries.data());
      placed = refiner.place(next.data(), clusters, next_boundaries.data());
      if (!placed && final_opening) {
        placed = true;
        break;
      }
      std::swap(fresh, next);
      std::swap(boundaries, next_boundaries);
      steps++;
      converged = placed && (!changed || moved <= request.tolerance);
      if (!placed || std::equal(fresh.begin(), fresh.end(), earlier.data())) break;
      if ((steps & (steps - 1)) == 0) std::copy(fresh.begin(), fresh.end(), earlier.data());
    }
  }
  for (uint32_t i = 0; i < clusters; i++) {
    if (refiner.held(boundaries[i], boundaries[i + 1]) == 0) return Result{};
  }
  for (uint32_t i = 0; i < clusters; i++) {
    centroids[i] = fresh[i];
    counts[i] = static_cast<uint32_t>(refiner.held(boundaries[i], boundaries[i + 1]));
  }
  summary.used = clusters;
  summary.iterations = steps;
  summary.converged = converged;
  summary.inertia = refiner.inertia(centroids, clusters, boundaries.data());
  answered = true;
  return Result{};
}

Result fit_kmeans(const Job& job, const float* values, size_t count, const KmeansRequest& request, float* centroids,
                  uint32_t* counts, KmeansSummary& summary, bool& answered) noexcept {
  answered = false;
  const uint32_t clusters = request.clusters;
  CellTable table;
  const size_t target = std::max<size_t>(8192, size_t{16} * clusters);
  Result done = fill_cells(job, values, count, target, table);
  if (!done) return done;
  Cells cells;
  size_t live = 0;
  for (size_t c = 0; c < table.map.cells; c++) live += table.count[c] > 0;
  if (live < static_cast<size_t>(clusters) * 4) return Result{};
  Array<uint32_t> used;
  Array<float> fresh;
  Array<double> held, error;
  if (!used.reset(live) || !cells.values.reset(live) || !cells.weights.reset(live) || !fresh.reset(clusters) ||
      !held.reset_zeroed(clusters) || !error.reset_zeroed(clusters)) {
    return fail(Status::nomem);
  }
  for (size_t c = 0; c < table.map.cells; c++) {
    if (!table.count[c]) continue;
    used[cells.count] = static_cast<uint32_t>(c);
    cells.values[cells.count] = cell_mean(table, c);
    cells.weights[cells.count++] = static_cast<double>(table.count[c]);
  }
  done = fit_centroids(job, cells, clusters, fresh.data());
  if (!done) return done;
  // Shares of each cell: the values of a cell are taken as spread evenly over it.
  uint32_t cluster = 0;
  for (size_t i = 0; i < live; i++) {
    const uint32_t first = table.first_key[used[i]], shift = table.map.packed[first >> 20] & 31;
    const double low = key_value(first), width = key_ulp(first) * static_cast<double>(1u << shift);
    double from = low;
    const double whole = cells.weights[i];
    for (;;) {
      const double border = cluster + 1 < clusters
                                ? (static_cast<double>(fresh[cluster]) + static_cast<double>(fresh[cluster + 1])) / 2
                                : 1e300;
      const double to = std::min(border, low + width);
      if (to > from || from == low) {
        const double stretch = std::max(0.0, to - from), part = whole * stretch / width;
        const bool all = from == low && to == low + width;
        const double middle = (all ? cells.values[i] : (from + to) / 2) - static_cast<double>(fresh[cluster]);
        held[cluster] += part;
        error[cluster] += part * (middle * middle + (shift ? stretch * stretch / 12 : 0));
        from = std::max(from, to);
      }
      if (border >= low + width) break;
      cluster++;
    }
  }
  // Whole counts that add up, by rounding the running sum.
  double running = 0, inertia = 0;
  uint64_t given = 0;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < clusters; i++) {
    running += held[i];
    inertia += error[i];
    const uint64_t up_to = i + 1 == clusters ? count : std::min<uint64_t>(count, static_cast<uint64_t>(running + 0.5));
    const uint64_t own = up_to > given ? up_to - given : 0;
    given += own;
    if (own == 0) continue;
    if (kept > 0 && !(fresh[i] > centroids[kept - 1])) {
      counts[kept - 1] += static_cast<uint32_t>(own);
      continue;
    }
    centroids[kept] = fresh[i];
    counts[kept++] = static_cast<uint32_t>(own);
  }
  summary.used = kept;
  summary.inertia = inertia;
  answered = true;
  return Result{};
}

}  // namespace dc
