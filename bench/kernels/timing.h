#pragma once
// Kernel timings: cases are run in turn (never one case alone in a row), each figure with its minimum and median.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

struct Case {
  std::string name;
  std::function<void()> run;
  std::vector<double> ms;
};

inline void run_interleaved(std::vector<Case>& cases, int repetitions, const char* yardstick) {
  for (int r = -1; r < repetitions; r++) {
    for (Case& c : cases) {
      const auto start = std::chrono::steady_clock::now();
      c.run();
      const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
      if (r >= 0) c.ms.push_back(ms);
    }
  }
  double unit = 0;
  for (Case& c : cases) {
    std::sort(c.ms.begin(), c.ms.end());
    if (c.name == yardstick) unit = c.ms[0];
  }
  for (Case& c : cases) {
    std::printf("%7.2fx  min %8.2f ms  median %8.2f ms  %s\n", unit > 0 ? c.ms[0] / unit : 0, c.ms[0],
                c.ms[c.ms.size() / 2], c.name.c_str());
  }
}

inline uint64_t bench_random(uint64_t i) {
  uint64_t z = i * 0x9e3779b97f4a7c15ull + 0x94d049bb133111ebull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

// Standard normal values, two a pair of random words.
inline void fill_normal(float* x, size_t n, double sd) {
  for (size_t i = 0; i + 1 < n; i += 2) {
    const double r = std::sqrt(-2 * std::log(1 - (bench_random(i) >> 11) * 0x1p-53));
    const double a = 6.283185307179586 * ((bench_random(i + 1) >> 11) * 0x1p-53);
    x[i] = static_cast<float>(sd * r * std::cos(a));
    x[i + 1] = static_cast<float>(sd * r * std::sin(a));
  }
}
