// Block coder against Huff0 (libzstd's own Huffman coder with its assembly), one thread, streams of PEERS.md part 3.
// Prints million symbols a second: best and median of the rounds; the rivals take turns inside each round.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <vector>

#include "../../test/kernels/check.h"
#include "decode/block.h"
#include "encode/block.h"
#include "encode/histogram.h"
#include "encode/model.h"

#ifdef DC_HUFF0
// Exported by libzstd.a, declared in its private huf.h (1.5.4 and later). Flag 1: the processor has BMI2 (with it:
// assembly).
extern "C" {
size_t HUF_compress4X_repeat(void* dst, size_t dst_size, const void* src, size_t src_size, unsigned max_symbol,
                             unsigned table_log, void* workspace, size_t workspace_size, size_t* table, int* repeat,
                             int flags);
size_t HUF_decompress4X_hufOnly_wksp(uint32_t* table, void* dst, size_t dst_size, const void* src, size_t src_size,
                                     void* workspace, size_t workspace_size, int flags);
unsigned HUF_isError(size_t code);
}
#endif

using namespace dc;

namespace {

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::vector<float> gaussian(size_t n, uint64_t seed) {
  std::vector<float> out(n);
  for (size_t i = 0; i < n; i += 2) {
    const double u = random_unit(seed, i) + 1e-300, v = random_unit(seed, i + 1),
                 r = std::sqrt(-2 * std::log(u)) * 0.01;
    out[i] = static_cast<float>(r * std::cos(6.283185307179586 * v));
    if (i + 1 < n) out[i + 1] = static_cast<float>(r * std::sin(6.283185307179586 * v));
  }
  return out;
}

// Lloyd on sorted values from `centroids`, then the code of each value.
std::vector<uint8_t> share(const std::vector<float>& values, std::vector<double> centroids, int steps) {
  std::vector<float> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  std::vector<double> sums(sorted.size() + 1);
  for (size_t i = 0; i < sorted.size(); i++) sums[i + 1] = sums[i] + sorted[i];
  const size_t k = centroids.size();
  std::vector<float> middle(k - 1);
  for (int step = 0; step <= steps; step++) {
    for (size_t c = 0; c + 1 < k; c++) middle[c] = static_cast<float>((centroids[c] + centroids[c + 1]) / 2);
    size_t begin = 0;
    for (size_t c = 0; c < k && step < steps; c++) {
      const size_t end =
          c + 1 < k ? static_cast<size_t>(std::upper_bound(sorted.begin(), sorted.end(), middle[c]) - sorted.begin())
                    : sorted.size();
      if (end > begin) centroids[c] = (sums[end] - sums[begin]) / static_cast<double>(end - begin);
      begin = end;
    }
  }
  std::vector<uint8_t> codes(values.size());
  for (size_t i = 0; i < values.size(); i++)
    codes[i] = static_cast<uint8_t>(std::lower_bound(middle.begin(), middle.end(), values[i]) - middle.begin());
  return codes;
}

std::vector<double> linear(double low, double high, int k) {
  std::vector<double> out;
  for (int c = 0; c < k; c++) out.push_back(low + (high - low) * c / (k - 1));
  return out;
}

struct Timed {
  std::vector<double> rounds;
  double best() const { return *std::min_element(rounds.begin(), rounds.end()); }
  double median() const {
    std::vector<double> r = rounds;
    std::sort(r.begin(), r.end());
    return r[r.size() / 2];
  }
};

struct Coder {
  const char* name;
  ModeChoice choice;
  CpuLevel level;
  Timed encode, decode;
  double bits = 0;
};

void run(const char* name, const std::vector<uint8_t>& symbols, int rounds) {
  const size_t n = symbols.size(), block = kUsualBlockSymbols, blocks = (n + block - 1) / block;
  uint64_t counts[256];
  histogram(Job(), symbols.data(), n, counts);
  std::vector<Coder> coders;
  const Levels all = levels();
  for (int l = all.count; l-- > 0;) coders.push_back({"huffman", ModeChoice::huffman, all.level[l], {}, {}});
  for (int l = all.count; l-- > 0;) coders.push_back({"rans", ModeChoice::rans, all.level[l], {}, {}});
  std::vector<uint8_t> out(blocks * block_bound(block)), back(n);
  auto encoder = std::make_unique<EncodeTable>();
  auto decoder = std::make_unique<DecodeTable>();
  uint64_t consumed = 0;
#ifdef DC_HUFF0
  Timed huff0_encode, huff0_decode;
  double huff0_bits = 0;
#endif
  for (int round = 0; round < rounds; round++) {
    for (Coder& coder : coders) {
      Job job;
      job.level = coder.level;
      Model model;
      build_model(counts, block, coder.choice, model);
      std::vector<size_t> sizes(blocks);
      double start = seconds();
      build_encode_table(model, *encoder);
      size_t at = 0;
      for (size_t b = 0; b < blocks; b++) {
        encode_block(job, *encoder, symbols.data() + b * block, std::min(block, n - b * block), out.data() + at,
                     block_bound(block), &sizes[b]);
        at += sizes[b];
      }
      coder.encode.rounds.push_back(seconds() - start);
      coder.bits = static_cast<double>(at) * 8 / static_cast<double>(n);
      start = seconds();
      build_decode_table(model, *decoder);
      at = 0;
      bool good = true;
      for (size_t b = 0; b < blocks; b++) {
        good = decode_block(coder.level, *decoder, out.data() + at, sizes[b], back.data() + b * block,
                            std::min(block, n - b * block))
                       .status == Status::ok &&
               good;
        at += sizes[b];
      }
      coder.decode.rounds.push_back(seconds() - start);
      if (!good || back != symbols) std::printf("WRONG\n");
      consumed += back[n / 2];
    }
#ifdef DC_HUFF0
    {
      constexpr size_t kPiece = 128 << 10;
      static std::vector<size_t> workspace((1 << 20) / sizeof(size_t)), table(1024);
      static std::vector<uint32_t> dctx(1 << 14);
      std::vector<size_t> sizes;
      size_t at = 0;
      double start = seconds();
      for (size_t i = 0; i < n; i += kPiece) {
        int repeat = 0;
        const size_t size =
            HUF_compress4X_repeat(out.data() + at, kPiece + 1024, symbols.data() + i, std::min(kPiece, n - i), 255, 11,
                                  workspace.data(), 1 << 20, table.data(), &repeat, 1);
        if (HUF_isError(size) || size == 0) {
          std::printf("Huff0 refuses %s\n", name);
          sizes.clear();
          break;
        }
        sizes.push_back(size);
        at += size;
      }
      if (!sizes.empty()) {
        huff0_encode.rounds.push_back(seconds() - start);
        huff0_bits = static_cast<double>(at) * 8 / static_cast<double>(n);
        start = seconds();
        at = 0;
        for (size_t b = 0; b < sizes.size(); b++) {
          const size_t i = b * kPiece;
          dctx[0] = 12 * 0x1000001u;
          const size_t size = HUF_decompress4X_hufOnly_wksp(dctx.data(), back.data() + i, std::min(kPiece, n - i),
                                                            out.data() + at, sizes[b], workspace.data(), 1 << 20, 1);
          if (HUF_isError(size)) std::printf("Huff0 error\n");
          at += sizes[b];
        }
        huff0_decode.rounds.push_back(seconds() - start);
        if (back != symbols) std::printf("Huff0 WRONG\n");
      }
    }
#endif
  }
  const double million = static_cast<double>(n) / 1e6;
  std::printf("%s: %zu symbols, entropy %.4f bits\n", name, n, entropy_bits(counts) / static_cast<double>(n));
  std::printf("  %-18s %8s  %6s (%6s)  %6s (%6s)  M symbols/s best (median)\n", "coder", "bits", "enc", "med", "dec",
              "med");
  auto line = [&](const char* coder, double bits, const Timed& e, const Timed& d) {
    std::printf("  %-18s %8.4f  %6.0f (%6.0f)  %6.0f (%6.0f)\n", coder, bits, million / e.best(), million / e.median(),
                million / d.best(), million / d.median());
  };
  for (const Coder& coder : coders) {
    char label[64];
    std::snprintf(label, sizeof label, "%s %s", coder.name, cpu_level_name(coder.level));
    line(label, coder.bits, coder.encode, coder.decode);
  }
#ifdef DC_HUFF0
  if (!huff0_decode.rounds.empty()) line("Huff0 4X asm", huff0_bits, huff0_encode, huff0_decode);
#endif
  if (consumed == 1) std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 15;
  const std::vector<float> w1 = gaussian(size_t{1} << 24, 1);
  std::vector<float> magnitude(w1.size());
  for (size_t i = 0; i < w1.size(); i++) magnitude[i] = std::fabs(w1[i]);
  std::vector<float> ordered = magnitude;
  const size_t drop = w1.size() * 96 / 100;
  std::nth_element(ordered.begin(), ordered.begin() + static_cast<std::ptrdiff_t>(drop), ordered.end());
  const float threshold = ordered[drop];
  std::vector<float> w2;
  std::vector<uint8_t> gap5, gap8;
  size_t zeros = 0;
  for (size_t i = 0; i < w1.size(); i++) {
    if (magnitude[i] < threshold) {
      zeros++;
      continue;
    }
    w2.push_back(w1[i]);
    size_t paper = zeros;
    for (; paper >= 32; paper -= 32) gap5.push_back(31);
    gap5.push_back(static_cast<uint8_t>(paper));
    for (; zeros >= 127; zeros -= 127) gap8.push_back(127);
    gap8.push_back(static_cast<uint8_t>(zeros));
    zeros = 0;
  }
  std::vector<float> lobes = w2;
  std::sort(lobes.begin(), lobes.end());
  std::vector<double> start;
  for (int c = 0; c < 32; c++) start.push_back(lobes[lobes.size() * (2 * static_cast<size_t>(c) + 1) / 64]);
  run("w2_k32", share(w2, start, 500), rounds * 3);
  run("w2_gap5", gap5, rounds * 3);
  run("w2_escape128", gap8, rounds * 3);
  const std::vector<float> part(w1.begin(), w1.begin() + (1 << 22));
  run("w1_k256_linear", share(part, linear(-0.052, 0.052, 256), 300), rounds);
  std::vector<double> cube;
  std::vector<float> sorted = part;
  std::sort(sorted.begin(), sorted.end());
  // Start at the quantiles of a normal of variance 3 sigma^2 (density^(1/3)): near the optimum.
  for (int c = 0; c < 256; c++) {
    const double p = (2 * c + 1) / 512.0;
    cube.push_back(1.7320508 * sorted[static_cast<size_t>(p * static_cast<double>(sorted.size()))]);
  }
  run("w1_k256", share(part, cube, 300), rounds);
  std::vector<uint8_t> rare(size_t{1} << 22);
  for (size_t i = 0; i < rare.size(); i++)
    rare[i] = random_unit(3, i) < 0.96 ? 0 : static_cast<uint8_t>(1 + random_u64(4, i) % 2);
  run("ternary_4%", rare, rounds);
  return 0;
}
