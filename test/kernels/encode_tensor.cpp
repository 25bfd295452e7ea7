// Tensors through encoder and decoder: values back, the same bytes at every level and number of threads, every output
// at a guard page, and every allocation that fails in turn.
#include <cmath>
#include <vector>

#include "base/mask.h"
#include "base/memory.h"
#include "check.h"
#include "decode/tensor.h"
#include "encode/tensor.h"

using namespace dc;

struct Tensor {
  uint64_t elements = 0;
  std::vector<uint32_t> mask;
  std::vector<uint8_t> codes;
  std::vector<float> codebook;
  QuantizedInput input() const {
    return {elements,        codes.size() == elements ? nullptr : mask.data(),
            codes.data(),    codes.size(),
            codebook.data(), static_cast<unsigned>(codebook.size())};
  }
};

static Tensor make(uint64_t n, double density, unsigned clusters, uint64_t seed) {
  Tensor t;
  t.elements = n;
  t.mask.assign(mask_words(n) + 1, 0);
  for (uint64_t i = 0; i < n; i++) {
    if (random_unit(seed, 2 * i) >= density) continue;
    t.mask[i / 32] |= 1u << (i % 32);
    const double skew = random_unit(seed, 2 * i + 1);
    t.codes.push_back(static_cast<uint8_t>(skew * skew * clusters));
  }
  for (unsigned c = 0; c < clusters; c++) t.codebook.push_back((static_cast<float>(c) - 0.4f * clusters) * 0.0137f);
  return t;
}

// Columns that are kept or not, but for every seventh row; codes that go with the column.
static Tensor columns(uint64_t width) {
  Tensor t;
  t.elements = 100 * width;
  t.mask.assign(mask_words(t.elements) + 1, 0);
  for (uint64_t i = 0; i < t.elements; i++) {
    const uint64_t row = i / width, column = i % width;
    if ((row % 7 == 3 ? column % 5 : column % 6) != 2 && random_unit(77, i) > 0.01) continue;
    t.mask[i / 32] |= 1u << (i % 32);
    t.codes.push_back(static_cast<uint8_t>(column % 8));
  }
  for (unsigned c = 0; c < 8; c++) t.codebook.push_back(static_cast<float>(c) - 3.3f);
  return t;
}

static std::vector<float> dense(const Tensor& t) {
  std::vector<float> values(t.elements);
  size_t next = 0;
  for (uint64_t i = 0; i < t.elements; i++) values[i] = mask_bit(t.mask.data(), i) ? t.codebook[t.codes[next++]] : 0.0f;
  return values;
}

static Pool g_pool(4);

static Job job_of(CpuLevel level, unsigned threads) {
  Job job;
  job.level = level;
  job.threads = threads;
  job.pool = threads > 1 ? &g_pool : nullptr;
  return job;
}

