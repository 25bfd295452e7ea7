#pragma once
// Included by block.cpp only, inside namespace dc. The lanes of docs/format-streams.md S2 side by side in registers.

// --- Huffman: up to 64 lanes ---
//
// A lane holds its last two words: `older` and `newer` (16 bits each), of which the low `count` bits are unread. All
// lanes that need a word take it at once: the next words of the payload are expanded into them in lane order. Nothing
// is looked up in memory: the length of a code comes from a 128-entry table in two registers (codes of up to 7 bits)
// and one compare for each longer length, its rank from the canonical order, its symbol from 256 entries in four
// registers.

struct HuffmanRegisters {
  __m512i table7[2];   // 16 - length, by the top 7 bits of a code; 16 - 8 where the length is above 7
  __m512i base;        // (rank - code) mod 256 of the first code of a length, by 16 - length; four times 16 bytes
  __m512i symbols[4];  // by rank
  uint32_t limit[kMaxCodeLength + 1];  // the first 16-bit value above all codes of up to that length
};

DC_TARGET_AVX512 static void load_huffman_registers(const CanonicalCode& code, HuffmanRegisters& r) {
  alignas(64) uint8_t table7[128], base[64], symbols[256];
  unsigned at = 0;
  memset(table7, 16 - 8, sizeof table7);
  memset(base, 0, sizeof base);
  memset(symbols, 0, sizeof symbols);
  memcpy(symbols, code.sorted, code.used);
  for (unsigned length = 1; length <= kMaxCodeLength; length++) {
    const unsigned codes = code.first_rank[length + 1] - code.first_rank[length];
    r.limit[length] = (code.first_code[length] + codes) << (16 - length);
    for (unsigned i = 0; i < 4; i++)
      base[16 * i + 16 - length] = (uint8_t)(code.first_rank[length] - code.first_code[length]);
    if (length <= 7) {
      for (unsigned i = 0; i < codes << (7 - length); i++) table7[at++] = (uint8_t)(16 - length);
    }
  }
  for (unsigned i = 0; i < 2; i++) r.table7[i] = _mm512_load_si512(table7 + 64 * i);
  for (unsigned i = 0; i < 4; i++) r.symbols[i] = _mm512_load_si512(symbols + 64 * i);
  r.base = _mm512_load_si512(base);
}

