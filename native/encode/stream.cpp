#include "stream.h"

#include <cstring>

#include "../base/bits.h"
#include "../base/memory.h"
#include "block.h"
#include "histogram.h"

namespace dc {

namespace {
constexpr size_t kBlock = kUsualBlockSymbols;
size_t blocks_of(size_t n) noexcept { return (n + kBlock - 1) / kBlock; }
}  // namespace

size_t stream_bound(size_t n) noexcept {
  return n == 0 ? 0 : kMaxModelBytes + blocks_of(n) * (4 + block_bound(0)) + n + n / 2 + blocks_of(n);
}

Result encode_stream(const Job& job, const uint8_t* symbols, size_t n, ModeChoice choice, uint8_t* out, size_t capacity,
                     size_t* bytes) noexcept {
  *bytes = 0;
  if (capacity < stream_bound(n)) return fail(Status::arg);
  if (n == 0) return {};
  uint64_t counts[256];
  Result result = histogram(job, symbols, n, counts);
  if (!result) return result;
  Array<EncodeTable> table;
  const size_t blocks = blocks_of(n), slot = block_bound(kBlock);
  Array<uint8_t> slots;
  Array<size_t> sizes;
  if (!table.reset(1) || !slots.reset(blocks * slot) || !sizes.reset_zeroed(blocks)) return fail(Status::nomem);
  Model model;
  build_model(counts, kBlock, choice, model);
  result = build_encode_table(model, table[0]);
  if (!result) return result;
  result = parallel(job, blocks, [&](size_t b, unsigned) {
    const size_t begin = b * kBlock;
    // The bound holds and every symbol was counted, so nothing but cancelling can stop a block; parallel() sees that.
    (void)encode_block(job, table[0], symbols + begin, n - begin < kBlock ? n - begin : kBlock, slots.data() + b * slot,
                       slot, &sizes[b]);
  });
  if (!result) return result;
  uint8_t* at = out + serialize_model(model, out);
  if (model.mode == CodeMode::huffman || model.mode == CodeMode::rans) {
    for (size_t b = 0; b + 1 < blocks; b++, at += 4) store_u32(at, static_cast<uint32_t>(sizes[b]));
  }
  for (size_t b = 0; b < blocks; b++) {
    std::memcpy(at, slots.data() + b * slot, sizes[b]);
    at += sizes[b];
  }
  *bytes = static_cast<size_t>(at - out);
  return {};
}

}  // namespace dc
