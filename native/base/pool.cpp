#include "pool.h"

#include "target.h"

namespace dc {

FloatEnvironment::FloatEnvironment() noexcept : saved_(0) {
#if DC_X86
  saved_ = _mm_getcsr();
  _mm_setcsr(0x1f80);
#elif defined(__aarch64__) && defined(__GNUC__)
  __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
  __asm__ volatile("msr fpcr, %0" : : "r"(uint64_t{0}));
#endif
}

FloatEnvironment::~FloatEnvironment() {
#if DC_X86
  _mm_setcsr(static_cast<unsigned>(saved_));
#elif defined(__aarch64__) && defined(__GNUC__)
  __asm__ volatile("msr fpcr, %0" : : "r"(saved_));
#endif
}

// One open parallel_for. Everything but `next` is guarded by the pool's mutex.
struct Pool::Region {
  ParallelBody body;
  void* context;
  size_t count;
  const Job* job;
  std::atomic<size_t> next{0};
  unsigned free_places = 0;
  unsigned last_worker = 0;
  unsigned active = 0;
  Region* link = nullptr;
};

void Pool::work(Region& region, unsigned worker) noexcept {
  while (!region.job->cancelled()) {
    const size_t index = region.next.fetch_add(1, std::memory_order_relaxed);
    if (index >= region.count) return;
    region.body(region.context, index, worker);
  }
}

void Pool::start_threads(unsigned wanted_idle) noexcept {
  while (idle_ < wanted_idle && thread_count_ < kMaxThreads) {
    try {
      threads_[thread_count_] = std::thread([this] { thread_main(); });
    } catch (...) {
      return;
    }
    thread_count_++;
    idle_++;
  }
}

void Pool::open(Region& region) noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  if (stopping_) return;
  start_threads(region.free_places);
  region.link = regions_;
  regions_ = &region;
  wake_.notify_all();
}

void Pool::close(Region& region) noexcept {
  std::unique_lock<std::mutex> lock(mutex_);
  for (Region** at = &regions_; *at; at = &(*at)->link) {
    if (*at == &region) {
      *at = region.link;
      break;
    }
  }
  region_done_.wait(lock, [&region] { return region.active == 0; });
}

void Pool::thread_main() noexcept {
  FloatEnvironment environment;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    Region* region = regions_;
    while (region && region->free_places == 0) region = region->link;
    if (region) {
      region->free_places--;
      region->active++;
      const unsigned worker = ++region->last_worker;
      idle_--;
      lock.unlock();
      work(*region, worker);
      lock.lock();
      idle_++;
      if (--region->active == 0) region_done_.notify_all();
    } else if (first_task_ && running_tasks_ < concurrent_tasks_ && !stopping_) {
      Task* task = first_task_;
      first_task_ = task->next_;
      if (!first_task_) last_task_ = nullptr;
      running_tasks_++;
      idle_--;
      lock.unlock();
      task->run();
      lock.lock();
      idle_++;
      running_tasks_--;
      wake_.notify_one();
    } else if (stopping_) {
      return;
    } else {
      wake_.wait(lock);
    }
  }
}

bool Pool::submit(Task* task) noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  if (stopping_) return false;
  start_threads(1);
  if (thread_count_ == 0) return false;
  task->next_ = nullptr;
  (last_task_ ? last_task_->next_ : first_task_) = task;
  last_task_ = task;
  wake_.notify_all();
  return true;
}

void Pool::stop(void (*dropped)(Task*)) noexcept {
  Task* waiting = nullptr;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    waiting = first_task_;
    first_task_ = last_task_ = nullptr;
    wake_.notify_all();
  }
  while (waiting) {
    Task* task = waiting;
    waiting = task->next_;
    if (dropped) dropped(task);
  }
  for (unsigned i = 0; i < thread_count_; i++) {
    if (threads_[i].joinable()) threads_[i].join();
  }
}

Result parallel_for(const Job& job, size_t count, ParallelBody body, void* context) noexcept {
  Pool::Region region;
  region.body = body;
  region.context = context;
  region.count = count;
  region.job = &job;
  const unsigned threads = job.threads < Pool::kMaxThreads ? job.threads : Pool::kMaxThreads;
  const bool shared = job.pool && threads > 1 && count > 1;
  if (shared) {
    region.free_places = static_cast<unsigned>(count < threads ? count : threads) - 1;
    job.pool->open(region);
  }
  Pool::work(region, 0);
  if (shared) job.pool->close(region);
  return job.cancelled() ? fail(Status::aborted) : Result{};
}

}  // namespace dc
