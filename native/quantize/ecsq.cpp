#include "ecsq.h"

#include <algorithm>
#include <cmath>

#include "assign.h"
#include "cell_pass.h"
#include "points.h"

namespace dc {

namespace {

constexpr size_t kFineCells = 32768, kCoarseCells = 768;
constexpr uint32_t kMost = 256;
constexpr unsigned kSearchSteps = 13;
// What a centroid costs the file besides its codes: its number, and a few bits of the code's table (S1.6).
constexpr double kTableBits = 5;

// How the centroids are stored (format 3.1): as float32 or float16.
enum class Form { single, half };

double centroid_bits(Form form) noexcept { return (form == Form::half ? 16 : 32) + kTableBits; }

// The nearest half-precision number; not finite when there is none.
double nearest_half(double x) noexcept {
  const double magnitude = std::fabs(x);
  if (!(magnitude < 65520)) return HUGE_VAL;
  uint64_t u;
  std::memcpy(&u, &magnitude, 8);
  // 11 significant bits, and never finer than 2^-24.
  const int exponent = std::max(static_cast<int>(u >> 52) - 1023 - 10, -24);
  const double rounded = std::ldexp(std::floor(std::ldexp(magnitude, -exponent) + 0.5), exponent);
  return x < 0 ? -rounded : rounded;
}

// log2 in + - * / only, so that all machines agree; x >= 1. The series of artanh, |t| <= 0.172: below 1e-15.
double log2_of(double x) noexcept {
  uint64_t u;
  std::memcpy(&u, &x, 8);
  int exponent = static_cast<int>(u >> 52) - 1023;
  u = (u & 0xfffffffffffffull) | 0x3ff0000000000000ull;
  double m;
  std::memcpy(&m, &u, 8);
  if (m > 1.4142135623730951) m *= 0.5, exponent++;
  const double t = (m - 1) / (m + 1), q = t * t;
  const double series =
      1 +
      q * (1.0 / 3 +
           q * (1.0 / 5 + q * (1.0 / 7 + q * (1.0 / 9 + q * (1.0 / 11 + q * (1.0 / 13 + q * (1.0 / 15 + q / 17)))))));
  return exponent + 2.8853900817779268 * t * series;
}

// A partition of the fine cells: cluster i holds cells [border[i], border[i + 1]).
struct Partition {
  uint32_t used = 0;
  uint32_t border[kMost + 1] = {0};
  double error = 0, bits = 0;  // of the cells' means; of all codes
};

class Solver {
 public:
  Solver(const Job& job, uint32_t most) : job_(job), most_(most) {}

  Result prepare(const CellTable& table) noexcept {
    size_t live = 0;
    for (size_t c = 0; c < table.map.cells; c++) live += table.count[c] > 0;
    cells_ = live;
    if (!cell.reset(live) || !mean.reset(live) || !count_of_.reset(live) || !weight_.reset(live + 1) ||
        !first_.reset(live + 1) || !second_.reset(live + 1) || !coarse_.reset(kCoarseCells + 2) ||
        !best_.reset(kCoarseCells + 2) || !from_.reset(kCoarseCells + 2)) {
      return fail(Status::nomem);
    }
    live = 0;
    size_t zero = 0;
    for (size_t c = 0; c < table.map.cells; c++) {
      if (!table.count[c]) continue;
      const double w = static_cast<double>(table.count[c]), m = cell_mean(table, c);
      cell[live] = static_cast<uint32_t>(c);
      mean[live] = m;
      count_of_[live] = w;
      zero += m < 0;
      live++;
    }
    // From zero outwards, so that the sums of small values are not rounded by those of great ones.
    weight_[0] = first_[zero] = second_[zero] = 0;
    for (size_t i = 0; i < live; i++) weight_[i + 1] = weight_[i] + count_of_[i];
    for (size_t i = zero; i < live; i++) {
      first_[i + 1] = first_[i] + count_of_[i] * mean[i];
      second_[i + 1] = second_[i] + count_of_[i] * (mean[i] * mean[i]);
    }
    for (size_t i = zero; i-- > 0;) {
      first_[i] = first_[i + 1] - count_of_[i] * mean[i];
      second_[i] = second_[i + 1] - count_of_[i] * (mean[i] * mean[i]);
    }
    total_bits_ = log2_of(weight_[live]);
    group();
    return Result{};
  }

  double total() const noexcept { return weight_[cells_]; }
  double variance() const noexcept { return error(0, cells_) / total(); }
  double count(size_t a, size_t b) const noexcept { return weight_[b] - weight_[a]; }
  double average(size_t a, size_t b) const noexcept {
    return b == a + 1 ? mean[a] : (first_[b] - first_[a]) / count(a, b);
  }

