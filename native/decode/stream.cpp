#include "stream.h"

#include "../base/bits.h"
#include "../base/memory.h"
#include "block.h"
#include "model.h"

namespace dc {

namespace {
constexpr size_t kBlock = kStreamBlockSymbols;
}  // namespace

Result decode_stream(const Job& job, const uint8_t* bytes, size_t size, uint8_t* out, size_t n) noexcept {
  if (n == 0) return size == 0 ? Result{} : fail(Status::bitstream);
  Array<DecodeTable> table;
  if (!table.reset(1)) return fail(Status::nomem);
  size_t at = 0;
  Result result = read_table(bytes, size, table[0], &at);
  if (!result) return result;
  const Model& model = table[0].model;

  const size_t blocks = (n - 1) / kBlock + 1;
  const bool sized = model.mode == CodeMode::huffman || model.mode == CodeMode::rans;
  // The directory has to be there before anything is allocated for it.
  if (sized && blocks - 1 > (size - at) / 4) return fail(Status::bitstream, at);
  const size_t directory = at;
  if (sized) at += 4 * (blocks - 1);
  Array<size_t> begins;
  if (!begins.reset(sized ? blocks + 1 : 1)) return fail(Status::nomem);
  // Constant and raw blocks have known lengths; raw ones are whole bytes, since 8 divides the block.
  static_assert(kBlock % 8 == 0, "raw blocks but the last end at a byte");
  const size_t width = model.mode == CodeMode::raw ? model.width : 0;
  if (sized) {
    for (size_t b = 0; b < blocks; b++) {
      const size_t bytes_left = size - at;
      const size_t length = b + 1 < blocks ? load_u32(bytes + directory + 4 * b) : bytes_left;
      if (length > bytes_left) return fail(Status::bitstream, directory + 4 * b);
      begins[b] = at;
      at += length;
    }
    begins[blocks] = at;
  } else if ((n / 8) * width + (n % 8 * width + 7) / 8 != size - at) {
    return fail(Status::bitstream, at);
  }
  Array<uint8_t> bad;
  if (!bad.reset_zeroed(blocks)) return fail(Status::nomem);
  result = parallel(job, blocks, [&](size_t b, unsigned) {
    const size_t symbols = n - b * kBlock < kBlock ? n - b * kBlock : kBlock;
    const size_t begin = sized ? begins[b] : at + b * (kBlock / 8) * width;
    const size_t end = sized ? begins[b + 1] : begin + (symbols * width + 7) / 8;
    bad[b] = !decode_block(job, table[0], bytes + begin, end - begin, out + b * kBlock, symbols);
  });
  if (!result) return result;  // a block that was left for an abort is not a bad one
  for (size_t b = 0; b < blocks; b++) {
    if (bad[b]) return fail(Status::bitstream, sized ? begins[b] : at + b * (kBlock / 8) * width);
  }
  return {};
}

}  // namespace dc
