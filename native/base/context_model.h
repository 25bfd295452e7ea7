#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "job.h"
#include "memory.h"

namespace dc {

// Layout `context` (docs/format-streams.md S7): every bit of the mask and of the codes is coded with a probability that
// is learned on the way, from the row, the column and the neighbours it stands among. Encoder and decoder share what is
// here and differ in the Coder: `bool code(unsigned p, bool bit)` codes a bit whose probability of being 1 is p / 65536
// and answers it (a decoder does not look at `bit`); `Result room()` fails once that took more bytes than there are.

// How often a context was followed by a 1, in 1/65536, and how many bits say so (up to a limit: it goes on learning).
struct Counter {
  uint16_t p, n;
};

struct ContextTables {
  int16_t stretch[4096];  // 256 * ln(p / (1 - p)) of p in 1/4096
  uint32_t rate[1024];    // 65536 / (n + 1.5)
};
extern const ContextTables kContext;

// 65536 / (1 + exp(-d / 256)), by 33 values and straight lines between.
unsigned squash(int d) noexcept;

inline void learn(Counter& c, bool bit, unsigned limit) noexcept {
  const uint32_t rate = kContext.rate[c.n];
  c.p = static_cast<uint16_t>(bit ? c.p + ((65535u - c.p) * rate >> 16) : c.p - (c.p * rate >> 16));
  if (c.n < limit) c.n++;
}

// Four opinions weighed by how right they were (logistic mixing, Mahoney 2005).
class Mixer {
 public:
  unsigned mix(const Counter& a, const Counter& b, const Counter& c, const Counter& d) noexcept {
    const Counter* const all[4] = {&a, &b, &c, &d};
    int64_t sum = 0;
    for (int i = 0; i < 4; i++) {
      x_[i] = kContext.stretch[all[i]->p >> 4];
      sum += int64_t{weights_[i]} * x_[i];
    }
    // A floor, as an arithmetic shift is; of negative numbers it is so on every compiler we know, and tested.
    const int64_t mean = sum >> 16;
    p_ = squash(mean > 2047 ? 2047 : mean < -2047 ? -2047 : static_cast<int>(mean));
    return p_;
  }
  void learn(bool bit) noexcept {
    const int error = (bit ? 65535 : 0) - static_cast<int>(p_);
    for (int i = 0; i < 4; i++) {
      const int w = weights_[i] + ((x_[i] * error + 32768) >> 16);
      weights_[i] = w > kMost ? kMost : w < -kMost ? -kMost : w;
    }
  }

