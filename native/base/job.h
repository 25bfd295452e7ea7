#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "cpu.h"
#include "status.h"

namespace dc {

class Pool;

// The control block of one call, shared with JavaScript as an Int32Array(8) that the caller allocates.
// JavaScript sets `cancel`; the job writes the rest. Polling a word costs nothing and needs no call into JavaScript.
struct Control {
  std::atomic<int32_t> cancel;       // [0] not 0: stop soon
  std::atomic<int32_t> progress;     // [1] 0..10,000
  std::atomic<int32_t> offset_low;   // [2] Result::offset, low 32 bits
  std::atomic<int32_t> offset_high;  // [3]
  int32_t unused[4];
};
static_assert(sizeof(Control) == 32 && sizeof(std::atomic<int32_t>) == 4, "shared with JavaScript as Int32Array(8)");

// What every kernel is told about how to run. Results never depend on `level` or `threads`.
struct Job {
  CpuLevel level = CpuLevel::scalar;
  unsigned threads = 1;        // participants at the most, the calling thread included
  Pool* pool = nullptr;        // nullptr: the calling thread does everything
  Control* control = nullptr;  // nullptr: cannot be cancelled
  // Where the progress of this part of the work begins and ends, of 10,000.
  int32_t progress_from = 0, progress_to = 10000;

  bool cancelled() const noexcept { return control && control->cancel.load(std::memory_order_relaxed) != 0; }
  void report(uint64_t done, uint64_t total) const noexcept {
    if (control && total) {
      const double part = static_cast<double>(done) / static_cast<double>(total);
      control->progress.store(progress_from + static_cast<int32_t>((progress_to - progress_from) * part),
                              std::memory_order_relaxed);
    }
  }
};

// Runs body(context, index, worker) once for each index < count, on up to job.threads threads; worker < job.threads is
// unique among the bodies that run at the same time (an index into per-thread scratch). Which thread runs an index, and
// in which order, is open: a body writes only what belongs to its index, and sums are merged by index afterwards.
// Answers aborted when the job was cancelled (some indices then never ran). Keep a body under about 5 ms: cancellation
// is looked at between bodies.
using ParallelBody = void (*)(void* context, size_t index, unsigned worker);
Result parallel_for(const Job& job, size_t count, ParallelBody body, void* context) noexcept;

// The same for a callable `f(size_t index, unsigned worker)`.
template <typename F>
Result parallel(const Job& job, size_t count, const F& f) noexcept {
  return parallel_for(
      job, count,
      [](void* context, size_t index, unsigned worker) { (*static_cast<const F*>(context))(index, worker); },
      const_cast<F*>(&f));
}

// Float sums are taken over fixed blocks of this many elements in f64 and merged in block order, so that no result
// depends on the number of threads or on the vector width (RELIABILITY H9: never n / threads partitions).
constexpr size_t kBlockElements = 65536;
inline size_t block_count(size_t elements) noexcept { return (elements + kBlockElements - 1) / kBlockElements; }

// While one lives, denormals are exact and rounding is to nearest, whatever another library set in this thread.
class FloatEnvironment {
 public:
  FloatEnvironment() noexcept;
  ~FloatEnvironment();
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
  uint64_t saved_;
};

}  // namespace dc
