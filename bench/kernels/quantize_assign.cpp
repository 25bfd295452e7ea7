// assign() of 16,777,216 Gaussian weights against its physical limit (read 64 MiB, write 16 MiB), all in one run.
#include "timing.h"

#include "base/mask.h"
#include "base/memory.h"
#include "base/pool.h"
#include "quantize/assign.h"

static const size_t kCount = 16777216;
static volatile uint32_t g_sink;

int main() {
  dc::Pool pool(2);
  dc::Array<float> x;
  dc::Array<uint8_t> codes;
  dc::Array<uint16_t> wide;
  dc::Array<uint32_t> mask4;
  if (!x.reset(kCount) || !codes.reset_zeroed(kCount) || !mask4.reset_zeroed(kCount / 32) || !wide.reset_zeroed(kCount))
    return 1;
  fill_normal(x.data(), kCount, 0.01);
  for (size_t i = 0; i < kCount; i++) {
    if (x[i] > 0.0205f || x[i] < -0.0205f) mask4[i / 32] |= 1u << (i % 32);
  }
  auto codebook = [&](uint32_t k) {
    // Near the optimum of a Gaussian: density ^ (1/3), that is a Gaussian of sqrt(3) times the deviation, by its
    // quantiles.
    std::vector<float> sample(x.begin(), x.begin() + 65536);
    for (float& v : sample) v *= 1.7f;
    std::sort(sample.begin(), sample.end());
    std::vector<float> c;
    for (uint32_t i = 0; i < k; i++) c.push_back(sample[static_cast<size_t>((i + 0.5) * 65536 / k)]);
    return c;
  };
  std::vector<Case> cases;
  for (unsigned threads : {1u, 2u}) {
    dc::Job job;
    job.threads = threads;
    job.pool = &pool;
    job.level = dc::cpu_level();
    const std::string with = ", " + std::to_string(threads) + " thread" + (threads > 1 ? "s" : "");
    cases.push_back({"read 64 MiB, write 16 MiB" + with,
                     [=, &x, &codes] {
                       dc::parallel(job, dc::block_count(kCount), [&](size_t b, unsigned) {
                         const float* in = x.data() + b * dc::kBlockElements;
                         uint8_t* out = codes.data() + b * dc::kBlockElements;
                         for (size_t i = 0; i < dc::kBlockElements; i++) {
                           uint32_t u;
                           __builtin_memcpy(&u, in + i, 4);
                           out[i] = static_cast<uint8_t>(u >> 16);
                         }
                       });
                     },
                     {}});
    for (uint32_t k : {16u, 32u, 256u}) {
      for (int level = 0; level <= static_cast<int>(dc::detected_cpu_level()); level++) {
        dc::Job at = job;
        at.level = static_cast<dc::CpuLevel>(level);
        const std::string name =
            std::string("assign k=") + std::to_string(k) + ", " + dc::cpu_level_name(at.level) + with;
        const std::vector<float> c = codebook(k);
        cases.push_back({name,
                         [=, &x, &codes] {
                           dc::assign(at, x.data(), kCount, nullptr, c.data(), k, codes.data(), 1);
                           g_sink = codes[kCount / 2];
                         },
                         {}});
      }
    }
    const std::vector<float> c4096 = codebook(4096), c32 = codebook(32);
    cases.push_back({"assign k=4096 to 16-bit codes" + with,
                     [=, &x, &wide] { dc::assign(job, x.data(), kCount, nullptr, c4096.data(), 4096, wide.data(), 2); },
                     {}});
    cases.push_back(
        {"assign k=32, 4 % kept by mask" + with,
         [=, &x, &codes, &mask4] { dc::assign(job, x.data(), kCount, mask4.data(), c32.data(), 32, codes.data(), 1); },
         {}});
  }
  run_interleaved(cases, 9, "read 64 MiB, write 16 MiB, 2 threads");
  pool.stop();
  return 0;
}
