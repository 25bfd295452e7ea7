#include "partition.h"

#include "../base/job.h"

namespace dc {

Result build_nodes(const Job& job, const double* values, const double* weights, size_t cells, Node* nodes) noexcept {
  size_t zero = 0;
  while (zero < cells && values[zero] < 0) zero++;
  nodes[zero] = Node{};
  const auto add = [&](const Node& from, Node& to, size_t cell, double sign) {
    const double w = weights ? weights[cell] : 1, v = values[cell];
    Double2 sum = two_product(w, v);
    const Double2 v2 = two_product(v, v);
    Double2 square = two_product(w, v2.high);
    square.low += w * v2.low;
    sum = {sign * sum.high, sign * sum.low};
    square = {sign * square.high, sign * square.low};
    to = Node{};
    to.weight = from.weight + sign * w;
    to.sum = from.sum + sum;
    to.square = from.square + square;
  };
  return parallel(job, 2, [&](size_t side, unsigned) {
    for (size_t i = zero; side == 0 && i < cells; i++) add(nodes[i], nodes[i + 1], i, 1);
    for (size_t i = zero; side == 1 && i > 0; i--) add(nodes[i], nodes[i - 1], i - 1, -1);
  });
}

namespace {

// The cheapest partition when each cluster costs `lambda` more, whatever the number of clusters:
//   best[j] = min over i < j of best[i] + cost(i, j) + lambda.
// cost is a Monge array, so once a later i beats an earlier one it does so for all larger j: a queue of candidates,
// each with the first j from which on it is the best, is enough (Wilber 1988; Galil and Park 1992).
struct LagrangeSolver {
  const Node* nodes;
  size_t cells;
  size_t last = 0;   // the place to stop at: `best` is found up to it
  size_t reach = 0;  // no place beyond is asked for, `last` <= reach <= cells
  double* best;      // last + 1 of them
  Array<double> own_best;
  Array<uint32_t> before;  // stays empty where only the costs are asked for
  struct Candidate {
    uint32_t place, from;
  };
  Array<Candidate> queue;  // grows on demand: it seldom holds more than a few hundred
  size_t head = 0, tail = 0;

  bool prepare(const Node* n, size_t count, size_t stop) noexcept {
    nodes = n;
    cells = count;
    last = stop;
    reach = count;
    if (!own_best.reset(stop + 1) || !before.reset(stop + 1)) return false;
    best = own_best.data();
    return true;
  }

  // Backward, place j stands for place cells - j of the nodes: the same problem seen from its other end.
  template <bool kBackward>
  double via(size_t i, size_t j) const noexcept {
    return best[i] + (kBackward ? cluster_cost(nodes[cells - j], nodes[cells - i]) : cluster_cost(nodes[i], nodes[j]));
  }

  bool make_room() noexcept {
    if (tail < queue.size()) return true;
    if (head > queue.size() / 2) {
      for (size_t i = head; i < tail; i++) queue[i - head] = queue[i];
    } else {
      Array<Candidate> larger;
      if (!larger.reset(queue.size() * 2 + 1024)) return false;
      for (size_t i = head; i < tail; i++) larger[i - head] = queue[i];
      queue = std::move(larger);
    }
    tail -= head;
    head = 0;
    return true;
  }

  template <bool kBackward>
  Result solve(const Job& job, double lambda) noexcept {
    size_t hint = 1;
    head = tail = 0;
    if (!make_room()) return fail(Status::nomem);
    best[0] = -nodes[kBackward ? cells : 0].allowance;
    queue[tail++] = {0, 1};
    for (size_t j = 1; j <= last; j++) {
      if (j % 4096 == 0 && job.cancelled()) return fail(Status::aborted);
      while (head + 1 < tail && queue[head + 1].from <= j) head++;
      best[j] = via<kBackward>(queue[head].place, j) + (lambda - nodes[kBackward ? cells - j : j].allowance);
      if (before.size()) before[j] = queue[head].place;
      if (j == reach) break;
      size_t known = 0;  // a place where the last candidate still wins
      while (tail > head) {
        const size_t place = queue[tail - 1].from > j + 1 ? queue[tail - 1].from : j + 1;
        if (via<kBackward>(j, place) < via<kBackward>(queue[tail - 1].place, place)) {
          tail--;
        } else {
          known = place;
          break;
        }
      }
      if (!make_room()) return fail(Status::nomem);
      if (tail == head) {
        queue[tail++] = {static_cast<uint32_t>(j), static_cast<uint32_t>(j + 1)};
        continue;
      }
      const size_t rival = queue[tail - 1].place;
      size_t low = known, high = known, step = hint;
      bool found = false;
      while (high < reach) {
        high = reach - low > step ? low + step : reach;
        if (via<kBackward>(j, high) < via<kBackward>(rival, high)) {
          found = true;
          break;
        }
        low = high;
        step *= 2;
      }
      if (!found) continue;
      while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        (via<kBackward>(j, middle) < via<kBackward>(rival, middle) ? high : low) = middle;
      }
      hint = high - known;
      queue[tail++] = {static_cast<uint32_t>(j), static_cast<uint32_t>(high)};
    }
    return Result{};
  }
};

// The same from both ends at once, on two threads: the low half of the places forwards, the high half backwards, then
// the cluster over the middle, if there is one. What is found does not depend on how many threads there are.
class Search {
 public:
  const Node* nodes = nullptr;
  size_t cells = 0;

