// The pruning cut at 4 % of 16,777,216 Gaussian weights, with its mask, against one pass over the memory; and expand().
#include "timing.h"

#include "base/memory.h"
#include "base/pool.h"
#include "base/read_pass.h"
#include "prune/prune.h"
#include "quantize/expand.h"

static const size_t kCount = 16777216;

int main() {
  dc::Pool pool(2);
  dc::Array<float> x, y, tied;
  dc::Array<uint8_t> codes;
  dc::Array<uint32_t> mask;
  if (!x.reset(kCount) || !y.reset_zeroed(kCount) || !tied.reset(kCount) || !codes.reset(kCount) ||
      !mask.reset_zeroed(kCount / 32))
    return 1;
  fill_normal(x.data(), kCount, 0.01);
  for (size_t i = 0; i < kCount; i++) {
    tied[i] = std::round(x[i] * 2000) / 2000;
    codes[i] = static_cast<uint8_t>(bench_random(i));
  }
  float book[256];
  for (int i = 0; i < 256; i++) book[i] = static_cast<float>(i);
  dc::Pruned pruned;
  double deviation;
  uint32_t bits;
  static uint32_t kept4[kCount / 32];
  dc::Job setup;
  dc::prune_to_count(setup, x.data(), kCount, kCount / 25, kept4, &pruned);
  std::vector<Case> cases;
  for (unsigned threads : {1u, 2u}) {
    for (int level = static_cast<int>(dc::detected_cpu_level()); level >= 0; level--) {
      dc::Job job;
      job.threads = threads;
      job.pool = &pool;
      job.level = static_cast<dc::CpuLevel>(level);
      const std::string with = std::string(", ") + dc::cpu_level_name(job.level) + ", " + std::to_string(threads) +
                               " thread" + (threads > 1 ? "s" : "");
      cases.push_back({"read pass" + with, [=, &x, &bits] { dc::read_pass(job, x.data(), kCount, &bits); }, {}});
      cases.push_back(
          {"prune to 4 %" + with,
           [=, &x, &mask, &pruned] { dc::prune_to_count(job, x.data(), kCount, kCount / 25, mask.data(), &pruned); },
           {}});
      cases.push_back({"prune to 4 %, 400 distinct values" + with,
                       [=, &tied, &mask, &pruned] {
                         dc::prune_to_count(job, tied.data(), kCount, kCount / 25, mask.data(), &pruned);
                       },
                       {}});
      cases.push_back(
          {"prune below a threshold" + with,
           [=, &x, &mask, &pruned] { dc::prune_below(job, x.data(), kCount, 0.0205, mask.data(), &pruned); },
           {}});
      cases.push_back({"standard deviation" + with,
                       [=, &x, &deviation] { dc::standard_deviation(job, x.data(), kCount, &deviation); },
                       {}});
      cases.push_back(
          {"expand bytes" + with,
           [=, &y, &codes, &book] { dc::expand(job, codes.data(), 1, kCount, nullptr, book, 256, y.data(), kCount); },
           {}});
      cases.push_back({"expand 4 % by mask" + with,
                       [=, &y, &codes, &book] {
                         dc::expand(job, codes.data(), 1, kCount / 25, kept4, book, 256, y.data(), kCount);
                       },
                       {}});
    }
  }
  run_interleaved(cases, 7,
                  (std::string("read pass, ") + dc::cpu_level_name(dc::detected_cpu_level()) + ", 2 threads").c_str());
  pool.stop();
  return 0;
}
