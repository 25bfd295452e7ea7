// Gap symbols and codes -> dense float32, against filling the same memory with zeros: 4096 x 4096 weights, 4 % and 35 %
// kept.
#include <algorithm>
#include <chrono>
#include <vector>

#include "../../test/kernels/check.h"
#include "base/memory.h"
#include "decode/gaps.h"
#include "encode/gaps.h"

using namespace dc;

static double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 15;
  const uint64_t n = 4096 * 4096;
  Array<float> out;
  if (!out.reset_zeroed(n)) return 1;
  for (double density : {0.04, 0.35}) {
    for (unsigned clusters : {32u, 256u}) {
      std::vector<uint32_t> mask(n / 32);
      std::vector<uint8_t> codes;
      for (uint64_t i = 0; i < n; i++) {
        if (random_unit(1, i) < density)
          mask[i >> 5] |= 1u << (i & 31), codes.push_back(static_cast<uint8_t>(random_u64(2, i) % clusters));
      }
      std::vector<float> codebook(clusters, 0.5f);
      const unsigned alphabet = 128;
      std::vector<uint8_t> gaps(escape_room(codes.size(), n, alphabet));
      size_t symbols = 0;
      double extract = 1e9, fill = 1e9;
      std::vector<double> scatter(3, 1e9), bits(3, 1e9);
      uint64_t end, kept;
      for (int round = 0; round < rounds; round++) {
        double start = seconds();
        escape_gaps(detected_cpu_level(), mask.data(), 0, n, alphabet, gaps.data(), gaps.size(), &symbols);
        extract = std::min(extract, seconds() - start);
        start = seconds();
        std::memset(out.data(), 0, n * sizeof(float));
        fill = std::min(fill, seconds() - start);
        for (int l = 0; l < levels().count; l++) {
          start = seconds();
          const Result r = scatter_escape(levels().level[l], gaps.data(), symbols, alphabet, codes.data(), codes.size(),
                                          codebook.data(), clusters, out.data(), n, &end);
          scatter[static_cast<size_t>(l)] = std::min(scatter[static_cast<size_t>(l)], seconds() - start);
          if (!r) std::printf("WRONG\n");
          start = seconds();
          std::fill(mask.begin(), mask.end(), 0);
          mask_escape(levels().level[l], gaps.data(), symbols, alphabet, mask.data(), 0, n, &kept, &end);
          bits[static_cast<size_t>(l)] = std::min(bits[static_cast<size_t>(l)], seconds() - start);
        }
      }
      std::printf("density %.2f, %u clusters, %zu gap symbols: fill %.2f ms, extract %.2f ms", density, clusters,
                  symbols, fill * 1e3, extract * 1e3);
      for (int l = 0; l < levels().count; l++) {
        std::printf(", %s scatter %.2f mask %.2f", cpu_level_name(levels().level[l]),
                    scatter[static_cast<size_t>(l)] * 1e3, bits[static_cast<size_t>(l)] * 1e3);
      }
      std::printf("\n");
    }
  }
  return 0;
}
