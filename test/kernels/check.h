#pragma once
// A test program is a list of CHECKs; it prints `N passed, M failed` and exits 1 when one failed.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/job.h"
#include "base/pool.h"

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

static int g_passed = 0, g_failed = 0;

#define CHECK(condition)                                                 \
  do {                                                                   \
    if (condition) {                                                     \
      g_passed++;                                                        \
    } else {                                                             \
      g_failed++;                                                        \
      std::printf("FAILED %s:%d: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                    \
  } while (0)

inline int finish() {
  std::printf("%d passed, %d failed\n", g_passed, g_failed);
  return g_failed ? 1 : 0;
}

// The levels this machine can run, lowest first: a differential test loops over them.
struct Levels {
  dc::CpuLevel level[3];
  int count;
};
inline Levels levels() {
  Levels l = {{dc::CpuLevel::scalar, dc::CpuLevel::avx2, dc::CpuLevel::avx512},
              1 + static_cast<int>(dc::detected_cpu_level())};
  return l;
}

// Calls `body(job)` for every level on one thread and on three.
template <typename F>
void at_all_levels(const F& body) {
  dc::Pool pool(2);
  const Levels all = levels();
  for (int l = 0; l < all.count; l++) {
    for (unsigned threads : {1u, 3u}) {
      dc::Job job;
      job.level = all.level[l];
      job.threads = threads;
      job.pool = &pool;
      body(job);
    }
  }
  pool.stop();
}

// Counter-based random numbers: value(seed, index) is always the same.
inline uint64_t random_u64(uint64_t seed, uint64_t index) {
  uint64_t z = seed * 0x9e3779b97f4a7c15ull + index * 0xbf58476d1ce4e5b9ull + 0x94d049bb133111ebull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}
inline double random_unit(uint64_t seed, uint64_t index) { return (random_u64(seed, index) >> 11) * 0x1p-53; }

// A buffer that ends at an unmapped page, so that a read or write past its end faults.
template <typename T>
class Guarded {
 public:
  explicit Guarded(size_t count) : count_(count) {
#if defined(__linux__)
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t body = (count * sizeof(T) + page - 1) / page * page;
    bytes_ = body + page;
    base_ = static_cast<uint8_t*>(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED) std::abort();
    mprotect(base_ + body, page, PROT_NONE);
    data_ = reinterpret_cast<T*>(base_ + body - count * sizeof(T));
#else
    base_ = static_cast<uint8_t*>(std::malloc(count * sizeof(T) + 1));
    data_ = reinterpret_cast<T*>(base_);
#endif
  }
  ~Guarded() {
#if defined(__linux__)
    munmap(base_, bytes_);
#else
    std::free(base_);
#endif
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  T* data() { return data_; }
  T& operator[](size_t i) { return data_[i]; }
  size_t size() const { return count_; }

 private:
  uint8_t* base_ = nullptr;
  T* data_ = nullptr;
  size_t count_ = 0, bytes_ = 0;
};
