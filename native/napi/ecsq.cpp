#include "../quantize/ecsq.h"

#include "arguments.h"

namespace dc {

namespace {

class EcsqTask final : public AsyncTask {
 public:
  EcsqRequest request;
  float* centroids = nullptr;
  uint32_t* counts = nullptr;
  View<uint8_t> codes;
  double* summary = nullptr;

  Result execute(const Job& running) noexcept override {
    EcsqSummary out;
    const Result done = ecsq(running, request, centroids, counts, codes.data, codes.size, out);
    summary[0] = out.used;
    summary[1] = out.squared_error;
    summary[2] = out.entropy_bits;
    summary[3] = out.lambda;
    return done;
  }
};

// ecsq(values: Float32Array, mask: Uint32Array | null, clusters, lambda, budget (negative: none),
//      centroids: Float32Array(clusters), counts: Uint32Array(clusters), codes: Uint8Array(kept),
//      summary: Float64Array(4), ...job)
Napi::Value ecsq_call(const Napi::CallbackInfo& info) {
  Arguments args(info, 12);
  auto task = std::make_unique<EcsqTask>();
  const auto values = args.f32(0);
  const auto mask = args.optional_u32(1);
  const uint64_t clusters = args.whole(2);
  args.require(values.size <= 0xffffffffull, "at most 2^32 - 1 values");
  args.require(!mask || mask.size == (values.size + 31) / 32, "the mask must have one bit a value");
  args.require(clusters >= 1 && clusters <= 256, "clusters must be 1 to 256");
  task->request = {values.data,    values.size,   mask.data, static_cast<uint32_t>(clusters),
                   args.number(3), args.number(4)};
  const auto centroids = args.f32_out(5);
  const auto counts = args.u32_out(6);
  task->codes = args.u8_out(7);
  const auto summary = args.f64_out(8);
  args.require(centroids.size >= clusters && counts.size >= clusters && summary.size == 4, "an output is too small");
  task->centroids = centroids.data;
  task->counts = counts.data;
  task->summary = summary.data;
  return args.run(std::move(task));
}

}  // namespace

void export_ecsq(Napi::Env env, Napi::Object exports) { export_function(env, exports, "ecsq", ecsq_call); }

}  // namespace dc
