#pragma once
#include "../base/job.h"

namespace dc {

// CRC-32C (DCZ-03) of bytes[0..size), going on from `before`, the CRC of what came before them.
uint32_t crc32c(CpuLevel level, const uint8_t* bytes, size_t size, uint32_t before = 0) noexcept;

// The CRC of each chunk of kChunkBytes: sums[0..ceil(size / kChunkBytes)). Parallel over chunks.
Result chunk_checksums(const Job& job, const uint8_t* bytes, size_t size, uint32_t* sums) noexcept;

// Status::checksum with the offset of the first chunk that differs (DCZ-37).
Result check_chunks(const Job& job, const uint8_t* bytes, size_t size, const uint32_t* sums) noexcept;

}  // namespace dc
