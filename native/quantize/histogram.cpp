#include "histogram.h"

#include <algorithm>
#include <cmath>

#include "gap.h"
#include "partition.h"
#include "starts.h"

namespace dc {

namespace {

// What the exact steps look at: the cells near a border ("open") by their values one by one, all others by count and
// sum. Sums of values are taken from zero outwards, see partition.h.
class Refiner {
 public:
  struct Border {
    size_t run = 0, place = 0;  // the first member above the border, in the run it lies in
    uint64_t before = 0;        // values before it
    Double2 sum;                // of the values between zero and it, negative on the way down
  };

  Refiner(const Job& job, const float* values, size_t count, const CellTable& table, const Array<uint32_t>& used,
          const Array<double>& means)
      : job_(job), values_(values), count_(count), table_(table), used_(used), means_(means) {}

  // Opens the cells within `reach` places of a border of these centroids, unless they hold more
  // than `most` values: `opened` then stays false and all is as before.
  Result open(const float* centroids, uint32_t clusters, size_t reach, size_t most, bool& opened) noexcept {
    opened = false;
    const size_t cells = table_.map.cells, live = used_.size();
    Array<uint32_t> flags;
    if (!flags.reset_zeroed((cells + 31) / 32)) return fail(Status::nomem);
    for (uint32_t i = 1; i < clusters; i++) {
      const uint32_t cell = table_.map.cell_of(order_key(midpoint_threshold(centroids[i - 1], centroids[i])));
      const size_t at = static_cast<size_t>(std::lower_bound(used_.data(), used_.data() + live, cell) - used_.data());
      for (size_t j = at > reach ? at - reach : 0; j < live && j <= at + reach; j++) {
        flags[used_[j] >> 5] |= 1u << (used_[j] & 31);
      }
    }
    size_t members = 0, open_cells = 0;
    for (size_t i = 0; i < live; i++) {
      if (!(flags[used_[i] >> 5] >> (used_[i] & 31) & 1)) continue;
      members += table_.count[used_[i]];
      open_cells++;
    }
    if (members > most) return Result{};
    opened = true;
    flags_ = std::move(flags);
    Result done = collect(members, open_cells);
    return done ? lay_out() : done;
  }

  // The border of a threshold; false when it falls among closed cells.
  bool place(float threshold, Border& border) const noexcept {
    const uint32_t key = order_key(threshold);
    if (!(runs_[border.run].after <= key && key < runs_[border.run].limit)) {
      size_t low = 0, high = runs_.size();
      while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (runs_[middle].limit > key) {
          high = middle;
        } else {
          low = middle + 1;
        }
      }
      if (low == runs_.size() || runs_[low].after > key) return false;
      border.run = low;
      border.place = runs_[low].first;
    }
    const Run& run = runs_[border.run];
    const float* const x = members_.data() + run.first;
    const size_t place =
        run.first + first_above(x, run.end - run.first, threshold, std::min(border.place, run.end - 1) - run.first);
    border.place = place;
    border.before = run.before + (place - run.first);
    const size_t distance = run.negative ? run.end - place : place - run.first, block = distance / kStride;
    const size_t first = run.negative ? place : run.first + block * kStride;
    const size_t end = run.negative ? run.end - block * kStride : place;
    double rest = 0;
    for (size_t i = first; i < end; i++) rest += static_cast<double>(members_[i]);
    border.sum = (run.outer + sums_[run.block + block]) + rest;
    if (run.negative) border.sum = {-border.sum.high, -border.sum.low};
    return true;
  }

  Border lowest() const noexcept {
    Border border;
    border.sum = {-below_zero_.high, -below_zero_.low};
    return border;
  }
  Border highest() const noexcept {
    Border border;
    border.before = count_;
    border.sum = above_zero_;
    return border;
  }

