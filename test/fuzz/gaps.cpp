// Gap symbols and codes to positions: escape and relative form, into exact-size outputs; masks and dense values must
// tell the same.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "decode/gaps.h"
#include "decode/relative_index.h"
#include "encode/gaps.h"

using namespace dc;

#define REQUIRE(condition) \
  if (!(condition)) std::abort()

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 5) return 0;
  const unsigned alphabet = data[0] + 1u, clusters = data[1] % 33, bits = 2 + data[2] % 7;
  const uint64_t range = (data[3] | data[4] << 8) % 5000;
  const size_t half = (size - 5) / 2;
  std::unique_ptr<uint8_t[]> gaps(new uint8_t[half]), codes(new uint8_t[half]);
  std::memcpy(gaps.get(), data + 5, half);
  std::memcpy(codes.get(), data + 5 + half, half);
  std::unique_ptr<float[]> codebook(new float[clusters]), out(new float[range]);
  for (unsigned k = 0; k < clusters; k++) codebook[k] = static_cast<float>(k + 1);
  size_t kept_symbols = 0;
  for (size_t i = 0; i < half; i++) kept_symbols += gaps[i] != alphabet - 1;
  std::vector<uint32_t> mask((range + 31) / 32);
  uint64_t end = 0, kept = 0, mask_end = 0;
  for (int level = 0; level <= static_cast<int>(detected_cpu_level()); level++) {
    const CpuLevel cpu = static_cast<CpuLevel>(level);
    const Status status = scatter_escape(cpu, gaps.get(), half, alphabet, codes.get(), kept_symbols, codebook.get(),
                                         clusters, out.get(), range, &end)
                              .status;
    std::fill(mask.begin(), mask.end(), 0u);
    const Status of_mask = mask_escape(cpu, gaps.get(), half, alphabet, mask.data(), 0, range, &kept, &mask_end).status;
    REQUIRE(of_mask == (status == Status::value ? Status::ok : status));
    if (of_mask == Status::ok) {
      REQUIRE(kept == kept_symbols && end == mask_end);
      std::vector<uint8_t> back(half + 1);
      size_t symbols = 0;
      REQUIRE(static_cast<bool>(escape_gaps(cpu, mask.data(), 0, range, alphabet, back.data(), half, &symbols)));
      REQUIRE(symbols == half && std::memcmp(back.data(), gaps.get(), half) == 0);
    }
    if (status == Status::ok) {
      for (uint64_t i = 0; i < range; i++) REQUIRE((out[i] != 0.0f) == ((mask[i >> 5] >> (i & 31) & 1) != 0));
    }
    // The relative form: codes are entries.
    size_t entries_kept = 0;
    for (size_t i = 0; i < half; i++) entries_kept += codes[i] != 0;
    std::unique_ptr<uint8_t[]> compact(new uint8_t[entries_kept]);
    const Status relative = decode_relative_index(Job(), gaps.get(), codes.get(), half, bits, mask.data(), range,
                                                  compact.get(), entries_kept)
                                .status;
    const Status dense =
        scatter_relative(cpu, gaps.get(), codes.get(), half, bits, codebook.get(), clusters, out.get(), range, &end)
            .status;
    REQUIRE(relative == (dense == Status::value ? Status::ok : dense));
  }
  return 0;
}
