#include "async_task.h"

namespace dc {

Status AsyncTask::execute_in_place() noexcept {
  FloatEnvironment environment;
  const Result result = job.cancelled() ? fail(Status::aborted) : execute(job);
  if (job.control) {
    job.control->offset_low.store(static_cast<int32_t>(result.offset & 0xffffffffu), std::memory_order_relaxed);
    job.control->offset_high.store(static_cast<int32_t>(result.offset >> 32), std::memory_order_relaxed);
  }
  return result.status;
}

void AsyncTask::run() noexcept {
  status_ = execute_in_place();
  owner_->settled(this);
}

AddonData* AddonData::create(Napi::Env env) noexcept {
  const unsigned cores = std::thread::hardware_concurrency();
  AddonData* data = new (std::nothrow) AddonData(cores < 1 ? 1 : cores < 4 ? cores : 4);
  if (!data) return nullptr;
  napi_value name;
  bool ready = napi_create_string_utf8(env, "deep-compression", NAPI_AUTO_LENGTH, &name) == napi_ok &&
               napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, data, call_js,
                                               &data->wake_) == napi_ok &&
               napi_unref_threadsafe_function(env, data->wake_) == napi_ok &&
               // Hooks run last in, first out: ours comes before the thread-safe function's own.
               napi_add_env_cleanup_hook(env, clean_up, data) == napi_ok;
  if (ready) return data;
  delete data;
  return nullptr;
}

bool AddonData::start(napi_env env, std::unique_ptr<AsyncTask> owned) noexcept {
  AsyncTask* task = owned.release();
  task->owner_ = this;
  task->job.pool = &pool_;
  task->live_next_ = live_;
  if (live_) live_->live_previous_ = task;
  live_ = task;
  if (pending_++ == 0) (void)napi_ref_threadsafe_function(env, wake_);
  if (!closing_ && pool_.submit(task)) return true;
  if (--pending_ == 0) (void)napi_unref_threadsafe_function(env, wake_);
  unlink(task);
  if (task->borrowed_) (void)napi_delete_reference(env, task->borrowed_);
  if (task->callback_) (void)napi_delete_reference(env, task->callback_);
  delete task;
  return false;
}

void AddonData::unlink(AsyncTask* task) noexcept {
  (task->live_previous_ ? task->live_previous_->live_next_ : live_) = task->live_next_;
  if (task->live_next_) task->live_next_->live_previous_ = task->live_previous_;
}

// On a pool thread.
void AddonData::settled(AsyncTask* task) noexcept {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    task->settled_link_ = settled_first_;
    settled_first_ = task;
  }
  (void)napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
}

void AddonData::call_js(napi_env env, napi_value, void* context, void*) {
  if (env) static_cast<AddonData*>(context)->deliver(env);
}

// Every status is looked at: in a worker that is being terminated no call into JavaScript succeeds, and that must be
// all.
void AddonData::deliver(napi_env env) noexcept {
  AsyncTask* task;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    task = settled_first_;
    settled_first_ = nullptr;
  }
  AsyncTask* in_order = nullptr;
  while (task) {
    AsyncTask* next = task->settled_link_;
    task->settled_link_ = in_order;
    in_order = task;
    task = next;
  }
  while (in_order) {
    std::unique_ptr<AsyncTask> done(in_order);
    in_order = done->settled_link_;
    unlink(done.get());
    if (--pending_ == 0) (void)napi_unref_threadsafe_function(env, wake_);
    napi_value callback = nullptr, receiver, status;
    const bool callable = napi_get_reference_value(env, done->callback_, &callback) == napi_ok && callback &&
                          napi_get_undefined(env, &receiver) == napi_ok &&
                          napi_create_int32(env, static_cast<int32_t>(done->status_), &status) == napi_ok;
    (void)napi_delete_reference(env, done->borrowed_);
    (void)napi_delete_reference(env, done->callback_);
    if (callable) (void)napi_call_function(env, receiver, callback, 1, &status, nullptr);
  }
}

// The environment ends (worker.terminate(), process.exit(), normal end): stop the tasks, join the threads, free
// everything.
void AddonData::clean_up(void* pointer) {
  AddonData* data = static_cast<AddonData*>(pointer);
  data->closing_ = true;
  for (AsyncTask* task = data->live_; task; task = task->live_next_) {
    if (task->job.control) task->job.control->cancel.store(1, std::memory_order_relaxed);
  }
  data->pool_.stop();
  while (AsyncTask* task = data->live_) {
    data->unlink(task);
    delete task;  // its references go with the environment
  }
  (void)napi_release_threadsafe_function(data->wake_, napi_tsfn_abort);
  delete data;
}

}  // namespace dc