static void round_trip(const Tensor& t, const TensorOptions& options) {
  std::vector<uint8_t> first;
  const std::vector<float> expected = dense(t);
  const Levels all = levels();
  for (int l = 0; l < all.count; l++) {
    for (unsigned threads : {1u, 2u, 4u, 8u}) {
      const Job job = job_of(all.level[l], threads);
      Guarded<uint8_t> out(quantized_bound(t.elements, t.codes.size(), t.codebook.size()));
      TensorDescriptor d;
      const Result result = encode_quantized(job, t.input(), options, out.data(), out.size(), d);
      CHECK(result);
      if (!result) return;
      if (first.empty() && d.stored_bytes) first.assign(out.data(), out.data() + d.stored_bytes);
      CHECK(d.stored_bytes == first.size());
      CHECK(first.empty() || std::memcmp(out.data(), first.data(), first.size()) == 0);
      Guarded<uint8_t> payload(d.stored_bytes);
      std::memcpy(payload.data(), out.data(), d.stored_bytes);
      Guarded<float> values(t.elements);
      for (size_t i = 0; i < values.size(); i++) values[i] = -7;
      CHECK(decode_values(job, d, payload.data(), payload.size(), 0, t.elements, {}, values.data()));
      CHECK(std::memcmp(values.data(), expected.data(), 4 * t.elements) == 0);
      if (d.layout == Layout::zero) continue;
      Guarded<uint32_t> mask(mask_words(t.elements));
      Guarded<uint8_t> codes(t.codes.size());
      Guarded<float> codebook(t.codebook.size());
      CHECK(decode_codes(job, d, payload.data(), payload.size(), {}, mask.data(), codes.data(), codebook.data()));
      CHECK(std::memcmp(codes.data(), t.codes.data(), codes.size()) == 0);
      CHECK(std::memcmp(mask.data(), t.mask.data(), mask.size() * 4) == 0);
      const uint64_t begin = t.elements / 3, count = t.elements / 2;
      Guarded<float> part(count);
      for (size_t i = 0; i < part.size(); i++) part[i] = -7;
      CHECK(decode_values(job, d, payload.data(), payload.size(), begin, count, {}, part.data()));
      CHECK(std::memcmp(part.data(), expected.data() + begin, 4 * count) == 0);
      // Memory that holds zeros already: the same values.
      DecodeOptions zeroed;
      zeroed.out_is_zero = true;
      std::memset(part.data(), 0, 4 * count);
      CHECK(decode_values(job, d, payload.data(), payload.size(), begin, count, zeroed, part.data()));
      CHECK(std::memcmp(part.data(), expected.data() + begin, 4 * count) == 0);
    }
  }
}

static void raw_round_trip(const std::vector<float>& v) {
  std::vector<uint8_t> first;
  const Levels all = levels();
  for (int l = 0; l < all.count; l++) {
    for (unsigned threads : {1u, 2u, 4u, 8u}) {
      const Job job = job_of(all.level[l], threads);
      Guarded<uint8_t> out(raw_bound(v.size()));
      TensorDescriptor d;
      CHECK(encode_raw(job, v.data(), v.size(), ModeChoice::automatic, false, out.data(), out.size(), d));
      if (first.empty() && d.stored_bytes) first.assign(out.data(), out.data() + d.stored_bytes);
      CHECK(d.stored_bytes == first.size());
      CHECK(first.empty() || std::memcmp(out.data(), first.data(), first.size()) == 0);
      Guarded<uint8_t> payload(d.stored_bytes);
      if (d.stored_bytes) std::memcpy(payload.data(), out.data(), d.stored_bytes);
      Guarded<float> values(v.size());
      CHECK(decode_values(job, d, payload.data(), payload.size(), 0, v.size(), {}, values.data()));
      CHECK(v.empty() || std::memcmp(values.data(), v.data(), 4 * v.size()) == 0);
    }
  }
}

// Fails the first, the second, ... allocation until all are granted.
template <typename F>
static void starve(const F& f) {
  const int64_t blocks = allocated_blocks();
  int64_t granted = 0;
  for (;; granted++) {
    fail_allocations_after(granted);
    const Result result = f();
    fail_allocations_after(-1);
    CHECK(allocated_blocks() == blocks);
    if (result) break;
    CHECK(result.status == Status::nomem);
    if (granted > 1000) break;
  }
  CHECK(granted > 0 && granted < 1000);
}

