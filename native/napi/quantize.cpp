#include "../quantize/groups.h"
#include "../quantize/kmeans.h"
#include "arguments.h"

namespace dc {

namespace {

// kmeans1d(values: Float32Array, mask: Uint32Array | null, weights: Float32Array | null, initial: Float32Array | null,
//          ignoreZeros: boolean, clusters, algorithm, start, maxIterations, tolerance, seed,
//          centroids: Float32Array(clusters), counts: Uint32Array(clusters), summary: Float64Array(8),
//          codes: Uint8Array | Uint16Array | null, ...job)
class KmeansTask final : public AsyncTask {
 public:
  KmeansRequest request;
  float* centroids = nullptr;
  uint32_t* counts = nullptr;
  double* summary = nullptr;

  Result execute(const Job& running) noexcept override {
    KmeansSummary out;
    const Result done = kmeans_1d(running, request, centroids, counts, out);
    summary[0] = out.used;
    summary[1] = out.iterations;
    summary[2] = out.converged;
    summary[3] = static_cast<double>(out.kept);
    summary[4] = out.inertia;
    summary[5] = out.lower_bound;
    return done;
  }
};

Napi::Value kmeans_1d_call(const Napi::CallbackInfo& info) {
  Arguments args(info, 18);
  auto task = std::make_unique<KmeansTask>();
  KmeansRequest& request = task->request;
  const auto values = args.f32(0);
  const auto mask = args.optional_u32(1);
  const auto weights = args.optional_f32(2);
  const auto initial = args.optional_f32(3);
  request.values = values.data;
  request.count = values.size;
  request.mask = mask.data;
  request.weights = weights.data;
  request.initial = initial.data;
  request.ignore_zeros = args.flag(4);
  const uint64_t clusters = args.whole(5), algorithm = args.whole(6), start = args.whole(7), steps = args.whole(8);
  args.require(values.size <= 0xffffffffull, "at most 2^32 - 1 values");
  args.require(!mask || mask.size == (values.size + 31) / 32, "the mask must have one bit a value");
  args.require(!weights || weights.size == values.size, "as many weights as values are needed");
  args.require(clusters >= 1 && clusters <= kMaxClusters, "clusters must be 1 to 65536");
  args.require(!initial || initial.size == clusters, "as many initial centroids as clusters are needed");
  args.require(algorithm <= 4 && start <= 6 && steps <= 0xffffffffull, "unknown algorithm, start or limit");
  args.require(start != 6 || initial, "initial centroids are missing");
  request.clusters = static_cast<uint32_t>(clusters);
  request.algorithm = static_cast<KmeansAlgorithm>(algorithm);
  request.start = static_cast<KmeansStart>(start);
  request.max_iterations = static_cast<uint32_t>(steps);
  request.tolerance = args.number(9);
  request.seed = args.whole(10);
  const auto centroids = args.f32_out(11);
  const auto counts = args.u32_out(12);
  const auto summary = args.f64_out(13);
  args.require(centroids.size >= clusters && counts.size >= clusters && summary.size == 8, "an output is too small");
  task->centroids = centroids.data;
  task->counts = counts.data;
  task->summary = summary.data;
  if (!info[14].IsNull()) {
    const auto codes = args.codes(14);
    args.require(codes.bytes == 2 || clusters <= 256, "more than 256 clusters need 16-bit codes");
    request.codes = codes.data;
    request.code_bytes = codes.bytes;
    request.code_count = codes.size;
  }
  return args.run(std::move(task));
}

// kmeansGroups(values: Float32Array, mask: Uint32Array | null, weights: Float32Array | null, groupSize, clusters,
//              maxIterations, centroids: Float32Array(groups * clusters), counts: Uint32Array(groups * clusters),
//              used: Uint32Array(groups), inertia: Float64Array(groups), ...job)
class KmeansGroupsTask final : public AsyncTask {
 public:
  GroupsRequest request;
  float* centroids = nullptr;
  uint32_t* counts = nullptr;
  uint32_t* used = nullptr;
  double* inertia = nullptr;

  Result execute(const Job& running) noexcept override {
    return kmeans_groups(running, request, centroids, counts, used, inertia);
  }
};

Napi::Value kmeans_groups_call(const Napi::CallbackInfo& info) {
  Arguments args(info, 13);
  auto task = std::make_unique<KmeansGroupsTask>();
  GroupsRequest& request = task->request;
  const auto values = args.f32(0);
  const auto mask = args.optional_u32(1);
  const auto weights = args.optional_f32(2);
  const uint64_t group_size = args.whole(3), clusters = args.whole(4), steps = args.whole(5);
  args.require(values.size <= 0xffffffffull, "at most 2^32 - 1 values");
  args.require(!mask || mask.size == (values.size + 31) / 32, "the mask must have one bit a value");
  args.require(!weights || weights.size == values.size, "there must be a weight for each value");
  args.require(group_size >= 1 && group_size <= 0xffffffffull, "the group size must be 1 to 2^32 - 1");
  args.require(clusters >= 1 && clusters <= kMaxClusters, "clusters must be 1 to 65536");
  args.require(steps <= 0xffffffffull, "at most 2^32 - 1 iterations");
  const size_t groups = (values.size + group_size - 1) / group_size;
  const auto centroids = args.f32_out(6);
  const auto counts = args.u32_out(7);
  const auto used = args.u32_out(8);
  const auto inertia = args.f64_out(9);
  args.require(centroids.size == groups * clusters && counts.size == groups * clusters && used.size == groups &&
                   inertia.size == groups,
               "an output has the wrong size");
  request.values = values.data;
  request.count = values.size;
  request.mask = mask.data;
  request.weights = weights.data;
  request.group_size = static_cast<size_t>(group_size);
  request.clusters = static_cast<uint32_t>(clusters);
  request.max_iterations = static_cast<uint32_t>(steps);
  task->centroids = centroids.data;
  task->counts = counts.data;
  task->used = used.data;
  task->inertia = inertia.data;
  return args.run(std::move(task));
}

}  // namespace

void export_quantize(Napi::Env env, Napi::Object exports) {
  export_function(env, exports, "kmeans1d", kmeans_1d_call);
  export_function(env, exports, "kmeansGroups", kmeans_groups_call);
}

}  // namespace dc
