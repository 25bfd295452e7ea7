#pragma once

namespace dc {

// avx2: AVX2 + FMA + BMI2 + F16C (Haswell, Zen). avx512: F, BW, DQ, VL, CD, VBMI, VBMI2 (Ice Lake, Zen 4); a Skylake-X
// without VBMI runs the avx2 kernels.
enum class CpuLevel : int { scalar = 0, avx2 = 1, avx512 = 2 };

// What this processor and operating system support (CPUID and XGETBV), probed once.
CpuLevel detected_cpu_level() noexcept;

// detected_cpu_level(), lowered by the environment variable DEEP_COMPRESSION_CPU (scalar | avx2 | avx512); it never
// raises.
CpuLevel cpu_level() noexcept;

const char* cpu_level_name(CpuLevel level) noexcept;

}  // namespace dc
