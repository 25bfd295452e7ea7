// A model and a block, both hostile. First 4 bytes: symbols n (24 bits) and a shape: bit 7 set is a damaged real block,
// all others zero lets n be large (1 input of 128: long blocks cost 50 times a short one); what remains is model and
// payload. Every level must answer the same status, and the same symbols when it is ok; what is accepted must encode
// back to the same bytes.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "decode/block.h"
#include "decode/model.h"
#include "encode/block.h"
#include "encode/model.h"

using namespace dc;

#define REQUIRE(condition) \
  if (!(condition)) std::abort()

// Built anew for every input, and too large to allocate for each.
static EncodeTable the_encoder;
static DecodeTable the_table;

// A real block with many lanes, damaged where the input says: what chance would not build. Bytes: shape, lanes, coder,
// seed, then (place, xor) pairs.
static void damaged_block(const uint8_t* data, size_t size) {
  // Mostly short with the lanes that the input asks for; now and then long.
  const size_t n = data[0] < 252 ? 64 + data[0] * 8u : data[0] < 255 ? 1024 + data[1] * 40u : 65536 + data[1];
  std::vector<uint8_t> symbols(n);
  uint32_t x = data[3] * 2654435761u + 1;
  uint64_t counts[256] = {};
  for (uint8_t& s : symbols) {
    x = x * 1664525u + 1013904223u;
    unsigned v = x >> 24;
    for (unsigned k = 0; k < (data[1] & 7u); k++) v = v * (x >> 8 & 255) >> 8;  // more and more skewed
    s = static_cast<uint8_t>(v);
    counts[s]++;
  }
  Model model;
  build_model(counts, n, data[2] & 1 ? ModeChoice::rans : ModeChoice::huffman, model);
  if (model.mode != CodeMode::huffman && model.mode != CodeMode::rans) return;
  model.lanes_log2 = static_cast<uint8_t>((data[1] >> 3) % 7);
  EncodeTable* const encoder = &the_encoder;
  DecodeTable* const table = &the_table;
  REQUIRE(static_cast<bool>(build_encode_table(model, *encoder)) &&
          static_cast<bool>(build_decode_table(model, *table)));
  std::vector<uint8_t> room(block_bound(n));
  size_t bytes = 0;
  REQUIRE(static_cast<bool>(encode_block(Job(), *encoder, symbols.data(), n, room.data(), room.size(), &bytes)));
  if (data[2] & 2) bytes = bytes * data[2] / 256;
  for (size_t i = 4; i + 2 < size; i += 3) {
    if (bytes) room[(data[i] | static_cast<size_t>(data[i + 1]) << 8) % bytes] ^= data[i + 2];
  }
  std::unique_ptr<uint8_t[]> payload(new uint8_t[bytes]), first(new uint8_t[n]), out(new uint8_t[n]);
  std::memcpy(payload.get(), room.data(), bytes);
  const Status status = decode_block(CpuLevel::scalar, *table, payload.get(), bytes, first.get(), n).status;
  for (int level = 1; level <= static_cast<int>(detected_cpu_level()); level++) {
    REQUIRE(decode_block(static_cast<CpuLevel>(level), *table, payload.get(), bytes, out.get(), n).status == status);
    REQUIRE(status != Status::ok || std::memcmp(first.get(), out.get(), n) == 0);
  }
}

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
  std::unique_ptr<uint8_t[]> model_bytes(new uint8_t[size - 4]);  // exact size: the sanitizer sees a byte too far
  std::memcpy(model_bytes.get(), data + 4, size - 4);
  if (!parse_model(model_bytes.get(), size - 4, model, &consumed)) return 0;
  uint8_t again[kMaxModelBytes];
  REQUIRE(serialize_model(model, again) == consumed && std::memcmp(again, model_bytes.get(), consumed) == 0);
  DecodeTable* const table = &the_table;
  REQUIRE(static_cast<bool>(build_decode_table(model, *table)));

  const size_t bytes = size - 4 - consumed;
  std::unique_ptr<uint8_t[]> payload(new uint8_t[bytes]), first(new uint8_t[n]), out(new uint8_t[n]);
  std::memcpy(payload.get(), data + 4 + consumed, bytes);
  const Status status = decode_block(CpuLevel::scalar, *table, payload.get(), bytes, first.get(), n).status;
  REQUIRE(status == Status::ok || status == Status::bitstream);
  for (int level = 1; level <= static_cast<int>(detected_cpu_level()); level++) {
    REQUIRE(decode_block(static_cast<CpuLevel>(level), *table, payload.get(), bytes, out.get(), n).status == status);
    REQUIRE(status != Status::ok || std::memcmp(first.get(), out.get(), n) == 0);
  }
  if (status != Status::ok || model.mode == CodeMode::raw) return 0;
  EncodeTable* const encoder = &the_encoder;
  REQUIRE(static_cast<bool>(build_encode_table(model, *encoder)));
  std::vector<uint8_t> back(block_bound(n));
  for (int level = 0; level <= static_cast<int>(detected_cpu_level()); level++) {
    Job job;
    job.level = static_cast<CpuLevel>(level);
    size_t coded = 0;
    REQUIRE(static_cast<bool>(encode_block(job, *encoder, first.get(), n, back.data(), back.size(), &coded)));
    REQUIRE(coded == bytes && std::memcmp(back.data(), payload.get(), bytes) == 0);
  }
  return 0;
}
