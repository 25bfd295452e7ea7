// Layout context: nanoseconds a position and a coded bit, encoding and decoding. Bits: a mask has one a position, a
// code ceil(log2 clusters).
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "../../test/kernels/check.h"
#include "decode/context.h"
#include "encode/context.h"
#include "timing.h"

using namespace dc;

namespace {

struct Sample {
  std::string name;
  uint64_t elements = 0, width = 0;
  unsigned clusters = 0;
  std::vector<uint8_t> marks, codes;
  std::vector<uint32_t> mask;
  std::vector<float> book;

  Sample(const char* what, uint64_t n, uint64_t columns, unsigned k, double density, double spread) : name(what) {
    elements = n, width = columns, clusters = k;
    marks.resize(n);
    mask.resize((n + 31) / 32);
    book.assign(k, 1.0f);
    std::vector<float> normal(n + 1);
    fill_normal(normal.data(), n + 1, spread);
    for (uint64_t i = 0; i < n; i++) {
      // A third of the rows is empty, columns differ, and so does what is in them.
      const uint64_t row = i / columns, column = i % columns;
      const double share = density == 1 ? 1 : row % 28 < 9 ? 0 : density * 3 * random_unit(3, column);
      if (random_unit(1, i) >= share) continue;
      marks[i] = 1;
      mask[i / 32] |= 1u << (i % 32);
      const double code = std::floor(k / 2.0 + normal[i]);
      codes.push_back(static_cast<uint8_t>(code < 0 ? 0 : code > k - 1 ? k - 1 : code));
    }
  }
  QuantizedInput input() const {
    QuantizedInput in;
    in.elements = elements;
    in.kept = codes.size();
    in.mask = codes.size() < elements ? mask.data() : nullptr;
    in.codes = codes.data();
    in.codebook = book.data();
    in.clusters = clusters;
    return in;
  }
};

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 15;
  const Sample samples[] = {{"784 x 300, 3 %, 10 clusters", 235200, 300, 10, 0.03, 2},
                            {"800 x 500, 0.3 %, 12 clusters", 400000, 500, 12, 0.003, 2},
                            {"363 x 96, all, 215 clusters", 34848, 96, 215, 1, 30},
                            {"1152 x 256, 40 %, 32 clusters", 294912, 256, 32, 0.4, 5},
                            {"256 x 256, all, 256 clusters, one code", 1 << 16, 256, 256, 1, 0}};
  std::vector<Case> cases;
  for (const Sample& s : samples) {
    const ContextShape shape = {s.elements, s.codes.size(), s.width, 1};
    std::vector<uint8_t> out(2 * s.elements + 64);
    uint64_t index = 0, code = 0;
    if (!encode_context(Job(), s.input(), s.width, 1, out.data(), out.size(), &index, &code)) return 1;
    std::printf("%s: mask %llu bytes, codes %llu bytes\n", s.name.c_str(), static_cast<unsigned long long>(index),
                static_cast<unsigned long long>(code));
    auto marks = std::make_shared<std::vector<uint8_t>>(s.marks);
    auto codes = std::make_shared<std::vector<uint8_t>>(s.codes);
    auto room = std::make_shared<std::vector<uint8_t>>(out);
    cases.push_back({s.name + ": encode",
                     [=, &s] {
                       uint64_t a, b;
                       (void)encode_context(Job(), s.input(), s.width, 1, room->data(), room->size(), &a, &b);
                     },
                     {}});
    if (index) {
      cases.push_back({s.name + ": decode mask",
                       [=] {
                         if (!decode_context_mask(Job(), shape, out.data(), index, marks->data())) std::abort();
                       },
                       {}});
    }
    cases.push_back({s.name + ": decode codes",
                     [=, &s] {
                       *marks = s.marks;
                       const Result r = decode_context_codes(Job(), shape, s.clusters, out.data() + index, code,
                                                             marks->data(), codes->data());
                       if (!r || *codes != s.codes) std::abort();
                     },
                     {}});
  }
  run_interleaved(cases, rounds, "");
  for (const Case& c : cases) {
    for (const Sample& s : samples) {
      if (c.name.compare(0, s.name.size() + 1, s.name + ":") != 0) continue;
      const unsigned bits = bit_length(s.clusters - 1);
      const bool masked = s.codes.size() < s.elements;
      double coded = 0;
      if (masked && c.name.find("codes") == std::string::npos) coded += static_cast<double>(s.elements);
      if (c.name.find("mask") == std::string::npos) coded += static_cast<double>(s.codes.size()) * bits;
      std::printf("%6.2f ns a bit, %6.2f ns a position  %s\n", c.ms[0] * 1e6 / coded,
                  c.ms[0] * 1e6 / static_cast<double>(s.elements), c.name.c_str());
    }
  }
  return 0;
}
