// A plain stream, hostile: the count comes from the first three bytes, and is large only where the fourth is 0 (memory
// of several hundred thousand symbols is mapped and unmapped for each input).
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "decode/stream.h"

using namespace dc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  const size_t n =
      (data[0] | static_cast<size_t>(data[1]) << 8 | static_cast<size_t>(data[2]) << 16) % (data[3] ? 3000 : 400000);
  std::unique_ptr<uint8_t[]> bytes(new uint8_t[size - 4]), first(new uint8_t[n]), out(new uint8_t[n]);
  std::memcpy(bytes.get(), data + 4, size - 4);
  Job job;
  const Result expected = decode_stream(job, bytes.get(), size - 4, first.get(), n);
  for (int level = 1; level <= static_cast<int>(detected_cpu_level()); level++) {
    job.level = static_cast<CpuLevel>(level);
    const Result got = decode_stream(job, bytes.get(), size - 4, out.get(), n);
    if (got.status != expected.status || got.offset != expected.offset) std::abort();
    if (got && std::memcmp(first.get(), out.get(), n) != 0) std::abort();
  }
  return 0;
}