 private:
  static constexpr int kMost = 1 << 20;
  int weights_[4] = {16384, 16384, 16384, 16384};
  int x_[4] = {};
  unsigned p_ = 0;
};

// What S7 says of a tensor: N positions in rows of `width`, a second neighbour `stride` rows above.
struct ContextShape {
  uint64_t elements, kept, width, stride;
};

// After so many positions (half a millisecond of 8-bit codes) it is looked at whether the job was cancelled, and
// whether the coder came to the end of its bytes: Coder::room.
constexpr uint64_t kContextPiece = 4096;

template <typename Coder>
Result look(const Job& job, const Coder& coder) noexcept {
  return job.cancelled() ? fail(Status::aborted) : coder.room();
}

// S7.4. marks[i] = 1 where position i is kept, else 0: read by an encoder, written by a decoder. Answers Status::index
// when fewer than `kept` are, and the coder has room.
template <typename Coder>
Result code_mask(const Job& job, const ContextShape& s, Coder& coder, uint8_t* marks) noexcept {
  constexpr unsigned kAll = 1023, kRow = 255, kColumn = 80, kNear = 255;  // limits
  uint64_t share = s.kept * 65536 / s.elements;
  share = share < 32 ? 32 : share > 65503 ? 65503 : share;
  const uint16_t p = static_cast<uint16_t>(share);
  Array<Counter> columns;
  if (!columns.reset(s.width)) return fail(Status::nomem);
  for (Counter& c : columns) c = {p, 4};
  Counter all = {p, 10}, row = {p, 10}, near[64];
  for (Counter& c : near) c = {p, 4};
  Mixer mixer;
  const uint64_t w = s.width, ws = w * s.stride;
  uint64_t left = s.kept, column = 0;
  uint64_t i = 0;
  for (; i < s.elements && left; i++, column++) {
    if (i % kContextPiece == 0) {
      const Result result = look(job, coder);
      if (!result) return result;
    }
    if (column == w) {
      column = 0;
      row = {static_cast<uint16_t>((3u * row.p + all.p) >> 2), 10};
    }
    const auto at = [&](uint64_t before) -> unsigned { return before <= i ? marks[i - before] : 0u; };
    const unsigned context = at(w) | at(ws) << 1 | at(ws + w) << 2 | (s.stride > 1 ? at(ws - w) : 0u) << 3 |
                             at(2 * w) << 4 | at(2 * ws) << 5;
    Counter &by_column = columns[column], &by_near = near[context];
    const bool bit = coder.code(mixer.mix(all, row, by_column, by_near), marks[i] != 0);
    mixer.learn(bit);
    learn(all, bit, kAll);
    learn(row, bit, kRow);
    learn(by_column, bit, kColumn);
    learn(by_near, bit, kNear);
    marks[i] = bit;
    left -= bit;
  }
  std::memset(marks + i, 0, s.elements - i);
  const Result result = coder.room();
  if (!result) return result;
  return left == 0 ? Result{} : fail(Status::index);
}

// S7.5. codes[j] of the kept positions in order, each below `clusters`: read by an encoder, written by a decoder.
// `marks` is 1 where a position is kept, and is used up.
template <typename Coder>
Result code_codes(const Job& job, const ContextShape& s, unsigned clusters, Coder& coder, uint8_t* marks,
                  uint8_t* codes) noexcept {
  constexpr unsigned kAll = 1023, kContextual = 255;  // limits
  constexpr size_t kNodes = 256, kTrees = 1 + 9 + 25 + 5;
  unsigned bits = 0;
  while (1u << bits < clusters) bits++;
  const unsigned coarse = bits > 2 ? bits - 2 : 0, fine = bits > 3 ? bits - 3 : 0;
  Array<Counter> counters;
  Array<uint8_t> columns;  // 1 + the highest three bits of the last code of a column; 0: none yet
  if (!counters.reset(kTrees * kNodes) || !columns.reset_zeroed(s.width)) return fail(Status::nomem);
  for (Counter& c : counters) c = {32768, 0};
  Counter *const all = counters.data(), *const by_column = all + kNodes, *const by_near = by_column + 9 * kNodes,
                 *const by_last = by_near + 25 * kNodes;
  Mixer mixer;
  const uint64_t w = s.width, ws = w * s.stride;
  uint64_t column = 0, next = 0;
  unsigned last = 0;  // as marks
  for (uint64_t i = 0; i < s.elements; i++, column++) {
    if (i % kContextPiece == 0) {
      const Result result = look(job, coder);
      if (!result) return result;
    }
    if (column == w) column = 0;
    if (!marks[i]) continue;
    // From here on marks[i] is 1 + the highest two bits of its code.
    const unsigned above = w <= i ? marks[i - w] : 0u, far = ws <= i ? marks[i - ws] : 0u;
    Counter *const c = by_column + columns[column] * kNodes, *const n = by_near + (5 * above + far) * kNodes,
                   *const l = by_last + last * kNodes;
    const unsigned code = codes[next];
    unsigned node = 1;
    for (unsigned b = bits; b-- > 0;) {
      // A branch that no code takes is not coded.
      const bool open = ((2 * node + 1) << b) - (1u << bits) < clusters;
      bool bit = false;
      if (open) {
        bit = coder.code(mixer.mix(all[node], c[node], n[node], l[node]), code >> b & 1);
        mixer.learn(bit);
        learn(all[node], bit, kAll);
        learn(c[node], bit, kContextual);
        learn(n[node], bit, kContextual);
        learn(l[node], bit, kContextual);
      }
      node = 2 * node + bit;
    }
    const unsigned coded = node - (1u << bits);
    codes[next++] = static_cast<uint8_t>(coded);
    columns[column] = static_cast<uint8_t>(1 + (coded >> fine));
    marks[i] = static_cast<uint8_t>(1 + (coded >> coarse));
    last = marks[i];
  }
  return {};
}

}  // namespace dc