// One round: a symbol for each lane. `long_lengths` = longest - 8 where that is positive: one compare each; `wide`:
// over 128 symbols. `have`: words that may be loaded (all ones in the main loop). Answers the words taken.
DC_TARGET_AVX512 static DC_ALWAYS_INLINE unsigned huffman_round(const HuffmanRegisters& r, const uint8_t* words,
                                                                unsigned have, __mmask64 active, unsigned longest,
                                                                int long_lengths, int wide, int guarded, __m512i* older,
                                                                __m512i* newer, __m512i* count, __m512i* decoded) {
  const __m512i odd =
      _mm512_set_epi8(127, 125, 123, 121, 119, 117, 115, 113, 111, 109, 107, 105, 103, 101, 99, 97, 95, 93, 91, 89, 87,
                      85, 83, 81, 79, 77, 75, 73, 71, 69, 67, 65, 63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39,
                      37, 35, 33, 31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  const __m512i even = _mm512_sub_epi8(odd, _mm512_set1_epi8(1));
  const __mmask64 need = _mm512_mask_cmplt_epu8_mask(active, *count, _mm512_set1_epi8((char)longest));
  const __mmask32 need_a = (__mmask32)need, need_b = (__mmask32)(need >> 32);
  const unsigned taken_a = (unsigned)_mm_popcnt_u32(need_a), taken_b = (unsigned)_mm_popcnt_u32(need_b);
  __m512i load_a, load_b;
  if (guarded) {
    load_a = _mm512_maskz_loadu_epi16(_bzhi_u32(~0u, have), words);
    load_b = _mm512_maskz_loadu_epi16(_bzhi_u32(~0u, have > taken_a ? have - taken_a : 0),
                                      words + (have > taken_a ? 2 * taken_a : 0));
  } else {
    load_a = _mm512_loadu_si512(words);
    load_b = _mm512_loadu_si512(words + 2 * taken_a);
  }
  older[0] = _mm512_mask_mov_epi16(older[0], need_a, newer[0]);
  older[1] = _mm512_mask_mov_epi16(older[1], need_b, newer[1]);
  newer[0] = _mm512_mask_expand_epi16(newer[0], need_a, load_a);
  newer[1] = _mm512_mask_expand_epi16(newer[1], need_b, load_b);
  const __m512i held = _mm512_mask_add_epi8(*count, need, *count, _mm512_set1_epi8(16));

  // The next `longest` bits, at the top of 16.
  const __m512i shift = _mm512_sub_epi8(held, _mm512_set1_epi8((char)longest));
  const __m128i align = _mm_cvtsi32_si128((int)(16 - longest));
  const __m512i next_a = _mm512_sll_epi16(
      _mm512_shrdv_epi16(newer[0], older[0], _mm512_cvtepu8_epi16(_mm512_castsi512_si256(shift))), align);
  const __m512i next_b = _mm512_sll_epi16(
      _mm512_shrdv_epi16(newer[1], older[1], _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(shift, 1))), align);

  // rest = 16 - length of the code. Bit 7 of an index into 128 entries is not looked at, so a 16-bit shift will do.
  const __m512i top = _mm512_permutex2var_epi8(next_a, odd, next_b);
  __m512i rest = _mm512_permutex2var_epi8(r.table7[0], _mm512_srli_epi16(top, 1), r.table7[1]);
  const __m512i one = _mm512_set1_epi8(1);
  if (long_lengths > 0)
    rest =
        _mm512_mask_sub_epi8(rest, _mm512_cmpge_epu8_mask(top, _mm512_set1_epi8((char)(r.limit[8] >> 8))), rest, one);
  for (int k = 1; k < long_lengths; k++) {
    const __m512i limit = _mm512_set1_epi16((short)r.limit[8 + k]);
    const __mmask64 above =
        _mm512_kunpackd(_mm512_cmpge_epu16_mask(next_b, limit), _mm512_cmpge_epu16_mask(next_a, limit));
    rest = _mm512_mask_sub_epi8(rest, above, rest, one);
  }
  const __m512i code_a = _mm512_srlv_epi16(next_a, _mm512_cvtepu8_epi16(_mm512_castsi512_si256(rest)));
  const __m512i code_b = _mm512_srlv_epi16(next_b, _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(rest, 1)));
  const __m512i rank =
      _mm512_add_epi8(_mm512_permutex2var_epi8(code_a, even, code_b), _mm512_shuffle_epi8(r.base, rest));
  __m512i symbols = _mm512_permutex2var_epi8(r.symbols[0], rank, r.symbols[1]);
  if (wide)
    symbols = _mm512_mask_mov_epi8(symbols, _mm512_movepi8_mask(rank),
                                   _mm512_permutex2var_epi8(r.symbols[2], rank, r.symbols[3]));
  *decoded = symbols;
  *count = _mm512_add_epi8(held, _mm512_sub_epi8(rest, _mm512_set1_epi8(16)));
  return taken_a + taken_b;
}

