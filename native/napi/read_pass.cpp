#include "../base/read_pass.h"

#include "arguments.h"

namespace dc {

namespace {

class ReadPassTask final : public AsyncTask {
 public:
  View<const float> values;
  View<uint32_t> result;
  Result execute(const Job& running) noexcept override {
    return read_pass(running, values.data, values.size, result.data);
  }
};

// readPass(values: Float32Array, result: Uint32Array(1), ...job)
Napi::Value read_pass_call(const Napi::CallbackInfo& info) {
  Arguments args(info, 5);
  auto task = std::make_unique<ReadPassTask>();
  task->values = args.f32(0);
  task->result = args.u32_out(1);
  args.require(task->result.size == 1, "result must be a Uint32Array(1)");
  return args.run(std::move(task));
}

}  // namespace

void export_read_pass(Napi::Env env, Napi::Object exports) {
  export_function(env, exports, "readPass", read_pass_call);
}

}  // namespace dc