  // Squared error around `centroids`, whose borders are all among the open cells.
  Result inertia(const float* centroids, uint32_t clusters, double& out) const noexcept {
    Double2 total;
    uint32_t cluster = 0;
    double part = 0;
    for (size_t i = 0; i < used_.size(); i++) {
      if (is_open(used_[i])) continue;
      const uint32_t first = table_.first_key[used_[i]];
      while (cluster + 1 < clusters &&
             order_key(midpoint_threshold(centroids[cluster], centroids[cluster + 1])) < first) {
        total = total + part;
        part = 0;
        cluster++;
      }
      const double off = means_[i] - static_cast<double>(centroids[cluster]);
      part += static_cast<double>(table_.count[used_[i]]) * (off * off);
    }
    total = total + part + closed_spread_;
    Array<double> of_run;
    if (!of_run.reset_zeroed(runs_.size())) return fail(Status::nomem);
    const Result done = parallel(job_, runs_.size(), [&](size_t r, unsigned) {
      const float* x = members_.data() + runs_[r].first;
      const float* const end = members_.data() + runs_[r].end;
      uint32_t c = static_cast<uint32_t>(std::lower_bound(centroids, centroids + clusters, *x) - centroids);
      if (c > 0) c--;
      for (; x < end; c++) {
        const float threshold = c + 1 < clusters ? midpoint_threshold(centroids[c], centroids[c + 1]) : INFINITY;
        double sum = 0;
        for (; x < end && *x <= threshold; x++) {
          const double d = static_cast<double>(*x) - static_cast<double>(centroids[c]);
          sum += d * d;
        }
        of_run[r] += sum;
      }
    });
    for (size_t r = 0; r < runs_.size(); r++) total = total + of_run[r];
    out = value(total);
    return done;
  }

  // Squared error of all values around the means of their cells, and the cells for the bound (gap.h).
  Result describe(double& spread, Array<GapCell>& cells) const noexcept {
    if (!cells.reset(used_.size())) return fail(Status::nomem);
    Double2 total{closed_spread_, 0};
    size_t open_cell = 0;
    for (size_t i = 0; i < used_.size(); i++) {
      const uint32_t cell = used_[i], first = table_.first_key[cell];
      const double held = static_cast<double>(table_.count[cell]);
      GapCell& out = cells[i];
      out = {static_cast<double>(key_value(first)), static_cast<double>(key_value(last_key(first))), held, 0};
      if (is_open(cell)) {
        const double own = open_spread_[open_cell];
        out.low = members_[begin_[open_cell]];
        out.high = members_[begin_[open_cell + 1] - 1];
        total = total + own;
        open_cell++;
        out.slack = std::min(slack_of_count(held, out.high - out.low), slack_of_spread(held, own));
      } else {
        out.slack = slack_of_count(held, out.high - out.low);
      }
    }
    spread = std::max(0.0, value(total));
    return Result{};
  }

 private:
  static constexpr size_t kStride = 64;

  // Neighbouring open cells on one side of zero. Borders with after <= key < limit part nothing but its members.
  struct Run {
    size_t first, end;  // members
    size_t block;       // its sums of the first, or last, multiples of kStride members
    uint32_t after, limit;
    bool negative;
    uint64_t before;  // values before it
    Double2 outer;    // sum of the values between zero and its inner end
  };

  bool is_open(uint32_t cell) const noexcept { return (flags_[cell >> 5] >> (cell & 31) & 1) != 0; }
  uint32_t last_key(uint32_t first) const noexcept {
    return first + ((1u << (table_.map.packed[first >> 20] & 31)) - 1);
  }

