// assign() equals a plain search on the thresholds, for every level, thread count, mask and kind of codebook.
#include "check.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <vector>

#include "base/mask.h"
#include "quantize/assign.h"

static dc::Pool g_pool(2);

static double normal(uint64_t seed, uint64_t i) {
  return std::sqrt(-2 * std::log(1 - random_unit(seed, 2 * i))) *
         std::cos(6.283185307179586 * random_unit(seed, 2 * i + 1));
}

// The plain search: the first centroid whose threshold is not below x, one by one.
static uint32_t plain(float x, const std::vector<float>& thresholds) {
  uint32_t i = 0;
  while (i < thresholds.size() && x > thresholds[i]) i++;
  return i;
}

static std::vector<float> thresholds_of(const std::vector<float>& centroids) {
  std::vector<float> t(centroids.size() - 1);
  dc::assignment_thresholds(centroids.data(), static_cast<uint32_t>(centroids.size()), t.data());
  return t;
}

static void compare(const char* what, const std::vector<float>& values, std::vector<float> centroids,
                    unsigned keep_of_8) {
  std::sort(centroids.begin(), centroids.end());
  centroids.erase(std::unique(centroids.begin(), centroids.end()), centroids.end());
  const uint32_t k = static_cast<uint32_t>(centroids.size());
  const std::vector<float> t = thresholds_of(centroids);
  const size_t n = values.size();
  Guarded<float> input(n);
  std::copy(values.begin(), values.end(), input.data());
  Guarded<uint32_t> mask(dc::mask_words(n));
  for (size_t w = 0; w < mask.size(); w++) mask[w] = 0;
  std::vector<uint32_t> dense, kept;
  for (size_t i = 0; i < n; i++) {
    const uint32_t code = static_cast<uint32_t>(std::lower_bound(t.begin(), t.end(), values[i]) - t.begin());
    dense.push_back(code);
    if (random_u64(77, i) % 8 < keep_of_8) {
      mask[i / 32] |= 1u << (i % 32);
      kept.push_back(code);
    }
  }
  for (size_t i = 0; i < n && i < 100; i++) CHECK(dense[i] == plain(values[i], t));
  const Levels all = levels();
  for (int l = 0; l < all.count; l++) {
    for (unsigned threads : {1u, 3u}) {
      for (unsigned bytes : {1u, 2u}) {
        if (bytes == 1 && k > 256) continue;
        for (bool masked : {false, true}) {
          dc::Job job;
          job.level = all.level[l];
          job.threads = threads;
          job.pool = &g_pool;
          const std::vector<uint32_t>& expected = masked ? kept : dense;
          Guarded<uint8_t> codes(expected.size() * bytes);
          const dc::Result result = dc::assign(job, input.data(), n, masked ? mask.data() : nullptr, centroids.data(),
                                               k, codes.data(), bytes, expected.size());
          CHECK(result);
          size_t wrong = 0;
          for (size_t i = 0; i < expected.size(); i++) {
            uint32_t code = codes[i * bytes];
            if (bytes == 2) code |= static_cast<uint32_t>(codes[i * 2 + 1]) << 8;
            wrong += code != expected[i];
          }
          if (wrong) std::printf("%s k=%u level %d masked %d bytes %u: %zu wrong\n", what, k, l, masked, bytes, wrong);
          CHECK(wrong == 0);
        }
      }
    }
  }
}

static std::vector<float> gaussian(size_t n, double sd, uint64_t seed) {
  std::vector<float> v(n);
  for (size_t i = 0; i < n; i++) v[i] = static_cast<float>(sd * normal(seed, i));
  return v;
}

static std::vector<float> some_of(const std::vector<float>& values, size_t k, uint64_t seed) {
  std::vector<float> c;
  for (size_t i = 0; i < k; i++) c.push_back(values[random_u64(seed, i) % values.size()]);
  return c;
}

