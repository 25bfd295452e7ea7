#include "../prune/prune.h"

#include "../base/cpu.h"
#include "../base/mask.h"
#include "arguments.h"

namespace dc {

namespace {

template <typename Amount>
using Prune = Result (*)(const Job&, const float*, size_t, Amount, uint32_t*, Pruned*);

// One of the three ways to prune; `amount` is what decides in it.
template <typename Amount>
class PruneTask final : public AsyncTask {
 public:
  explicit PruneTask(Prune<Amount> prune) : prune_(prune) {}
  View<const float> values;
  Amount amount = 0;
  View<uint32_t> mask;
  View<double> result;

  Result execute(const Job& running) noexcept override {
    Pruned pruned;
    const Result done = prune_(running, values.data, values.size, amount, mask.data, &pruned);
    result.data[0] = static_cast<double>(pruned.kept);
    result.data[1] = pruned.threshold;
    return done;
  }

 private:
  Prune<Amount> prune_;
};

// (values: Float32Array, amount, mask: Uint32Array, result: Float64Array(2), ...job)
template <typename Amount>
Napi::Value run_prune(const Napi::CallbackInfo& info, Prune<Amount> prune, Amount (Arguments::*amount)(size_t)) {
  Arguments args(info, 7);
  auto task = std::make_unique<PruneTask<Amount>>(prune);
  task->values = args.f32(0);
  task->mask = args.u32_out(2);
  task->result = args.f64_out(3);
  args.require(task->mask.size == mask_words(task->values.size), "the mask must have one bit a value");
  args.require(task->result.size == 2, "result must be a Float64Array(2)");
  task->amount = (args.*amount)(1);
  return args.run(std::move(task));
}

Napi::Value prune_to_count_call(const Napi::CallbackInfo& info) {
  return run_prune<uint64_t>(info, prune_to_count, &Arguments::whole);
}

Napi::Value prune_below_call(const Napi::CallbackInfo& info) {
  return run_prune<double>(info, prune_below, &Arguments::number);
}

Napi::Value prune_below_deviations_call(const Napi::CallbackInfo& info) {
  return run_prune<double>(info, prune_below_deviations, &Arguments::number);
}

// (mask: Uint32Array, count) -> how many of the first `count` weights it keeps
Napi::Value count_mask_call(const Napi::CallbackInfo& info) {
  Arguments args(info, 2);
  const View<const uint32_t> mask = args.u32(0);
  const uint64_t count = args.whole(1);
  args.require(mask_words(count) == mask.size, "the mask must have one bit a weight");
  return Napi::Number::New(info.Env(), static_cast<double>(count_mask(cpu_level(), mask.data, count)));
}

}  // namespace

void export_prune(Napi::Env env, Napi::Object exports) {
  export_function(env, exports, "countMask", count_mask_call);
  export_function(env, exports, "pruneToCount", prune_to_count_call);
  export_function(env, exports, "pruneBelow", prune_below_call);
  export_function(env, exports, "pruneBelowDeviations", prune_below_deviations_call);
}

}  // namespace dc