  // The values of the open cells in ascending order, and the squared error inside the cells.
  Result collect(size_t members, size_t open_cells) noexcept {
    Array<uint32_t> keys;
    Array<size_t> next;
    const size_t cells = table_.map.cells;
    // The sums of squares are those around the middles of the closed cells.
    double squares = 0;
    if (!keys.reset(members) || !next.reset(cells) || !members_.reset(members) || !begin_.reset(open_cells + 1) ||
        !open_spread_.reset(open_cells)) {
      return fail(Status::nomem);
    }
    Result done = collect_members(job_, values_, count_, table_.map, flags_.data(), keys, squares);
    if (!done) return done;
    Double2 closed{squares, 0};
    size_t at = 0, cell_number = 0, largest = 0;
    for (size_t i = 0; i < used_.size(); i++) {
      const uint32_t cell = used_[i];
      const size_t held = static_cast<size_t>(table_.count[cell]);
      if (is_open(cell)) {
        next[cell] = at;
        begin_[cell_number++] = at;
        at += held;
        largest = std::max(largest, held);
      } else {
        const double off = means_[i] - static_cast<double>(key_value(table_.map.middle_key(table_.first_key[cell])));
        closed = closed + -(static_cast<double>(held) * (off * off));
      }
    }
    begin_[cell_number] = at;
    closed_spread_ = std::max(0.0, value(closed));
    // Into their cells. The order inside a cell is open until it is sorted; on one thread, because two would fight for
    // the counters (22 ns a value).
    uint32_t* const placed = reinterpret_cast<uint32_t*>(members_.data());
    for (size_t i = 0; i < members; i++) {
      if (i % kBlockElements == 0 && job_.cancelled()) return fail(Status::aborted);
      const size_t to = next[table_.map.cell_of(keys[i])]++;
      if (to >= members) return fail(Status::arg);  // the caller's array changed under us
      placed[to] = keys[i];
    }
    keys.clear();
    const unsigned workers = job_.threads < 1 ? 1 : job_.threads > 64 ? 64 : job_.threads;
    Array<uint32_t> scratch;
    if (!scratch.reset(workers * largest)) return fail(Status::nomem);
    constexpr size_t kGroup = 16;
    return parallel(job_, (open_cells + kGroup - 1) / kGroup, [&](size_t group, unsigned worker) {
      for (size_t c = group * kGroup; c < open_cells && c < (group + 1) * kGroup; c++) {
        const size_t first = begin_[c], count = begin_[c + 1] - first;
        const unsigned bits = table_.map.packed[placed[first] >> 20] & 31;
        sort_small(placed + first, count, bits, scratch.data() + worker * largest);
        double sum = 0, spread = 0;
        for (size_t i = first; i < first + count; i++) {
          members_[i] = key_value(placed[i]);
          sum += static_cast<double>(members_[i]) - static_cast<double>(members_[first]);
        }
        const double mean = static_cast<double>(members_[first]) + sum / static_cast<double>(count);
        for (size_t i = first; i < first + count; i++) {
          const double d = static_cast<double>(members_[i]) - mean;
          spread += d * d;
        }
        open_spread_[c] = spread;
      }
    });
  }

  // The exact sum of a cell: whole numbers of ulps above its first value.
  Double2 cell_sum(uint32_t cell) const noexcept {
    const uint32_t first = table_.first_key[cell];
    return two_product(static_cast<double>(table_.count[cell]), static_cast<double>(key_value(first))) +
           static_cast<double>(table_.low[cell]) * key_ulp(first);
  }

  Result lay_out() noexcept {
    const size_t live = used_.size();
    size_t runs = 0, blocks = 0;
    for (int pass = 0; pass < 2; pass++) {  // count, then write
      size_t number = 0, member = 0;
      uint64_t before = 0;
      blocks = 0;
      for (size_t i = 0; i < live;) {
        if (!is_open(used_[i])) {
          before += table_.count[used_[i++]];
          continue;
        }
        const size_t first = i;
        const bool negative = table_.first_key[used_[i]] < kKeyOfZero;
        size_t held = 0;
        while (i < live && is_open(used_[i]) && (table_.first_key[used_[i]] < kKeyOfZero) == negative) {
          held += table_.count[used_[i++]];
        }
        if (pass == 1) {
          Run& run = runs_[number];
          run.first = member;
          run.end = member + held;
          run.block = blocks;
          run.after = first > 0 ? last_key(table_.first_key[used_[first - 1]]) : 0;
          run.limit = i < live ? table_.first_key[used_[i]] : UINT32_MAX;
          run.negative = negative;
          run.before = before;
        }
        number++;
        member += held;
        before += held;
        blocks += held / kStride + 1;
      }
      runs = number;
      if (pass == 0 && (!runs_.reset(runs) || !sums_.reset(blocks))) return fail(Status::nomem);
    }
    const Result done = parallel(job_, runs, [&](size_t r, unsigned) {
      const Run& run = runs_[r];
      Double2* const sums = sums_.data() + run.block;
      sums[0] = Double2{};
      for (size_t b = 0; (b + 1) * kStride <= run.end - run.first; b++) {
        const float* const x = members_.data() + (run.negative ? run.end - (b + 1) * kStride : run.first + b * kStride);
        double sum = 0;
        for (size_t i = 0; i < kStride; i++) sum += static_cast<double>(x[i]);
        sums[b + 1] = sums[b] + sum;
      }
    });
    // The sums between zero and each run, outwards both ways.
    size_t zero = 0, run = 0;
    while (zero < live && table_.first_key[used_[zero]] < kKeyOfZero) zero++;
    while (run < runs && runs_[run].negative) run++;
    above_zero_ = below_zero_ = Double2{};
    size_t next = run;
    for (size_t i = zero; i < live; i++) {
      if (is_open(used_[i]) && (i == zero || !is_open(used_[i - 1]))) runs_[next++].outer = above_zero_;

      above_zero_ = above_zero_ + cell_sum(used_[i]);
    }
    for (size_t i = zero; i > 0; i--) {
      if (is_open(used_[i - 1]) && (i == zero || !is_open(used_[i]))) runs_[--run].outer = below_zero_;
      below_zero_ = below_zero_ + cell_sum(used_[i - 1]);
    }
    return done;
  }

