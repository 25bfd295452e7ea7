#include "crc32c.h"

#include "../base/bits.h"
#include "../base/memory.h"
#include "../base/target.h"
#include "layout.h"

namespace dc {

namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;

// Slicing by 8 (Kounavis and Berry 2005): table t advances a byte by t more zero bytes. Constant, made by the compiler.
struct Tables {
  uint32_t t[8][256];
  constexpr Tables() : t() {  // coverage: run by the compiler
    for (uint32_t byte = 0; byte < 256; byte++) {
      uint32_t crc = byte;
      for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ kPolynomial : crc >> 1;
      t[0][byte] = crc;
    }
    for (int k = 1; k < 8; k++) {
      for (int byte = 0; byte < 256; byte++) t[k][byte] = (t[k - 1][byte] >> 8) ^ t[0][t[k - 1][byte] & 255];
    }
  }
};
constexpr Tables kTables;

uint32_t serial(uint32_t crc, const uint8_t* p, size_t size) noexcept {
  const auto& t = kTables.t;
  for (; size >= 8; size -= 8, p += 8) {
    const uint32_t low = crc ^ load_u32(p), high = load_u32(p + 4);
    crc = t[7][low & 255] ^ t[6][low >> 8 & 255] ^ t[5][low >> 16 & 255] ^ t[4][low >> 24] ^ t[3][high & 255] ^
          t[2][high >> 8 & 255] ^ t[1][high >> 16 & 255] ^ t[0][high >> 24];
  }
  for (; size; size--) crc = (crc >> 8) ^ t[0][(crc ^ *p++) & 255];
  return crc;
}

// Multiplying by x^(8 * kStride) modulo the polynomial advances a CRC over kStride zero bytes; it is linear, so one
// table for each byte of the CRC does it.
constexpr size_t kStride = 4096;
struct Advance {
  uint32_t t[4][256];
  constexpr Advance() : t() {  // coverage: run by the compiler
    // basis[b] = bit b of a CRC advanced by kStride zero bytes: 2^12 bytes are twelve squarings of "one zero byte".
    uint32_t basis[32] = {};
    for (int b = 0; b < 32; b++) {
      uint32_t crc = uint32_t{1} << b;
      for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ kPolynomial : crc >> 1;
      basis[b] = crc;
    }
    for (size_t stride = 1; stride < kStride; stride *= 2) {
      uint32_t twice[32] = {};
      for (int b = 0; b < 32; b++) {
        for (int i = 0; i < 32; i++) {
          if (basis[b] >> i & 1) twice[b] ^= basis[i];
        }
      }
      for (int b = 0; b < 32; b++) basis[b] = twice[b];
    }
    for (int k = 0; k < 4; k++) {
      for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t sum = 0;
        for (int i = 0; i < 8; i++) {
          if (byte >> i & 1) sum ^= basis[8 * k + i];
        }
        t[k][byte] = sum;
      }
    }
  }
};

#if DC_X86
constexpr Advance kAdvance;

// The instruction has a latency of 3 and a throughput of 1: three streams side by side, merged every 3 * kStride bytes.
__attribute__((target("sse4.2"))) uint32_t hardware(uint32_t crc, const uint8_t* p, size_t size) noexcept {
  uint64_t a = crc;
  const auto& t = kAdvance.t;
  while (size >= 3 * kStride) {
    uint64_t b = 0, c = 0;
    for (size_t i = 0; i < kStride; i += 8) {
      uint64_t x, y, z;
      __builtin_memcpy(&x, p + i, 8);
      __builtin_memcpy(&y, p + i + kStride, 8);
      __builtin_memcpy(&z, p + i + 2 * kStride, 8);
      a = _mm_crc32_u64(a, x);
      b = _mm_crc32_u64(b, y);
      c = _mm_crc32_u64(c, z);
    }
    b ^= t[0][a & 255] ^ t[1][a >> 8 & 255] ^ t[2][a >> 16 & 255] ^ t[3][a >> 24 & 255];
    c ^= t[0][b & 255] ^ t[1][b >> 8 & 255] ^ t[2][b >> 16 & 255] ^ t[3][b >> 24 & 255];
    a = c;
    p += 3 * kStride;
    size -= 3 * kStride;
  }
  for (; size >= 8; size -= 8, p += 8) {
    uint64_t x;
    __builtin_memcpy(&x, p, 8);
    a = _mm_crc32_u64(a, x);
  }
  uint32_t last = static_cast<uint32_t>(a);
  for (; size; size--) last = _mm_crc32_u8(last, *p++);
  return last;
}
#endif

}  // namespace

uint32_t crc32c(CpuLevel level, const uint8_t* bytes, size_t size, uint32_t before) noexcept {
#if DC_X86
  if (level >= CpuLevel::avx2) return ~hardware(~before, bytes, size);  // AVX2 implies SSE4.2
#endif
  (void)level;
  return ~serial(~before, bytes, size);
}

static size_t chunk_size(size_t size, size_t chunk) noexcept {
  return size - chunk * kChunkBytes < kChunkBytes ? size - chunk * kChunkBytes : kChunkBytes;
}

Result chunk_checksums(const Job& job, const uint8_t* bytes, size_t size, uint32_t* sums) noexcept {
  return parallel(job, (size + kChunkBytes - 1) / kChunkBytes, [&](size_t chunk, unsigned) {
    sums[chunk] = crc32c(job.level, bytes + chunk * kChunkBytes, chunk_size(size, chunk));
  });
}

Result check_chunks(const Job& job, const uint8_t* bytes, size_t size, const uint32_t* sums) noexcept {
  const size_t chunks = (size + kChunkBytes - 1) / kChunkBytes;
  Array<uint32_t> found;
  if (!found.reset(chunks)) return fail(Status::nomem);
  const Result result = chunk_checksums(job, bytes, size, found.data());
  if (!result) return result;
  for (size_t chunk = 0; chunk < chunks; chunk++) {
    if (found[chunk] != sums[chunk]) return fail(Status::checksum, chunk * kChunkBytes);
  }
  return {};
}

}  // namespace dc
