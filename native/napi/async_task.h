#pragma once
#include <memory>

#include "napi_config.h"

namespace dc {

class AddonData;

// One call of a raw addon function: plain fields that the .cpp of a stage fills from its arguments, and execute(),
// which touches no JavaScript value. The typed arrays it reads and writes are kept alive by one reference until it has
// settled.
class AsyncTask : public Task {
 public:
  virtual Result execute(const Job& job) noexcept = 0;
  void run() noexcept final;

  Job job;

 private:
  friend class AddonData;
  friend class Arguments;
  Status execute_in_place() noexcept;

  AddonData* owner_ = nullptr;
  napi_ref borrowed_ = nullptr;  // a JavaScript array of everything the task reads or writes
  napi_ref callback_ = nullptr;
  Status status_ = Status::ok;
  AsyncTask* settled_link_ = nullptr;
  AsyncTask* live_next_ = nullptr;
  AsyncTask* live_previous_ = nullptr;
};

// State of one environment (the main thread or a worker): its pool, its running tasks, its way back into JavaScript.
class AddonData {
 public:
  static AddonData* create(Napi::Env env) noexcept;
  Pool* pool() noexcept { return &pool_; }
  // Takes the task over, whatever the answer; false: the environment is closing or no thread could be started.
  bool start(napi_env env, std::unique_ptr<AsyncTask> task) noexcept;

 private:
  friend class AsyncTask;
  explicit AddonData(unsigned concurrent_tasks) noexcept : pool_(concurrent_tasks) {}
  void settled(AsyncTask* task) noexcept;
  void deliver(napi_env env) noexcept;
  void unlink(AsyncTask* task) noexcept;
  static void call_js(napi_env env, napi_value, void* context, void*);
  static void clean_up(void* data);

  Pool pool_;
  std::mutex mutex_;
  AsyncTask* settled_first_ = nullptr;
  AsyncTask* live_ = nullptr;  // JavaScript thread only
  unsigned pending_ = 0;       // JavaScript thread only
  napi_threadsafe_function wake_ = nullptr;
  bool closing_ = false;
};

}  // namespace dc