  const Job& job_;
  const float* values_;
  size_t count_;
  const CellTable& table_;
  const Array<uint32_t>& used_;
  const Array<double>& means_;
  Array<uint32_t> flags_;
  Array<float> members_;       // of the open cells, ascending
  Array<size_t> begin_;        // of each open cell among them
  Array<double> open_spread_;  // squared error of each around its own mean
  double closed_spread_ = 0;
  Array<Run> runs_;
  Array<Double2> sums_;
  Double2 above_zero_, below_zero_;
};

// Lloyd steps from `centroids`, as in lloyd.cpp; only what a step moved is looked at in the next one.
struct Steps {
  Array<float> centroids, next, earlier;  // earlier: after the last power of two of steps; a cycle comes back to them
  Array<Refiner::Border> borders, moved;  // moved[j] is the new border of number changed[j]
  Array<uint32_t> changed;
  Array<uint8_t> stale;  // clusters whose mean is to be taken anew
  uint32_t count = 0;
  bool converged = false, cycles = false;

  bool prepare(uint32_t clusters) noexcept {
    return centroids.reset(clusters) && next.reset(clusters) && earlier.reset(clusters) &&
           borders.reset(clusters + 1) && moved.reset(clusters + 1) && changed.reset(clusters + 1) &&
           stale.reset(clusters);
  }

  uint64_t held(uint32_t i) const noexcept { return borders[i + 1].before - borders[i].before; }

  // All borders anew; false when one falls among closed cells or a cluster is empty.
  bool start(const Refiner& refiner) noexcept {
    const uint32_t clusters = static_cast<uint32_t>(centroids.size());
    borders[0] = refiner.lowest();
    borders[clusters] = refiner.highest();
    for (uint32_t i = 1; i < clusters; i++) {
      borders[i] = Refiner::Border{};
      if (!refiner.place(midpoint_threshold(centroids[i - 1], centroids[i]), borders[i])) return false;
    }
    for (uint8_t& s : stale) s = 1;
    return true;
  }

