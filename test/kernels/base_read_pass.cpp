// The yardstick reads every value: one flipped bit anywhere shows in its answer.
#include "check.h"

#include "base/read_pass.h"

int main() {
  dc::Pool pool(2);
  const Levels all = levels();
  for (int l = 0; l < all.count; l++) {
    dc::Job job;
    job.level = all.level[l];
    job.threads = 2;
    job.pool = &pool;
    for (size_t n : {size_t{1}, size_t{31}, size_t{33}, size_t{65536}, size_t{65601}}) {
      Guarded<float> v(n);
      for (size_t i = 0; i < n; i++) v[i] = static_cast<float>(random_unit(1, i));
      uint32_t before = 0, after = 0;
      CHECK(dc::read_pass(job, v.data(), n, &before));
      for (size_t i : {size_t{0}, n / 2, n - 1}) {
        v[i] = -v[i];
        CHECK(dc::read_pass(job, v.data(), n, &after));
        CHECK(after == (before ^ 0x80000000u));
        v[i] = -v[i];
      }
    }
  }
  pool.stop();
  return finish();
}