  // The centroid of these cells in the form that is being solved for.
  double centroid(size_t a, size_t b) const noexcept {
    const double exact = average(a, b);
    return (form_ == Form::half ? nearest_half(exact) : static_cast<double>(static_cast<float>(exact))) + 0.0;
  }
  // Squared error of the cells' means.
  double exact_error(const Partition& p) const noexcept {
    double sum = 0;
    for (uint32_t i = 0; i < p.used; i++) {
      const double c = centroid(p.border[i], p.border[i + 1]);
      for (uint32_t j = p.border[i]; j < p.border[i + 1]; j++) sum += count_of_[j] * ((mean[j] - c) * (mean[j] - c));
    }
    return sum;
  }
  double cost_bits(const Partition& p) const noexcept { return p.bits + p.used * centroid_bits(form_); }

  // Half precision reaches all values.
  bool has_halves() const noexcept { return std::max(-mean[0], mean[cells_ - 1]) < 65504; }
  void set_form(Form form) noexcept { form_ = form; }

  // The partition of least error + lambda * bits into at most `most` clusters, as far as coarse cells and then steps of
  // Chou et al. find it.
  Result solve(double lambda, Partition& out) noexcept {
    double price = lambda * centroid_bits(form_);
    if (!shortest(lambda, price, out)) return fail(Status::aborted);
    if (out.used == 0) {
      // Too many clusters: raise their price until they are few enough, then come close from above.
      double high = std::max(price, least_price()), low = price;
      for (out.used = 0; out.used == 0; high *= 8) {
        low = high;
        if (!shortest(lambda, high * 8, out)) return fail(Status::aborted);
      }
      Partition tried;
      for (int step = 0; step < 7; step++) {
        const double middle = (low + high) / 2;
        if (!shortest(lambda, middle, tried)) return fail(Status::aborted);
        if (tried.used == 0) {
          low = middle;
        } else {
          high = middle;
          out = tried;
        }
      }
    }
    measure(out);
    for (int step = 0; step < 40; step++) {
      Partition next = out;
      move_borders(lambda, next);
      measure(next);
      if (!(next.error + lambda * cost_bits(next) < out.error + lambda * cost_bits(out))) break;
      out = next;
    }
    out.error = exact_error(out);
    return Result{};
  }

  Array<uint32_t> cell;  // of each fine cell: its number in the map
  Array<double> mean;

 private:
  double error(size_t a, size_t b) const noexcept {
    if (b == a + 1) return 0;  // and no rounding of an outlier's square
    const double w = weight_[b] - weight_[a], s = first_[b] - first_[a];
    const double e = second_[b] - second_[a] - s * s / w;
    return e > 0 ? e : 0;
  }
  double bits(size_t a, size_t b) const noexcept {
    const double w = weight_[b] - weight_[a];
    return w * (total_bits_ - log2_of(w));
  }

  // Coarse cells of equal share of sum((count * width^2)^(1/3)): the law by which clusters of least error spread.
  void group() noexcept {
    const auto share = [&](size_t i) {
      const double width = mean[i] - mean[i - 1];
      return cube_root((weight_[i + 1] - weight_[i - 1]) * (width * width));
    };
    double sum = 0;
    for (size_t i = 1; i < cells_; i++) sum += share(i);
    // A gap before an outlier takes one coarse cell at the most, however wide it is.
    for (int round = 0; round < 40; round++) {
      const double most = sum / (kCoarseCells - 1);
      double capped = 0;
      for (size_t i = 1; i < cells_; i++) capped += std::min(share(i), most);
      const bool settled = capped > 0.99 * sum;
      sum = capped;
      if (settled) break;
    }
    coarse_[0] = 0;
    groups_ = 0;
    double filled = 0, border = 0;
    const double step = sum / (kCoarseCells - 1);
    const bool each = cells_ <= kCoarseCells;
    for (size_t i = 1; i < cells_; i++) {
      filled += std::min(share(i), step);
      if (!each && filled < border + step) continue;
      border = std::max(border + step, filled - step);
      if (groups_ + 1 < kCoarseCells) coarse_[++groups_] = static_cast<uint32_t>(i);
    }
    coarse_[++groups_] = static_cast<uint32_t>(cells_);
  }

