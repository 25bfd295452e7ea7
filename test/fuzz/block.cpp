// A model and a block, both hostile. First 4 bytes: symbols n (24 bits) and a shape: bit 7 set is a damaged real block,
// all others zero lets n be large (1 input of 128: long blocks cost 50 times a short one); what remains is model and
// payload. Every level must answer the same status, and the same symbols when it is ok; what is accepted must encode
// back to the same bytes, at a level that the input chooses (at all of them for 1 input of 8: the encoders' levels are
// compared by test/kernels/encode_block.cpp too).
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "decode/block.h"
#include "decode/model.h"
#include "encode/block.h"
#include "encode/model.h"

using namespace dc;

#define REQUIRE(condition) \
  if (!(condition)) std::abort()

namespace {

constexpr size_t kLongest = 66000;
const int kBest = static_cast<int>(detected_cpu_level());

// Too large to allocate for each input.
EncodeTable the_encoder;
DecodeTable the_table;
uint8_t the_back[2 * kLongest];

// Of the input: the same input always takes the same way.
uint32_t hash_of(const uint8_t* data, size_t size) {
  uint32_t h = 2166136261u;
  for (size_t i = 0; i < size && i < 64; i++) h = (h ^ data[i]) * 16777619u;
  return h ^ h >> 15;
}

// A copy of exact size: the sanitizer sees a byte too far.
std::unique_ptr<uint8_t[]> exact(const uint8_t* bytes, size_t size) {
  std::unique_ptr<uint8_t[]> copy(new uint8_t[size]);
  if (size) std::memcpy(copy.get(), bytes, size);
  return copy;
}

// Decodes at every level and compares; the symbols are in `first`.
Status decode_everywhere(const DecodeTable& table, const uint8_t* payload, size_t bytes, uint8_t* first, uint8_t* other,
                         size_t n) {
  const Status status = decode_block(CpuLevel::scalar, table, payload, bytes, first, n).status;
  REQUIRE(status == Status::ok || status == Status::bitstream);
  for (int level = 1; level <= kBest; level++) {
    REQUIRE(decode_block(static_cast<CpuLevel>(level), table, payload, bytes, other, n).status == status);
    REQUIRE(status != Status::ok || std::memcmp(first, other, n) == 0);
  }
  return status;
}

// A real block with many lanes: what chance would not build.
struct RealBlock {
  bool made = false, usable = false;
  DecodeTable table;
  size_t n = 0, bytes = 0;
  std::unique_ptr<uint8_t[]> payload;
};

constexpr size_t kSizes[4] = {300, 1100, 2500, 66000};
RealBlock the_blocks[4][8][7][2];  // size, skew, lanes, coder: each made when it is first wanted

// Its symbols come from one seed: the inputs damage them, and chance finds others through the model of the input.
void make_block(RealBlock& block, size_t n, unsigned skew, unsigned lanes_log2, bool rans) {
  block.made = true;
  std::unique_ptr<uint8_t[]> symbols(new uint8_t[n]), room(new uint8_t[block_bound(n)]);
  uint32_t x = 2654435761u;
  uint64_t counts[256] = {};
  for (size_t i = 0; i < n; i++) {
    x = x * 1664525u + 1013904223u;
    unsigned v = x >> 24;
    for (unsigned k = 0; k < skew; k++) v = v * (x >> 8 & 255) >> 8;  // more and more skewed
    symbols[i] = static_cast<uint8_t>(v);
    counts[v]++;
  }
  Model model;
  build_model(counts, n, rans ? ModeChoice::rans : ModeChoice::huffman, model);
  block.usable = model.mode == CodeMode::huffman || model.mode == CodeMode::rans;
  if (!block.usable) return;
  model.lanes_log2 = static_cast<uint8_t>(lanes_log2);
  REQUIRE(static_cast<bool>(build_encode_table(model, the_encoder)));
  REQUIRE(static_cast<bool>(build_decode_table(model, block.table)));
  REQUIRE(
      static_cast<bool>(encode_block(Job(), the_encoder, symbols.get(), n, room.get(), block_bound(n), &block.bytes)));
  block.n = n;
  block.payload = exact(room.get(), block.bytes);
  std::unique_ptr<uint8_t[]> first(new uint8_t[n]), other(new uint8_t[n]);
  REQUIRE(decode_everywhere(block.table, block.payload.get(), block.bytes, first.get(), other.get(), n) == Status::ok);
  REQUIRE(std::memcmp(first.get(), symbols.get(), n) == 0);
}

// Bytes: size, skew and lanes, coder and cut, unused, then (place, xor) pairs.
void damaged_block(const uint8_t* data, size_t size) {
  // Mostly short; 1 input of 256 has the 66,000 symbols that all 64 lanes take.
  const size_t which = data[0] == 255 ? 3 : data[0] % 3u;
  RealBlock& block = the_blocks[which][data[1] & 7u][(data[1] >> 3) % 7][data[2] & 1];
  if (!block.made) make_block(block, kSizes[which], data[1] & 7u, (data[1] >> 3) % 7, data[2] & 1);
  if (!block.usable) return;
  const size_t bytes = data[2] & 2 ? block.bytes * data[2] / 256 : block.bytes;
  const auto payload = exact(block.payload.get(), bytes);
  for (size_t i = 4; i + 2 < size; i += 3) {
    if (bytes) payload[(data[i] | static_cast<size_t>(data[i + 1]) << 8) % bytes] ^= data[i + 2];
  }
  // Fewer symbols than the payload has, and more: the count is not the payload's to say.
  const size_t n = data[2] & 4 ? block.n * (data[2] >> 3) / 24 : block.n;
  std::unique_ptr<uint8_t[]> first(new uint8_t[n]), other(new uint8_t[n]);
  (void)decode_everywhere(block.table, payload.get(), bytes, first.get(), other.get(), n);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  if (data[3] & 0x80) {
    damaged_block(data, size);
    return 0;
  }
  const size_t n =
      (data[0] | static_cast<size_t>(data[1]) << 8 | static_cast<size_t>(data[2]) << 16) % (data[3] ? 600 : 20000);
  size_t consumed = 0;
  Model model;
  const auto model_bytes = exact(data + 4, size - 4);
  if (!parse_model(model_bytes.get(), size - 4, model, &consumed)) return 0;
  uint8_t again[kMaxModelBytes];
  REQUIRE(serialize_model(model, again) == consumed && std::memcmp(again, model_bytes.get(), consumed) == 0);
  REQUIRE(static_cast<bool>(build_decode_table(model, the_table)));

  const size_t bytes = size - 4 - consumed;
  const auto payload = exact(data + 4 + consumed, bytes);
  std::unique_ptr<uint8_t[]> first(new uint8_t[n]), other(new uint8_t[n]);
  const Status status = decode_everywhere(the_table, payload.get(), bytes, first.get(), other.get(), n);
  if (status != Status::ok || model.mode == CodeMode::raw) return 0;
  REQUIRE(static_cast<bool>(build_encode_table(model, the_encoder)));
  const uint32_t hash = hash_of(data, size);
  for (int level = 0; level <= kBest; level++) {
    if (hash % 8 && static_cast<int>(hash >> 8) % (kBest + 1) != level) continue;
    Job job;
    job.level = static_cast<CpuLevel>(level);
    size_t coded = 0;
    REQUIRE(static_cast<bool>(encode_block(job, the_encoder, first.get(), n, the_back, sizeof the_back, &coded)));
    REQUIRE(coded == bytes && std::memcmp(the_back, payload.get(), bytes) == 0);
  }
  return 0;
}
