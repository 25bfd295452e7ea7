// Pruning keeps what a full sort would keep, at every level and thread count, ties by position, and never a zero.
#include "check.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <vector>

#include "base/mask.h"
#include "prune/prune.h"

static dc::Pool g_pool(2);

static std::vector<uint32_t> pack(const std::vector<bool>& keep) {
  std::vector<uint32_t> mask(dc::mask_words(keep.size()), 0u);
  for (size_t i = 0; i < keep.size(); i++) mask[i / 32] |= static_cast<uint32_t>(keep[i]) << (i % 32);
  return mask;
}

struct Expected {
  std::vector<uint32_t> mask;
  uint64_t kept;
  double threshold;
};

// By a stable sort of the positions.
static Expected by_sort(const std::vector<float>& v, uint64_t keep) {
  std::vector<uint32_t> order(v.size());
  for (size_t i = 0; i < v.size(); i++) order[i] = static_cast<uint32_t>(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return std::fabs(v[a]) > std::fabs(v[b]); });
  std::vector<bool> kept(v.size(), false);
  Expected e{{}, 0, INFINITY};
  for (uint32_t i : order) {
    if (e.kept == keep || v[i] == 0) break;
    kept[i] = true;
    e.kept++;
    e.threshold = std::fabs(v[i]);
  }
  e.mask = pack(kept);
  return e;
}

static void compare(const char* what, const std::vector<float>& v, std::vector<uint64_t> keeps) {
  Guarded<float> input(v.size());
  std::copy(v.begin(), v.end(), input.data());
  const Levels all = levels();
  for (uint64_t keep : keeps) {
    const Expected e = by_sort(v, keep);
    for (int l = 0; l < all.count; l++) {
      for (unsigned threads : {1u, 2u, 8u}) {
        dc::Job job;
        job.level = all.level[l];
        job.threads = threads;
        job.pool = &g_pool;
        Guarded<uint32_t> mask(dc::mask_words(v.size()));
        dc::Pruned pruned;
        CHECK(dc::prune_to_count(job, input.data(), v.size(), keep, mask.data(), &pruned));
        const bool same = std::equal(e.mask.begin(), e.mask.end(), mask.data());
        if (!same || pruned.kept != e.kept || pruned.threshold != e.threshold) {
          std::printf("%s: keep %llu level %d threads %u: kept %llu, threshold %g, wanted %llu, %g\n", what,
                      static_cast<unsigned long long>(keep), l, threads, static_cast<unsigned long long>(pruned.kept),
                      pruned.threshold, static_cast<unsigned long long>(e.kept), e.threshold);
        }
        CHECK(same);
        CHECK(pruned.kept == e.kept);
        CHECK(pruned.threshold == e.threshold);
        if (e.kept > 0) {  // the threshold alone keeps at least as many
          dc::Pruned below;
          CHECK(dc::prune_below(job, input.data(), v.size(), e.threshold, mask.data(), &below));
          CHECK(below.kept >= e.kept);
        }
      }
    }
  }
}

static double normal(uint64_t seed, uint64_t i) {
  return std::sqrt(-2 * std::log(1 - random_unit(seed, 2 * i))) *
         std::cos(6.283185307179586 * random_unit(seed, 2 * i + 1));
}

static void literals() {
  const Levels all = levels();
  for (int l = 0; l < all.count; l++) {
    dc::Job job;
    job.level = all.level[l];
    const float v[8] = {0.5f, -0.5f, 0, 3, -0.0f, -2, 0.5f, 1};
    uint32_t mask[1];
    dc::Pruned p;
    CHECK(dc::prune_to_count(job, v, 8, 4, mask, &p));  // 3, -2, 1 and the first 0.5
    CHECK(mask[0] == 0xa9 && p.kept == 4 && p.threshold == 0.5);
    CHECK(dc::prune_to_count(job, v, 8, 8, mask, &p));
    CHECK(mask[0] == 0xeb && p.kept == 6 && p.threshold == 0.5);
    CHECK(dc::prune_to_count(job, v, 8, 0, mask, &p));
    CHECK(mask[0] == 0 && p.kept == 0 && std::isinf(p.threshold));
    CHECK(dc::prune_below(job, v, 8, 0.5, mask, &p));
    CHECK(mask[0] == 0xeb && p.kept == 6);
    CHECK(dc::prune_below(job, v, 8, std::nextafter(0.5, 1), mask, &p));
    CHECK(mask[0] == 0xa8 && p.kept == 3);
    CHECK(dc::prune_below(job, v, 8, 0, mask, &p));
    CHECK(mask[0] == 0xeb);
    CHECK(dc::prune_below(job, v, 8, -0.0, mask, &p));
    CHECK(mask[0] == 0xeb);
    CHECK(dc::prune_below(job, v, 8, INFINITY, mask, &p));
    CHECK(mask[0] == 0);
    CHECK(dc::prune_below(job, v, 8, NAN, mask, &p).status == dc::Status::arg);
    CHECK(dc::prune_below(job, v, 8, -1, mask, &p).status == dc::Status::arg);
    const float w[4] = {2, 4, 4, 6};  // mean 4, variance (4 + 0 + 0 + 4) / 4
    double deviation;
    CHECK(dc::standard_deviation(job, w, 4, &deviation));
    CHECK(deviation == std::sqrt(2.0));
    CHECK(dc::prune_below_deviations(job, w, 4, 2, mask, &p));  // 2.83
    CHECK(mask[0] == 0xe && p.kept == 3 && p.threshold == 2 * std::sqrt(2.0));
    CHECK(dc::standard_deviation(job, w, 0, &deviation));
    CHECK(deviation == 0);
    CHECK(dc::prune_to_count(job, w, 0, 5, mask, &p));
    CHECK(p.kept == 0);
  }
}