  enum class Outcome { done, left, empty, aborted };
  // Up to the fixed point, the limit of steps, a cycle, or until a border would leave the open cells: the centroids are
  // then those of that last step (in `next`), the borders those before it.
  Outcome run(const Job& job, const Refiner& refiner, const KmeansRequest& request) noexcept {
    const uint32_t clusters = static_cast<uint32_t>(centroids.size());
    for (uint32_t i = 0; i < clusters; i++) {
      if (held(i) == 0) return Outcome::empty;
    }
    while (!converged && !cycles && count < request.max_iterations) {
      if (count % 16 == 0 && job.cancelled()) return Outcome::aborted;
      double distance = 0;
      uint32_t touched = 0;
      for (uint32_t i = 0; i < clusters; i++) {
        next[i] = centroids[i];
        if (!stale[i]) continue;
        const double mean = value(borders[i + 1].sum - borders[i].sum) / static_cast<double>(held(i));
        next[i] = static_cast<float>(mean) + 0.0f;
        const double move = static_cast<double>(next[i]) - static_cast<double>(centroids[i]);
        if (move == 0) continue;
        distance = std::max(distance, move < 0 ? -move : move);
        if (i > 0 && (touched == 0 || changed[touched - 1] != i)) changed[touched++] = i;
        if (i + 1 < clusters) changed[touched++] = i + 1;
      }
      for (uint32_t j = 0; j < touched; j++) {
        const uint32_t i = changed[j];
        if (!(next[i - 1] < next[i])) return Outcome::empty;
        moved[j] = borders[i];
        if (!refiner.place(midpoint_threshold(next[i - 1], next[i]), moved[j])) return Outcome::left;
      }
      for (uint8_t& s : stale) s = 0;
      for (uint32_t j = 0; j < touched; j++) {
        const uint32_t i = changed[j];
        if (moved[j].before != borders[i].before) stale[i - 1] = stale[i] = 1;
        borders[i] = moved[j];
      }
      std::swap(centroids, next);
      for (uint32_t j = 0; j < touched; j++) {
        if (held(changed[j] - 1) == 0 || held(changed[j]) == 0) return Outcome::empty;
      }
      count++;
      converged = distance <= request.tolerance;
      if (!converged) cycles = std::equal(centroids.begin(), centroids.end(), earlier.data());
      if ((count & (count - 1)) == 0) std::copy(centroids.begin(), centroids.end(), earlier.data());
    }
    return Outcome::done;
  }
};

// Lloyd steps on the cells, each taken as evenly filled around its mean: they bring the borders from the ends of cells
// to near where the values themselves will have them, without looking at one. The slow part of Lloyd's way is done
// already, by the programme over the cells; a few hundred steps even out what is left between neighbours.
Result relax(const Job& job, const CellTable& table, const Array<uint32_t>& used, const Array<double>& means,
             const Node* nodes, uint32_t clusters, const Array<uint32_t>& start, float* centroids) noexcept {
  constexpr int kSteps = 200;
  Array<double> low, high, mean;
  Array<uint32_t> at;
  struct Share {
    double weight, sum;  // between the start of the border's cell and the border
  };
  Array<Share> share;
  const size_t live = used.size();
  if (!low.reset(live) || !high.reset(live) || !mean.reset(clusters) || !at.reset(clusters + 1) ||
      !share.reset(clusters + 1)) {
    return fail(Status::nomem);
  }
  for (size_t i = 0; i < live; i++) {
    const uint32_t first = table.first_key[used[i]], shift = table.map.packed[first >> 20] & 31;
    low[i] = key_value(first);
    high[i] = low[i] + key_ulp(first) * static_cast<double>((1u << shift) - 1);
  }
  for (uint32_t i = 0; i <= clusters; i++) {
    at[i] = start[i];
    share[i] = {0, 0};
  }
  for (uint32_t i = 0; i < clusters; i++) mean[i] = centroids[i];
  for (int step = 0; step < kSteps; step++) {
    if (step % 16 == 0 && job.cancelled()) return fail(Status::aborted);
    for (uint32_t i = 1; i < clusters; i++) {
      const double border = (mean[i - 1] + mean[i]) / 2;
      size_t j = at[i];
      while (j > 0 && (j >= live || low[j] > border)) j--;
      while (j + 1 < live && low[j + 1] <= border) j++;
      at[i] = static_cast<uint32_t>(j);
      const double width = high[j] - low[j], weight = static_cast<double>(table.count[used[j]]);
      const double part = border >= high[j] ? 1 : width > 0 && border > low[j] ? (border - low[j]) / width : 0;
      const double tilt = (means[j] - low[j] - width / 2) * part;
      share[i] = {weight * part, weight * part * (low[j] + width * part / 2 + tilt)};
    }
    for (uint32_t i = 0; i < clusters; i++) {
      const Node &a = nodes[at[i]], &b = nodes[at[i + 1]];
      const double weight = value(b.weight - a.weight) + (share[i + 1].weight - share[i].weight);
      if (!(weight > 0)) return Result{};
      mean[i] = (value(b.sum - a.sum) + (share[i + 1].sum - share[i].sum)) / weight;
      if (i > 0 && !(static_cast<float>(mean[i]) > static_cast<float>(mean[i - 1]))) return Result{};
    }
  }
  for (uint32_t i = 0; i < clusters; i++) centroids[i] = static_cast<float>(mean[i]) + 0.0f;
  return Result{};
}

// A better guess of the price of a cluster: that of the cheapest partition with borders at every few cells only (and at
// zero, where pruned values have a hole). One search over all cells is then mostly enough.
Result coarse_price(const Job& job, const Array<double>& means, const Node* nodes, uint32_t clusters,
                    double& price) noexcept {
  const size_t live = means.size(), step = live / std::max<size_t>(2048, size_t{16} * clusters);
  if (step < 2) return Result{};
  Array<Node> coarse;
  Array<uint32_t> borders;
  if (!coarse.reset(live / step + 3) || !borders.reset(clusters + 1)) return fail(Status::nomem);
  const size_t zero = static_cast<size_t>(std::lower_bound(means.data(), means.data() + live, 0.0) - means.data());
  size_t count = 0;
  for (size_t i = 0; i < zero; i += step) coarse[count++] = nodes[i];
  for (size_t i = zero; i < live; i += step) coarse[count++] = nodes[i];
  coarse[count] = nodes[live];
  // From a price that is a little too high the search passes another point of the curve, which tells its slope.
  price *= 1 + 6.0 / clusters;
  return best_partition(job, coarse.data(), count, clusters, price, borders.data(), &price);
}

// Openings reach 1, 4, 16, ... cells to either side, as long as they hold no more than this.
size_t most_members(size_t count) noexcept { return std::max<size_t>(size_t{1} << 21, count / 8); }

}  // namespace

