// Encode and decode of whole tensors: the 4096x4096 Gaussian layer at 4 % with 32 clusters (PEERS part 3), raw floats,
// and the layers of VGG-16 at the paper's densities. Prints milliseconds (least of several) for 1 and 2 threads.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/memory.h"
#include "base/pool.h"
#include "container/crc32c.h"
#include "decode/tensor.h"
#include "encode/tensor.h"

using namespace dc;

static uint64_t g_state = 1;
static double unit() {
  g_state ^= g_state << 13, g_state ^= g_state >> 7, g_state ^= g_state << 17;
  return static_cast<double>((g_state >> 11) + 1) * 0x1p-53;
}
static double gaussian() { return std::sqrt(-2 * std::log(unit())) * std::cos(6.283185307179586 * unit()); }

template <typename F>
static double least_ms(int runs, const F& f) {
  double least = 1e30;
  for (int i = 0; i < runs; i++) {
    const auto start = std::chrono::steady_clock::now();
    f();
    least =
        std::min(least, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  return least;
}

struct Layer {
  uint64_t elements = 0;
  std::vector<uint32_t> mask;
  std::vector<uint8_t> codes;
  std::vector<float> codebook;
  QuantizedInput input() const {
    return {elements,        mask.empty() ? nullptr : mask.data(),  codes.data(), codes.size(),
            codebook.data(), static_cast<unsigned>(codebook.size())};
  }
};

// Lloyd on sorted values to its fixed point, from a linear start.
static std::vector<float> lloyd(const std::vector<float>& sorted, unsigned k) {
  std::vector<double> sums(sorted.size() + 1), centroids(k);
  for (size_t i = 0; i < sorted.size(); i++) sums[i + 1] = sums[i] + sorted[i];
  for (unsigned c = 0; c < k; c++) centroids[c] = sorted[(2 * c + 1) * sorted.size() / (2 * k)];
  for (int round = 0; round < 3000; round++) {
    size_t begin = 0;
    double moved = 0;
    for (unsigned c = 0; c < k; c++) {
      const size_t end = c + 1 == k ? sorted.size()
                                    : std::upper_bound(sorted.begin(), sorted.end(),
                                                       static_cast<float>((centroids[c] + centroids[c + 1]) / 2)) -
                                          sorted.begin();
      const double mean = end > begin ? (sums[end] - sums[begin]) / static_cast<double>(end - begin) : centroids[c];
      moved += std::fabs(mean - centroids[c]);
      centroids[c] = mean;
      begin = end;
    }
    if (moved < 1e-9) break;
  }
  return std::vector<float>(centroids.begin(), centroids.end());
}

static Layer gaussian_layer(uint64_t n, double density, unsigned k) {
  Layer layer;
  std::vector<float> values(n), magnitudes(n), kept;
  for (uint64_t i = 0; i < n; i++) values[i] = static_cast<float>(0.05 * gaussian());
  for (uint64_t i = 0; i < n; i++) magnitudes[i] = std::fabs(values[i]);
  const size_t cut = static_cast<size_t>(static_cast<double>(n) * (1 - density));
  std::nth_element(magnitudes.begin(), magnitudes.begin() + static_cast<long>(cut), magnitudes.end());
  const float threshold = magnitudes[cut];
  layer.elements = n;
  layer.mask.assign((n + 31) / 32, 0);
  for (uint64_t i = 0; i < n; i++) {
    if (std::fabs(values[i]) < threshold) continue;
    layer.mask[i / 32] |= 1u << (i % 32);
    kept.push_back(values[i]);
  }
  std::vector<float> sorted(kept);
  std::sort(sorted.begin(), sorted.end());
  layer.codebook = lloyd(sorted, k);
  double error = 0;
  for (float v : kept) {
    unsigned c = 0;
    while (c + 1 < k && v > (layer.codebook[c] + layer.codebook[c + 1]) / 2) c++;
    layer.codes.push_back(static_cast<uint8_t>(c));
    error += (v - layer.codebook[c]) * static_cast<double>(v - layer.codebook[c]);
  }
  std::printf("  %zu kept, squared error %.5f\n", kept.size(), error);
  return layer;
}

// Codes as skewed as a real layer's, without the cost of clustering.
static Layer random_layer(uint64_t n, double density, unsigned k) {
  Layer layer;
  layer.elements = n;
  layer.mask.assign((n + 31) / 32, 0);
  for (uint64_t i = 0; i < n; i++) {
    if (unit() >= density) continue;
    layer.mask[i / 32] |= 1u << (i % 32);
    const double a = unit() + unit() + unit();
    layer.codes.push_back(static_cast<uint8_t>(std::min(a / 3 * k, k - 1.0)));
  }
  for (unsigned c = 0; c < k; c++) layer.codebook.push_back(static_cast<float>(c) - static_cast<float>(k) / 2 + 0.3f);
  return layer;
}

static void must(const Result& result, const char* what) {
  if (result) return;
  std::printf("%s: %s\n", what, status_name(result.status));
  std::exit(1);
}

int main() {
  Pool pool(4);
  Job one;
  one.level = cpu_level();
  Job two = one;
  two.threads = 2;
  two.pool = &pool;
  std::printf("level %s\n4096x4096 Gaussian, 4 %%, 32 clusters\n", cpu_level_name(one.level));
  {
    const uint64_t n = 4096 * 4096;
    const Layer layer = gaussian_layer(n, 0.04, 32);
    std::vector<uint8_t> out(quantized_bound(n, layer.codes.size(), 32));
    Array<float> dense;
    if (!dense.reset(n)) return 1;
    struct {
      const char* name;
      TensorOptions options;
    } forms[] = {{"auto", {}},
                 {"sparse huffman", {LayoutChoice::sparse, 0, ModeChoice::huffman}},
                 {"sparse rans", {LayoutChoice::sparse, 0, ModeChoice::rans}},
                 {"sparse 5 bits huffman", {LayoutChoice::sparse, 5, ModeChoice::huffman}},
                 {"relative 5 bits huffman (paper)", {LayoutChoice::relative, 5, ModeChoice::huffman}},
                 {"dense", {LayoutChoice::dense, 0, ModeChoice::automatic}}};
    for (const auto& form : forms) {
      TensorDescriptor d;
      double encode[2], decode[2];
      for (int t = 0; t < 2; t++) {
        const Job& job = t ? two : one;
        encode[t] = least_ms(
            5, [&] { must(encode_quantized(job, layer.input(), form.options, out.data(), out.size(), d), "encode"); });
        std::vector<uint32_t> sums((d.stored_bytes >> 24) + 1);
        must(chunk_checksums(job, out.data(), d.stored_bytes, sums.data()), "crc");
        decode[t] = least_ms(15, [&] {
          must(check_chunks(job, out.data(), d.stored_bytes, sums.data()), "check");
          must(decode_values(job, d, out.data(), d.stored_bytes, 0, n, {}, dense.data()), "decode");
        });
      }
      std::printf(
          "  %-34s %9llu bytes (codes %llu, index %llu, tables %llu, codebook %llu, entropy %llu); encode %.1f / %.1f "
          "ms, decode %.2f / %.2f ms\n",
          form.name, (unsigned long long)d.stored_bytes, (unsigned long long)d.code_bytes,
          (unsigned long long)d.index_bytes, (unsigned long long)d.table_bytes, (unsigned long long)d.codebook_bytes,
          (unsigned long long)((d.code_entropy_bits + d.index_entropy_bits) / 8), encode[0], encode[1], decode[0],
          decode[1]);
    }
  }
  {
    const uint64_t n = 4096 * 4096;
    Array<float> values, dense;
    std::vector<uint8_t> out(raw_bound(n));
    if (!values.reset(n) || !dense.reset(n)) return 1;
    for (uint64_t i = 0; i < n; i++) values[i] = static_cast<float>(0.05 * gaussian());
    TensorDescriptor d;
    double encode[2], decode[2];
    for (int t = 0; t < 2; t++) {
      const Job& job = t ? two : one;
      encode[t] = least_ms(3, [&] {
        must(encode_raw(job, values.data(), n, ModeChoice::automatic, false, out.data(), out.size(), d), "encode");
      });
      decode[t] = least_ms(
          5, [&] { must(decode_values(job, d, out.data(), d.stored_bytes, 0, n, {}, dense.data()), "decode"); });
    }
    std::printf("raw Gaussian floats: %.2f %% of fp32; encode %.1f / %.1f ms, decode %.1f / %.1f ms; same bits: %d\n",
                100.0 * static_cast<double>(d.stored_bytes) / (4.0 * n), encode[0], encode[1], decode[0], decode[1],
                std::memcmp(values.data(), dense.data(), 4 * n) == 0);
  }
  // Weights kept by the paper (Table 5), 256 clusters in convolutions, 32 in fully connected layers.
  const struct {
    uint64_t n;
    double density;
    unsigned k;
  } vgg[] = {{1728, .58, 256},    {36864, .22, 256},    {73728, .34, 256},   {147456, .36, 256},
             {294912, .53, 256},  {589824, .24, 256},   {589824, .42, 256},  {1179648, .32, 256},
             {2359296, .27, 256}, {2359296, .34, 256},  {2359296, .35, 256}, {2359296, .29, 256},
             {2359296, .36, 256}, {102760448, .04, 32}, {16777216, .04, 32}, {4096000, .23, 32}};
  std::vector<Layer> layers;
  uint64_t total = 0, stored = 0;
  for (const auto& l : vgg) layers.push_back(random_layer(l.n, l.density, l.k)), total += l.n;
  for (int t = 0; t < 2; t++) {
    const Job& job = t ? two : one;
    double encode = 0, decode = 0, fill = 0;
    stored = 0;
    for (const Layer& layer : layers) {
      std::vector<uint8_t> out(quantized_bound(layer.elements, layer.codes.size(), 256));
      Array<float> dense;
      if (!dense.reset_zeroed(layer.elements)) return 1;
      TensorDescriptor d;
      encode +=
          least_ms(2, [&] { must(encode_quantized(job, layer.input(), {}, out.data(), out.size(), d), "encode"); });
      decode += least_ms(3, [&] {
        must(decode_values(job, d, out.data(), d.stored_bytes, 0, layer.elements, {}, dense.data()), "decode");
      });
      fill += least_ms(3, [&] {
        must(parallel(job, block_count(layer.elements),
                      [&](size_t b, unsigned) {
                        const uint64_t begin = b * kBlockElements,
                                       end = std::min<uint64_t>(layer.elements, begin + kBlockElements);
                        std::memset(dense.data() + begin, 0, 4 * (end - begin));
                      }),
             "fill");
      });
      stored += d.stored_bytes;
    }
    std::printf(
        "VGG-16 shapes, %.0f M weights, %d thread(s): %llu bytes; encode %.1f ms, decode %.1f ms, writing zeros %.1f "
        "ms\n",
        static_cast<double>(total) / 1e6, t + 1, (unsigned long long)stored, encode, decode, fill);
  }
  return 0;
}
