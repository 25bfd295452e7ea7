#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "bits.h"
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
  uint16_t squash[4096];  // 65536 / (1 + exp(-d / 256)) of d + 2048, by 33 values and straight lines between
  uint32_t rate[1024];    // 65536 / (n + 1.5)
};
extern const ContextTables kContext;

inline void learn(Counter& c, bool bit, unsigned limit) noexcept {
  // A 1 is a 0 of the complement: 65535 - p is p with its bits turned.
  const uint32_t turn = bit ? 65535 : 0, p = c.p ^ turn;
  c.p = static_cast<uint16_t>((p - (p * kContext.rate[c.n] >> 16)) ^ turn);
  if (c.n < limit) c.n++;
}

// Four opinions weighed by how right they were (logistic mixing, Mahoney 2005). Not an array in sight: compilers keep
// what has a name in registers.
class Mixer {
 public:
  unsigned mix(const Counter& a, const Counter& b, const Counter& c, const Counter& d) noexcept {
    xa_ = stretch(a), xb_ = stretch(b), xc_ = stretch(c), xd_ = stretch(d);
    const int64_t sum = (part(wa_, xa_) + part(wb_, xb_)) + (part(wc_, xc_) + part(wd_, xd_));
    // A floor, as an arithmetic shift is; of negative numbers it is so on every compiler we know, and tested.
    const int64_t mean = sum >> 16;
    p_ = kContext.squash[(mean > 2047 ? 2047 : mean < -2047 ? -2047 : mean) + 2048];
    return p_;
  }
  void learn(bool bit) noexcept {
    const int error = (bit ? 65535 : 0) - static_cast<int>(p_);
    move(wa_, xa_, error), move(wb_, xb_, error), move(wc_, xc_, error), move(wd_, xd_, error);
  }

 private:
  static constexpr int kMost = 1 << 20;
  static int stretch(const Counter& c) noexcept { return kContext.stretch[c.p >> 4]; }
  static int64_t part(int weight, int x) noexcept { return int64_t{weight} * x; }
  static void move(int& weight, int x, int error) noexcept {
    weight += (x * error + 32768) >> 16;
    if (weight + kMost < 0 || weight > kMost) weight = weight < 0 ? -kMost : kMost;
  }
  int wa_ = 16384, wb_ = 16384, wc_ = 16384, wd_ = 16384;
  int xa_ = 0, xb_ = 0, xc_ = 0, xd_ = 0;
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
    const bool inside = i >= 2 * ws;  // no neighbour is further
    const auto at = [&](uint64_t before) -> unsigned { return inside || before <= i ? marks[i - before] : 0u; };
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
  const unsigned bits = bit_length(clusters - 1);
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
        const auto teach = [&](bool taught) {
          mixer.learn(taught);
          learn(all[node], taught, kAll);
          learn(c[node], taught, kContextual);
          learn(n[node], taught, kContextual);
          learn(l[node], taught, kContextual);
        };
        // Two copies, so that a processor goes on with the bit it expects: a quarter of the time where it is right.
        if (bit) {
          teach(true);
        } else {
          teach(false);
        }
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
