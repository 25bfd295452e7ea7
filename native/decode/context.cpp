#include "context.h"

namespace dc {

namespace {

// S7.1: which half of the interval the number is in. Bytes past the end are 0.
class BitDecoder {
 public:
  BitDecoder(const uint8_t* bytes, uint64_t size) noexcept : bytes_(bytes), size_(size) {
    for (int i = 0; i < 4; i++) number_ = number_ << 8 | next();
  }
  bool code(unsigned p, bool) noexcept {
    const uint32_t range = high_ - low_;
    const uint32_t middle = low_ + static_cast<uint32_t>(uint64_t{range} * p >> 16);
    const bool bit = number_ <= middle;
    if (bit) {
      high_ = middle;
    } else {
      low_ = middle + 1;
    }
    while ((low_ ^ high_) >> 24 == 0) {
      low_ <<= 8;
      high_ = high_ << 8 | 255;
      number_ = number_ << 8 | next();
    }
    return bit;
  }
  // S7.2: what was taken past the four bytes in hand.
  Result room() const noexcept { return at_ <= size_ + 4 ? Result{} : fail(Status::bitstream); }
  // S7.2: all that is left is the one byte that an encoder ends with, or nothing.
  bool finished() const noexcept {
    const uint64_t consumed = at_ - 4;
    if (low_ == 0) return consumed == size_;
    return consumed + 1 == size_ && number_ >> 24 == (low_ + 0xffffffu) >> 24;
  }

 private:
  uint32_t next() noexcept {
    const uint64_t i = at_++;
    return i < size_ ? bytes_[i] : 0u;
  }
  const uint8_t* bytes_;
  uint64_t size_, at_ = 0;
  uint32_t low_ = 0, high_ = 0xffffffff, number_ = 0;
};

}  // namespace

Result decode_context_mask(const Job& job, const ContextShape& shape, const uint8_t* bytes, uint64_t size,
                           uint8_t* marks) noexcept {
  BitDecoder decoder(bytes, size);
  const Result result = code_mask(job, shape, decoder, marks);
  if (!result) return result;
  return decoder.finished() ? Result{} : fail(Status::bitstream);
}

Result decode_context_codes(const Job& job, const ContextShape& shape, unsigned clusters, const uint8_t* bytes,
                            uint64_t size, uint8_t* marks, uint8_t* codes) noexcept {
  BitDecoder decoder(bytes, size);
  const Result result = code_codes(job, shape, clusters, decoder, marks, codes);
  if (!result) return result;
  return decoder.finished() ? Result{} : fail(Status::bitstream);
}

}  // namespace dc
