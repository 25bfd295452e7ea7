#include "fit.h"

#include <algorithm>
#include <cstring>

#include "starts.h"

namespace dc {

double plain_exp(double x) noexcept {
  if (x < -700) return 0;
  if (x > 700) x = 700;
  const double scaled = x * 1.4426950408889634;
  const int64_t k = static_cast<int64_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
  const double n = static_cast<double>(k);
  const double r = (x - n * 0.69314718036912382) - n * 1.9082149292705877e-10;
  double sum = 1;
  for (int i = 13; i > 0; i--) sum = 1 + sum * r / i;
  const uint64_t bits = static_cast<uint64_t>(k + 1023) << 52;
  double power;
  std::memcpy(&power, &bits, 8);
  return sum * power;
}

double plain_log(double x) noexcept {
  uint64_t bits;
  std::memcpy(&bits, &x, 8);
  int64_t exponent = static_cast<int64_t>(bits >> 52) - 1023;
  bits = (bits & 0x000fffffffffffffull) | 0x3ff0000000000000ull;
  double m;
  std::memcpy(&m, &bits, 8);
  if (m > 1.4142135623730951) {
    m /= 2;
    exponent++;
  }
  const double s = (m - 1) / (m + 1), s2 = s * s;
  double sum = 0;
  for (int i = 21; i > 0; i -= 2) sum = sum * s2 + 1.0 / i;
  const double n = static_cast<double>(exponent);
  return n * 0.69314718036912382 + (2 * s * sum + n * 1.9082149292705877e-10);
}

namespace {

double power_of(double x, double exponent) noexcept { return x > 0 ? plain_exp(exponent * plain_log(x)) : 0; }

// Distances from the centre of a side (or of both sides at once): at most kBins bins, with their logarithms.
constexpr size_t kBins = 1024;
struct Side {
  double log_distance[kBins], weight[kBins];
  size_t bins = 0;
  double least = 0, total = 0, mean = 0;  // of the distances
};

struct Shape {
  double scale = 1, shape = 2, area = 1;  // area: integral of exp(-(u / scale)^shape) from `least` on
  double likelihood = -1e300;             // log, total
};

// Integral of exp(-v^shape) over v >= from, relative to exp(-from^shape).
double tail_area(double from, double shape) noexcept {
  constexpr int kSteps = 96;
  const double base = power_of(from, shape), reach = power_of(base + 40, 1 / shape) - from;
  double sum = 0;
  for (int i = 0; i < kSteps; i++) {  // steps grow with the square of the distance: the peak is at `from`
    const double z = (i + 0.5) / kSteps;
    sum += plain_exp(base - power_of(from + reach * z * z, shape)) * z;
  }
  return sum * 2 * reach / kSteps;
}

Shape with_scale(const Side& side, double moment, double shape, double scale) noexcept {
  Shape s;
  s.shape = shape;
  s.scale = scale;
  const double from = side.least / scale, area = tail_area(from, shape);
  const double base = power_of(from, shape);
  s.area = scale * area * plain_exp(-base);
  s.likelihood = -moment / power_of(scale, shape) - side.total * (plain_log(scale * area) - base);
  return s;
}

// The most likely scale for a shape.
Shape with_shape(const Side& side, double shape) noexcept {
  double moment = 0;
  for (size_t i = 0; i < side.bins; i++) moment += side.weight[i] * plain_exp(shape * side.log_distance[i]);
  const double free_scale = power_of(shape * moment / side.total, 1 / shape);
  if (side.least == 0) return with_scale(side, moment, shape, free_scale);
  // Cut off below `least` the scale may be anything down to a small part of the mean excess: golden section in its
  // logarithm.
  double low = plain_log(free_scale) - 6, high = plain_log(free_scale) + 1;
  constexpr double kGolden = 0.6180339887498949;
  double a = high - kGolden * (high - low), b = low + kGolden * (high - low);
  Shape at_a = with_scale(side, moment, shape, plain_exp(a)), at_b = with_scale(side, moment, shape, plain_exp(b));
  for (int i = 0; i < 18; i++) {
    if (at_a.likelihood > at_b.likelihood) {
      high = b;
      b = a;
      at_b = at_a;
      a = high - kGolden * (high - low);
      at_a = with_scale(side, moment, shape, plain_exp(a));
    } else {
      low = a;
      a = b;
      at_a = at_b;
      b = low + kGolden * (high - low);
      at_b = with_scale(side, moment, shape, plain_exp(b));
    }
  }
  return at_a.likelihood > at_b.likelihood ? at_a : at_b;
}

Shape best_shape(const Side& side) noexcept {
  const Shape gaussian = with_shape(side, 2), laplace = with_shape(side, 1);
  const Shape simple = gaussian.likelihood > laplace.likelihood ? gaussian : laplace;
  double low = 0.3, high = 5;
  constexpr double kGolden = 0.6180339887498949;
  double a = high - kGolden * (high - low), b = low + kGolden * (high - low);
  Shape at_a = with_shape(side, a), at_b = with_shape(side, b);
  for (int i = 0; i < 10; i++) {
    if (at_a.likelihood > at_b.likelihood) {
      high = b;
      b = a;
      at_b = at_a;
      a = high - kGolden * (high - low);
      at_a = with_shape(side, a);
    } else {
      low = a;
      a = b;
      at_a = at_b;
      b = low + kGolden * (high - low);
      at_b = with_shape(side, b);
    }
  }
  const Shape general = at_a.likelihood > at_b.likelihood ? at_a : at_b;
  return general.likelihood > simple.likelihood + 0.5 * plain_log(side.total + 2) ? general : simple;
}

// Distances |x - center| of the cells [begin, end), `least` their smallest possible one. Both sides of the centre are
// taken together; the most distant 0.01 % count as if they lay at the edge of the rest, so that outliers do not bend
// the shape.
void fill_side(const Cells& cells, size_t begin, size_t end, double center, double least, double* order,
               Side& side) noexcept {
  side = Side{};
  side.least = least;
  size_t n = 0;
  // Two ascending runs of distances, merged: pairs (distance, weight).
  size_t right = begin;
  while (right < end && cells.values[right] < center) right++;
  size_t left = right;
  while (left > begin || right < end) {
    const double l = left > begin ? center - cells.values[left - 1] : 1e300;
    const double r = right < end ? cells.values[right] - center : 1e300;
    order[2 * n] = l < r ? l : r;
    order[2 * n + 1] = l < r ? cells.weights[--left] : cells.weights[right++];
    side.total += order[2 * n + 1];
    side.mean += order[2 * n] * order[2 * n + 1];
    n++;
  }
  side.mean /= side.total;
  double cap = order[2 * (n - 1)], beyond = 0;
  for (size_t i = n; i > 1 && beyond < side.total * 1e-4; i--) {
    cap = order[2 * (i - 1)];
    beyond += order[2 * i - 1];
  }
  const double share = side.total / (kBins - 1);
  double weight = 0, sum = 0;
  for (size_t i = 0; i < n; i++) {
    weight += order[2 * i + 1];
    sum += std::min(cap, order[2 * i]) * order[2 * i + 1];
    if (weight < share && i + 1 < n && side.bins + 1 < kBins) continue;
    if (i + 1 < n && side.bins + 1 == kBins) continue;
    const double distance = std::max(sum / weight, 1e-45);
    side.log_distance[side.bins] = plain_log(distance);
    side.weight[side.bins++] = weight;
    weight = sum = 0;
  }
}

// `pieces` cells of the fitted density from `least` to `reach`, spaced by density^(1/3) as optimal centroids are.
bool density_cells(const Side& side, const Shape& shape, double reach, size_t pieces, Array<double>& distance,
                   Array<double>& mass) noexcept {
  constexpr size_t kGrid = 1024;
  double cumulative[kGrid + 1], place[kGrid + 1];
  const double base = power_of(side.least / shape.scale, shape.shape);
  const auto height = [&](double u) { return plain_exp(base - power_of(u / shape.scale, shape.shape)); };
  cumulative[0] = 0;
  place[0] = side.least;
  for (size_t i = 0; i < kGrid; i++) {
    const double z = (i + 1.0) / kGrid;
    place[i + 1] = side.least + (reach - side.least) * z * z;
    const double middle = height((place[i] + place[i + 1]) / 2);
    cumulative[i + 1] = cumulative[i] + cube_root(middle) * (place[i + 1] - place[i]);
  }
  if (!distance.reset(pieces) || !mass.reset(pieces)) return false;
  size_t at = 0;
  double from = side.least, total = 0;
  for (size_t p = 0; p < pieces; p++) {
    const double target = cumulative[kGrid] * static_cast<double>(p + 1) / static_cast<double>(pieces);
    while (at + 1 < kGrid && cumulative[at + 1] < target) at++;
    const double step = cumulative[at + 1] - cumulative[at];
    const double share = step > 0 ? (target - cumulative[at]) / step : 1;
    const double to = p + 1 == pieces ? reach : place[at] + (place[at + 1] - place[at]) * share;
    distance[p] = (from + to) / 2;
    mass[p] = height(distance[p]) * (to - from);
    total += mass[p];
    from = to;
  }
  for (size_t p = 0; p < pieces; p++) mass[p] /= total;
  return total > 0;
}

// Where fewer than `expected` of the side's values are to be expected beyond.
double trusted_reach(const Side& side, const Shape& shape, double expected) noexcept {
  const double whole = tail_area(side.least / shape.scale, shape.shape);
  double low = side.least, high = side.least + 60 * side.mean;
  const double base = power_of(low / shape.scale, shape.shape);
  for (int i = 0; i < 40; i++) {
    const double middle = (low + high) / 2, v = middle / shape.scale;
    const double beyond = tail_area(v, shape.shape) * plain_exp(base - power_of(v, shape.shape)) / whole;
    (beyond * side.total > expected ? low : high) = middle;
  }
  return high;
}

struct Model {
  Side side;
  Shape shape;
  double center = 0, reach = 0;
  int sides = 0;  // -1, 1, or 0 for both
};

}  // namespace

Result fit_centroids(const Job& job, const Cells& cells, uint32_t clusters, float* centroids) noexcept {
  const size_t n = cells.count;
  Array<double> order;
  Array<Model> model;
  if (!order.reset(2 * n) || !model.reset(2)) return fail(Status::nomem);
  double total = 0, sum = 0, magnitude = 0;
  size_t positive = 0;
  for (size_t i = 0; i < n; i++) {
    const double x = cells.values[i];
    total += cells.weights[i];
    sum += cells.weights[i] * x;
    magnitude += cells.weights[i] * (x < 0 ? -x : x);
    if (x < 0) positive = i + 1;
  }
  const double below = positive > 0 ? -cells.values[positive - 1] : 0,
               above = positive < n ? cells.values[positive] : 0;
  // A hole around zero: no value where most of them should be. All of one sign and far from zero is a plain offset.
  const bool two_lobes = positive > 0 && positive < n && below + above > 0.2 * magnitude / total;
  size_t models = 0;
  if (two_lobes) {
    for (const int sign : {-1, 1}) {
      Model& m = model[models++];
      m = Model{};
      m.sides = sign;
      fill_side(cells, sign < 0 ? 0 : positive, sign < 0 ? positive : n, 0, sign < 0 ? below : above, order.data(),
                m.side);
    }
  } else {
    Model& m = model[models++];
    m = Model{};
    m.center = sum / total;
    fill_side(cells, 0, n, m.center, 0, order.data(), m.side);
  }
  const size_t pieces = std::max<size_t>(4096, size_t{16} * clusters) / 2;
  Cells mixed;
  Array<double> distance[2], mass[2];
  bool short_of_memory[2] = {false, false};
  const Result fitted = parallel(job, models, [&](size_t i, unsigned) {
    Model& m = model[i];
    m.shape = best_shape(m.side);
    const double farthest =
        std::max(m.sides <= 0 ? m.center - cells.values[0] : 0, m.sides >= 0 ? cells.values[n - 1] - m.center : 0);
    m.reach = std::min(farthest, trusted_reach(m.side, m.shape, 100));
    if (!(m.reach > m.side.least)) m.reach = farthest;
    if (m.reach > m.side.least)
      short_of_memory[i] = !density_cells(m.side, m.shape, m.reach, pieces, distance[i], mass[i]);
  });
  if (!fitted) return fitted;
  if (short_of_memory[0] || short_of_memory[1]) return fail(Status::nomem);
  if (!mixed.values.reset(n + 2 * pieces) || !mixed.weights.reset(n + 2 * pieces)) return fail(Status::nomem);
  const auto add = [&](double value, double weight) {
    if (!(weight > 0) || (mixed.count > 0 && !(value > mixed.values[mixed.count - 1]))) return;
    mixed.values[mixed.count] = value;
    mixed.weights[mixed.count++] = weight;
  };
  const Model &lower = model[0], &upper = model[models - 1];
  const size_t last = models - 1;
  double inner = 0;  // values within the reach of each model: what its density is scaled to
  double inside[2] = {0, 0};
  for (size_t i = 0; i < n; i++) {
    const double x = cells.values[i];
    const bool low = two_lobes ? i < positive : false;
    const Model& m = low ? lower : upper;
    const double d = x < m.center ? m.center - x : x - m.center;
    if (d <= m.reach) inside[low ? 0 : last] += cells.weights[i], inner += cells.weights[i];
  }
  for (size_t i = 0; i < n && lower.center - cells.values[i] > lower.reach; i++) add(cells.values[i], cells.weights[i]);
  if (inner > 0) {
    const double share = two_lobes ? 1 : 0.5;
    for (size_t p = distance[0].size(); p > 0; p--) {
      add(lower.center - distance[0][p - 1], inside[0] * share * mass[0][p - 1]);
    }
    for (size_t p = 0; p < distance[last].size(); p++) {
      add(upper.center + distance[last][p], inside[last] * share * mass[last][p]);
    }
  }
  size_t tail = n;
  while (tail > 0 && cells.values[tail - 1] - upper.center > upper.reach) tail--;
  for (size_t i = tail; i < n; i++) add(cells.values[i], cells.weights[i]);
  if (mixed.count < size_t{2} * clusters) {  // too few values for a density to help
    double lambda = 0, cost = 0;
    return n > clusters ? partition_centroids(job, cells, clusters, &lambda, centroids, &cost) : fail(Status::arg);
  }
  double lambda = smooth_price(mixed.values.data(), mixed.weights.data(), mixed.count, clusters), cost = 0;
  return partition_centroids(job, mixed, clusters, &lambda, centroids, &cost);
}

}  // namespace dc
