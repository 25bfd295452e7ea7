#pragma once
#include <condition_variable>
#include <mutex>
#include <thread>

#include "job.h"

namespace dc {

// Work to be done once on a pool thread.
class Task {
 public:
  virtual ~Task() = default;
  virtual void run() noexcept = 0;

 private:
  friend class Pool;
  Task* next_ = nullptr;
};

// Threads of our own, so that a server's libuv pool stays free. They are started when first needed, at most
// kMaxThreads, and joined by stop(). At most `concurrent_tasks` tasks run at a time, the rest wait in order. Helpers of
// a parallel_for go before new tasks; the thread that called parallel_for always works too, so a full pool slows a job
// down but never blocks it.
class Pool {
 public:
  static constexpr unsigned kMaxThreads = 64;

  explicit Pool(unsigned concurrent_tasks) noexcept : concurrent_tasks_(concurrent_tasks ? concurrent_tasks : 1) {}
  ~Pool() { stop(); }

  // False when stopped or no thread could be started; the task is then still the caller's.
  bool submit(Task* task) noexcept;
  // Waits for running tasks, hands each task that never ran to `dropped`, joins the threads.
  void stop(void (*dropped)(Task*) = nullptr) noexcept;

 private:
  friend Result parallel_for(const Job&, size_t, ParallelBody, void*) noexcept;
  struct Region;
  void thread_main() noexcept;
  void start_threads(unsigned wanted_idle) noexcept;
  void open(Region& region) noexcept;
  void close(Region& region) noexcept;
  static void work(Region& region, unsigned worker) noexcept;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable region_done_;
  std::thread threads_[kMaxThreads];
  unsigned thread_count_ = 0;
  unsigned idle_ = 0;
  unsigned concurrent_tasks_;
  unsigned running_tasks_ = 0;
  Task* first_task_ = nullptr;
  Task* last_task_ = nullptr;
  Region* regions_ = nullptr;
  bool stopping_ = false;
};

}  // namespace dc
