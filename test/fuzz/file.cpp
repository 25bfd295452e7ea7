// Whole files: header, sections, decode, at the best level and at the scalar one. With
// FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION checksums are not compared; without it the mutator makes them right again,
// so both builds get past them.
#include <cstdlib>
#include <cstring>

#include "../support/reseal.h"
#include "decode/verify.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned) {
  size = LLVMFuzzerMutate(data, size, max_size);
  dc::reseal(data, size);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dc::Job job;
  job.level = dc::cpu_level();
  dc::Limits limits;
  // Four blocks of the least size; 64 in a longer file. Fuzzing finds the files that take longest, and goes on with
  // those.
  limits.elements = limits.total_elements = size <= 512 ? 1 << 12 : 1 << 16;
  // An exact copy, so that a read past the end is seen.
  uint8_t* exact = static_cast<uint8_t*>(std::malloc(size ? size : 1));
  if (size) std::memcpy(exact, data, size);
  const dc::Result first = dc::verify_file(job, exact, size, limits);
  job.level = dc::CpuLevel::scalar;
  const dc::Result second = dc::verify_file(job, exact, size, limits);
  if (first.status != second.status || first.offset != second.offset) std::abort();
  std::free(exact);
  return 0;
}
