#include "arguments.h"

#include <cmath>
#include <cstdio>

namespace dc {

Arguments::Arguments(const Napi::CallbackInfo& info, size_t count) : info_(info), count_(count) {
  if (info.Length() != count)
    throw coded_error(info.Env(), Status::arg, "wrong number of arguments to a native function");
}

void Arguments::refuse(Status status, size_t i, const char* what) {
  char message[160];
  std::snprintf(message, sizeof message, "native argument %u: %s", static_cast<unsigned>(i), what);
  throw coded_error(info_.Env(), status, message);
}

void Arguments::require(bool condition, const char* message) {
  if (!condition) throw coded_error(info_.Env(), Status::arg, message);
}

void* Arguments::typed_array(size_t i, int type, bool optional, size_t element_bytes, size_t& size, int* actual) {
  napi_env env = info_.Env();
  napi_value value = info_[i];
  size = 0;
  if (optional && (info_[i].IsNull() || info_[i].IsUndefined())) return nullptr;
  bool is_typed = false;
  if (napi_is_typedarray(env, value, &is_typed) != napi_ok || !is_typed)
    refuse(Status::type, i, "expected a typed array");
  napi_typedarray_type got;
  void* data = nullptr;
  napi_value buffer;
  size_t offset;
  if (napi_get_typedarray_info(env, value, &got, &size, &data, &buffer, &offset) != napi_ok) {
    refuse(Status::type, i, "unreadable typed array");
  }
  if (actual) {
    *actual = got;
  } else if (got != type) {
    refuse(Status::type, i, "typed array of another element type expected");
  }
  bool plain = false, detached = false;
  if (napi_is_arraybuffer(env, buffer, &plain) != napi_ok || !plain) {
    refuse(Status::shared, i, "a view on a SharedArrayBuffer cannot be used here");
  }
  if (napi_is_detached_arraybuffer(env, buffer, &detached) != napi_ok || detached) {
    refuse(Status::detached, i, "the buffer was transferred or detached");
  }
  // V8 reports a null pointer for length 0; kernels get a valid one, so that null only ever means "not given".
  static uint64_t nothing[8];
  if (size == 0) return nothing;
  if (element_bytes > 1 && reinterpret_cast<uintptr_t>(data) % element_bytes != 0)
    refuse(Status::type, i, "unaligned view");
  return data;
}

Arguments::Codes Arguments::codes(size_t i) {
  Codes out{};
  int type = 0;
  out.data = typed_array(i, 0, false, 1, out.size, &type);
  if (type == napi_uint8_array) {
    out.bytes = 1;
  } else if (type == napi_uint16_array) {
    out.bytes = 2;
  } else {
    refuse(Status::type, i, "expected a Uint8Array or Uint16Array");
  }
  return out;
}

double Arguments::number(size_t i) {
  if (!info_[i].IsNumber()) refuse(Status::type, i, "expected a number");
  return info_[i].As<Napi::Number>().DoubleValue();
}

uint64_t Arguments::whole(size_t i) {
  const double value = number(i);
  if (!(value >= 0 && value <= 9007199254740991.0) || value != std::floor(value)) {
    refuse(Status::arg, i, "expected a whole number");
  }
  return static_cast<uint64_t>(value);
}

bool Arguments::flag(size_t i) {
  if (!info_[i].IsBoolean()) refuse(Status::type, i, "expected a boolean");
  return info_[i].As<Napi::Boolean>().Value();
}

Napi::Value Arguments::run(std::unique_ptr<AsyncTask> task) {
  Napi::Env env = info_.Env();
  AddonData* data = env.GetInstanceData<AddonData>();
  const uint64_t threads = whole(count_ - 3);
  require(threads >= 1 && threads <= Pool::kMaxThreads, "threads must be 1 to 64");
  const View<int32_t> control = view<int32_t>(count_ - 2, napi_int32_array, false);
  require(control.size == 8, "control must be an Int32Array(8)");
  task->job.level = cpu_level();
  task->job.threads = static_cast<unsigned>(threads);
  task->job.control = reinterpret_cast<Control*>(control.data);
  const Napi::Value done = info_[count_ - 1];
  if (done.IsNull()) {
    task->job.pool = data->pool();
    return Napi::Number::New(env, static_cast<int32_t>(task->execute_in_place()));
  }
  if (!done.IsFunction()) refuse(Status::type, count_ - 1, "expected a function or null");
  Napi::Array borrowed = Napi::Array::New(env, count_);
  for (size_t i = 0; i < count_; i++) borrowed[static_cast<uint32_t>(i)] = info_[i];
  if (napi_create_reference(env, borrowed, 1, &task->borrowed_) != napi_ok ||
      napi_create_reference(env, done, 1, &task->callback_) != napi_ok || !data->start(env, std::move(task))) {
    throw coded_error(env, Status::busy, "the job could not be started");
  }
  return env.Undefined();
}

}  // namespace dc
