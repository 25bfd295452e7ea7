#pragma once
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace dc {

// All memory of the core comes from here: no-throw, 64-byte aligned, large blocks advised to huge pages (a 64 MiB block
// costs 16,384 page faults otherwise). Returns nullptr when memory is short. `bytes` of 0 gives a valid unique pointer.
void* allocate(size_t bytes) noexcept;
void* allocate_zeroed(size_t bytes) noexcept;
void deallocate(void* pointer) noexcept;

// Asks for huge pages for memory that somebody else allocated (a typed array that is about to be filled).
void advise_large(void* pointer, size_t bytes) noexcept;

// Blocks now held by this process; a leak test reads it.
int64_t allocated_blocks() noexcept;

// Bytes of those blocks, as the allocator rounds them, and the most there were since the start or the last reset. 0
// where the allocator does not tell the size of a block.
struct MemoryUsage {
  int64_t bytes;
  int64_t peak_bytes;
};
MemoryUsage memory_usage() noexcept;
void reset_memory_peak() noexcept;

// Test hook: after `count` more allocations every allocation fails, until called with a negative count.
void fail_allocations_after(int64_t count) noexcept;

// An owning array of trivially copyable values. `reset(n)` answers false when memory is short.
template <typename T>
class Array {
 public:
  Array() noexcept = default;
  ~Array() { deallocate(data_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  Array(Array&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Array& operator=(Array&& other) noexcept {
    if (this != &other) {
      deallocate(data_);
      data_ = std::exchange(other.data_, nullptr);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }

  // Contents are indeterminate.
  [[nodiscard]] bool reset(size_t size) noexcept { return take(size, allocate(bytes_of(size))); }
  [[nodiscard]] bool reset_zeroed(size_t size) noexcept { return take(size, allocate_zeroed(bytes_of(size))); }
  void clear() noexcept {
    deallocate(data_);
    data_ = nullptr;
    size_ = 0;
  }

  T* data() noexcept { return data_; }
  const T* data() const noexcept { return data_; }
  size_t size() const noexcept { return size_; }
  T& operator[](size_t i) noexcept { return data_[i]; }
  const T& operator[](size_t i) const noexcept { return data_[i]; }
  T* begin() noexcept { return data_; }
  T* end() noexcept { return data_ + size_; }

 private:
  static size_t bytes_of(size_t size) noexcept { return size > SIZE_MAX / sizeof(T) ? SIZE_MAX : size * sizeof(T); }
  bool take(size_t size, void* fresh) noexcept {
    deallocate(data_);
    data_ = static_cast<T*>(fresh);
    size_ = fresh ? size : 0;
    return fresh != nullptr;
  }

  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace dc
