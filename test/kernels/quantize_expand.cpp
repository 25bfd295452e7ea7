// expand() undoes assign(): every code becomes its centroid at its place, pruned weights become +0.
#include "check.h"

#include <cmath>
#include <vector>

#include "base/mask.h"
#include "quantize/expand.h"

int main() {
  at_all_levels([](const dc::Job& job) {
    {
      const uint8_t codes[3] = {2, 0, 1};
      const uint32_t mask[1] = {0xf4000000u | 0x15};  // places 0, 2, 4; bits past the end are ignored
      const float book[3] = {-1.5f, 0.25f, 8};
      float values[5] = {9, 9, 9, 9, 9};
      CHECK(dc::expand(job, codes, 1, 3, mask, book, 3, values, 5));
      const float expected[5] = {8, 0, -1.5f, 0, 0.25f};
      CHECK(std::memcmp(values, expected, sizeof expected) == 0);
      CHECK(dc::expand(job, codes, 1, 2, mask, book, 3, values, 5).status == dc::Status::arg);
      const dc::Result outside = dc::expand(job, codes, 1, 3, nullptr, book, 2, values, 3);
      CHECK(outside.status == dc::Status::value && outside.offset == 0);
      CHECK(dc::expand(job, codes, 1, 3, nullptr, book, 0, values, 3).status == dc::Status::arg);
      CHECK(dc::expand(job, codes, 1, 3, nullptr, book, 257, values, 3).status == dc::Status::arg);
      CHECK(dc::expand(job, codes, 1, 0, nullptr, book, 3, values, 0));
    }
    for (size_t n : {size_t{1}, size_t{31}, size_t{63}, size_t{64}, size_t{65}, size_t{2049}, size_t{140001}}) {
      for (uint32_t k : {1u, 2u, 200u, 256u, 70u, 5000u, 65536u}) {
        std::vector<float> book(k);
        for (uint32_t i = 0; i < k; i++) book[i] = static_cast<float>(random_unit(k, i) - 0.5);
        for (unsigned bytes : {1u, 2u}) {
          if (bytes == 1 && k > 256) continue;
          for (unsigned keep : {0u, 1u, 7u, 8u, 9u}) {  // 9: no mask
            Guarded<uint32_t> mask(dc::mask_words(n));
            std::vector<float> expected(n, 0.0f);
            std::vector<uint32_t> wanted;
            for (size_t w = 0; w < mask.size(); w++) mask[w] = 0;
            for (size_t i = 0; i < n; i++) {
              if (random_u64(3, i) % 8 >= keep) continue;
              mask[i / 32] |= 1u << (i % 32);
              wanted.push_back(static_cast<uint32_t>(random_u64(4, i) % k));
              expected[i] = book[wanted.back()];
            }
            Guarded<uint8_t> codes(wanted.size() * bytes);
            for (size_t i = 0; i < wanted.size(); i++) {
              codes[i * bytes] = static_cast<uint8_t>(wanted[i]);
              if (bytes == 2) codes[i * 2 + 1] = static_cast<uint8_t>(wanted[i] >> 8);
            }
            Guarded<float> values(n);
            const uint32_t* given = keep == 9 ? nullptr : mask.data();
            CHECK(dc::expand(job, codes.data(), bytes, wanted.size(), given, book.data(), k, values.data(), n));
            CHECK(std::memcmp(values.data(), expected.data(), n * sizeof(float)) == 0);
            if (k < 256 && wanted.size() > 3) {
              codes[(wanted.size() - 1) * bytes] = 255;
              codes[2 * bytes] = static_cast<uint8_t>(k);
              const dc::Result r =
                  dc::expand(job, codes.data(), bytes, wanted.size(), given, book.data(), k, values.data(), n);
              CHECK(r.status == dc::Status::value && r.offset == 2);
            }
          }
        }
      }
    }
  });
  return finish();
}