static void refusals() {
  const Levels all = levels();
  std::vector<float> v(1200000);
  for (size_t i = 0; i < v.size(); i++) v[i] = static_cast<float>(normal(6, i));
  std::vector<uint32_t> mask(dc::mask_words(v.size()));
  for (int l = 0; l < all.count; l++) {
    dc::Job job;
    job.level = all.level[l];
    job.threads = 2;
    job.pool = &g_pool;
    dc::Pruned p;
    double deviation;
    for (float bad : {NAN, -NAN, INFINITY, -INFINITY}) {
      v[1199999] = bad;
      v[300007] = bad;
      for (size_t n : {v.size(), size_t{400000}}) {
        for (uint64_t keep : {uint64_t{0}, uint64_t{1}, uint64_t{50000}, uint64_t{n}}) {
          const dc::Result r = dc::prune_to_count(job, v.data(), n, keep, mask.data(), &p);
          CHECK(r.status == dc::Status::nonfinite && r.offset == 300007);
        }
        const dc::Result below = dc::prune_below(job, v.data(), n, 0.1, mask.data(), &p);
        CHECK(below.status == dc::Status::nonfinite && below.offset == 300007);
        const dc::Result deviated = dc::standard_deviation(job, v.data(), n, &deviation);
        CHECK(deviated.status == dc::Status::nonfinite && deviated.offset == 300007);
      }
      v[1199999] = v[300007] = 1;
    }
    dc::Control control{};
    control.cancel = 1;
    job.control = &control;
    CHECK(dc::prune_to_count(job, v.data(), v.size(), 50000, mask.data(), &p).status == dc::Status::aborted);
  }
}

int main() {
  literals();
  refusals();
  for (size_t n : {size_t{1}, size_t{31}, size_t{32}, size_t{33}, size_t{100}, size_t{65536}, size_t{70001}}) {
    std::vector<float> v(n);
    for (size_t i = 0; i < n; i++) v[i] = static_cast<float>(normal(n, i));
    compare("gaussian", v, {0, 1, n / 25, n / 2, n - 1, n});
    for (size_t i = 0; i < n; i++) v[i] = static_cast<float>(static_cast<int>(random_u64(n, i) % 5)) - 2;
    compare("five values", v, {0, 1, n / 25, n / 5, n / 2, n - 1, n});
  }
  const size_t large = 1100003;  // above the size where the cut is bracketed by a sample
  std::vector<float> v(large);
  for (size_t i = 0; i < large; i++) v[i] = static_cast<float>(0.01 * normal(1, i));
  compare("large gaussian", v, {1, 17, large / 25, large / 2, large - 5, large});
  std::vector<float> sorted = v;
  std::sort(sorted.begin(), sorted.end());
  compare("sorted", sorted, {1, large / 25});
  for (size_t i = 0; i < large; i++) v[i] = static_cast<float>(std::round(v[i] * 1000) / 1000);  // about 80 values
  compare("large with ties", v, {1, large / 25, large / 2, large});
  for (size_t i = 0; i < large; i++) v[i] = 0.25f;
  compare("all equal", v, {1, large / 3, large});
  for (size_t i = 0; i < large; i++) v[i] = i % 50 ? 0.0f : static_cast<float>(1 + i);
  compare("mostly zero", v, {large / 100, large / 25, large / 2});
  v.assign(large, 0.0f);
  compare("all zero", v, {1, large});
  for (size_t i = 0; i < large; i++)
    v[i] = i % 2 ? 1e-45f * static_cast<float>(i % 100) : FLT_MAX / static_cast<float>(1 + i);
  compare("denormal and huge", v, {10, large / 25, large * 2 / 3});

  std::vector<double> deviations;
  for (size_t i = 0; i < large; i++) v[i] = static_cast<float>(1000 + normal(2, i));
  const Levels all = levels();
  for (int l = 0; l < all.count; l++) {
    for (unsigned threads : {1u, 2u, 8u}) {
      dc::Job job;
      job.level = all.level[l];
      job.threads = threads;
      job.pool = &g_pool;
      deviations.push_back(0);
      CHECK(dc::standard_deviation(job, v.data(), large, &deviations.back()));
      CHECK(deviations.back() == deviations[0]);
    }
  }
  long double sum = 0, squares = 0;
  for (float x : v) sum += x;
  const long double mean = sum / large;
  for (float x : v) squares += (x - mean) * (x - mean);
  CHECK(std::fabs(deviations[0] / static_cast<double>(std::sqrt(squares / large)) - 1) < 1e-12);
  g_pool.stop();
  return finish();
}