DC_TARGET_AVX512 static DC_ALWAYS_INLINE bool huffman_avx512(const DecodeTable& table, const uint8_t* words,
                                                             const uint8_t* end, unsigned lanes, uint8_t* out, size_t n,
                                                             unsigned longest, int long_lengths, int wide) {
  HuffmanRegisters r;
  load_huffman_registers(table.canonical, r);
  __m512i older[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  __m512i newer[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  __m512i count = _mm512_setzero_si512(), decoded;
  const __mmask64 active = _bzhi_u64(~UINT64_C(0), lanes);
  size_t i = 0;
  // Both loads of a round lie inside the payload, and so does the whole vector that is stored.
  constexpr size_t kRoundBytes = 2 * 64;
  static_assert(kRoundBytes >= 2 * kMaxLanes, "a lane takes one word of 2 bytes a round at the most");
  if (lanes == 64) {
    for (; n - i >= 64 && (size_t)(end - words) >= kRoundBytes; i += 64) {
      words +=
          2 * huffman_round(r, words, 64, ~UINT64_C(0), longest, long_lengths, wide, 0, older, newer, &count, &decoded);
      _mm512_storeu_si512(out + i, decoded);
    }
  } else {
    for (; n - i >= 64 && (size_t)(end - words) >= kRoundBytes; i += lanes) {
      words += 2 * huffman_round(r, words, 64, active, longest, long_lengths, wide, 0, older, newer, &count, &decoded);
      _mm512_storeu_si512(out + i, decoded);
    }
  }
  while (i < n) {
    const unsigned width = (unsigned)(n - i < lanes ? n - i : lanes);
    const __mmask64 present = _bzhi_u64(~UINT64_C(0), width);
    const size_t left = (size_t)(end - words) / 2;
    const __m512i before = count;
    const unsigned taken = huffman_round(r, words, left < 64 ? (unsigned)left : 64, present, longest, long_lengths,
                                         wide, 1, older, newer, &count, &decoded);
    if (taken > left) return false;
    // Lanes that are not present in the last round read nothing.
    count = _mm512_mask_mov_epi8(before, present, count);
    words += 2 * taken;
    _mm512_mask_storeu_epi8(out + i, present, decoded);
    i += width;
  }
  // The unread bits, all zero: older:newer shifted so that they fill the top of 32 bits.
  if (words != end) return false;
  alignas(64) uint16_t old_words[64], new_words[64];
  alignas(64) uint8_t counts[64];
  _mm512_store_si512(old_words, older[0]);
  _mm512_store_si512(old_words + 32, older[1]);
  _mm512_store_si512(new_words, newer[0]);
  _mm512_store_si512(new_words + 32, newer[1]);
  _mm512_store_si512(counts, count);
  uint32_t unread = 0;
  for (unsigned lane = 0; lane < lanes; lane++) {
    unread |= ((uint32_t)old_words[lane] << 16 | new_words[lane]) & ((1u << counts[lane]) - 1);
  }
  return unread == 0;
}

#define DC_HUFFMAN_AVX512(suffix, long_lengths, wide)                                                                \
  DC_TARGET_AVX512 static bool huffman_avx512_##suffix(const DecodeTable& table, const uint8_t* words,               \
                                                       const uint8_t* end, unsigned lanes, uint8_t* out, size_t n) { \
    return huffman_avx512(table, words, end, lanes, out, n, table.canonical.longest, long_lengths, wide);            \
  }
DC_HUFFMAN_AVX512(8, 0, 0)
DC_HUFFMAN_AVX512(9, 1, 0)
DC_HUFFMAN_AVX512(10, 2, 0)
DC_HUFFMAN_AVX512(11, 3, 0)
DC_HUFFMAN_AVX512(12, 4, 0)
DC_HUFFMAN_AVX512(8_wide, 0, 1)
DC_HUFFMAN_AVX512(9_wide, 1, 1)
DC_HUFFMAN_AVX512(10_wide, 2, 1)
DC_HUFFMAN_AVX512(11_wide, 3, 1)
DC_HUFFMAN_AVX512(12_wide, 4, 1)
#undef DC_HUFFMAN_AVX512

// payload[0..bytes), bytes even; the code is valid.
static bool decode_huffman_avx512(const DecodeTable& table, const uint8_t* words, const uint8_t* end, unsigned lanes,
                                  uint8_t* out, size_t n) {
  const int wide = table.canonical.used > 128;
  switch (table.canonical.longest) {
    case 9:
      return wide ? huffman_avx512_9_wide(table, words, end, lanes, out, n)
                  : huffman_avx512_9(table, words, end, lanes, out, n);
    case 10:
      return wide ? huffman_avx512_10_wide(table, words, end, lanes, out, n)
                  : huffman_avx512_10(table, words, end, lanes, out, n);
    case 11:
      return wide ? huffman_avx512_11_wide(table, words, end, lanes, out, n)
                  : huffman_avx512_11(table, words, end, lanes, out, n);
    case 12:
      return wide ? huffman_avx512_12_wide(table, words, end, lanes, out, n)
                  : huffman_avx512_12(table, words, end, lanes, out, n);
    default:
      return wide ? huffman_avx512_8_wide(table, words, end, lanes, out, n)
                  : huffman_avx512_8(table, words, end, lanes, out, n);
  }
}

// --- rANS: 16 lanes a register, 1, 2 or 4 registers ---

struct RansStep {
  __m512i state, entry;
  unsigned taken;
};

// One symbol of 16 lanes. `have`: words that may be loaded, looked at when `guarded`.
DC_TARGET_AVX512 static DC_ALWAYS_INLINE struct RansStep rans_step(const uint32_t* entries, __m512i x,
                                                                   __mmask16 present, const uint8_t* words, size_t have,
                                                                   int guarded) {
  struct RansStep step;
  step.entry = _mm512_i32gather_epi32(_mm512_and_si512(x, _mm512_set1_epi32(kCodeSpace - 1)), entries, 4);
  const __m512i frequency = _mm512_and_si512(_mm512_srli_epi32(step.entry, 8), _mm512_set1_epi32(0xfff));
  const __m512i reduced = _mm512_add_epi32(_mm512_mullo_epi32(frequency, _mm512_srli_epi32(x, kMaxCodeLength)),
                                           _mm512_srli_epi32(step.entry, 20));
  const __mmask16 need = _mm512_mask_cmplt_epu32_mask(present, reduced, _mm512_set1_epi32(kRansLowerBound));
  step.taken = (unsigned)_mm_popcnt_u32(need);
  const __m256i loaded =
      guarded ? _mm256_maskz_loadu_epi16((__mmask16)_bzhi_u32(0xffff, have < 16 ? (unsigned)have : 16), words)
              : _mm256_loadu_si256((const __m256i*)words);
  const __m512i word = _mm512_maskz_expand_epi32(need, _mm512_cvtepu16_epi32(loaded));
  step.state = _mm512_mask_or_epi32(reduced, need, _mm512_slli_epi32(reduced, 16), word);
  return step;
}

DC_TARGET_AVX512 static DC_ALWAYS_INLINE bool rans_avx512(const DecodeTable& table, const uint8_t* words,
                                                          const uint8_t* end, uint32_t* states, uint8_t* out, size_t n,
                                                          int registers) {
  __m512i x[4];
  for (int g = 0; g < registers; g++) x[g] = _mm512_loadu_si512(states + 16 * g);
  const unsigned lanes = 16 * (unsigned)registers;
  size_t i = 0;
  for (; n - i >= lanes && (size_t)(end - words) >= 2 * lanes; i += lanes) {
    for (int g = 0; g < registers; g++) {
      const struct RansStep step = rans_step(table.entries, x[g], 0xffff, words, 16, 0);
      x[g] = step.state;
      words += 2 * step.taken;
      _mm_storeu_si128((__m128i*)(out + i + 16 * g), _mm512_cvtepi32_epi8(step.entry));
    }
  }
  while (i < n) {
    for (int g = 0; g < registers && i < n; g++) {
      const unsigned width = n - i < 16 ? (unsigned)(n - i) : 16;
      const __mmask16 present = (__mmask16)_bzhi_u32(0xffff, width);
      const size_t left = (size_t)(end - words) / 2;
      const struct RansStep step = rans_step(table.entries, x[g], present, words, left, 1);
      if (step.taken > left) return false;
      x[g] = _mm512_mask_mov_epi32(x[g], present, step.state);
      words += 2 * step.taken;
      _mm_mask_storeu_epi8(out + i, present, _mm512_cvtepi32_epi8(step.entry));
      i += width;
    }
  }
  for (int g = 0; g < registers; g++) {
    if (_mm512_cmpneq_epu32_mask(x[g], _mm512_set1_epi32(kRansLowerBound))) return false;
  }
  return words == end;
}

// --- rANS without a gather: up to kRansNear symbols in use, 64 lanes ---
//
// A slot's symbol: the first symbol of its 32 slots comes from 128 entries in two registers, and one compare with a
// start for each further symbol that begins inside. That number is known from the model; where it is above
// kRansMostSteps the gather is used.

constexpr unsigned kRansNear = 32, kRansMostSteps = 4;

struct RansNear {
  __m512i first[2];                  // rank of the first symbol of each 32 slots
  __m512i starts[kRansMostSteps];    // starts[j] of rank r: the start of rank r + 1 + j, 0xffff past the last
  __m512i start, frequency, symbol;  // by rank
  unsigned steps;
};

// False when the model does not fit.
DC_TARGET_AVX512 static bool load_rans_near(const Model& model, RansNear& r) {
  alignas(64) uint16_t start[kRansNear + 1 + kRansMostSteps], frequency[kRansNear] = {}, shifted[kRansNear];
  alignas(64) uint8_t first[128], symbol[64] = {};
  unsigned used = 0, at = 0;
  for (unsigned s = 0; s < model.alphabet; s++) {
    if (!model.frequencies[s]) continue;
    if (used == kRansNear) return false;
    start[used] = (uint16_t)at;
    frequency[used] = model.frequencies[s];
    symbol[used++] = (uint8_t)s;
    at += model.frequencies[s];
  }
  for (unsigned i = used; i < kRansNear + 1 + kRansMostSteps; i++) start[i] = 0xffff;
  r.steps = 0;
  for (unsigned bucket = 0, rank = 0; bucket < 128; bucket++) {
    while (start[rank + 1] <= 32 * bucket) rank++;
    first[bucket] = (uint8_t)rank;
    unsigned inside = 0;
    while (start[rank + 1 + inside] < 32 * (bucket + 1)) {
      if (++inside > kRansMostSteps) return false;
    }
    if (inside > r.steps) r.steps = inside;
  }
  for (unsigned j = 0; j < kRansMostSteps; j++) {
    for (unsigned rank = 0; rank < kRansNear; rank++) shifted[rank] = start[rank + 1 + j];
    r.starts[j] = _mm512_load_si512(shifted);
  }
  r.first[0] = _mm512_load_si512(first);
  r.first[1] = _mm512_load_si512(first + 64);
  r.start = _mm512_load_si512(start);
  r.frequency = _mm512_load_si512(frequency);
  r.symbol = _mm512_load_si512(symbol);
  return true;
}

// The states after the symbols of two registers; their ranks as words, eight lanes of the one and of the other in turn.
DC_TARGET_AVX512 static DC_ALWAYS_INLINE __m512i rans_near_pair(const RansNear* r, unsigned steps, __m512i* x) {
  const __m512i mask = _mm512_set1_epi32(kCodeSpace - 1), zero = _mm512_setzero_si512();
  const __m512i slot = _mm512_packus_epi32(_mm512_and_si512(x[0], mask), _mm512_and_si512(x[1], mask));
  const __m512i first = _mm512_maskz_permutex2var_epi8(UINT64_C(0x5555555555555555), r->first[0],
                                                       _mm512_srli_epi16(slot, 5), r->first[1]);
  __m512i rank = first;
  for (unsigned j = 0; j < steps; j++) {
    rank = _mm512_mask_add_epi16(rank, _mm512_cmpge_epu16_mask(slot, _mm512_permutexvar_epi16(first, r->starts[j])),
                                 rank, _mm512_set1_epi16(1));
  }
  const __m512i frequency = _mm512_permutexvar_epi16(rank, r->frequency);
  const __m512i beyond = _mm512_sub_epi16(slot, _mm512_permutexvar_epi16(rank, r->start));
  x[0] = _mm512_add_epi32(
      _mm512_mullo_epi32(_mm512_unpacklo_epi16(frequency, zero), _mm512_srli_epi32(x[0], kMaxCodeLength)),
      _mm512_unpacklo_epi16(beyond, zero));
  x[1] = _mm512_add_epi32(
      _mm512_mullo_epi32(_mm512_unpackhi_epi16(frequency, zero), _mm512_srli_epi32(x[1], kMaxCodeLength)),
      _mm512_unpackhi_epi16(beyond, zero));
  return rank;
}

DC_TARGET_AVX512 static DC_ALWAYS_INLINE unsigned rans_refill(__m512i* x, const uint8_t* words) {
  const __mmask16 need = _mm512_cmplt_epu32_mask(*x, _mm512_set1_epi32(kRansLowerBound));
  const __m512i word =
      _mm512_maskz_expand_epi32(need, _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)words)));
  *x = _mm512_mask_or_epi32(*x, need, _mm512_slli_epi32(*x, 16), word);
  return 2 * (unsigned)_mm_popcnt_u32(need);
}

