#include "../prune/prune.h"

#include "../base/mask.h"
#include "arguments.h"

namespace dc {

namespace {

class PruneTask : public AsyncTask {
 public:
  View<const float> values;
  View<uint32_t> mask;
  View<double> result;

 protected:
  Result answer(const Result& done, const Pruned& pruned) noexcept {
    result.data[0] = static_cast<double>(pruned.kept);
    result.data[1] = pruned.threshold;
    return done;
  }
};

class PruneToCountTask final : public PruneTask {
 public:
  uint64_t keep = 0;
  Result execute(const Job& running) noexcept override {
    Pruned pruned;
    return answer(prune_to_count(running, values.data, values.size, keep, mask.data, &pruned), pruned);
  }
};

class PruneBelowTask final : public PruneTask {
 public:
  double threshold = 0;
  Result execute(const Job& running) noexcept override {
    Pruned pruned;
    return answer(prune_below(running, values.data, values.size, threshold, mask.data, &pruned), pruned);
  }
};

class PruneBelowDeviationsTask final : public PruneTask {
 public:
  double factor = 0;
  Result execute(const Job& running) noexcept override {
    Pruned pruned;
    return answer(prune_below_deviations(running, values.data, values.size, factor, mask.data, &pruned), pruned);
  }
};

// Arguments 0, 2 and 3 of all three.
void take_arrays(Arguments& args, PruneTask& task) {
  task.values = args.f32(0);
  task.mask = args.u32_out(2);
  task.result = args.f64_out(3);
  args.require(task.mask.size == mask_words(task.values.size), "the mask must have one bit a value");
  args.require(task.result.size == 2, "result must be a Float64Array(2)");
}

// pruneToCount(values: Float32Array, keep, mask: Uint32Array, result: Float64Array(2), ...job)
Napi::Value prune_to_count_call(const Napi::CallbackInfo& info) {
  Arguments args(info, 7);
  auto task = std::make_unique<PruneToCountTask>();
  take_arrays(args, *task);
  task->keep = args.whole(1);
  return args.run(std::move(task));
}

// pruneBelow(values: Float32Array, threshold, mask: Uint32Array, result: Float64Array(2), ...job)
Napi::Value prune_below_call(const Napi::CallbackInfo& info) {
  Arguments args(info, 7);
  auto task = std::make_unique<PruneBelowTask>();
  take_arrays(args, *task);
  task->threshold = args.number(1);
  return args.run(std::move(task));
}

// pruneBelowDeviations(values: Float32Array, factor, mask: Uint32Array, result: Float64Array(2), ...job)
Napi::Value prune_below_deviations_call(const Napi::CallbackInfo& info) {
  Arguments args(info, 7);
  auto task = std::make_unique<PruneBelowDeviationsTask>();
  take_arrays(args, *task);
  task->factor = args.number(1);
  return args.run(std::move(task));
}

}  // namespace

void export_prune(Napi::Env env, Napi::Object exports) {
  export_function(env, exports, "pruneToCount", prune_to_count_call);
  export_function(env, exports, "pruneBelow", prune_below_call);
  export_function(env, exports, "pruneBelowDeviations", prune_below_deviations_call);
}

}  // namespace dc
