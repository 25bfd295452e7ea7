#include "fit_kmeans.h"

#include <algorithm>

#include "cell_pass.h"
#include "fit.h"
#include "starts.h"

namespace dc {

namespace {

// Whether cells (ascending, more than one) are as good as points for `fit`: the squared error inside them is far below
// that of the best `clusters` centroids, by Panter and Dite's law.
bool fine_enough(const CellTable& table, const Cells& cells, const Array<uint32_t>& used, uint32_t clusters) noexcept {
  double inside = 0;
  for (size_t i = 0; i < cells.count; i++) {
    const uint32_t first = table.first_key[used[i]];
    const double width = key_ulp(first) * static_cast<double>(1u << (table.map.packed[first >> 20] & 31));
    inside += cells.weights[i] * (width * width / 12);
  }
  const double price = smooth_price(cells.values.data(), cells.weights.data(), cells.count, clusters);
  return inside < 0.1 * (price * clusters / 2);
}

}  // namespace

Result fit_kmeans(const Job& job, const float* values, size_t count, const KmeansRequest& request, float* centroids,
                  uint32_t* counts, KmeansSummary& summary, bool& answered) noexcept {
  answered = false;
  const uint32_t clusters = request.clusters;
  CellTable table;
  Cells cells;
  Array<uint32_t> used;
  Result done;
  // Below that many values the tables of even cells cost more than looking up others.
  constexpr size_t kEvenFrom = size_t{1} << 22;
  for (const bool even : {true, false}) {
    if (even && count < kEvenFrom) continue;
    done = even ? fill_even_cells(job, values, count, table)
                : fill_cells(job, values, count, std::max<size_t>(8192, size_t{16} * clusters), table);
    if (done) done = finite_cells(values, count, table);
    if (!done) return done;
    size_t live = 0;
    for (size_t c = 0; c < table.map.cells; c++) live += table.count[c] > 0;
    if (!used.reset(live) || !cells.values.reset(live) || !cells.weights.reset(live)) return fail(Status::nomem);
    cells.count = 0;
    for (size_t c = 0; c < table.map.cells; c++) {
      if (!table.count[c]) continue;
      used[cells.count] = static_cast<uint32_t>(c);
      cells.values[cells.count] = cell_mean(table, c);
      cells.weights[cells.count++] = static_cast<double>(table.count[c]);
    }
    if (even && live >= size_t{4} * clusters && fine_enough(table, cells, used, clusters)) break;
  }
  const size_t live = cells.count;
  if (live < size_t{4} * clusters) return Result{};
  Array<float> fresh;
  Array<double> held, error;
  if (!fresh.reset(clusters) || !held.reset_zeroed(clusters) || !error.reset_zeroed(clusters)) {
    return fail(Status::nomem);
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
