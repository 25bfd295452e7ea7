// The pool runs each index once, with distinct workers, and never hangs when it is full.
#include "check.h"

#include <atomic>

int main() {
  dc::Pool pool(2);
  for (unsigned threads : {1u, 2u, 4u, 8u}) {
    dc::Job job;
    job.threads = threads;
    job.pool = &pool;
    static std::atomic<int> hits[1000];
    std::atomic<int> worst{0};
    for (auto& hit : hits) hit = 0;
    auto body = [&](size_t index, unsigned worker) {
      hits[index]++;
      if (static_cast<int>(worker) > worst) worst = static_cast<int>(worker);
    };
    CHECK(dc::parallel(job, 1000, body));
    int once = 0;
    for (auto& hit : hits) once += hit == 1;
    CHECK(once == 1000);
    CHECK(worst < static_cast<int>(threads));
  }
  {
    struct Nested : dc::Task {
      dc::Pool* pool = nullptr;
      std::atomic<int>* sum = nullptr;
      void run() noexcept override {
        dc::Job job;
        job.threads = 4;
        job.pool = pool;
        dc::parallel(job, 100, [this](size_t, unsigned) { sum->fetch_add(1); });
      }
    };
    std::atomic<int> sum{0};
    Nested tasks[10];
    for (auto& task : tasks) {
      task.pool = &pool;
      task.sum = &sum;
      CHECK(pool.submit(&task));
    }
    while (sum < 1000) std::this_thread::yield();
    CHECK(sum == 1000);
  }
  dc::Control control{};
  control.cancel = 1;
  dc::Job job;
  job.control = &control;
  job.pool = &pool;
  int ran = 0;
  const dc::Result result = dc::parallel(job, 10, [&](size_t, unsigned) { ran++; });
  CHECK(result.status == dc::Status::aborted);
  CHECK(ran == 0);
  pool.stop();
  return finish();
}