// Whole rounds of 64 while all their words are there; answers the symbols decoded. The rest is for the loop by gather.
DC_TARGET_AVX512 static DC_ALWAYS_INLINE size_t rans_near(const RansNear* r, unsigned steps, const uint8_t** words,
                                                          const uint8_t* end, uint32_t* states, uint8_t* out,
                                                          size_t n) {
  alignas(64) uint8_t order[64];
  for (unsigned i = 0; i < 64; i++) {
    // Symbol i is lane i & 15 of register i >> 4; a pair holds lanes 4q .. 4q+3 of its first register at words 8q ..
    // 8q+3.
    const unsigned lane = i & 15, word = lane / 4 * 8 + (i >> 4 & 1) * 4 + lane % 4;
    order[i] = (uint8_t)((i >> 5) * 64 + 2 * word);
  }
  const __m512i gather = _mm512_load_si512(order);
  __m512i x[4];
  for (int g = 0; g < 4; g++) x[g] = _mm512_loadu_si512(states + 16 * g);
  const uint8_t* at = *words;
  size_t i = 0;
  for (; n - i >= 64 && (size_t)(end - at) >= 2 * kMaxLanes; i += 64) {
    const __m512i ranks_a = rans_near_pair(r, steps, x), ranks_b = rans_near_pair(r, steps, x + 2);
    for (int g = 0; g < 4; g++) at += rans_refill(x + g, at);
    _mm512_storeu_si512(out + i,
                        _mm512_permutexvar_epi8(_mm512_permutex2var_epi8(ranks_a, gather, ranks_b), r->symbol));
  }
  for (int g = 0; g < 4; g++) _mm512_storeu_si512(states + 16 * g, x[g]);
  *words = at;
  return i;
}

