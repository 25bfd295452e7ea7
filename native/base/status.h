#pragma once
#include <cstdint>

namespace dc {

// What a kernel answers. The names are the `code` of the JavaScript error (`ERR_DC_` + name in upper case);
// test/boundary/contract.test.ts compares this list with src/errors.ts.
enum class Status : int32_t {
  ok = 0,
  magic,
  version,
  feature,
  truncated,
  trailing,
  checksum,
  structure,
  huffman,
  bitstream,
  index,
  value,
  limit,
  nomem,
  io,
  arg,
  type,
  detached,
  shared,
  nonfinite,
  aborted,
  closed,
  busy,
  too_large,
  addon,
};

constexpr int kStatusCount = 25;

// The upper-case name of a status without its prefix ("HUFFMAN"); "OK" for ok.
const char* status_name(Status status) noexcept;

// A status and where it was found: `offset` is a byte offset of the input for decoders, an element index for numeric
// stages (the first non-finite weight), 0 otherwise.
struct Result {
  Status status = Status::ok;
  uint64_t offset = 0;
  explicit operator bool() const noexcept { return status == Status::ok; }
};

inline Result fail(Status status, uint64_t offset = 0) noexcept { return Result{status, offset}; }

}  // namespace dc
