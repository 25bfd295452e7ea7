#pragma once
#include <memory>

#include "async_task.h"
#include "errors.h"

namespace dc {

// A typed array as a kernel sees it.
template <typename T>
struct View {
  T* data = nullptr;
  size_t size = 0;
  explicit operator bool() const noexcept { return data != nullptr; }
};

// The arguments of a raw addon function by position, checked for memory safety: kind, not detached, not shared, whole
// numbers in range. Meaning is checked in TypeScript. A wrong argument throws an error with a code; Napi::Error leaves
// the function. The last three arguments are always (threads, control: Int32Array(8), done: function | null).
class Arguments {
 public:
  Arguments(const Napi::CallbackInfo& info, size_t count);

  View<const float> f32(size_t i) { return view<const float>(i, napi_float32_array, false); }
  View<const float> optional_f32(size_t i) { return view<const float>(i, napi_float32_array, true); }
  View<const double> f64(size_t i) { return view<const double>(i, napi_float64_array, false); }
  View<const uint8_t> u8(size_t i) { return view<const uint8_t>(i, napi_uint8_array, false); }
  View<const uint8_t> optional_u8(size_t i) { return view<const uint8_t>(i, napi_uint8_array, true); }
  View<const uint16_t> u16(size_t i) { return view<const uint16_t>(i, napi_uint16_array, false); }
  View<const uint32_t> u32(size_t i) { return view<const uint32_t>(i, napi_uint32_array, false); }
  View<const uint32_t> optional_u32(size_t i) { return view<const uint32_t>(i, napi_uint32_array, true); }
  View<float> f32_out(size_t i) { return view<float>(i, napi_float32_array, false); }
  View<float> optional_f32_out(size_t i) { return view<float>(i, napi_float32_array, true); }
  View<double> f64_out(size_t i) { return view<double>(i, napi_float64_array, false); }
  View<double> optional_f64_out(size_t i) { return view<double>(i, napi_float64_array, true); }
  View<uint8_t> u8_out(size_t i) { return view<uint8_t>(i, napi_uint8_array, false); }
  View<uint8_t> optional_u8_out(size_t i) { return view<uint8_t>(i, napi_uint8_array, true); }
  View<uint16_t> u16_out(size_t i) { return view<uint16_t>(i, napi_uint16_array, false); }
  View<uint32_t> u32_out(size_t i) { return view<uint32_t>(i, napi_uint32_array, false); }
  View<uint32_t> optional_u32_out(size_t i) { return view<uint32_t>(i, napi_uint32_array, true); }

  // A Uint8Array or Uint16Array; `bytes` is 1 or 2.
  struct Codes {
    void* data;
    size_t size;
    unsigned bytes;
  };
  Codes codes(size_t i);

  double number(size_t i);   // any number
  uint64_t whole(size_t i);  // 0 .. 2^53 - 1, a whole number
  bool flag(size_t i);

  // Throws ERR_DC_ARG unless `condition`.
  void require(bool condition, const char* message);

  // Runs the task: now, answering its status as a number, when `done` is null; else on the pool, answering undefined.
  Napi::Value run(std::unique_ptr<AsyncTask> task);

 private:
  template <typename T>
  View<T> view(size_t i, napi_typedarray_type type, bool optional) {
    size_t size = 0;
    void* data = typed_array(i, type, optional, sizeof(T), size);
    return View<T>{static_cast<T*>(data), size};
  }
  void* typed_array(size_t i, int type, bool optional, size_t element_bytes, size_t& size, int* actual = nullptr);
  [[noreturn]] void refuse(Status status, size_t i, const char* what);

  const Napi::CallbackInfo& info_;
  size_t count_;
};

// Adds a raw addon function to the addon's exports.
inline void export_function(Napi::Env env, Napi::Object exports, const char* name,
                            Napi::Value (*function)(const Napi::CallbackInfo&)) {
  exports.Set(name, Napi::Function::New(env, function, name));
}

}  // namespace dc
