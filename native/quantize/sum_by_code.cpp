#include "sum_by_code.h"

#include <cstring>

#include "../base/memory.h"

namespace dc {

// Neighbours often share a code, and one sum would wait for its own last addition.
static constexpr size_t kLanes = 4;
static constexpr size_t kBook = 256;

// No vector body: AVX-512 has no conflict-free scatter-add worth its detection for 16 lanes that share codes this
// often.
static void sum_all(const float* values, const uint8_t* codes, size_t n, double* s) noexcept {
  double *s1 = s + kBook, *s2 = s1 + kBook, *s3 = s2 + kBook;
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    s[codes[i]] += values[i];
    s1[codes[i + 1]] += values[i + 1];
    s2[codes[i + 2]] += values[i + 2];
    s3[codes[i + 3]] += values[i + 3];
  }
  for (; i < n; i++) s[codes[i]] += values[i];
}

static void sum_positions(const float* values, const uint32_t* at, const uint8_t* codes, size_t n, double* s) noexcept {
  double *s1 = s + kBook, *s2 = s1 + kBook, *s3 = s2 + kBook;
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    s[codes[i]] += values[at[i]];
    s1[codes[i + 1]] += values[at[i + 1]];
    s2[codes[i + 2]] += values[at[i + 2]];
    s3[codes[i + 3]] += values[at[i + 3]];
  }
  for (; i < n; i++) s[codes[i]] += values[at[i]];
}

// The first index whose code or position points outside, or n.
static size_t first_outside(const uint8_t* codes, uint32_t k, const uint32_t* at, size_t count, size_t n) noexcept {
  uint8_t code = 0;
  for (size_t i = 0; i < n; i++) code = codes[i] > code ? codes[i] : code;
  uint32_t position = 0;
  if (at) {
    for (size_t i = 0; i < n; i++) position = at[i] > position ? at[i] : position;
  }
  if (n == 0 || (code < k && position < count)) return n;
  size_t i = 0;
  while (codes[i] < k && (!at || at[i] < count)) i++;
  return i;
}

Result sum_by_code(const Job& job, const float* values, size_t count, const uint32_t* positions, const uint8_t* codes,
                   size_t code_count, uint32_t k, double* sums) noexcept {
  if (k < 1 || k > kBook) return fail(Status::arg);
  if (!positions && code_count != count) return fail(Status::arg, count);
  const size_t blocks = block_count(code_count);
  Array<double> partial;
  Array<size_t> outside;
  if (!partial.reset(blocks * k) || !outside.reset(blocks)) return fail(Status::nomem);
  const Result ran = parallel(job, blocks, [&](size_t b, unsigned) {
    const FloatEnvironment exact;
    const size_t first = b * kBlockElements;
    const size_t n = code_count - first < kBlockElements ? code_count - first : kBlockElements;
    const uint32_t* at = positions ? positions + first : nullptr;
    outside[b] = first_outside(codes + first, k, at, count, n);
    if (outside[b] < n) return;
    outside[b] = SIZE_MAX;
    alignas(64) double s[kLanes * kBook];
    std::memset(s, 0, sizeof s);
    if (at) {
      sum_positions(values, at, codes + first, n, s);
    } else {
      sum_all(values + first, codes + first, n, s);
    }
    for (uint32_t c = 0; c < k; c++) {
      partial[b * k + c] = (s[c] + s[kBook + c]) + (s[2 * kBook + c] + s[3 * kBook + c]);
    }
    job.report(b + 1, blocks);
  });
  if (!ran) return ran;
  for (uint32_t c = 0; c < k; c++) sums[c] = 0;
  for (size_t b = 0; b < blocks; b++) {
    if (outside[b] != SIZE_MAX) return fail(Status::value, b * kBlockElements + outside[b]);
    for (uint32_t c = 0; c < k; c++) sums[c] += partial[b * k + c];
  }
  return {};
}

}  // namespace dc