static void literals() {
  // Midpoints of 0 and 1, 1 and 4; then two neighbouring floats: the midpoint is no float, the threshold the lower one.
  float t[3];
  const float c1[3] = {0, 1, 4};
  dc::assignment_thresholds(c1, 3, t);
  CHECK(t[0] == 0.5f && t[1] == 2.5f);
  const float up = std::nextafterf(1.0f, 2.0f);
  const float c2[2] = {1, up};
  dc::assignment_thresholds(c2, 2, t);
  CHECK(t[0] == 1.0f);
  const float down = -up;
  const float c3[2] = {down, -1};
  dc::assignment_thresholds(c3, 2, t);
  CHECK(t[0] == down);
  // Symmetric around zero: the threshold is +0, and both zeros get the lower code.
  const float c4[2] = {-1, 1};
  dc::assignment_thresholds(c4, 2, t);
  CHECK(t[0] == 0 && !std::signbit(t[0]));
  const float c5[2] = {-0.0f, 0.0f};
  dc::assignment_thresholds(c5, 2, t);
  CHECK(!std::signbit(t[0]));
  // Largest and smallest: no overflow, and a denormal midpoint of half a step rounds down to 0.
  const float c6[2] = {-FLT_MAX, FLT_MAX};
  dc::assignment_thresholds(c6, 2, t);
  CHECK(t[0] == 0);
  const float c7[3] = {-1e-45f, 0, 1e-45f};
  dc::assignment_thresholds(c7, 3, t);
  CHECK(t[0] == -1e-45f && t[1] == 0);
  const Levels all = levels();
  for (int l = 0; l < all.count; l++) {
    dc::Job job;
    job.level = all.level[l];
    const float values[10] = {-3, 0, 0.5f, 0.50000006f, 1, 2.5f, 2.6f, 9, -0.0f, 0.49999997f};
    const uint8_t expected[10] = {0, 0, 0, 1, 1, 1, 2, 2, 0, 0};
    uint8_t codes[10];
    CHECK(dc::assign(job, values, 10, nullptr, c1, 3, codes, 1));
    CHECK(std::memcmp(codes, expected, 10) == 0);
    std::vector<float> zeros(40, -0.0f);
    for (size_t i = 20; i < 40; i++) zeros[i] = 0.0f;
    std::vector<uint8_t> zero_codes(40, 9);
    CHECK(dc::assign(job, zeros.data(), 40, nullptr, c4, 2, zero_codes.data(), 1));
    for (uint8_t code : zero_codes) CHECK(code == 0);
  }
}

static void refusals() {
  const Levels all = levels();
  for (int l = 0; l < all.count; l++) {
    dc::Job job;
    job.level = all.level[l];
    job.threads = 2;
    job.pool = &g_pool;
    std::vector<float> v = gaussian(200000, 1, 5);
    std::vector<uint8_t> codes(v.size());
    std::vector<float> c = some_of(v, 200, 3);
    std::sort(c.begin(), c.end());
    const uint32_t k = static_cast<uint32_t>(c.size());
    for (uint32_t clusters : {1u, 4u, 20u, k}) {
      for (float bad : {NAN, INFINITY, -INFINITY}) {
        v[199999] = bad;
        v[70003] = bad;
        dc::Result r = dc::assign(job, v.data(), v.size(), nullptr, c.data(), clusters, codes.data(), 1);
        CHECK(r.status == dc::Status::nonfinite && r.offset == 70003);
        std::vector<uint32_t> mask(dc::mask_words(v.size()), 0xffffffffu);
        mask[70003 / 32] &= ~(1u << (70003 % 32));
        r = dc::assign(job, v.data(), v.size(), mask.data(), c.data(), clusters, codes.data(), 1);
        CHECK(r.status == dc::Status::nonfinite && r.offset == 199999);
        mask[199999 / 32] &= ~(1u << (199999 % 32));
        r = dc::assign(job, v.data(), v.size(), mask.data(), c.data(), clusters, codes.data(), 1, v.size() - 2);
        CHECK(r);
        r = dc::assign(job, v.data(), v.size(), mask.data(), c.data(), clusters, codes.data(), 1, v.size());
        CHECK(r.status == dc::Status::arg);
        v[199999] = v[70003] = 0;
      }
    }
    const float descending[2] = {2, 1};
    CHECK(dc::assign(job, v.data(), 10, nullptr, descending, 2, codes.data(), 1).status == dc::Status::arg);
    const float infinite[2] = {2, INFINITY};
    CHECK(dc::assign(job, v.data(), 10, nullptr, infinite, 2, codes.data(), 1).status == dc::Status::arg);
    CHECK(dc::assign(job, v.data(), 10, nullptr, c.data(), 0, codes.data(), 1).status == dc::Status::arg);
    CHECK(dc::assign(job, v.data(), 10, nullptr, c.data(), 2, codes.data(), 3).status == dc::Status::arg);
    CHECK(dc::assign(job, v.data(), 0, nullptr, c.data(), k, codes.data(), 1));
  }
}

