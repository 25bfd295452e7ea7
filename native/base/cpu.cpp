#include "cpu.h"

#include <cstdlib>
#include <cstring>

#include "target.h"

#if DC_X86 && defined(_MSC_VER)
#include <intrin.h>
#endif

namespace dc {

static CpuLevel probe() noexcept {
#if DC_X86 && (defined(__GNUC__) || defined(__clang__))
  __builtin_cpu_init();  // libgcc's probe reads XGETBV before it admits any AVX state
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
  if (!avx2) return CpuLevel::scalar;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512vbmi") &&
                      __builtin_cpu_supports("avx512vbmi2");
  return avx512 ? CpuLevel::avx512 : CpuLevel::avx2;
#elif DC_X86 && defined(_MSC_VER)
  int leaf1[4], leaf7[4];
  __cpuidex(leaf1, 1, 0);
  __cpuidex(leaf7, 7, 0);
  const bool osxsave = (leaf1[2] >> 27) & 1;
  const unsigned long long xcr0 = osxsave ? _xgetbv(0) : 0;
  const bool fma = (leaf1[2] >> 12) & 1, f16c = (leaf1[2] >> 29) & 1, popcnt = (leaf1[2] >> 23) & 1;
  const bool bmi = (leaf7[1] >> 3) & 1, avx2 = (leaf7[1] >> 5) & 1, bmi2 = (leaf7[1] >> 8) & 1;
  if ((xcr0 & 6) != 6 || !fma || !f16c || !popcnt || !bmi || !avx2 || !bmi2) return CpuLevel::scalar;
  const int wanted_ebx = (1 << 16) | (1 << 17) | (1 << 28) | (1 << 30) | (1 << 31);  // F, DQ, CD, BW, VL
  const int wanted_ecx = (1 << 1) | (1 << 6);                                        // VBMI, VBMI2
  const bool avx512 =
      (xcr0 & 0xe6) == 0xe6 && (leaf7[1] & wanted_ebx) == wanted_ebx && (leaf7[2] & wanted_ecx) == wanted_ecx;
  return avx512 ? CpuLevel::avx512 : CpuLevel::avx2;
#else
  return CpuLevel::scalar;
#endif
}

CpuLevel detected_cpu_level() noexcept {
  static const CpuLevel level = probe();
  return level;
}

CpuLevel cpu_level() noexcept {
  CpuLevel level = detected_cpu_level();
  const char* wanted = std::getenv("DEEP_COMPRESSION_CPU");
  if (!wanted) return level;
  if (std::strcmp(wanted, "scalar") == 0) return CpuLevel::scalar;
  if (std::strcmp(wanted, "avx2") == 0 && level > CpuLevel::avx2) return CpuLevel::avx2;
  return level;
}

const char* cpu_level_name(CpuLevel level) noexcept {
  static const char* const names[] = {"scalar", "avx2", "avx512"};
  return names[static_cast<int>(level)];
}

}  // namespace dc
