// Optimal code lengths against a plain search, and normalized frequencies.
#include <algorithm>
#include <vector>

#include "check.h"
#include "encode/model.h"

using namespace dc;

namespace {

// Least total bits of a complete prefix code with lengths up to `limit`, by dynamic programming over sorted counts
// (lengths do not grow with the count): state = symbols left, code space left in units of 2^-limit.
uint64_t best_bits(std::vector<uint64_t> counts, unsigned limit) {
  std::sort(counts.begin(), counts.end());
  const size_t n = counts.size(), space = size_t{1} << limit;
  std::vector<uint64_t> best(space + 1, UINT64_MAX), next;
  best[0] = 0;
  for (size_t i = 0; i < n; i++) {
    next.assign(space + 1, UINT64_MAX);
    for (unsigned length = 1; length <= limit; length++) {
      const size_t share = space >> length;
      for (size_t used = 0; used + share <= space; used++) {
        if (best[used] != UINT64_MAX)
          next[used + share] = std::min(next[used + share], best[used] + counts[i] * length);
      }
    }
    best = next;
  }
  return best[space];
}

void lengths_are_optimal() {
  for (uint64_t seed = 0; seed < 60; seed++) {
    const size_t n = 2 + random_u64(seed, 0) % 40;
    uint64_t counts[256] = {};
    std::vector<uint64_t> list;
    for (size_t s = 0; s < n; s++) {
      counts[s] = 1 + (seed % 3 == 0 ? random_u64(seed, s + 1) % 1000 : uint64_t{1} << (random_u64(seed, s + 1) % 30));
      if (seed % 3 == 2 && s > 2)
        counts[s] = counts[s - 1] + counts[s - 2];  // Fibonacci: lengths over the limit without it
      list.push_back(counts[s]);
    }
    uint8_t lengths[256] = {};
    code_lengths(counts, 256, lengths);
    uint64_t bits = 0, kraft = 0;
    for (size_t s = 0; s < n; s++) {
      CHECK(lengths[s] >= 1 && lengths[s] <= kMaxCodeLength);
      bits += counts[s] * lengths[s];
      kraft += kCodeSpace >> lengths[s];
    }
    CHECK(kraft == kCodeSpace);
    CHECK(bits == best_bits(list, kMaxCodeLength));
  }
}

void frequencies_sum_to_the_code_space() {
  for (uint64_t seed = 0; seed < 200; seed++) {
    const size_t n = 2 + random_u64(seed, 0) % 255;
    uint64_t counts[256] = {};
    for (size_t s = 0; s < n; s++) counts[s] = uint64_t{1} << (random_u64(seed, s + 1) % (1 + seed % 50));
    uint16_t f[256] = {};
    normalize_frequencies(counts, 256, f);
    uint64_t sum = 0;
    bool all = true;
    for (size_t s = 0; s < 256; s++) {
      sum += f[s];
      all = all && (f[s] != 0) == (counts[s] != 0);
    }
    CHECK(sum == kCodeSpace);
    CHECK(all);
    CHECK(check_frequencies(f, 256));
  }
}

void entropy_by_hand() {
  uint64_t counts[256] = {};
  counts[0] = 2, counts[1] = 1, counts[2] = 1;
  CHECK(entropy_bits(counts) > 5.999999 && entropy_bits(counts) < 6.000001);
}

}  // namespace

int main() {
  lengths_are_optimal();
  frequencies_sum_to_the_code_space();
  entropy_by_hand();
  return finish();
}
