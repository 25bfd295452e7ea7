// Blocks and models: what is encoded decodes, in exact-size buffers that end at an unmapped page; what was damaged is
// answered the same at every level.
#include "decode/block.h"

#include <memory>
#include <vector>

#include "base/bits.h"
#include "check.h"
#include "decode/model.h"
#include "decode/stream.h"
#include "encode/block.h"
#include "encode/histogram.h"
#include "encode/model.h"
#include "encode/stream.h"

using namespace dc;

namespace {

// Distributions by number: what real streams look like, and the corners.
constexpr int kShapes = 12;
std::vector<uint8_t> stream(int shape, size_t n, uint64_t seed) {
  std::vector<uint8_t> out(n);
  for (size_t i = 0; i < n; i++) {
    const double u = random_unit(seed, i), v = random_unit(seed + 1, i), w = random_unit(seed + 2, i);
    double x = 0;
    switch (shape) {
      case 0:
        x = 7;
        break;  // constant
      case 1:
        x = u < 0.5 ? 0 : 1;
        break;  // two symbols
      case 2:
        x = u < 0.001 ? 255 : 0;
        break;  // two symbols, far apart, far from even
      case 3:
        x = (u + v + w) / 3 * 32;
        break;  // about 4.6 bits
      case 4:
        x = (u + v + w) / 3 * 256;
        break;  // about 7.5 bits
      case 5:
        x = u * 256;
        break;  // flat
      case 6:
        for (x = 0; x < 254 && random_unit(seed + 9, i * 300 + static_cast<size_t>(x)) > 0.04; x++) {
        }
        break;  // gaps
      case 7:
        for (x = 0; x < 40 && random_unit(seed + 9, i * 64 + static_cast<size_t>(x)) > 0.5; x++) {
        }
        break;  // lengths 1 .. 12
      case 8:
        x = u < 0.97 ? 3 : v * 5;
        break;  // under a bit
      case 9:
        x = static_cast<int>((u + v + w) / 3 * 32) * 8;
        break;  // holes in the alphabet
      case 10:
        x = u * 3;
        break;
      case 11:
        x = u < 0.9999 ? 200 : v * 256;
        break;
    }
    out[i] = static_cast<uint8_t>(x);
  }
  return out;
}

struct Coded {
  Model model;
  std::vector<uint8_t> bytes;
};

Coded encode(const std::vector<uint8_t>& symbols, ModeChoice choice, int lanes_log2 = -1) {
  Job job;
  uint64_t counts[256];
  CHECK(histogram(job, symbols.data(), symbols.size(), counts));
  Coded coded;
  build_model(counts, kUsualBlockSymbols, choice, coded.model);
  if (lanes_log2 >= 0 && coded.model.mode >= CodeMode::huffman)
    coded.model.lanes_log2 = static_cast<uint8_t>(lanes_log2);
  auto table = std::make_unique<EncodeTable>();
  CHECK(build_encode_table(coded.model, *table));
  bool first = true;
  Levels all = levels();
  for (int l = 0; l < all.count; l++) {
    job.level = all.level[l];
    Guarded<uint8_t> input(symbols.size()), out(block_bound(symbols.size()));
    if (!symbols.empty()) std::memcpy(input.data(), symbols.data(), symbols.size());
    size_t bytes = 0;
    CHECK(encode_block(job, *table, input.data(), symbols.size(), out.data(), out.size(), &bytes));
    std::vector<uint8_t> now(out.data(), out.data() + bytes);
    if (first) coded.bytes = now;
    CHECK(now == coded.bytes);
    first = false;
  }
  return coded;
}

// The status at every level must be the same; returns it.
Status decode(const DecodeTable& table, const std::vector<uint8_t>& payload, size_t n, std::vector<uint8_t>* out) {
  Levels all = levels();
  Status first = Status::ok;
  std::vector<uint8_t> first_out;
  for (int l = 0; l < all.count; l++) {
    Guarded<uint8_t> input(payload.size()), symbols(n);
    if (!payload.empty()) std::memcpy(input.data(), payload.data(), payload.size());
    const Status status = decode_block(all.level[l], table, input.data(), payload.size(), symbols.data(), n).status;
    std::vector<uint8_t> now(symbols.data(), symbols.data() + n);
    if (l == 0) first = status, first_out = now;
    CHECK(status == first);
    if (status == Status::ok) CHECK(now == first_out);
  }
  if (out) *out = first_out;
  return first;
}

void models_round_trip(const Model& model, size_t expect_at_most) {
  uint8_t bytes[kMaxModelBytes];
  const size_t size = serialize_model(model, bytes);
  CHECK(size <= expect_at_most);
  Guarded<uint8_t> exact(size);
  std::memcpy(exact.data(), bytes, size);
  Model back;
  size_t consumed = 0;
  CHECK(parse_model(exact.data(), size, back, &consumed));
  CHECK(consumed == size);
  CHECK(std::memcmp(&back, &model, sizeof model) == 0);
  for (size_t cut = 0; cut < size; cut++) {
    CHECK(parse_model(exact.data(), cut, back, &consumed).status == Status::huffman);
  }
}

void round_trips() {
  const size_t sizes[] = {0,    1,    2,    3,    15,    16,    17,    100,   1023,  1024,
                          2047, 2048, 2049, 5000, 32767, 32768, 65535, 65536, 65537, 100001};
  for (int shape = 0; shape < kShapes; shape++) {
    for (size_t n : sizes) {
      const auto symbols = stream(shape, n, 17 + static_cast<uint64_t>(shape));
      for (ModeChoice choice : {ModeChoice::automatic, ModeChoice::raw, ModeChoice::huffman, ModeChoice::rans}) {
        for (int lanes : {-1, 0, 3, 5, 6}) {
          if (lanes >= 0 && (choice == ModeChoice::automatic || choice == ModeChoice::raw)) continue;
          const Coded coded = encode(symbols, choice, lanes);
          models_round_trip(coded.model, kMaxModelBytes);
          auto table = std::make_unique<DecodeTable>();
          CHECK(build_decode_table(coded.model, *table));
          std::vector<uint8_t> back;
          CHECK(decode(*table, coded.bytes, n, &back) == Status::ok);
          CHECK(back == symbols);
          if (n)
            decode(*table, coded.bytes, n - 1,
                   nullptr);  // a last code of zeros only may be missed; at no level or at all
          if (!coded.bytes.empty()) {
            auto shorter = coded.bytes;
            shorter.pop_back();
            CHECK(decode(*table, shorter, n, nullptr) == Status::bitstream);
            if (!shorter.empty()) shorter.pop_back();
            CHECK(decode(*table, shorter, n, nullptr) == Status::bitstream);
          }
          auto longer = coded.bytes;
          longer.push_back(0);
          CHECK(decode(*table, longer, n, nullptr) == Status::bitstream);
          longer.push_back(0);
          CHECK(decode(*table, longer, n, nullptr) == Status::bitstream);
        }
      }
    }
  }
}

// A damaged payload decodes to something or is refused, the same way at every level.
void damage_is_answered_alike() {
  for (int shape : {1, 3, 4, 6, 7, 8}) {
    const size_t n = 70000;
    const auto symbols = stream(shape, n, 5);
    for (ModeChoice choice : {ModeChoice::huffman, ModeChoice::rans}) {
      const Coded coded = encode(symbols, choice, 6);
      auto table = std::make_unique<DecodeTable>();
      CHECK(build_decode_table(coded.model, *table));
      for (uint64_t k = 0; k < 40; k++) {
        auto bad = coded.bytes;
        const size_t bit = random_u64(k, 1) % (bad.size() * 8);
        bad[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
        if (k % 4 == 1) bad.resize(random_u64(k, 2) % bad.size());
        if (k % 4 == 2) std::memset(bad.data() + bit / 16, k & 8 ? 255 : 0, bad.size() - bit / 16);
        decode(*table, bad, n, nullptr);
      }
    }
  }
}

// docs/format-streams.md, by hand: lengths a=1, b=2, c=2; codes 0, 10, 11; M = 2; one lane.
void worked_example() {
  // list: p=6: 111 then 1 (4 bits, low first 1000) -> v=1 | 100 -> 2 | 0 -> 2.
  // bits in order: 1 1 1 1 0 0 0 | 1 0 0 | 0 -> byte 0 = 1111 0001 low first = 0x8f, byte 1 = 0 0 0 -> 0x00
  const uint8_t exact[] = {2, 2, 0x8f, 0x00};
  Model model;
  size_t consumed = 0;
  CHECK(parse_model(exact, sizeof exact, model, &consumed));
  CHECK(consumed == 4 && model.mode == CodeMode::huffman && model.alphabet == 3);
  CHECK(model.lengths[0] == 1 && model.lengths[1] == 2 && model.lengths[2] == 2);
  uint8_t bytes[kMaxModelBytes];
  CHECK(serialize_model(model, bytes) == 4 && std::memcmp(bytes, exact, 4) == 0);
  auto table = std::make_unique<DecodeTable>();
  CHECK(build_decode_table(model, *table));
  // a b c a c: 0 10 11 0 11, then zeros: 0101 1011 0000 0000 = 0x5b00, little-endian 00 5b
  const uint8_t payload[] = {0x00, 0x5b};
  uint8_t out[5];
  CHECK(decode_block(CpuLevel::scalar, *table, payload, 2, out, 5));
  const uint8_t expected[] = {0, 1, 2, 0, 2};
  CHECK(std::memcmp(out, expected, 5) == 0);
  const uint8_t dirty[] = {0x01, 0x5b};
  CHECK(decode_block(CpuLevel::scalar, *table, dirty, 2, out, 5).status == Status::bitstream);
  CHECK(decode_block(CpuLevel::scalar, *table, payload, 2, out, 17).status == Status::bitstream);
}

void tables_refuse_what_is_no_code() {
  auto table = std::make_unique<DecodeTable>();
  Model model;
  model.mode = CodeMode::huffman;
  model.alphabet = 256;
  CHECK(build_decode_table(model, *table).status == Status::huffman);  // nothing in use
  model.lengths[5] = 1;
  CHECK(build_decode_table(model, *table).status == Status::huffman);  // incomplete
  model.lengths[9] = 1;
  CHECK(build_decode_table(model, *table));
  model.lengths[10] = 12;
  CHECK(build_decode_table(model, *table).status == Status::huffman);  // over-subscribed
  model.lengths[10] = 13;
  CHECK(build_decode_table(model, *table).status == Status::huffman);
  model = Model();
  model.mode = CodeMode::rans;
  model.alphabet = 2;
  model.frequencies[0] = 4095;
  CHECK(build_decode_table(model, *table).status == Status::huffman);
  model.frequencies[1] = 1;
  CHECK(build_decode_table(model, *table));
  model.frequencies[0] = 4096, model.frequencies[1] = 0;
  CHECK(build_decode_table(model, *table).status == Status::huffman);
}

// Every list of three bytes that is accepted is the one that the writer writes.
void models_have_one_form() {
  int accepted = 0;
  for (uint32_t v = 0; v < 1u << 24; v++) {
    uint8_t bytes[4] = {static_cast<uint8_t>(v & 1 ? 2 : 3), static_cast<uint8_t>(1 + (v >> 1) % 7), 0, 0};
    bytes[2] = static_cast<uint8_t>(v >> 8);
    bytes[3] = static_cast<uint8_t>(v >> 16);
    Model model;
    size_t consumed = 0;
    if (!parse_model(bytes, 4, model, &consumed)) continue;
    uint8_t back[kMaxModelBytes];
    const size_t size = serialize_model(model, back);
    if (size != consumed || std::memcmp(back, bytes, size) != 0) {
      CHECK(!"a model has two forms");
      return;
    }
    accepted++;
  }
  CHECK(accepted > 100);
}

void sizes_are_as_promised() {
  for (int shape : {3, 4, 6, 8}) {
    const auto symbols = stream(shape, kUsualBlockSymbols * 4, 3);
    uint64_t counts[256];
    Job job;
    CHECK(histogram(job, symbols.data(), symbols.size(), counts));
    for (ModeChoice choice : {ModeChoice::huffman, ModeChoice::rans}) {
      Model model;
      build_model(counts, kUsualBlockSymbols, choice, model);
      auto table = std::make_unique<EncodeTable>();
      CHECK(build_encode_table(model, *table));
      uint8_t serialized[kMaxModelBytes];
      size_t total = serialize_model(model, serialized);
      std::vector<uint8_t> out(block_bound(kUsualBlockSymbols));
      for (size_t b = 0; b < 4; b++) {
        size_t bytes;
        CHECK(encode_block(job, *table, symbols.data() + b * kUsualBlockSymbols, kUsualBlockSymbols, out.data(),
                           out.size(), &bytes));
        total += bytes;
      }
      const double bound = entropy_bits(counts) / 8, told = coded_bytes(model, counts, kUsualBlockSymbols);
      std::printf("shape %d %s: entropy %.0f, coded %zu (+%.3f %%), told %.0f, lanes 2^%d\n", shape,
                  choice == ModeChoice::huffman ? "huffman" : "rans", bound, total, (total / bound - 1) * 100, told,
                  model.lanes_log2);
      CHECK(told < total * 1.003 && told > total * 0.997);
      if (choice == ModeChoice::rans)
        CHECK(total < bound * (shape == 6 ? 1.007 : 1.005));  // 6: 255 symbols, many rarer than 1 in 4096
    }
  }
}

void streams_round_trip() {
  Pool pool(1);
  for (size_t n : {size_t{0}, size_t{1}, size_t{1000}, size_t{262144}, size_t{262145}, size_t{800001}}) {
    for (int shape : {0, 3, 8, 5}) {
      for (ModeChoice choice : {ModeChoice::huffman, ModeChoice::automatic, ModeChoice::raw}) {
        const auto symbols = stream(shape, n, 77);
        std::vector<uint8_t> first;
        for (int l = 0; l < levels().count; l++) {
          Job job;
          job.level = levels().level[l];
          job.threads = static_cast<unsigned>(l + 1);
          job.pool = &pool;
          Guarded<uint8_t> out(stream_bound(n));
          size_t bytes = 0;
          CHECK(encode_stream(job, symbols.data(), n, choice, out.data(), out.size(), &bytes));
          std::vector<uint8_t> now(out.data(), out.data() + bytes);
          if (l == 0) first = now;
          CHECK(now == first);
          Guarded<uint8_t> exact(bytes), back(n);
          if (bytes) std::memcpy(exact.data(), now.data(), bytes);
          CHECK(decode_stream(job, exact.data(), bytes, back.data(), n));
          CHECK(std::vector<uint8_t>(back.data(), back.data() + n) == symbols);
          if (!bytes) continue;
          CHECK(!decode_stream(job, exact.data(), bytes - 1, back.data(), n));
          Guarded<uint8_t> more(bytes + 1);
          std::memcpy(more.data(), now.data(), bytes);
          CHECK(decode_stream(job, more.data(), bytes + 1, back.data(), n).status == Status::bitstream);
          CHECK(decode_stream(job, exact.data(), bytes, back.data(), 0).status == Status::bitstream);
          // A reserved bit of the model.
          if (shape == 3 && n > 262144) {
            exact[0] ^= 0x80;
            CHECK(decode_stream(job, exact.data(), bytes, back.data(), n).status == Status::huffman);
          }
        }
      }
    }
  }
}

// A symbol that the model cannot code is named, in every mode and at every level.
void unknown_symbols_are_refused() {
  for (size_t n : {size_t{100}, size_t{70000}}) {
    for (int shape : {0, 3, 5}) {
      for (ModeChoice choice : {ModeChoice::raw, ModeChoice::huffman, ModeChoice::rans}) {
        auto symbols = stream(shape, n, 6);
        for (uint8_t& s : symbols)
          s = static_cast<uint8_t>(s & (shape == 5 ? 0xfe : 0x1f));  // no odd ones; none above 31
        uint64_t counts[256];
        Model model;
        auto table = std::make_unique<EncodeTable>();
        CHECK(histogram(Job(), symbols.data(), n, counts));
        build_model(counts, n, choice, model);
        CHECK(build_encode_table(model, *table));
        if (shape == 5 && choice == ModeChoice::raw) continue;  // 8 bits hold everything
        for (uint8_t stranger : {uint8_t{33}, uint8_t{201}}) {
          symbols[n - 3] = stranger;
          for (int l = 0; l < levels().count; l++) {
            Job job;
            job.level = levels().level[l];
            std::vector<uint8_t> out(block_bound(n));
            size_t bytes;
            const Result result = encode_block(job, *table, symbols.data(), n, out.data(), out.size(), &bytes);
            CHECK(result.status == Status::value && result.offset == n - 3);
          }
        }
      }
    }
  }
}

}  // namespace

int main() {
  unknown_symbols_are_refused();
  streams_round_trip();
  worked_example();
  tables_refuse_what_is_no_code();
  sizes_are_as_promised();
  models_have_one_form();
  damage_is_answered_alike();
  round_trips();
  return finish();
}