int main() {
  literals();
  refusals();
  for (size_t n : {size_t{1}, size_t{7}, size_t{15}, size_t{16}, size_t{17}, size_t{31}, size_t{33}, size_t{4099}}) {
    const std::vector<float> v = gaussian(n, 0.01, n);
    for (size_t k : {1u, 2u, 5u, 16u, 17u, 32u, 33u, 256u})
      compare("short", v, some_of(gaussian(500, 0.01, 2), k, k), 3);
  }
  const std::vector<float> body = gaussian(150001, 0.01, 1);
  for (size_t k : {2u, 15u, 16u, 31u, 32u, 33u, 255u, 256u, 257u, 4096u, 65536u}) {
    compare("gaussian", body, some_of(body, k, k + 1), k % 9);
  }
  {  // outliers at 40 sd and at 1e38, values far outside the codebook
    std::vector<float> v = body;
    for (size_t i = 0; i < v.size(); i += 997) v[i] *= 40;
    v[3] = 1e38f, v[4] = -1e38f, v[5] = FLT_MAX, v[6] = -FLT_MAX, v[7] = 1e-45f, v[8] = -1e-45f, v[9] = -0.0f;
    std::vector<float> c = some_of(v, 250, 4);
    compare("40 sd", v, c, 1);
    c.push_back(1e38f), c.push_back(-1e38f), c.push_back(3e-45f), c.push_back(FLT_MAX);
    compare("1e38", v, c, 7);
  }
  {  // thresholds on neighbouring floats, and a cluster of them far from zero beside a wide spread
    std::vector<float> c, v = body;
    float x = 1.0f;
    for (int i = 0; i < 200; i++, x = std::nextafterf(x, 2)) c.push_back(x);
    for (size_t i = 0; i < v.size(); i++) {
      if (i % 3 == 0) v[i] = c[random_u64(9, i) % c.size()];
    }
    compare("neighbours", v, c, 4);
    for (int i = 0; i < 56; i++) c.push_back(v[i * 31 + 1]);
    compare("neighbours and body", v, c, 4);
    for (int i = 0; i < 20000; i++, x = std::nextafterf(x, 2)) c.push_back(x);
    for (int i = 0; i < 20000; i++) c.push_back(v[(i * 31 + 1) % v.size()]);
    compare("many neighbours and body", v, c, 8);
  }
  {  // every value on a threshold or next to one
    std::vector<float> c = some_of(body, 256, 8);
    std::sort(c.begin(), c.end());
    c.erase(std::unique(c.begin(), c.end()), c.end());
    std::vector<float> v;
    for (float t : thresholds_of(c)) {
      v.push_back(t);
      v.push_back(std::nextafterf(t, 1));
      v.push_back(std::nextafterf(t, -1));
    }
    while (v.size() < 5000) v.push_back(v[v.size() - 700]);
    compare("on the thresholds", v, c, 5);
  }
  g_pool.stop();
  return finish();
}
