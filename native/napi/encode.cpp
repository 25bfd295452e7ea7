#include <cmath>

#include "../decode/relative_index.h"
#include "../decode/stream.h"
#include "../encode/relative_index.h"
#include "../encode/stream.h"
#include "arguments.h"

namespace dc {

namespace {

// huffmanEncode(symbols: Uint8Array, out: Uint8Array(streamBound(n)), summary: Float64Array(1), ...job)
// summary[0] = bytes written.
class HuffmanEncodeTask final : public AsyncTask {
 public:
  View<const uint8_t> symbols;
  View<uint8_t> out;
  double* summary = nullptr;
  Result execute(const Job& running) noexcept override {
    size_t bytes = 0;
    const Result result =
        encode_stream(running, symbols.data, symbols.size, ModeChoice::huffman, out.data, out.size, &bytes);
    summary[0] = static_cast<double>(bytes);
    return result;
  }
};

Napi::Value huffman_encode(const Napi::CallbackInfo& info) {
  Arguments args(info, 6);
  auto task = std::make_unique<HuffmanEncodeTask>();
  task->symbols = args.u8(0);
  task->out = args.u8_out(1);
  const auto summary = args.f64_out(2);
  args.require(task->out.size >= stream_bound(task->symbols.size), "out is smaller than streamBound");
  args.require(summary.size == 1, "summary must have 1 element");
  task->summary = summary.data;
  return args.run(std::move(task));
}

// streamBound(symbols: number) -> bytes that huffmanEncode may need
Napi::Value stream_bound_call(const Napi::CallbackInfo& info) {
  if (info.Length() != 1 || !info[0].IsNumber()) throw coded_error(info.Env(), Status::type, "expected a number");
  const double symbols = info[0].As<Napi::Number>().DoubleValue();
  if (!(symbols >= 0 && symbols <= 4294967296.0) || symbols != std::floor(symbols)) {
    throw coded_error(info.Env(), Status::arg, "expected 0 to 2^32 symbols");
  }
  return Napi::Number::New(info.Env(), static_cast<double>(stream_bound(static_cast<size_t>(symbols))));
}

// huffmanDecode(bytes: Uint8Array, symbols: Uint8Array(count), ...job)
class HuffmanDecodeTask final : public AsyncTask {
 public:
  View<const uint8_t> bytes;
  View<uint8_t> symbols;
  Result execute(const Job& running) noexcept override {
    return decode_stream(running, bytes.data, bytes.size, symbols.data, symbols.size);
  }
};

Napi::Value huffman_decode(const Napi::CallbackInfo& info) {
  Arguments args(info, 5);
  auto task = std::make_unique<HuffmanDecodeTask>();
  task->bytes = args.u8(0);
  task->symbols = args.u8_out(1);
  return args.run(std::move(task));
}

// planRelativeIndex(mask: Uint32Array, weights, codes: Uint8Array, indexBits: 0 (cheapest) | 2..8, summary:
// Float64Array(4), ...job) summary = indexBits, kept, fillers, coded bytes.
class PlanRelativeTask final : public AsyncTask {
 public:
  View<const uint32_t> mask;
  uint64_t weights = 0;
  View<const uint8_t> codes;
  unsigned index_bits = 0;
  double* summary = nullptr;
  Result execute(const Job& running) noexcept override {
    RelativePlan plan;
    const Result result = plan_relative_index(running, mask.data, weights, index_bits, codes.data, codes.size, plan);
    summary[0] = plan.index_bits;
    summary[1] = static_cast<double>(plan.kept);
    summary[2] = static_cast<double>(plan.fillers);
    summary[3] = plan.coded_bytes;
    return result;
  }
};

Napi::Value plan_relative(const Napi::CallbackInfo& info) {
  Arguments args(info, 8);
  auto task = std::make_unique<PlanRelativeTask>();
  task->mask = args.u32(0);
  task->weights = args.whole(1);
  task->codes = args.u8(2);
  const uint64_t bits = args.whole(3);
  const auto summary = args.f64_out(4);
  args.require(task->mask.size == (task->weights + 31) / 32, "the mask must have one bit a weight");
  args.require(bits == 0 || (bits >= 2 && bits <= 8), "indexBits must be 2 to 8");
  args.require(summary.size == 4, "summary must have 4 elements");
  task->index_bits = static_cast<unsigned>(bits);
  task->summary = summary.data;
  return args.run(std::move(task));
}

// encodeRelativeIndex(mask: Uint32Array, weights, codes: Uint8Array, indexBits, gaps: Uint8Array(kept + fillers),
//                     entries: Uint8Array(kept + fillers), ...job)
class EncodeRelativeTask final : public AsyncTask {
 public:
  View<const uint32_t> mask;
  uint64_t weights = 0;
  View<const uint8_t> codes;
  unsigned index_bits = 0;
  View<uint8_t> gaps, entries;
  Result execute(const Job& running) noexcept override {
    return encode_relative_index(running, mask.data, weights, index_bits, codes.data, codes.size, gaps.data,
                                 entries.data, gaps.size);
  }
};

Napi::Value encode_relative(const Napi::CallbackInfo& info) {
  Arguments args(info, 9);
  auto task = std::make_unique<EncodeRelativeTask>();
  task->mask = args.u32(0);
  task->weights = args.whole(1);
  task->codes = args.u8(2);
  const uint64_t bits = args.whole(3);
  task->gaps = args.u8_out(4);
  task->entries = args.u8_out(5);
  args.require(task->mask.size == (task->weights + 31) / 32, "the mask must have one bit a weight");
  args.require(bits >= 2 && bits <= 8, "indexBits must be 2 to 8");
  args.require(task->gaps.size == task->entries.size, "as many gaps as entries are needed");
  task->index_bits = static_cast<unsigned>(bits);
  return args.run(std::move(task));
}

// decodeRelativeIndex(gaps: Uint8Array, entries: Uint8Array, indexBits, mask: Uint32Array, weights, codes:
// Uint8Array(kept), ...job)
class DecodeRelativeTask final : public AsyncTask {
 public:
  View<const uint8_t> gaps, entries;
  unsigned index_bits = 0;
  View<uint32_t> mask;
  uint64_t weights = 0;
  View<uint8_t> codes;
  Result execute(const Job& running) noexcept override {
    return decode_relative_index(running, gaps.data, entries.data, gaps.size, index_bits, mask.data, weights,
                                 codes.data, codes.size);
  }
};

Napi::Value decode_relative(const Napi::CallbackInfo& info) {
  Arguments args(info, 9);
  auto task = std::make_unique<DecodeRelativeTask>();
  task->gaps = args.u8(0);
  task->entries = args.u8(1);
  const uint64_t bits = args.whole(2);
  task->mask = args.u32_out(3);
  task->weights = args.whole(4);
  task->codes = args.u8_out(5);
  args.require(task->gaps.size == task->entries.size, "as many gaps as entries are needed");
  args.require(bits >= 2 && bits <= 8, "indexBits must be 2 to 8");
  args.require(task->mask.size == (task->weights + 31) / 32, "the mask must have one bit a weight");
  task->index_bits = static_cast<unsigned>(bits);
  return args.run(std::move(task));
}

}  // namespace

void export_encode(Napi::Env env, Napi::Object exports) {
  export_function(env, exports, "streamBound", stream_bound_call);
  export_function(env, exports, "huffmanEncode", huffman_encode);
  export_function(env, exports, "huffmanDecode", huffman_decode);
  export_function(env, exports, "planRelativeIndex", plan_relative);
  export_function(env, exports, "encodeRelativeIndex", encode_relative);
  export_function(env, exports, "decodeRelativeIndex", decode_relative);
}

}  // namespace dc