int main() {
  for (LayoutChoice layout :
       {LayoutChoice::automatic, LayoutChoice::dense, LayoutChoice::sparse, LayoutChoice::relative}) {
    for (ModeChoice entropy : {ModeChoice::automatic, ModeChoice::raw, ModeChoice::huffman, ModeChoice::rans}) {
      const TensorOptions options = {layout, 0, entropy};
      round_trip(make(235200, 0.08, 32, 1), options);
      round_trip(make(70001, 0.9, 200, 2), options);
      round_trip(make(1, 1, 1, 3), options);
      round_trip(make(33, 0, 4, 4), options);
      round_trip(make(131072, 1, 16, 5), options);
      round_trip(make(1000003, 0.001, 254, 6), options);
    }
  }
  for (uint64_t width : {0, 1, 300, 1000000}) {
    const TensorOptions options = {LayoutChoice::context, 0, ModeChoice::automatic, width};
    for (const Tensor& t : {make(30000, 0.08, 32, 1), make(70001, 0.9, 200, 2), make(1, 1, 1, 3), make(2, 0.5, 256, 9),
                            make(33, 0, 4, 4), make(4096, 1, 16, 5), make(100003, 0.001, 254, 6), columns(300)}) {
      round_trip(t, options);
    }
  }
  round_trip(columns(300), {LayoutChoice::automatic, 0, ModeChoice::automatic, 300});
  // Rows that are alike are found, and the layout with them.
  {
    const Tensor t = columns(300);
    std::vector<uint8_t> out(quantized_bound(t.elements, t.codes.size(), 8));
    TensorDescriptor d, blocked;
    const Job job = job_of(cpu_level(), 1);
    CHECK(encode_quantized(job, t.input(), {LayoutChoice::sparse, 0, ModeChoice::automatic, 300}, out.data(),
                           out.size(), blocked));
    CHECK(encode_quantized(job, t.input(), {LayoutChoice::automatic, 0, ModeChoice::automatic, 300}, out.data(),
                           out.size(), d));
    CHECK(d.layout == Layout::context && d.width == 300 && d.stride == 7 && d.stored_bytes < blocked.stored_bytes / 2);
    CHECK(encode_quantized(job, t.input(), {LayoutChoice::automatic, 0, ModeChoice::huffman, 300}, out.data(),
                           out.size(), d));
    CHECK(d.layout == Layout::sparse);  // a coder was asked for
    const uint64_t most = (uint64_t{1} << kContextElementsLog2) + 1;
    Tensor large;
    large.elements = most;
    large.mask.assign(mask_words(most), 0);
    large.mask[5] = 1;
    large.codes = {0};
    large.codebook = {1};
    out.resize(quantized_bound(most, 1, 1));
    const TensorOptions context = {LayoutChoice::context, 0, ModeChoice::automatic, 64};
    CHECK(encode_quantized(job, large.input(), context, out.data(), out.size(), d).status == Status::arg);
    for (size_t room : {size_t{0}, size_t{3}, size_t{100}}) {
      CHECK(encode_quantized(job, t.input(), context, out.data(), room, d).status == Status::arg);
    }
    // DCZ-38: a tensor that takes too few bytes for its bits has no such form, and is not given it.
    const Tensor same = make(20000, 1, 256, 12), alone = make(40000, 0.00005, 4, 13);
    for (const Tensor* few : {&same, &alone}) {
      Tensor one = *few;
      std::fill(one.codes.begin(), one.codes.end(), uint8_t{3});
      std::vector<uint8_t> room(quantized_bound(one.elements, one.codes.size(), 256));
      CHECK(encode_quantized(job, one.input(), context, room.data(), room.size(), d).status == Status::arg);
      CHECK(encode_quantized(job, one.input(), {LayoutChoice::automatic, 0, ModeChoice::automatic, 64}, room.data(),
                             room.size(), d));
      CHECK(d.layout != Layout::context);
    }
    out.resize(quantized_bound(t.elements, t.codes.size(), 8));
    // A job that was cancelled stops in the mask, in the codes, and in the layout that is only tried.
    Control control = {};
    Job cancelled = job;
    cancelled.control = &control;
    CHECK(encode_quantized(cancelled, t.input(), context, out.data(), out.size(), d));
    std::vector<float> back(t.elements);
    control.cancel = 1;
    TensorDescriptor unused;
    CHECK(encode_quantized(cancelled, t.input(), context, out.data(), out.size(), unused).status == Status::aborted);
    CHECK(decode_values(cancelled, d, out.data(), d.stored_bytes, 0, t.elements, {}, back.data()).status ==
          Status::aborted);
    const Tensor full = make(5000, 1, 16, 5);
    CHECK(encode_quantized(cancelled, full.input(), context, out.data(), out.size(), unused).status == Status::aborted);
  }
  std::vector<float> values;
  raw_round_trip(values);
  for (int i = 0; i < 150000; i++) {
    values.push_back(static_cast<float>(random_unit(9, i) - 0.5) * 0.1f);
    if (i == 0 || i == 9 || i == 65535 || i == 65536) raw_round_trip(values);
  }
  raw_round_trip(values);
  raw_round_trip(std::vector<float>(70000, 1.0f));
  raw_round_trip(std::vector<float>(70000, -0.0f));
  raw_round_trip(std::vector<float>(70000, 0.0f));

  // What is refused.
  {
    const Job job = job_of(cpu_level(), 1);
    Tensor t = make(1000, 0.5, 8, 7);
    std::vector<uint8_t> out(quantized_bound(1000, t.codes.size(), 256));
    TensorDescriptor d;
    const auto status = [&](const QuantizedInput& in, const TensorOptions& options = {}) {
      return encode_quantized(job, in, options, out.data(), out.size(), d).status;
    };
    CHECK(status(t.input()) == Status::ok);
    QuantizedInput in = t.input();
    in.kept--;
    CHECK(status(in) == Status::arg);  // the mask has more
    t.codes[5] = 8;
    CHECK(status(t.input()) == Status::value);
    t.codes[5] = 0;
    t.codebook[3] = INFINITY;
    CHECK(status(t.input()) == Status::nonfinite);
    Tensor full = make(1000, 0.5, 256, 8);
    CHECK(status(full.input(), {LayoutChoice::relative, 5, ModeChoice::automatic}) == Status::arg);
    CHECK(status(full.input(), {LayoutChoice::dense, 0, ModeChoice::automatic}) == Status::arg);
    CHECK(status(full.input()) == Status::ok);
    CHECK(encode_quantized(job, full.input(), {}, out.data(), 50, d).status == Status::arg);
    const float bad[3] = {1, NAN, 2};
    const Result result = encode_raw(job, bad, 3, ModeChoice::automatic, false, out.data(), out.size(), d);
    CHECK(result.status == Status::nonfinite && result.offset == 1);
    CHECK(encode_raw(job, bad, 3, ModeChoice::automatic, true, out.data(), out.size(), d));
    float got[3];
    CHECK(decode_values(job, d, out.data(), d.stored_bytes, 0, 3, {}, got).status == Status::value);
    DecodeOptions allow;
    allow.allow_nonfinite = true;
    CHECK(decode_values(job, d, out.data(), d.stored_bytes, 0, 3, allow, got));
    CHECK(std::memcmp(got, bad, sizeof bad) == 0);
    CHECK(decode_values(job, d, out.data(), d.stored_bytes, 2, 2, allow, got).status == Status::arg);
  }

  // Every allocation fails once.
  {
    const Job job = job_of(cpu_level(), 2);
    const Tensor t = make(200000, 0.3, 64, 11);
    std::vector<uint8_t> out(quantized_bound(200000, t.codes.size(), 64));
    std::vector<float> back(200000);
    std::vector<uint32_t> mask(mask_words(200000));
    std::vector<uint8_t> codes(t.codes.size());
    float codebook[256];
    TensorDescriptor d;
    for (LayoutChoice layout :
         {LayoutChoice::automatic, LayoutChoice::dense, LayoutChoice::relative, LayoutChoice::context}) {
      starve([&] {
        return encode_quantized(job, t.input(), {layout, 0, ModeChoice::automatic}, out.data(), out.size(), d);
      });
      starve([&] { return decode_values(job, d, out.data(), d.stored_bytes, 3, 150000, {}, back.data()); });
      starve([&] { return decode_codes(job, d, out.data(), d.stored_bytes, {}, mask.data(), codes.data(), codebook); });
    }
    out.resize(raw_bound(values.size()));
    starve([&] {
      return encode_raw(job, values.data(), values.size(), ModeChoice::automatic, false, out.data(), out.size(), d);
    });
    starve([&] { return decode_values(job, d, out.data(), d.stored_bytes, 3, 140000, {}, back.data()); });
  }
  return finish();
}
