// The cheapest path over places at a price: the same bits on every level, the cost of the textbook programme.
#include <algorithm>
#include <cmath>
#include <vector>

#include "check.h"
#include "quantize/priced_path.h"

using namespace dc;

struct Input {
  std::vector<double> weight, sum, square, edge;
  bool whole;
  PricedPlaces places() const {
    return {weight.data(), sum.data(), square.data(), edge.data(), whole, static_cast<uint32_t>(weight.size() - 1)};
  }
};

// `last` cells of a few values each; kind 0 even, 1 with far values, 2 in lumps, 3 weighted.
static Input random_input(uint64_t seed, uint32_t last, int kind) {
  Input in;
  in.whole = kind != 3;
  in.weight = in.sum = in.square = {0};
  double at = kind == 1 ? -40 : -2, w = 0, s = 0, q = 0;
  in.edge = {at};
  for (uint32_t j = 0; j < last; j++) {
    const double u = random_unit(seed, 8 * j), step = 4.0 / last * (0.1 + u);
    const bool far = kind == 1 && (j < 5 || j + 5 > last);
    const double from = at, to = at + (far ? 8 : kind == 2 && random_unit(seed, 8 * j + 1) < 0.05 ? 1 : step);
    const uint32_t count = far ? 1 : 1 + static_cast<uint32_t>(random_unit(seed, 8 * j + 2) * 12);
    for (uint32_t i = 0; i < count; i++) {
      const double x = from + (to - from) * random_unit(seed + 1, 16 * j + i);
      const double m = in.whole ? 1 : 0.05 + random_unit(seed + 2, 16 * j + i);
      w += m, s += m * x, q += m * x * x;
    }
    in.weight.push_back(w), in.sum.push_back(s), in.square.push_back(q), in.edge.push_back(to);
    at = to;
  }
  return in;
}

static double cost(const Input& in, uint32_t a, uint32_t b) {
  const double w = in.weight[b] - in.weight[a], s = in.sum[b] - in.sum[a];
  return (in.square[b] - in.square[a]) - s * s / w;
}

static double path_cost(const Input& in, const std::vector<uint32_t>& borders, uint32_t clusters) {
  double total = 0;
  for (uint32_t i = 0; i < clusters; i++) total += cost(in, borders[i], borders[i + 1]);
  return total;
}

static double textbook(const Input& in, double price) {
  const uint32_t last = static_cast<uint32_t>(in.weight.size() - 1);
  std::vector<double> best(last + 1, INFINITY);
  best[0] = 0;
  for (uint32_t b = 1; b <= last; b++) {
    for (uint32_t a = 0; a < b; a++) best[b] = std::min(best[b], best[a] + cost(in, a, b) + price);
  }
  return best[last];
}

static void agrees_with_the_textbook() {
  uint64_t seed = 1;
  for (int kind = 0; kind < 4; kind++) {
    for (const uint32_t last : {1u, 2u, 15u, 16u, 17u, 63u, 64u, 65u, 200u, 500u}) {
      const Input in = random_input(seed++, last, kind);
      for (const double price : {1e-3, 0.05, 1.0, 30.0, 1e4}) {
        const double expected = textbook(in, price);
        std::vector<uint32_t> first;
        double total = 0;
        const Levels all = levels();
        for (int l = 0; l < all.count; l++) {
          PricedPath path;
          CHECK(path.reset(last));
          const double found = path.run(all.level[l], in.places(), price);
          std::vector<uint32_t> borders(last + 1);
          const uint32_t clusters = path.trace(last, last, borders.data());
          CHECK(clusters > 0);
          const double real = path_cost(in, borders, clusters) + price * clusters;
          CHECK(std::fabs(real - expected) <= 1e-5 * expected + path.error());
          CHECK(std::fabs(found - expected) <= 1e-5 * expected + path.error());
          if (l == 0) first = borders, total = found;
          CHECK(borders == first && found == total);
        }
      }
    }
  }
}

static void finds_the_number_asked_for() {
  uint64_t seed = 1000;
  for (int kind = 0; kind < 4; kind++) {
    for (const uint32_t clusters : {1u, 2u, 7u, 16u, 40u}) {
      constexpr uint32_t kLast = 300;
      const Input in = random_input(seed++, kLast, kind);
      // least[c][b]: the cheapest c clusters up to b.
      std::vector<std::vector<double>> least(clusters + 1, std::vector<double>(kLast + 1, INFINITY));
      least[0][0] = 0;
      for (uint32_t c = 1; c <= clusters; c++) {
        for (uint32_t b = 1; b <= kLast; b++) {
          for (uint32_t a = 0; a < b; a++) least[c][b] = std::min(least[c][b], least[c - 1][a] + cost(in, a, b));
        }
      }
      PricedPath path;
      CHECK(path.reset(kLast));
      std::vector<uint32_t> borders(PricedPath::most_borders(clusters));
      for (const double guess : {1e-6, 1.0, 1e6}) {
        double price = guess, found = 0;
        CHECK(path.search(detected_cpu_level(), in.places(), clusters, price, borders.data(), found));
        CHECK(borders[0] == 0 && borders[clusters] == kLast);
        const double real = path_cost(in, borders, clusters), best = least[clusters][kLast];
        CHECK(real <= best * (1 + 1e-5) + path.error());
        CHECK(std::fabs(found - real) <= 1e-5 * (real + price * clusters) + path.error());
      }
    }
  }
}

static void no_price_for_a_number_off_the_curve() {
  Input in;
  in.whole = true;
  in.weight = {0, 1, 2, 3, 4}, in.sum = {0, 0, 1, 11, 22}, in.square = {0, 0, 1, 101, 222},
  in.edge = {0, 1, 10, 11, 11};
  // Values 0 | 1 | 10 | 11: 2 clusters cost 1, 3 cost 0.5, 4 cost 0: a straight line.
  PricedPath path;
  CHECK(path.reset(4));
  std::vector<uint32_t> borders(PricedPath::most_borders(3));
  double price = 1, found;
  const bool any = path.search(detected_cpu_level(), in.places(), 3, price, borders.data(), found);
  CHECK(!any || std::fabs(found - 0.5) < 1e-6);
}

int main() {
  agrees_with_the_textbook();
  finds_the_number_asked_for();
  no_price_for_a_number_off_the_curve();
  return finish();
}