  bool prepare(const Node* n, size_t count) noexcept {
    constexpr size_t kHalves = 1024;  // fewer are not worth a second thread
    nodes = n;
    cells = count;
    middle_ = count < kHalves ? count : count / 2;
    return low_.prepare(n, count, middle_) && (middle_ == count || high_.prepare(n, count, count - middle_));
  }

  Result solve(const Job& job, double lambda) noexcept {
    end_ = begin_ = middle_;
    if (middle_ == cells) return low_.solve<false>(job, lambda);
    // A cluster that is cheaper in two at this price is in no cheapest partition, and by the Monge property no cluster
    // that holds it is: none over the middle ends beyond `far`.
    size_t far = cells;
    for (size_t step = 2; step < cells - middle_; step *= 2) {
      const Node &a = nodes[middle_], &b = nodes[middle_ + step / 2], &c = nodes[middle_ + step];
      if (cluster_cost(a, c) - cluster_cost(a, b) - cluster_cost(b, c) <= lambda * (1 + 1e-9)) continue;
      far = middle_ + step;
      break;
    }
    low_.reach = far;
    high_.reach = cells - middle_;
    Result side[2];
    const Result done = parallel(job, 2, [&](size_t index, unsigned) {
      side[index] = index ? high_.solve<true>(job, lambda) : low_.solve<false>(job, lambda);
    });
    for (const Result& result : side) {
      if (!result) return result;
    }
    if (!done) return done;
    // Both halves have taken the allowance of the border they share.
    double least = low_.best[middle_] + high_.best[cells - middle_] + nodes[middle_].allowance;
    for (size_t j = middle_ + 1, head = low_.head; j <= far; j++) {
      while (head + 1 < low_.tail && low_.queue[head + 1].from <= j) head++;
      const size_t i = low_.queue[head].place;
      const double all = low_.via<false>(i, j) + lambda + high_.best[cells - j];
      if (!(all < least)) continue;
      least = all;
      end_ = i;
      begin_ = j;
    }
    return Result{};
  }

  // The borders of what was found, ascending, both ends included.
  bool borders(Array<uint32_t>& out) const noexcept {
    size_t left = 0, right = 0;
    for (size_t i = end_; i > 0; i = low_.before[i]) left++;
    for (size_t t = cells - begin_; t > 0; t = high_.before[t]) right++;
    const size_t over = end_ < begin_;
    if (!out.reset(left + over + right + 1)) return false;
    size_t at = left;
    for (size_t i = end_; at > 0; i = low_.before[i]) out[at--] = static_cast<uint32_t>(i);
    out[0] = 0;
    at = left + over;
    for (size_t t = cells - begin_; t > 0; t = high_.before[t]) out[at++] = static_cast<uint32_t>(cells - t);
    out[at] = static_cast<uint32_t>(cells);
    return true;
  }

 private:
  LagrangeSolver low_, high_;
  size_t middle_ = 0;
  size_t end_ = 0, begin_ = 0;  // of the cluster over the middle; both the same place where a border is
};

struct Solution {
  Array<uint32_t> boundaries;
  size_t clusters = 0;
  double cost = 0;

  bool take(const Search& search) noexcept {
    if (!search.borders(boundaries)) return false;
    clusters = boundaries.size() - 1;
    price(search.nodes);
    return true;
  }
  void price(const Node* nodes) noexcept {
    Double2 total;
    for (size_t i = 0; i < clusters; i++) {
      total = total + cluster_cost(nodes[boundaries[i]], nodes[boundaries[i + 1]]);
    }
    cost = value(total);
  }
};

double inverse_cube(double k) noexcept { return 1 / (k * k * k); }

// A guess of the middle of the prices at which `found` is the cheapest, from the nearest other points of the curve: the
// most likely to be right for a finer problem too.
double middle_price(double lambda, const Solution& few, const Solution& many, const Solution& found,
                    size_t cells) noexcept {
  const double k = static_cast<double>(found.clusters);
  double sum = 0, weight = 0;
  for (const Solution* const other : {&few, &many}) {
    if (other->clusters == 1 || other->clusters == cells || other->clusters == found.clusters) continue;
    const double far = static_cast<double>(other->clusters) - k, middle = 1 + far / 2 / k;
    if (far * far > 0.02 * k * k) continue;
    sum += (found.cost - other->cost) / far * (middle * middle * middle) / (far * far);
    weight += 1 / (far * far);
  }
  const double guess = weight > 0 ? sum / weight : lambda;
  return guess > lambda / 1.5 && guess < lambda * 1.5 ? guess : lambda;
}

}  // namespace

Result cheapest_to(const Job& job, const Node* nodes, size_t cells, double lambda, double* best) noexcept {
  LagrangeSolver solver;
  solver.nodes = nodes;
  solver.cells = solver.last = solver.reach = cells;
  solver.best = best;
  return solver.solve<false>(job, lambda);
}

