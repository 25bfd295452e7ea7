#pragma once
// Instruction-set targets for the bodies in *_avx2.h and *_avx512.h. With attributes on the functions both build
// systems compile one source list with no special flags. Inside such functions: intrinsics and plain C only, no
// templates, lambdas or std:: algorithms (an inline copy compiled for AVX must never win at link time over the baseline
// one); `static` always.

#if defined(__x86_64__) || defined(_M_X64)
#define DC_X86 1
#include <immintrin.h>
#else
#define DC_X86 0
#endif

#if defined(__GNUC__) || defined(__clang__)
#define DC_TARGET_AVX2 __attribute__((target("avx2,fma,bmi,bmi2,lzcnt,popcnt,f16c")))
#define DC_TARGET_AVX512 \
  __attribute__((target( \
      "avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi,avx512vbmi2,avx2,fma,bmi,bmi2,lzcnt,popcnt,f16c")))
#define DC_ALWAYS_INLINE inline __attribute__((always_inline))
#define DC_NOINLINE __attribute__((noinline))
#define DC_RESTRICT __restrict__
#define DC_LIKELY(x) __builtin_expect(!!(x), 1)
#define DC_UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#define DC_TARGET_AVX2
#define DC_TARGET_AVX512
#define DC_ALWAYS_INLINE __forceinline
#define DC_NOINLINE __declspec(noinline)
#define DC_RESTRICT __restrict
#define DC_LIKELY(x) (x)
#define DC_UNLIKELY(x) (x)
#endif
