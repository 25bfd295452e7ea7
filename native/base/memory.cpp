#include "memory.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#if defined(__linux__)
#include <malloc.h>
#include <sys/mman.h>
#elif defined(__APPLE__)
#include <malloc/malloc.h>
#endif

namespace dc {

static std::atomic<int64_t> g_blocks{0};
static std::atomic<int64_t> g_bytes{0};
static std::atomic<int64_t> g_peak{0};
static std::atomic<int64_t> g_failing_after{-1};

static int64_t size_of_block(void* pointer) noexcept {
#if defined(__linux__)
  return static_cast<int64_t>(malloc_usable_size(pointer));
#elif defined(__APPLE__)
  return static_cast<int64_t>(malloc_size(pointer));
#else
  (void)pointer;
  return 0;
#endif
}

static void count_block(void* pointer) noexcept {
  g_blocks.fetch_add(1, std::memory_order_relaxed);
  const int64_t size = size_of_block(pointer);
  const int64_t held = g_bytes.fetch_add(size, std::memory_order_relaxed) + size;
  int64_t peak = g_peak.load(std::memory_order_relaxed);
  while (held > peak && !g_peak.compare_exchange_weak(peak, held, std::memory_order_relaxed)) {
  }
}

static bool told_to_fail() noexcept {
  int64_t left = g_failing_after.load(std::memory_order_relaxed);
  while (left >= 0) {
    if (left == 0) return true;
    if (g_failing_after.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) return false;
  }
  return false;
}

static constexpr size_t kAlignment = 64;
static constexpr size_t kHugePage = size_t{2} << 20;

void* allocate(size_t bytes) noexcept {
  if (told_to_fail() || bytes > SIZE_MAX - kHugePage) return nullptr;
  const bool large = bytes >= 2 * kHugePage;
  const size_t alignment = large ? kHugePage : kAlignment;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
#if defined(_WIN32)
  void* pointer = _aligned_malloc(rounded ? rounded : alignment, alignment);
#else
  void* pointer = nullptr;
  if (posix_memalign(&pointer, alignment, rounded ? rounded : alignment) != 0) pointer = nullptr;
#endif
  if (!pointer) return nullptr;
#if defined(__linux__)
  if (large) (void)madvise(pointer, rounded, MADV_HUGEPAGE);
#endif
  count_block(pointer);
  return pointer;
}

void advise_large(void* pointer, size_t bytes) noexcept {
#if defined(__linux__)
  const uintptr_t first = (reinterpret_cast<uintptr_t>(pointer) + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t last = (reinterpret_cast<uintptr_t>(pointer) + bytes) / kHugePage * kHugePage;
  if (first < last) (void)madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
  (void)pointer;
  (void)bytes;
#endif
}

void* allocate_zeroed(size_t bytes) noexcept {
  void* pointer = allocate(bytes);
  if (pointer && bytes) std::memset(pointer, 0, bytes);
  return pointer;
}

void deallocate(void* pointer) noexcept {
  if (!pointer) return;
  g_blocks.fetch_sub(1, std::memory_order_relaxed);
  g_bytes.fetch_sub(size_of_block(pointer), std::memory_order_relaxed);
#if defined(_WIN32)
  _aligned_free(pointer);
#else
  std::free(pointer);
#endif
}

int64_t allocated_blocks() noexcept { return g_blocks.load(std::memory_order_relaxed); }

MemoryUsage memory_usage() noexcept {
  return {g_bytes.load(std::memory_order_relaxed), g_peak.load(std::memory_order_relaxed)};
}

void reset_memory_peak() noexcept { g_peak.store(g_bytes.load(std::memory_order_relaxed), std::memory_order_relaxed); }

void fail_allocations_after(int64_t count) noexcept { g_failing_after.store(count, std::memory_order_relaxed); }

}  // namespace dc
