#include "context.h"

#include <cstring>

#include "../base/mask.h"

namespace dc {

namespace {

// S7.1, the writing side: the bits so far say that the number is between low and high.
class BitEncoder {
 public:
  BitEncoder(uint8_t* out, uint64_t capacity) noexcept : out_(out), capacity_(capacity) {}
  bool code(unsigned p, bool bit) noexcept {
    const uint32_t range = high_ - low_;
    const uint32_t middle = low_ + static_cast<uint32_t>(uint64_t{range} * p >> 16);
    if (bit) {
      high_ = middle;
    } else {
      low_ = middle + 1;
    }
    while ((low_ ^ high_) >> 24 == 0) {
      put(static_cast<uint8_t>(low_ >> 24));
      low_ <<= 8;
      high_ = high_ << 8 | 255;
    }
    return bit;
  }
  // The shortest number that is not below low, zeros after it.
  void finish() noexcept {
    if (low_ != 0) put(static_cast<uint8_t>((low_ + 0xffffffu) >> 24));
  }
  Result room() const noexcept { return used_ <= capacity_ ? Result{} : fail(Status::arg); }
  uint64_t used() const noexcept { return used_; }

 private:
  void put(uint8_t byte) noexcept {
    if (used_ < capacity_) out_[used_] = byte;
    used_++;
  }
  uint8_t* out_;
  uint64_t capacity_, used_ = 0;
  uint32_t low_ = 0, high_ = 0xffffffff;
};

}  // namespace

uint64_t context_stride(const Job& job, const uint32_t* mask, uint64_t elements, uint64_t width) noexcept {
  constexpr uint64_t kMost = 128, kLooked = 32768, kPiece = 1024;
  uint64_t found[kMost + 1] = {}, looked = 0;
  for (uint64_t i = 0; i < elements && looked < kLooked; i++) {
    if (!mask_bit(mask, i)) continue;
    if (looked++ % kPiece == 0 && job.cancelled()) return 1;
    for (uint64_t s = 2; s <= kMost && s * width <= i; s++) found[s] += mask_bit(mask, i - s * width);
  }
  uint64_t best = 1;
  for (uint64_t s = 2; s <= kMost; s++) {
    if (found[s] > (best == 1 ? 0 : found[best])) best = s;
  }
  return best;
}

Result encode_context(const Job& job, const QuantizedInput& in, uint64_t width, uint64_t stride, uint8_t* out,
                      uint64_t capacity, uint64_t* index_bytes, uint64_t* code_bytes) noexcept {
  const ContextShape shape = {in.elements, in.kept, width, stride};
  Array<uint8_t> marks, codes;
  if (!marks.reset(in.elements) || !codes.reset(in.kept)) return fail(Status::nomem);
  *index_bytes = 0;
  if (in.kept < in.elements) {
    for (uint64_t i = 0; i < in.elements; i++) marks[i] = mask_bit(in.mask, i);
    BitEncoder encoder(out, capacity);
    Result result = code_mask(job, shape, encoder, marks.data());
    if (!result) return result;
    encoder.finish();
    result = encoder.room();
    if (!result) return result;
    *index_bytes = encoder.used();
  } else {
    std::memset(marks.data(), 1, in.elements);
  }
  std::memcpy(codes.data(), in.codes, in.kept);
  BitEncoder encoder(out + *index_bytes, capacity - *index_bytes);
  const Result result = code_codes(job, shape, in.clusters, encoder, marks.data(), codes.data());
  if (!result) return result;
  encoder.finish();
  *code_bytes = encoder.used();
  return encoder.room();
}

}  // namespace dc