Result histogram_kmeans(const Job& job, const float* values, size_t count, const KmeansRequest& request,
                        float* centroids, uint32_t* counts, KmeansSummary& summary, bool& answered) noexcept {
  answered = false;
  const uint32_t clusters = request.clusters;
  CellTable table;
  size_t target = cells_for(clusters), live = 0;
  for (int round = 0; round < 2; round++) {
    Result done = fill_cells(job, values, count, target, table);
    if (done) done = finite_cells(values, count, table);
    if (!done) return done;
    live = 0;
    for (size_t c = 0; c < table.map.cells; c++) live += table.count[c] > 0;
    // Values far from zero beside their spread lie in a small part of what the map is cut into.
    if (live * 3 > target) break;
    target = finer_target(target, live);
  }
  if (live < static_cast<size_t>(clusters) * 16) return Result{};
  Result done;
  Array<uint32_t> used, borders;
  Array<double> means, weights;
  Array<Node> nodes;
  Steps steps;
  if (!used.reset(live) || !means.reset(live) || !weights.reset(live) || !nodes.reset(live + 1) ||
      !borders.reset(clusters + 1) || !steps.prepare(clusters)) {
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
  done = build_nodes(job, means.data(), weights.data(), live, nodes.data());
  if (!done) return done;
  double price = smooth_price(means.data(), weights.data(), live, clusters);
  done = coarse_price(job, means, nodes.data(), clusters, price);
  if (done) done = best_partition(job, nodes.data(), live, clusters, price, borders.data());
  if (!done) return done;
  Double2 cost;
  for (uint32_t i = 0; i < clusters; i++) {
    const Node &a = nodes[borders[i]], &b = nodes[borders[i + 1]];
    cost = cost + cluster_cost(a, b);
    steps.centroids[i] = static_cast<float>(value(b.sum - a.sum) / value(b.weight - a.weight)) + 0.0f;
    if (i > 0 && !(steps.centroids[i] > steps.centroids[i - 1])) return Result{};
  }
  done = relax(job, table, used, means, nodes.data(), clusters, borders, steps.centroids.data());
  if (!done) return done;
  nodes.clear();
  job.report(2, 4);
  std::copy(steps.centroids.begin(), steps.centroids.end(), steps.earlier.data());
  Refiner refiner(job, values, count, table, used, means);
  for (size_t reach = 1;; reach *= 4) {
    bool opened = false;
    const float* const around = reach == 1 ? steps.centroids.data() : steps.next.data();
    done = refiner.open(around, clusters, reach, reach == 1 ? SIZE_MAX : most_members(count), opened);
    if (!done) return done;
    if (!opened) break;  // the step that would leave the open cells is not taken
    if (reach > 1) {
      std::swap(steps.centroids, steps.next);
      steps.count++;
    }
    if (!steps.start(refiner)) return fail(Status::structure);
    const Steps::Outcome outcome = steps.run(job, refiner, request);
    if (outcome == Steps::Outcome::aborted) return fail(Status::aborted);
    if (outcome == Steps::Outcome::empty) return Result{};
    if (outcome == Steps::Outcome::done) break;
  }
  job.report(3, 4);
  for (uint32_t i = 0; i < clusters; i++) {
    centroids[i] = steps.centroids[i];
    counts[i] = static_cast<uint32_t>(steps.held(i));
  }
  summary.used = clusters;
  summary.iterations = steps.count;
  summary.converged = steps.converged;
  done = refiner.inertia(centroids, clusters, summary.inertia);
  if (!done) return done;
  answered = true;
  if (request.algorithm != KmeansAlgorithm::histogram) return Result{};
  Array<GapCell> cells;
  double spread = 0, loss = 0;
  done = refiner.describe(spread, cells);
  if (done) done = border_loss(job, cells.data(), cells.size(), clusters, summary.inertia, loss);
  if (!done) return done;
  summary.lower_bound = bound_below(value(cost) + spread, loss, summary.inertia);
  return Result{};
}

}  // namespace dc
