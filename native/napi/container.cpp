#include "../container/crc32c.h"

#include "../container/descriptor.h"
#include "../decode/tensor.h"
#include "../decode/verify.h"
#include "../encode/tensor.h"
#include "../base/memory.h"
#include "arguments.h"

namespace dc {

namespace {

size_t chunks_of(size_t bytes) { return bytes / kChunkBytes + (bytes % kChunkBytes != 0); }

// encodeQuantized(mask: Uint32Array | null, elements, codes: Uint8Array, codebook: Float32Array, layout: 0 auto | 2 | 3
// | 4 | 5, indexBits, entropy: 0 auto | 1 raw | 2 huffman | 3 rans, width, out: Uint8Array, checksums: Uint32Array,
// fields: Float64Array(21), ...job)
class EncodeQuantizedTask final : public AsyncTask {
 public:
  QuantizedInput input;
  TensorOptions options;
  View<uint8_t> out;
  uint32_t* checksums = nullptr;
  double* fields = nullptr;
  Result execute(const Job& running) noexcept override {
    TensorDescriptor d;
    Result result = encode_quantized(running, input, options, out.data, out.size, d);
    if (result) result = chunk_checksums(running, out.data, d.stored_bytes, checksums);
    descriptor_to_fields(d, fields);
    return result;
  }
};

Napi::Value encode_quantized_call(const Napi::CallbackInfo& info) {
  Arguments args(info, 14);
  auto task = std::make_unique<EncodeQuantizedTask>();
  const auto mask = args.optional_u32(0);
  const auto codes = args.u8(2);
  const auto codebook = args.f32(3);
  task->input.mask = mask.data;
  task->input.elements = args.whole(1);
  task->input.codes = codes.data;
  task->input.kept = codes.size;
  task->input.codebook = codebook.data;
  task->input.clusters = static_cast<unsigned>(codebook.size);
  const uint64_t layout = args.whole(4), bits = args.whole(5), entropy = args.whole(6);
  task->out = args.u8_out(8);
  const auto checksums = args.u32_out(9);
  const auto fields = args.f64_out(10);
  args.require(codebook.size <= kClustersMost, "a codebook has at most 256 values");
  args.require(!mask || mask.size == (task->input.elements + 31) / 32, "the mask must have one bit a weight");
  args.require(layout == 0 || (layout >= 2 && layout <= 5), "no such layout");
  args.require(bits == 0 || (bits >= kIndexBitsLeast && bits <= kIndexBitsMost), "indexBits must be 0 or 2 to 8");
  args.require(entropy <= 3, "no such entropy coder");
  args.require(checksums.size >= chunks_of(task->out.size), "there must be a checksum for each chunk of out");
  args.require(fields.size == kDescriptorFields, "fields must have 21 elements");
  task->options = {static_cast<LayoutChoice>(layout), static_cast<unsigned>(bits), static_cast<ModeChoice>(entropy),
                   args.whole(7)};
  task->checksums = checksums.data;
  task->fields = fields.data;
  return args.run(std::move(task));
}

// encodeRaw(values: Float32Array, entropy, allowNonFinite, out: Uint8Array(4 n), checksums: Uint32Array, fields,
// ...job)
class EncodeRawTask final : public AsyncTask {
 public:
  View<const float> values;
  ModeChoice entropy = ModeChoice::automatic;
  bool allow_nonfinite = false;
  View<uint8_t> out;
  uint32_t* checksums = nullptr;
  double* fields = nullptr;
  Result execute(const Job& running) noexcept override {
    TensorDescriptor d;
    Result result = encode_raw(running, values.data, values.size, entropy, allow_nonfinite, out.data, out.size, d);
    if (result) result = chunk_checksums(running, out.data, d.stored_bytes, checksums);
    descriptor_to_fields(d, fields);
    return result;
  }
};

Napi::Value encode_raw_call(const Napi::CallbackInfo& info) {
  Arguments args(info, 9);
  auto task = std::make_unique<EncodeRawTask>();
  task->values = args.f32(0);
  const uint64_t entropy = args.whole(1);
  task->allow_nonfinite = args.flag(2);
  task->out = args.u8_out(3);
  const auto checksums = args.u32_out(4);
  const auto fields = args.f64_out(5);
  args.require(entropy <= 3, "no such entropy coder");
  args.require(checksums.size >= chunks_of(task->out.size), "there must be a checksum for each chunk of out");
  args.require(fields.size == kDescriptorFields, "fields must have 21 elements");
  task->entropy = static_cast<ModeChoice>(entropy);
  task->checksums = checksums.data;
  task->fields = fields.data;
  return args.run(std::move(task));
}

// What decodeValues and decodeCodes share: payload, its descriptor, its checksums (null: not checked).
class DecodeTask : public AsyncTask {
 public:
  View<const uint8_t> payload;
  View<const uint32_t> checksums;
  TensorDescriptor d;
  DecodeOptions options;
  Result check(const Job& running) noexcept {
    return checksums ? check_chunks(running, payload.data, payload.size, checksums.data) : Result{};
  }
};

void take_payload(Arguments& args, DecodeTask& task) {
  task.payload = args.u8(0);
  const auto fields = args.f64(1);
  task.checksums = args.optional_u32(2);
  task.options.allow_nonfinite = args.flag(3);
  args.require(fields.size == kDescriptorFields && descriptor_from_fields(fields.data, task.d), "no valid descriptor");
  args.require(!task.checksums || task.checksums.size == chunks_of(task.payload.size),
               "one checksum a chunk is needed");
}

// decodeValues(payload, fields: Float64Array(21), checksums: Uint32Array | null, allowNonFinite, first, outIsZero: out
// is fresh, out: Float32Array, ...job)
class DecodeValuesTask final : public DecodeTask {
 public:
  uint64_t first = 0;
  View<float> out;
  Result execute(const Job& running) noexcept override {
    const Result result = check(running);
    if (!result) return result;
    advise_large(out.data, out.size * sizeof(float));
    return decode_values(running, d, payload.data, payload.size, first, out.size, options, out.data);
  }
};

Napi::Value decode_values_call(const Napi::CallbackInfo& info) {
  Arguments args(info, 10);
  auto task = std::make_unique<DecodeValuesTask>();
  take_payload(args, *task);
  task->first = args.whole(4);
  task->options.out_is_zero = args.flag(5);
  task->out = args.f32_out(6);
  return args.run(std::move(task));
}

// decodeCodes(payload, fields, checksums | null, allowNonFinite, mask: Uint32Array, codes: Uint8Array(kept), codebook:
// Float32Array(clusters), ...job)
class DecodeCodesTask final : public DecodeTask {
 public:
  uint32_t* mask = nullptr;
  uint8_t* codes = nullptr;
  float* codebook = nullptr;
  Result execute(const Job& running) noexcept override {
    const Result result = check(running);
    return result ? decode_codes(running, d, payload.data, payload.size, options, mask, codes, codebook) : result;
  }
};

Napi::Value decode_codes_call(const Napi::CallbackInfo& info) {
  Arguments args(info, 10);
  auto task = std::make_unique<DecodeCodesTask>();
  take_payload(args, *task);
  const auto mask = args.u32_out(4);
  const auto codes = args.u8_out(5);
  const auto codebook = args.f32_out(6);
  args.require(mask.size == (task->d.elements + 31) / 32, "the mask must have one bit a weight");
  args.require(codes.size == task->d.kept, "codes must have one element a kept weight");
  args.require(codebook.size == task->d.clusters, "codebook must have one element a cluster");
  task->mask = mask.data;
  task->codes = codes.data;
  task->codebook = codebook.data;
  return args.run(std::move(task));
}

// chunkChecksums(bytes: Uint8Array, checksums: Uint32Array, ...job)
class ChecksumTask final : public AsyncTask {
 public:
  View<const uint8_t> bytes;
  uint32_t* checksums = nullptr;
  Result execute(const Job& running) noexcept override {
    return chunk_checksums(running, bytes.data, bytes.size, checksums);
  }
};

Napi::Value chunk_checksums_call(const Napi::CallbackInfo& info) {
  Arguments args(info, 5);
  auto task = std::make_unique<ChecksumTask>();
  task->bytes = args.u8(0);
  const auto checksums = args.u32_out(1);
  args.require(checksums.size == chunks_of(task->bytes.size), "one checksum a chunk is needed");
  task->checksums = checksums.data;
  return args.run(std::move(task));
}

// verifyFile(file: Uint8Array, limits: Float64Array(7) in the order of Limits, ...job)
class VerifyTask final : public AsyncTask {
 public:
  View<const uint8_t> file;
  Limits limits;
  Result execute(const Job& running) noexcept override { return verify_file(running, file.data, file.size, limits); }
};

Napi::Value verify_file_call(const Napi::CallbackInfo& info) {
  Arguments args(info, 5);
  auto task = std::make_unique<VerifyTask>();
  task->file = args.u8(0);
  const auto limits = args.f64(1);
  args.require(limits.size == 7, "limits must have 7 elements");
  uint64_t* const fields[] = {&task->limits.header_bytes, &task->limits.tensors,  &task->limits.sections,
                              &task->limits.metadata,     &task->limits.elements, &task->limits.total_elements,
                              &task->limits.decoded_bytes};
  for (size_t i = 0; i < 7; i++) {
    args.require(limits.data[i] >= 0 && limits.data[i] <= static_cast<double>(kWholeMost), "a limit is out of range");
    *fields[i] = static_cast<uint64_t>(limits.data[i]);
  }
  return args.run(std::move(task));
}

}  // namespace

void export_container(Napi::Env env, Napi::Object exports) {
  export_function(env, exports, "encodeQuantized", encode_quantized_call);
  export_function(env, exports, "encodeRaw", encode_raw_call);
  export_function(env, exports, "decodeValues", decode_values_call);
  export_function(env, exports, "decodeCodes", decode_codes_call);
  export_function(env, exports, "chunkChecksums", chunk_checksums_call);
  export_function(env, exports, "verifyFile", verify_file_call);
}

}  // namespace dc
