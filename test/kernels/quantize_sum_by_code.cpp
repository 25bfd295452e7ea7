// sum_by_code() adds what its contract says in the order it says: literals, then a plain copy of the order, bit for
// bit, at every level and number of threads, in guarded buffers.
#include <cstring>
#include <vector>

#include "check.h"
#include "quantize/sum_by_code.h"

// The order of the contract, one addition at a time.
static std::vector<double> plain(const std::vector<float>& values, const std::vector<uint32_t>* positions,
                                 const std::vector<uint8_t>& codes, uint32_t k) {
  std::vector<double> total(k);
  for (size_t first = 0; first < codes.size(); first += 65536) {
    const size_t n = codes.size() - first < 65536 ? codes.size() - first : 65536;
    std::vector<double> s[4];
    for (auto& lane : s) lane.resize(k);
    for (size_t i = 0; i < n; i++) {
      const size_t at = positions ? (*positions)[first + i] : first + i;
      s[i < n / 4 * 4 ? i % 4 : 0][codes[first + i]] += values[at];
    }
    for (uint32_t c = 0; c < k; c++) total[c] += (s[0][c] + s[1][c]) + (s[2][c] + s[3][c]);
  }
  return total;
}

int main() {
  at_all_levels([](const dc::Job& job) {
    {
      const float values[7] = {1, 2, 4, 8, 16, 32, 64};
      const uint8_t codes[7] = {0, 2, 0, 2, 2, 2, 0};
      double sums[3] = {9, 9, 9};
      CHECK(dc::sum_by_code(job, values, 7, nullptr, codes, 7, 3, sums));
      CHECK(sums[0] == 69 && sums[1] == 0 && sums[2] == 58);
      const uint32_t positions[3] = {6, 0, 5};
      CHECK(dc::sum_by_code(job, values, 7, positions, codes, 3, 3, sums));
      CHECK(sums[0] == 96 && sums[1] == 0 && sums[2] == 1);
      CHECK(dc::sum_by_code(job, values, 7, positions, codes, 0, 1, sums) && sums[0] == 0);
      CHECK(dc::sum_by_code(job, values, 7, nullptr, codes, 7, 0, sums).status == dc::Status::arg);
      CHECK(dc::sum_by_code(job, values, 7, nullptr, codes, 7, 257, sums).status == dc::Status::arg);
      const dc::Result length = dc::sum_by_code(job, values, 7, nullptr, codes, 6, 3, sums);
      CHECK(length.status == dc::Status::arg && length.offset == 7);
      const dc::Result code = dc::sum_by_code(job, values, 7, nullptr, codes, 7, 2, sums);
      CHECK(code.status == dc::Status::value && code.offset == 1);
      const dc::Result place = dc::sum_by_code(job, values, 6, positions, codes, 3, 3, sums);
      CHECK(place.status == dc::Status::value && place.offset == 0);
    }
    for (size_t n : {size_t{1}, size_t{3}, size_t{4}, size_t{5}, size_t{65535}, size_t{65537}, size_t{140002}}) {
      for (uint32_t k : {1u, 3u, 16u, 255u, 256u}) {
        for (bool masked : {false, true}) {
          const size_t count = masked ? 2 * n : n;
          std::vector<float> v(count);
          for (size_t i = 0; i < count; i++) v[i] = static_cast<float>(random_unit(k, i) - 0.5);
          std::vector<uint32_t> at(n);
          std::vector<uint8_t> c(n);
          for (size_t i = 0; i < n; i++) {
            at[i] = static_cast<uint32_t>(2 * i + random_u64(6, i) % 2);
            c[i] = static_cast<uint8_t>((random_u64(7, i) % k + random_u64(8, i) % k) / 2);
          }
          Guarded<float> values(count);
          Guarded<uint32_t> positions(n);
          Guarded<uint8_t> codes(n);
          Guarded<double> sums(k);
          std::memcpy(values.data(), v.data(), count * sizeof(float));
          std::memcpy(positions.data(), at.data(), n * sizeof(uint32_t));
          std::memcpy(codes.data(), c.data(), n);
          const uint32_t* given = masked ? positions.data() : nullptr;
          CHECK(dc::sum_by_code(job, values.data(), count, given, codes.data(), n, k, sums.data()));
          const std::vector<double> wanted = plain(v, masked ? &at : nullptr, c, k);
          CHECK(std::memcmp(sums.data(), wanted.data(), k * sizeof(double)) == 0);
          if (n > 1 && k < 256) {
            codes[n - 1] = static_cast<uint8_t>(k);
            const dc::Result r = dc::sum_by_code(job, values.data(), count, given, codes.data(), n, k, sums.data());
            CHECK(r.status == dc::Status::value && r.offset == n - 1);
          }
        }
      }
    }
  });
  return finish();
}