Result cheapest_from(const Job& job, const Node* nodes, size_t cells, double lambda, double* best) noexcept {
  LagrangeSolver solver;
  solver.nodes = nodes;
  solver.cells = solver.last = solver.reach = cells;
  solver.best = best;
  const Result done = solver.solve<true>(job, lambda);
  for (size_t i = 0; i < cells - i; i++) std::swap(best[i], best[cells - i]);
  return done;
}

Result best_partition(const Job& job, const Node* nodes, size_t cells, uint32_t clusters, double lambda_hint,
                      uint32_t* boundaries, double* lambda_out) noexcept {
  if (lambda_out) *lambda_out = 0;
  if (clusters >= cells || clusters <= 1) {
    const size_t used = clusters >= cells ? cells : 1;
    for (size_t i = 0; i <= used; i++) boundaries[i] = static_cast<uint32_t>(used == cells ? i : i * cells);
    return Result{};
  }
  Search solver;
  Solution few, many, fresh;  // fewer clusters than asked (a larger lambda), more clusters (a smaller one)
  if (!solver.prepare(nodes, cells) || !few.boundaries.reset(2)) return fail(Status::nomem);
  few.clusters = 1;
  few.boundaries[0] = 0;
  few.boundaries[1] = static_cast<uint32_t>(cells);
  few.price(nodes);
  many.clusters = cells;  // one cluster a cell costs nothing; its boundaries are written only if needed
  many.cost = 0;
  double lambda_few = few.cost, lambda_many = 0;
  const double k = clusters;
  double lambda = lambda_hint > 0 ? lambda_hint : 2 * few.cost * inverse_cube(k);
  for (int round = 0; round < 200; round++) {
    // The slope between the two known points of the convex curve cost(clusters): at this lambda both are equally good,
    // and unless the search finds something better than both, everything between them is optimal too.
    const double slope = (few.cost - many.cost) / static_cast<double>(many.clusters - few.clusters);
    const bool at_slope =
        round > 12 || !(lambda > lambda_many && lambda < lambda_few) || many.clusters - few.clusters <= 2;
    if (at_slope) lambda = slope;
    const Result solved = solver.solve(job, lambda);
    if (!solved) return solved;
    if (!fresh.take(solver)) return fail(Status::nomem);
    if (lambda_out) *lambda_out = lambda;
    if (fresh.clusters == clusters) {
      if (lambda_out) *lambda_out = middle_price(lambda, few, many, fresh, cells);
      for (size_t i = 0; i <= clusters; i++) boundaries[i] = fresh.boundaries[i];
      return Result{};
    }
    const double here = fresh.cost + lambda * static_cast<double>(fresh.clusters);
    const double there = few.cost + lambda * static_cast<double>(few.clusters);
    if (at_slope &&
        (here >= there - 1e-15 * there || fresh.clusters <= few.clusters || fresh.clusters >= many.clusters)) {
      break;
    }
    Solution& side = fresh.clusters < clusters ? few : many;
    double& side_lambda = fresh.clusters < clusters ? lambda_few : lambda_many;
    side.boundaries = std::move(fresh.boundaries);
    side.clusters = fresh.clusters;
    side.cost = fresh.cost;
    side_lambda = lambda;
    // Next guess. Of a smooth density the cost falls as 1 / clusters^2, so lambda as 1 / clusters^3.
    const double f = static_cast<double>(few.clusters), m = static_cast<double>(many.clusters);
    if (few.clusters == 1 || many.clusters == cells) {
      const double ratio = static_cast<double>(side.clusters) / k;
      double factor = ratio * ratio * ratio;
      const bool near = round < 4 && factor > 0.7 && factor < 1.5;
      if (!near) factor = factor > 1 ? factor * 1.02 : factor / 1.02;
      lambda *= factor;
    } else {
      const double share = (inverse_cube(k) - inverse_cube(m)) / (inverse_cube(f) - inverse_cube(m));
      lambda = lambda_many + (lambda_few - lambda_many) * share;
    }
  }
  // Both `few` and `many` are cheapest at the same lambda. Follow `many` for a while, then `few`, changing over inside
  // a cluster of `few` that holds a cluster of `many`: by the Monge property the exchange costs nothing (Aggarwal,
  // Schieber, Tokuyama 1994, lemma 3), and some offset of the two gives any number of clusters between them.
  const size_t extra = clusters - few.clusters;
  const auto many_at = [&](size_t i) -> uint32_t {
    return many.clusters == cells ? static_cast<uint32_t>(i) : many.boundaries[i];
  };
  for (size_t i = 0; i < few.clusters; i++) {
    if (many_at(i + extra) >= few.boundaries[i] && many_at(i + extra + 1) <= few.boundaries[i + 1]) {
      for (size_t j = 0; j <= i + extra; j++) boundaries[j] = many_at(j);
      for (size_t j = i + 1; j <= few.clusters; j++) boundaries[j + extra] = few.boundaries[j];
      return Result{};
    }
  }
  return fail(Status::structure);  // cannot happen: the offsets change sign somewhere
}

}  // namespace dc
