#include "context_model.h"

namespace dc {

namespace {

constexpr unsigned kSquash[33] = {22,    36,    60,    98,    162,   267,   439,   720,   1179,  1921,  3108,
                                  4971,  7812,  11955, 17625, 24743, 32768, 40793, 47911, 53581, 57724, 60565,
                                  62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438, 65476, 65500, 65514};

constexpr unsigned squash_of(int d) noexcept {
  const unsigned shifted = static_cast<unsigned>(d + 2048), part = shifted & 127, i = shifted >> 7;
  return (kSquash[i] * (128 - part) + kSquash[i + 1] * part + 64) >> 7;
}

// stretch[q] = the least d whose squash, in 1/4096, is q or more.
constexpr ContextTables make_tables() noexcept {  // coverage: run by the compiler
  ContextTables t = {};
  unsigned q = 0;
  for (int d = -2047; d <= 2047; d++) {
    for (const unsigned reached = squash_of(d) >> 4; q <= reached; q++) t.stretch[q] = static_cast<int16_t>(d);
  }
  for (; q < 4096; q++) t.stretch[q] = 2047;
  for (int d = 0; d < 4096; d++) t.squash[d] = static_cast<uint16_t>(squash_of(d - 2048));
  for (uint32_t n = 0; n < 1024; n++) t.rate[n] = 131072 / (2 * n + 3);
  return t;
}

}  // namespace

constexpr ContextTables kContext = make_tables();

}  // namespace dc
