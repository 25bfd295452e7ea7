#include "groups.h"

#include <algorithm>
#include <atomic>

#include "../base/bits.h"
#include "../base/pool.h"
#include "points.h"
#include "small_group.h"

namespace dc {

namespace {

// What one thread needs, kept from group to group.
struct Worker {
  SmallGroup small;
  Array<float> values, weights;  // of a group, those that take part
  bool ready = false;

  [[nodiscard]] bool prepare(const GroupsRequest& request) noexcept {
    if (ready) return true;
    const size_t most = std::min(std::min(request.group_size, request.count), SmallGroup::kMost);
    const bool packed = request.mask || request.weights;
    ready = (!SmallGroup::suits(most, request.clusters) || small.reset(most, request.clusters, request.weights)) &&
            (!packed || values.reset(most)) && (!request.weights || weights.reset(most));
    return ready;
  }

  // Values of weight 0 do not take part, as in sort_points.
  Result pack(const GroupsRequest& all, size_t first, size_t count, size_t& kept) noexcept {
    kept = 0;
    for (size_t i = first; i < first + count; i++) {
      if (all.mask && !(all.mask[i >> 5] >> (i & 31) & 1)) continue;
      const float x = all.values[i], w = all.weights ? all.weights[i] : 1;
      if (!is_finite(x) || !is_finite(w)) return fail(Status::nonfinite, i);
      if (!(w >= 0)) return fail(Status::value, i);
      if (w == 0) continue;
      values[kept] = x;
      if (all.weights) weights[kept] = w;
      kept++;
    }
    const size_t light = all.weights ? weight_out_of_reach(weights.data(), kept) : kept;
    if (light == kept) return Result{};
    size_t i = first;
    for (size_t seen = 0;; i++) {
      const bool part = (!all.mask || (all.mask[i >> 5] >> (i & 31) & 1)) && all.weights[i] > 0;
      if (part && seen++ == light) break;
    }
    return fail(Status::value, i);
  }
};

struct Row {
  float* centroids;
  uint32_t* counts;
  uint32_t* used;
  double* inertia;
};

Result one_group(const Job& job, const GroupsRequest& all, size_t first, size_t count, Worker& worker,
                 const Row& row) noexcept {
  KmeansRequest request;
  request.values = all.values + first;
  request.weights = all.weights ? all.weights + first : nullptr;
  request.count = count;
  request.clusters = all.clusters;
  request.max_iterations = all.max_iterations;
  size_t origin = first;
  if (count <= SmallGroup::kMost) {
    if (!worker.prepare(all)) return fail(Status::nomem);
    if (all.mask || all.weights) {
      const Result packed = worker.pack(all, first, count, request.count);
      if (!packed) return packed;
      request.values = worker.values.data();
      if (all.weights) request.weights = worker.weights.data();
      origin = 0;  // nothing in it is refused any more
    }
    if (SmallGroup::suits(request.count, all.clusters) &&
        worker.small.run(job.level, request.values, request.weights, request.count, all.max_iterations, row.centroids,
                         row.counts, *row.inertia)) {
      *row.used = all.clusters;
      return Result{};
    }
  }
  Array<uint32_t> mask;
  if (all.mask && count > SmallGroup::kMost) {
    if (!mask.reset_zeroed((count + 31) / 32)) return fail(Status::nomem);
    for (size_t i = 0; i < count; i++) {
      const size_t at = first + i;
      mask[i >> 5] |= (all.mask[at >> 5] >> (at & 31) & 1) << (i & 31);
    }
    request.mask = mask.data();
  }
  KmeansSummary summary;
  Result done = kmeans_1d(job, request, row.centroids, row.counts, summary);
  *row.used = summary.used;
  *row.inertia = summary.inertia;
  done.offset += origin;
  return done;
}

}  // namespace

Result kmeans_groups(const Job& job, const GroupsRequest& request, float* centroids, uint32_t* counts, uint32_t* used,
                     double* inertia) noexcept {
  const size_t count = request.count, group_size = request.group_size;
  const uint32_t clusters = request.clusters;
  if (group_size == 0 || clusters < 1 || clusters > kMaxClusters) return fail(Status::arg);
  const size_t groups = count / group_size + (count % group_size != 0);
  const bool large = group_size > SmallGroup::kMost;  // such a group uses all threads itself
  Job inner = job;
  inner.threads = large ? job.threads : 1;
  Array<Result> outcome;
  if (!outcome.reset(groups)) return fail(Status::nomem);
  Worker workers[Pool::kMaxThreads];
  std::atomic<size_t> ended{0};
  const auto run = [&](size_t group, unsigned worker) {
    const size_t first = group * group_size;
    const Row row = {centroids + group * clusters, counts + group * clusters, &used[group], &inertia[group]};
    *row.used = 0;
    *row.inertia = 0;
    outcome[group] = one_group(inner, request, first, std::min(group_size, count - first), workers[worker], row);
    for (uint32_t i = outcome[group] ? *row.used : 0; i < clusters; i++) {
      row.centroids[i] = 0;
      row.counts[i] = 0;
    }
    job.report(ended.fetch_add(1, std::memory_order_relaxed) + 1, groups);
  };
  if (large) {
    for (size_t group = 0; group < groups; group++) {
      run(group, 0);
      if (!outcome[group]) return outcome[group];
    }
    return Result{};
  }
  const Result done = parallel(job, groups, run);
  if (!done) return done;
  for (size_t group = 0; group < groups; group++) {
    if (!outcome[group]) return outcome[group];
  }
  return Result{};
}

}  // namespace dc