  // False when cancelled. out.used = 0 when there are more than `most` clusters.
  bool shortest(double lambda, double price, Partition& out) noexcept {
    best_[0] = 0;
    for (uint32_t b = 1; b <= groups_; b++) {
      if ((b & 63) == 0 && job_.cancelled()) return false;
      double least = 1e300;
      uint32_t from = 0;
      for (uint32_t a = b; a-- > 0;) {
        const double e = error(coarse_[a], coarse_[b]);
        // The error only grows as the cluster does, and the rest of a path costs nothing at the least.
        if (e >= least) break;
        const double cost = best_[a] + e + price + (lambda > 0 ? lambda * bits(coarse_[a], coarse_[b]) : 0);
        if (cost < least) least = cost, from = a;
      }
      best_[b] = least;
      from_[b] = from;
    }
    uint32_t used = 0;
    for (uint32_t b = groups_; b > 0; b = from_[b]) used++;
    out.used = 0;
    if (used > most_) return true;
    out.used = used;
    uint32_t at = used;
    for (uint32_t b = groups_;; b = from_[b]) {
      out.border[at--] = coarse_[b];
      if (b == 0) break;
    }
    return true;
  }

  // About the price from which on few enough clusters are left: as many coarse cells as there are too many are then
  // cheaper joined to their neighbours. Not of the error of the whole, which one outlier can make as large as it likes.
  double least_price() noexcept {
    for (uint32_t b = 1; b < groups_; b++) best_[b - 1] = error(coarse_[b - 1], coarse_[b + 1]);
    const uint32_t joined = groups_ > most_ ? groups_ - most_ : 1;
    std::nth_element(best_.data(), best_.data() + (joined - 1), best_.data() + (groups_ - 1));
    return std::max(best_[joined - 1] / 64, 1e-300);
  }

  void measure(Partition& p) const noexcept {
    p.error = p.bits = 0;
    for (uint32_t i = 0; i < p.used; i++) {
      const double off = average(p.border[i], p.border[i + 1]) - centroid(p.border[i], p.border[i + 1]);
      p.error += error(p.border[i], p.border[i + 1]) + count(p.border[i], p.border[i + 1]) * (off * off);
      p.bits += bits(p.border[i], p.border[i + 1]);
    }
  }

  // x belongs to i rather than to j > i as long as (x - ci)^2 + lambda ri <= (x - cj)^2 + lambda rj.
  void move_borders(double lambda, Partition& p) const noexcept {
    uint32_t border[kMost + 1];
    border[0] = 0;
    uint32_t used = 0;
    for (uint32_t i = 0; i < p.used; i++) {
      uint32_t end = static_cast<uint32_t>(cells_);
      if (i + 1 < p.used) {
        const double c = average(p.border[i], p.border[i + 1]), d = average(p.border[i + 1], p.border[i + 2]);
        const double more =
            log2_of(count(p.border[i], p.border[i + 1])) - log2_of(count(p.border[i + 1], p.border[i + 2]));
        const double limit = (c + d) / 2 + lambda * more / (2 * (d - c));
        end = static_cast<uint32_t>(std::upper_bound(mean.data(), mean.data() + cells_, limit) - mean.data());
      }
      if (end > border[used]) border[++used] = end;
    }
    p.used = used;
    std::copy(border, border + used + 1, p.border);
  }

