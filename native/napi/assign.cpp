#include "../quantize/assign.h"

#include "../base/mask.h"
#include "../quantize/expand.h"
#include "../quantize/sum_by_code.h"
#include "arguments.h"

namespace dc {

namespace {

class AssignTask final : public AsyncTask {
 public:
  View<const float> values, centroids;
  View<const uint32_t> mask;
  Arguments::Codes codes{};
  Result execute(const Job& running) noexcept override {
    return assign(running, values.data, values.size, mask.data, centroids.data, static_cast<uint32_t>(centroids.size),
                  codes.data, codes.bytes, codes.size);
  }
};

// assign(values: Float32Array, mask: Uint32Array | null, centroids: Float32Array, codes: Uint8Array | Uint16Array,
// ...job)
Napi::Value assign_call(const Napi::CallbackInfo& info) {
  Arguments args(info, 7);
  auto task = std::make_unique<AssignTask>();
  task->values = args.f32(0);
  task->mask = args.optional_u32(1);
  task->centroids = args.f32(2);
  task->codes = args.codes(3);
  args.require(!task->mask || task->mask.size == mask_words(task->values.size), "the mask must have one bit a value");
  args.require(task->centroids.size <= kMaxCentroids, "at most 65536 centroids");
  return args.run(std::move(task));
}

class ExpandTask final : public AsyncTask {
 public:
  Arguments::Codes codes{};
  View<const uint32_t> mask;
  View<const float> codebook;
  View<float> values;
  Result execute(const Job& running) noexcept override {
    return expand(running, codes.data, codes.bytes, codes.size, mask.data, codebook.data,
                  static_cast<uint32_t>(codebook.size), values.data, values.size);
  }
};

// expand(codes: Uint8Array | Uint16Array, mask: Uint32Array | null, codebook: Float32Array, values: Float32Array,
// ...job)
Napi::Value expand_call(const Napi::CallbackInfo& info) {
  Arguments args(info, 7);
  auto task = std::make_unique<ExpandTask>();
  task->codes = args.codes(0);
  task->mask = args.optional_u32(1);
  task->codebook = args.f32(2);
  task->values = args.f32_out(3);
  args.require(!task->mask || task->mask.size == mask_words(task->values.size), "the mask must have one bit a value");
  args.require(task->codebook.size <= kMaxCentroids, "at most 65536 centroids");
  return args.run(std::move(task));
}

class SumByCodeTask final : public AsyncTask {
 public:
  View<const float> values;
  View<const uint32_t> positions;
  View<const uint8_t> codes;
  View<double> sums;
  Result execute(const Job& running) noexcept override {
    return sum_by_code(running, values.data, values.size, positions.data, codes.data, codes.size,
                       static_cast<uint32_t>(sums.size), sums.data);
  }
};

// sumByCode(values: Float32Array, positions: Uint32Array | null, codes: Uint8Array, sums: Float64Array, ...job)
Napi::Value sum_by_code_call(const Napi::CallbackInfo& info) {
  Arguments args(info, 7);
  auto task = std::make_unique<SumByCodeTask>();
  task->values = args.f32(0);
  task->positions = args.optional_u32(1);
  task->codes = args.u8(2);
  task->sums = args.f64_out(3);
  args.require(!task->positions || task->positions.size == task->codes.size, "there must be one position a code");
  args.require(task->sums.size <= 256, "at most 256 sums");
  return args.run(std::move(task));
}

}  // namespace

void export_assign(Napi::Env env, Napi::Object exports) {
  export_function(env, exports, "assign", assign_call);
  export_function(env, exports, "expand", expand_call);
  export_function(env, exports, "sumByCode", sum_by_code_call);
}

}  // namespace dc
