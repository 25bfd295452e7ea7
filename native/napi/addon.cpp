#include "../base/memory.h"
#include "arguments.h"

namespace dc {

// One line a stage: each is defined in native/napi/<stage>.cpp and called in initialize() below.
void export_container(Napi::Env env, Napi::Object exports);
void export_ecsq(Napi::Env env, Napi::Object exports);
void export_encode(Napi::Env env, Napi::Object exports);
void export_assign(Napi::Env env, Napi::Object exports);
void export_quantize(Napi::Env env, Napi::Object exports);
void export_prune(Napi::Env env, Napi::Object exports);
void export_read_pass(Napi::Env env, Napi::Object exports);

// nativeInfo() -> { cpuLevel, detectedCpuLevel, statuses, allocatedBlocks }
static Napi::Value native_info(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object out = Napi::Object::New(env);
  out.Set("cpuLevel", cpu_level_name(cpu_level()));
  out.Set("detectedCpuLevel", cpu_level_name(detected_cpu_level()));
  out.Set("allocatedBlocks", static_cast<double>(allocated_blocks()));
  Napi::Array statuses = Napi::Array::New(env, kStatusCount);
  for (int i = 0; i < kStatusCount; i++) {
    statuses[static_cast<uint32_t>(i)] = Napi::String::New(env, status_name(static_cast<Status>(i)));
  }
  out.Set("statuses", statuses);
  return out;
}

// memoryUsage(resetPeak) -> { bytes, peakBytes }
static Napi::Value native_memory_usage(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const MemoryUsage usage = memory_usage();
  if (info[0].ToBoolean().Value()) reset_memory_peak();
  Napi::Object out = Napi::Object::New(env);
  out.Set("bytes", static_cast<double>(usage.bytes));
  out.Set("peakBytes", static_cast<double>(usage.peak_bytes));
  return out;
}

static void leave_to_cleanup_hook(Napi::Env, AddonData*) {}

static Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  AddonData* data = AddonData::create(env);
  if (!data) throw coded_error(env, Status::addon, "the addon could not be initialized");
  // The cleanup hook frees it: it must go before the environment's own finalizers run.
  env.SetInstanceData<AddonData, leave_to_cleanup_hook>(data);
  export_function(env, exports, "nativeInfo", native_info);
  export_function(env, exports, "memoryUsage", native_memory_usage);
  export_container(env, exports);
  export_ecsq(env, exports);
  export_encode(env, exports);
  export_assign(env, exports);
  export_quantize(env, exports);
  export_prune(env, exports);
  export_read_pass(env, exports);
  return exports;
}

}  // namespace dc

static Napi::Object initialize_addon(Napi::Env env, Napi::Object exports) { return dc::initialize(env, exports); }
NODE_API_MODULE(NODE_GYP_MODULE_NAME, initialize_addon)