  const Job& job_;
  uint32_t most_;
  Form form_ = Form::single;
  size_t cells_ = 0;
  uint32_t groups_ = 0;
  double total_bits_ = 0;
  Array<double> count_of_;                        // of each fine cell
  Array<double> weight_, first_, second_, best_;  // sums of the cells before; costs
  Array<uint32_t> coarse_, from_;
};

// The fewest bits in this form within the budget, or at the least error + lambda * bits. false in `kept`: no partition
// is within the budget.
Result fewest_bits(const Job& job, Solver& solver, const EcsqRequest& request, double inside, unsigned progress,
                   Partition& chosen, double& lambda, bool& kept) noexcept {
  kept = true;
  if (request.budget < 0) {
    lambda = request.lambda;
    return solver.solve(lambda, chosen);
  }
  lambda = 0;
  Result done = solver.solve(0, chosen);
  if (!done) return done;
  kept = chosen.error + inside <= request.budget;
  if (!kept) return done;
  // Error and bits trade at 2 ln 2 * error / count where clusters are many. From far below that upwards by factors
  // 2^16, 2^8, ... 2^(1/256), as long as the budget is kept.
  double base = request.budget / solver.total() * 0x1p-16, factor = 0x1p16;
  Partition tried;
  for (unsigned step = 0; step < kSearchSteps; step++) {
    done = solver.solve(base * factor, tried);
    if (!done) return done;
    if (tried.error + inside <= request.budget) {
      base *= factor;
      lambda = base;
      chosen = tried;
    }
    factor = std::sqrt(factor);  // exactly rounded everywhere
    job.report(progress + step + 1, 2 * kSearchSteps + 1);
  }
  return done;
}

// Centroids of 16 bits where that is the smaller file. Leaves the solver in the form that was chosen.
Result choose(const Job& job, Solver& solver, const EcsqRequest& request, double inside, Partition& chosen,
              double& lambda) noexcept {
  bool single_kept = false, half_kept = false;
  Result done = fewest_bits(job, solver, request, inside, 0, chosen, lambda, single_kept);
  if (!done) return done;
  if (!single_kept) return fail(Status::arg, request.clusters);
  const double single_bits = solver.cost_bits(chosen), single_error = chosen.error;
  Partition other;
  double other_lambda = 0;
  solver.set_form(Form::half);
  if (solver.has_halves()) {
    done = fewest_bits(job, solver, request, inside, kSearchSteps, other, other_lambda, half_kept);
    if (!done) return done;
  }
  const bool smaller = request.budget >= 0
                           ? solver.cost_bits(other) < single_bits
                           : other.error + lambda * solver.cost_bits(other) < single_error + lambda * single_bits;
  if (half_kept && smaller) {
    chosen = other;
    lambda = other_lambda;
  } else {
    solver.set_form(Form::single);
  }
  return done;
}

}  // namespace

Result ecsq(const Job& job, const EcsqRequest& request, float* centroids, uint32_t* counts, uint8_t* codes,
            uint64_t code_count, EcsqSummary& summary) noexcept {
  summary = EcsqSummary{};
  if (request.clusters < 1 || request.clusters > kMost || request.count > 0xffffffffull) return fail(Status::arg);
  KmeansRequest points;
  points.values = request.values;
  points.count = request.count;
  points.mask = request.mask;
  Collected collected;
  Result done = collect(job, points, collected);
  if (!done) return done;
  summary.kept = collected.count;
  if (code_count != collected.count) return fail(Status::arg, collected.count);
  if (collected.count == 0) return Result{};
  CellTable table;
  done = fill_cells(job, collected.values, collected.count, kFineCells, table);
  if (!done) return done;
  // Error inside the cells, which no partition of them changes.
  // A value alone has none, and is left out: rounding would make some of it where the value is an outlier.
  Array<uint32_t> flags, alone;
  double squares = 0;
  if (!flags.reset_zeroed((table.map.cells + 31) / 32)) return fail(Status::nomem);
  size_t singles = 0;
  for (size_t c = 0; c < table.map.cells; c++) {
    if (table.count[c] == 1) flags[c >> 5] |= 1u << (c & 31), singles++;
  }
  if (!alone.reset(singles)) return fail(Status::nomem);
  done = collect_members(job, collected.values, collected.count, table.map, flags.data(), alone, squares);
  if (!done) return done;
  Solver solver(job, request.clusters);
  done = solver.prepare(table);
  if (!done) return done;
  double inside = squares;
  for (size_t i = 0; i < solver.cell.size(); i++) {
    const uint32_t cell = solver.cell[i];
    if (table.count[cell] == 1) continue;
    const double off = solver.mean[i] - static_cast<double>(key_value(table.map.middle_key(table.first_key[cell])));
    inside -= static_cast<double>(table.count[cell]) * (off * off);
  }
  if (inside < 0) inside = 0;
  Partition chosen;
  double lambda = request.lambda;
  done = choose(job, solver, request, inside, chosen, lambda);
  if (!done) return done;
  float thresholds[kMost];
  double error = inside;
  uint32_t used = 0;
  double bits = 0;
  for (uint32_t i = 0; i < chosen.used; i++) {
    const uint32_t a = chosen.border[i], b = chosen.border[i + 1], last = solver.cell[b - 1];
    const float centroid = static_cast<float>(solver.centroid(a, b));
    const double held = solver.count(a, b);
    for (uint32_t j = a; j < b; j++) {
      const double off = solver.mean[j] - static_cast<double>(centroid);
      error += static_cast<double>(table.count[solver.cell[j]]) * (off * off);
    }
    uint32_t key = table.first_key[last] + ((1u << (table.map.packed[table.first_key[last] >> 20] & 31)) - 1);
    if (key == kKeyOfZero - 1) key--;  // the key of -0, which no value has: as a float it would take in +0
    if (used > 0 && !(centroid > centroids[used - 1])) {  // equal after rounding to float32
      counts[used - 1] += static_cast<uint32_t>(held);
    } else {
      centroids[used] = centroid;
      counts[used++] = static_cast<uint32_t>(held);
    }
    thresholds[used - 1] = key_value(key) + 0.0f;
  }
  for (uint32_t i = 0; i < used; i++) bits += counts[i] * (log2_of(solver.total()) - log2_of(counts[i]));
  summary.used = used;
  summary.squared_error = error;
  summary.entropy_bits = bits / solver.total();
  summary.lambda = lambda;
  return assign_by_thresholds(job, collected.values, collected.count, nullptr, thresholds, used, codes, 1, code_count);
}

}  // namespace dc