DC_TARGET_AVX512 static size_t rans_near_2(const RansNear* r, const uint8_t** words, const uint8_t* end,
                                           uint32_t* states, uint8_t* out, size_t n) {
  return rans_near(r, 2, words, end, states, out, n);
}
DC_TARGET_AVX512 static size_t rans_near_4(const RansNear* r, const uint8_t** words, const uint8_t* end,
                                           uint32_t* states, uint8_t* out, size_t n) {
  return rans_near(r, 4, words, end, states, out, n);
}

DC_TARGET_AVX512 static bool decode_rans_avx512(const DecodeTable& table, const uint8_t* words, const uint8_t* end,
                                                uint32_t* states, unsigned lanes, uint8_t* out, size_t n) {
  RansNear near;
  size_t done = 0;
  if (lanes == 64 && load_rans_near(table.model, near)) {
    done = near.steps <= 2 ? rans_near_2(&near, &words, end, states, out, n)
                           : rans_near_4(&near, &words, end, states, out, n);
  }
  switch (lanes) {
    case 16:
      return rans_avx512(table, words, end, states, out, n, 1);
    case 32:
      return rans_avx512(table, words, end, states, out, n, 2);
    default:
      return rans_avx512(table, words, end, states, out + done, n - done, 4);
  }
}
