// What the decoders refuse: reserved bits, wrong arguments, damaged directories, no memory, a cancelled job. One named
// case each.
#include <memory>
#include <vector>

#include "base/memory.h"
#include "check.h"
#include "decode/block.h"
#include "decode/gaps.h"
#include "decode/model.h"
#include "decode/relative_index.h"
#include "decode/stream.h"
#include "encode/gaps.h"
#include "encode/relative_index.h"
#include "encode/stream.h"

using namespace dc;

namespace {

Status parse(std::vector<uint8_t> bytes) {
  Guarded<uint8_t> exact(bytes.size());
  if (!bytes.empty()) std::memcpy(exact.data(), bytes.data(), bytes.size());
  Model model;
  size_t consumed;
  return parse_model(exact.data(), bytes.size(), model, &consumed).status;
}

void models() {
  CHECK(parse({0, 7}) == Status::ok);
  CHECK(parse({0, 255, 9}) == Status::ok);               // what follows is the container's
  CHECK(parse({4, 7}) == Status::huffman);               // reserved mode
  CHECK(parse({0x38 | 2, 1, 0, 0}) == Status::huffman);  // lanes 2^7
  CHECK(parse({0x40, 7}) == Status::huffman);            // reserved bit
  CHECK(parse({0x80, 7}) == Status::huffman);
  CHECK(parse({0x08, 7}) == Status::huffman);  // lanes of a constant
  CHECK(parse({0x09, 3}) == Status::huffman);  // lanes of raw
  CHECK(parse({1, 8}) == Status::ok);
  CHECK(parse({1, 0}) == Status::huffman);
  CHECK(parse({1, 9}) == Status::huffman);
  CHECK(parse({2, 0, 0x8f}) == Status::huffman);  // a table of one symbol
  CHECK(parse({2}) == Status::huffman);
  CHECK(parse({}) == Status::huffman);
  // Lists, bits low first. 111 1000 = 1, 100 = 2, 0 = 2.
  CHECK(parse({2, 2, 0x8f, 0x00}) == Status::ok);
  CHECK(parse({2, 2, 0x8f}) == Status::huffman);           // ends early
  CHECK(parse({2, 2, 0x8f, 0x08}) == Status::huffman);     // padding not 0
  CHECK(parse({2, 1, 0x07 | 6 << 3}) == Status::huffman);  // explicit p
  CHECK(parse({2, 1, 0x07 | 7 << 3}) == Status::huffman);  // explicit p + 1
  CHECK(parse({2, 1, 0x07 | 5 << 3}) == Status::huffman);  // explicit p - 1
  CHECK(parse({2, 1, 0x07 | 0 << 3}) == Status::huffman);  // explicit 0
  CHECK(parse({2, 1, 0x07 | 13 << 3, 0}) == Status::huffman);
  CHECK(parse({2, 1, 0x8f, 0x02, 0}) == Status::huffman);  // 1, then p - 1 = 0
  CHECK(parse({2, 1, 0x67, 0x00, 0}) == Status::huffman);  // 12 ... then p + 1 below
  CHECK(parse({2, 1, 0x67 | 0x80, 0x00, 0}) == Status::huffman);
  // Zeros: 110 then gamma.
  CHECK(parse({2, 2, 0x03 | 1 << 3, 0, 0}) == Status::huffman);                  // 0 6 6: not full
  CHECK(parse({2, 1, 0x03 | 2 << 3, 0, 0}) == Status::huffman);                  // a run to the end
  CHECK(parse({2, 9, 0x03 | 1 << 3 | 0x30, 0x01, 0, 0, 0}) == Status::huffman);  // two runs
  CHECK(parse({2, 255, 0x03, 0x00, 0x00, 0, 0}) == Status::huffman);             // gamma of more than 7 zeros
  CHECK(parse({2, 255, 0x03, 0x00}) == Status::huffman);                         // gamma without an end
  // rANS: classes 6 6 (frequencies 32..63) do not sum to 4096; the mantissas are missing.
  CHECK(parse({3, 1, 0, 0, 0}) == Status::huffman);
  CHECK(parse({3, 1, 0}) == Status::huffman);
}

void tables() {
  auto table = std::make_unique<DecodeTable>();
  Model model;
  model.mode = static_cast<CodeMode>(9);
  CHECK(build_decode_table(model, *table).status == Status::huffman);
  model.mode = CodeMode::raw;
  for (uint8_t width : {0, 9, 255}) {
    model.width = width;
    CHECK(build_decode_table(model, *table).status == Status::huffman);
  }
  model = Model();
  model.mode = CodeMode::rans;
  model.alphabet = 300;
  CHECK(build_decode_table(model, *table).status == Status::huffman);
  model.mode = CodeMode::huffman;
  CHECK(build_decode_table(model, *table).status == Status::huffman);
  // One symbol that has it all is the constant mode, not a frequency of 4096.
  model = Model();
  model.mode = CodeMode::rans;
  model.alphabet = 2;
  model.frequencies[0] = kCodeSpace;
  CHECK(build_decode_table(model, *table).status == Status::huffman);
  model.frequencies[0] = kCodeSpace - 1;
  CHECK(build_decode_table(model, *table).status == Status::huffman);
  model.frequencies[1] = 1;
  CHECK(build_decode_table(model, *table));
}

void streams() {
  std::vector<uint8_t> symbols(700000);  // three blocks: a directory of two lengths
  for (size_t i = 0; i < symbols.size(); i++)
    symbols[i] = static_cast<uint8_t>(random_u64(3, i) % 9 * (random_u64(4, i) % 9));
  for (ModeChoice choice : {ModeChoice::huffman, ModeChoice::raw}) {
    std::vector<uint8_t> room(stream_bound(symbols.size())), back(symbols.size());
    size_t bytes = 0;
    CHECK(encode_stream(Job(), symbols.data(), symbols.size(), choice, room.data(), room.size(), &bytes));
    CHECK(encode_stream(Job(), symbols.data(), symbols.size(), choice, room.data(), 100, &bytes).status == Status::arg);
    CHECK(encode_stream(Job(), symbols.data(), symbols.size(), choice, room.data(), room.size(), &bytes));
    Model model;
    size_t table = 0;
    CHECK(parse_model(room.data(), bytes, model, &table));
    auto decode = [&](size_t size) {
      Guarded<uint8_t> exact(size);
      std::memcpy(exact.data(), room.data(), size);
      return decode_stream(Job(), exact.data(), size, back.data(), back.size());
    };
    CHECK(decode(bytes) && back == symbols);
    CHECK(decode(table).status == Status::bitstream);      // no directory, no blocks
    CHECK(decode(table + 7).status == Status::bitstream);  // half of a directory
    if (choice == ModeChoice::huffman) {
      // The second length longer than the rest; the first block one word shorter; damage in the second block is told
      // with its offset.
      room[table + 7] = 0x7f;
      CHECK(decode(bytes).status == Status::bitstream && decode(bytes).offset == table + 4);
      room[table + 7] = 0;
      room[table] ^= 2;
      CHECK(decode(bytes).status == Status::bitstream);
      room[table] ^= 2;
      const size_t first =
          room[table] | static_cast<size_t>(room[table + 1]) << 8 | static_cast<size_t>(room[table + 2]) << 16;
      const size_t second = table + 8 + first;
      for (size_t i = 0; i < 40; i++) room[second + i] ^= 0x5a;
      const Result damaged = decode(bytes);
      CHECK(damaged.status == Status::bitstream && damaged.offset == second);
      for (size_t i = 0; i < 40; i++) room[second + i] ^= 0x5a;
      CHECK(decode(bytes) && back == symbols);
    }
    // No memory at the k-th allocation, for every k; then none is left behind.
    const int64_t before = allocated_blocks();
    for (int64_t k = 0;; k++) {
      fail_allocations_after(k);
      const Status decoded = decode(bytes).status;
      fail_allocations_after(-1);
      CHECK(decoded == Status::ok || decoded == Status::nomem);
      if (decoded != Status::nomem) break;
    }
    for (int64_t k = 0;; k++) {
      fail_allocations_after(k);
      size_t size;
      const Status encoded =
          encode_stream(Job(), symbols.data(), symbols.size(), choice, room.data(), room.size(), &size).status;
      fail_allocations_after(-1);
      CHECK(encoded == Status::ok || encoded == Status::nomem);
      if (encoded != Status::nomem) break;
    }
    CHECK(allocated_blocks() == before);
    Control control = {};
    control.cancel = 1;
    Job cancelled;
    cancelled.control = &control;
    CHECK(decode_stream(cancelled, room.data(), bytes, back.data(), back.size()).status == Status::aborted);
    size_t size;
    CHECK(encode_stream(cancelled, symbols.data(), symbols.size(), choice, room.data(), room.size(), &size).status ==
          Status::aborted);
  }
}

// 300,000 entries: several blocks, one of which ends in a run of fillers that must not be cut.
void relative() {
  const uint64_t n = 4000000;
  std::vector<uint32_t> mask((n + 31) / 32);
  std::vector<uint8_t> codes;
  for (uint64_t i = 0; i < n; i++) {
    const double density = i > 700000 && i < 760000 ? 0.0002 : 0.08;
    if (random_unit(5, i) >= density) continue;
    mask[i >> 5] |= 1u << (i & 31);
    codes.push_back(static_cast<uint8_t>(i % 7));
  }
  RelativePlan plan;
  CHECK(plan_relative_index(Job(), mask.data(), n, 2, codes.data(), codes.size(), plan));
  const size_t entries = static_cast<size_t>(plan.kept + plan.fillers);
  std::vector<uint8_t> gaps(entries), symbols(entries), back(codes.size());
  std::vector<uint32_t> back_mask(mask.size());
  CHECK(encode_relative_index(Job(), mask.data(), n, 2, codes.data(), codes.size(), gaps.data(), symbols.data(),
                              entries));
  CHECK(encode_relative_index(Job(), mask.data(), n, 2, codes.data(), codes.size(), gaps.data(), symbols.data(),
                              entries - 1)
            .status == Status::arg);
  CHECK(encode_relative_index(Job(), mask.data(), n, 2, codes.data(), codes.size() - 1, gaps.data(), symbols.data(),
                              entries)
            .status == Status::arg);
  auto decode = [&](unsigned bits, uint64_t weights, const Job& job = Job()) {
    return decode_relative_index(job, gaps.data(), symbols.data(), entries, bits, back_mask.data(), weights,
                                 back.data(), back.size());
  };
  CHECK(decode(2, n) && back == codes && back_mask == mask);
  CHECK(decode(1, n).status == Status::arg);
  CHECK(decode(9, n).status == Status::arg);
  CHECK(decode(2, 1000).status == Status::index);  // later blocks begin past the end
  CHECK(decode(2, n / 2).status == Status::index);
  const size_t last = entries - 1;
  gaps[last] = 4;  // more than two bits
  CHECK(decode(2, n).status == Status::index && decode(2, n).offset == last);
  gaps[last] = 0;
  symbols[last] = 0;
  back.pop_back();
  CHECK(decode(2, n).status == Status::index);  // a filler at the end
  symbols[last] = 1;
  back.push_back(0);
  const int64_t before = allocated_blocks();
  for (int64_t k = 0;; k++) {
    fail_allocations_after(k);
    const Status status = decode(2, n).status;
    fail_allocations_after(-1);
    CHECK(status == Status::ok || status == Status::nomem);
    if (status != Status::nomem) break;
  }
  for (int64_t k = 0;; k++) {
    fail_allocations_after(k);
    const Status planned = plan_relative_index(Job(), mask.data(), n, 0, codes.data(), codes.size(), plan).status;
    fail_allocations_after(-1);
    CHECK(planned == Status::ok || planned == Status::nomem);
    if (planned != Status::nomem) break;
  }
  CHECK(allocated_blocks() == before);
  Control control = {};
  control.cancel = 1;
  Job cancelled;
  cancelled.control = &control;
  CHECK(decode(2, n, cancelled).status == Status::aborted);
  CHECK(plan_relative_index(cancelled, mask.data(), n, 0, codes.data(), codes.size(), plan).status == Status::aborted);
  CHECK(encode_relative_index(cancelled, mask.data(), n, 2, codes.data(), codes.size(), gaps.data(), symbols.data(),
                              entries)
            .status == Status::aborted);
}

void arguments() {
  uint8_t gaps[2] = {0, 1}, codes[2] = {0, 0}, out_codes[2];
  float book[1] = {1}, out[8];
  uint32_t mask[1] = {0};
  uint64_t end, kept;
  for (unsigned alphabet : {0u, 1u, 257u}) {
    CHECK(scatter_escape(CpuLevel::scalar, gaps, 2, alphabet, codes, 2, book, 1, out, 8, &end).status == Status::arg);
    CHECK(mask_escape(CpuLevel::scalar, gaps, 2, alphabet, mask, 0, 8, &kept, &end).status == Status::arg);
  }
  for (unsigned bits : {0u, 1u, 9u}) {
    CHECK(scatter_relative(CpuLevel::scalar, gaps, codes, 2, bits, book, 1, out, 8, &end).status == Status::arg);
    CHECK(mask_relative(CpuLevel::scalar, gaps, codes, 2, bits, mask, 0, 8, out_codes, &kept, &end).status ==
          Status::arg);
  }
  // Codes and entries past the codebook, with and without a mask.
  uint8_t entries[2] = {1, 2};
  CHECK(scatter_relative(CpuLevel::scalar, gaps, entries, 2, 4, book, 1, out, 8, &end).status == Status::value);
  uint8_t past[2] = {0, 1};
  CHECK(scatter_escape(CpuLevel::scalar, gaps, 2, 16, past, 2, book, 1, out, 8, &end).status == Status::value);
  CHECK(expand_masked(CpuLevel::scalar, nullptr, 0, 2, past, 2, book, 1, out).status == Status::value);
  CHECK(expand_masked(CpuLevel::scalar, nullptr, 0, 2, codes, 2, book, 1, out) && out[1] == 1.0f);
  CHECK(expand_masked(CpuLevel::scalar, nullptr, 0, 1, codes, 2, book, 1, out).status == Status::index);
  CHECK(expand_masked(CpuLevel::scalar, nullptr, 0, 0, codes, 0, book, 1, out));
  CHECK(scatter_escape(CpuLevel::scalar, gaps, 0, 16, codes, 0, book, 0, out, 8, &end) && end == 0 && out[7] == 0.0f);
}

}  // namespace

int main() {
  models();
  tables();
  streams();
  relative();
  arguments();
  return finish();
}
