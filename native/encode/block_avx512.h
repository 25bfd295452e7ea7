#pragma once
// Included by block.cpp only, inside namespace dc. Huffman, up to 64 lanes side by side; see encode_huffman in
// block.cpp for why the rounds run backwards. A lane holds its unread bits in two 16-bit words: `low` (the last 16) and
// `high`; `count` of them are bits of codes. Codes and lengths come from two 256-byte tables in registers.

struct ByteTable {
  __m512i part[4];
};

DC_TARGET_AVX512 static DC_ALWAYS_INLINE struct ByteTable load_bytes(const uint8_t* table) {
  struct ByteTable t;
  for (int i = 0; i < 4; i++) t.part[i] = _mm512_load_si512(table + 64 * i);
  return t;
}

DC_TARGET_AVX512 static DC_ALWAYS_INLINE __m512i look_up(const struct ByteTable* t, __m512i index, int wide) {
  const __m512i near = _mm512_permutex2var_epi8(t->part[0], index, t->part[1]);
  if (!wide) return near;
  return _mm512_mask_mov_epi8(near, _mm512_movepi8_mask(index),
                              _mm512_permutex2var_epi8(t->part[2], index, t->part[3]));
}

// Lengths of each lane, summed modulo 256, over the symbols of whole rounds. Answers false when a symbol has no code.
DC_TARGET_AVX512 static DC_ALWAYS_INLINE bool sum_lengths(const EncodeTable& table, const uint8_t* symbols, size_t n,
                                                          unsigned lanes, uint8_t* sums, int wide) {
  const struct ByteTable high = load_bytes(table.high);
  const __m512i nibble = _mm512_set1_epi8(15);
  __m512i sum = _mm512_setzero_si512();
  __mmask64 missing = 0;
  const __mmask64 active = _bzhi_u64(~UINT64_C(0), lanes);
  for (size_t i = 0; i < n; i += lanes) {
    const __mmask64 present = n - i < lanes ? _bzhi_u64(~UINT64_C(0), (unsigned)(n - i)) : active;
    const __m512i s = n - i >= 64 ? _mm512_loadu_si512(symbols + i) : _mm512_maskz_loadu_epi8(present, symbols + i);
    const __m512i length = _mm512_and_si512(look_up(&high, s, wide), nibble);
    missing |= _mm512_mask_testn_epi8_mask(present, length, length);
    // A symbol of the upper half is not in a narrow alphabet.
    if (!wide) missing |= _mm512_movepi8_mask(s) & present;
    sum = _mm512_mask_add_epi8(sum, present, sum, length);
  }
  _mm512_storeu_si512(sums, sum);
  return missing == 0;
}

DC_TARGET_AVX512 static DC_ALWAYS_INLINE uint8_t* encode_rounds(const EncodeTable& table, const uint8_t* symbols,
                                                                size_t n, unsigned lanes, uint8_t* at,
                                                                const uint8_t* counts, int wide) {
  const struct ByteTable low_codes = load_bytes(table.low), high_codes = load_bytes(table.high);
  const __m512i nibble = _mm512_set1_epi8(15), most = _mm512_set1_epi8((char)(table.canonical.longest + 15));
  const __m512i sixteen8 = _mm512_set1_epi8(16), sixteen = _mm512_set1_epi16(16);
  // Byte i of one register and byte i of another, next to each other.
  alignas(64) uint8_t pairs[2][64];
  for (unsigned i = 0; i < 32; i++) {
    pairs[0][2 * i] = (uint8_t)i;
    pairs[0][2 * i + 1] = (uint8_t)(64 + i);
    pairs[1][2 * i] = (uint8_t)(32 + i);
    pairs[1][2 * i + 1] = (uint8_t)(96 + i);
  }
  const __m512i pair_a = _mm512_load_si512(pairs[0]), pair_b = _mm512_load_si512(pairs[1]);
  __m512i low_a = _mm512_setzero_si512(), low_b = low_a, high_a = low_a, high_b = low_a;
  __m512i count = _mm512_loadu_si512(counts);
  const __mmask64 active = _bzhi_u64(~UINT64_C(0), lanes);
  for (size_t i = (n - 1) / lanes * lanes;; i -= lanes) {
    const __mmask64 present = n - i < lanes ? _bzhi_u64(~UINT64_C(0), (unsigned)(n - i)) : active;
    const __m512i s = n - i >= 64 ? _mm512_loadu_si512(symbols + i) : _mm512_maskz_loadu_epi8(present, symbols + i);
    // A lane that is not there gets a code of no bits.
    const __m512i code_low = _mm512_maskz_mov_epi8(present, look_up(&low_codes, s, wide));
    const __m512i tail = _mm512_maskz_mov_epi8(present, look_up(&high_codes, s, wide));
    const __m512i length = _mm512_and_si512(tail, nibble);
    const __m512i code_high = _mm512_and_si512(_mm512_srli_epi16(tail, 4), nibble);
    const __m512i total = _mm512_add_epi8(count, length);

    const __mmask64 full = _mm512_cmpgt_epu8_mask(total, most);
    const __mmask32 full_a = (__mmask32)full, full_b = (__mmask32)(full >> 32);
    const unsigned words_a = (unsigned)_mm_popcnt_u32(full_a), words_b = (unsigned)_mm_popcnt_u32(full_b);
    at -= 2 * words_b;
    _mm512_mask_storeu_epi16(at, _bzhi_u32(~0u, words_b), _mm512_maskz_compress_epi16(full_b, low_b));
    at -= 2 * words_a;
    _mm512_mask_storeu_epi16(at, _bzhi_u32(~0u, words_a), _mm512_maskz_compress_epi16(full_a, low_a));
    low_a = _mm512_mask_mov_epi16(low_a, full_a, high_a);
    low_b = _mm512_mask_mov_epi16(low_b, full_b, high_b);
    high_a = _mm512_maskz_mov_epi16(~full_a, high_a);
    high_b = _mm512_maskz_mov_epi16(~full_b, high_b);
    const __m512i held = _mm512_mask_sub_epi8(count, full, count, sixteen8);

    // code << held, over the 32 bits of low and high. Shift counts of 16 and more, and negative ones, give 0.
    const __m512i code_a = _mm512_permutex2var_epi8(code_low, pair_a, code_high),
                  code_b = _mm512_permutex2var_epi8(code_low, pair_b, code_high);
    const __m512i held_a = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(held)),
                  held_b = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(held, 1));
    low_a = _mm512_or_si512(low_a, _mm512_sllv_epi16(code_a, held_a));
    low_b = _mm512_or_si512(low_b, _mm512_sllv_epi16(code_b, held_b));
    high_a = _mm512_ternarylogic_epi64(high_a, _mm512_srlv_epi16(code_a, _mm512_sub_epi16(sixteen, held_a)),
                                       _mm512_sllv_epi16(code_a, _mm512_sub_epi16(held_a, sixteen)), 0xfe);
    high_b = _mm512_ternarylogic_epi64(high_b, _mm512_srlv_epi16(code_b, _mm512_sub_epi16(sixteen, held_b)),
                                       _mm512_sllv_epi16(code_b, _mm512_sub_epi16(held_b, sixteen)), 0xfe);
    count = _mm512_add_epi8(held, length);
    if (i == 0) break;
  }
  // Each lane holds its first word now.
  alignas(64) uint16_t first[64];
  _mm512_store_si512(first, low_a);
  _mm512_store_si512(first + 32, low_b);
  at -= 2 * lanes;
  memcpy(at, first, 2 * lanes);
  return at;
}

// nullptr when a symbol has no code.
DC_TARGET_AVX512 static DC_ALWAYS_INLINE uint8_t* huffman_avx512(const EncodeTable& table, const uint8_t* symbols,
                                                                 size_t n, unsigned lanes, uint8_t* end, int wide) {
  alignas(64) uint8_t sums[64], counts[64];
  if (!sum_lengths(table, symbols, n, lanes, sums, wide)) return 0;
  final_counts(table, symbols, n, lanes, sums, counts);
  return encode_rounds(table, symbols, n, lanes, end, counts, wide);
}

DC_TARGET_AVX512 static uint8_t* huffman_avx512_narrow(const EncodeTable& table, const uint8_t* symbols, size_t n,
                                                       unsigned lanes, uint8_t* end) {
  return huffman_avx512(table, symbols, n, lanes, end, 0);
}
DC_TARGET_AVX512 static uint8_t* huffman_avx512_wide(const EncodeTable& table, const uint8_t* symbols, size_t n,
                                                     unsigned lanes, uint8_t* end) {
  return huffman_avx512(table, symbols, n, lanes, end, 1);
}

// --- rANS: 16 lanes a register ---

// One symbol of each lane that is present: the word that is due goes below `at`. Answers the new `at`.
DC_TARGET_AVX512 static DC_ALWAYS_INLINE uint8_t* rans_step(const uint32_t* slots, __m512i near_0, __m512i near_1,
                                                            int near, const uint8_t* symbols, __mmask16 present,
                                                            __m512i* state, uint8_t* at) {
  const __m512i s = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(present, symbols));
  const __m512i slot = near ? _mm512_permutex2var_epi32(near_0, s, near_1) : _mm512_i32gather_epi32(s, slots, 4);
  const __m512i frequency = _mm512_and_si512(slot, _mm512_set1_epi32(0xffff)), start = _mm512_srli_epi32(slot, 16);
  const __mmask16 due =
      _mm512_mask_cmpge_epu32_mask(present, *state, _mm512_slli_epi32(frequency, 32 - kMaxCodeLength));
  const unsigned words = (unsigned)_mm_popcnt_u32(due);
  at -= 2 * words;
  _mm256_mask_storeu_epi16(at, (__mmask16)_bzhi_u32(0xffff, words),
                           _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(due, *state)));
  const __m512i x = _mm512_mask_srli_epi32(*state, due, *state, 16);
  // x < frequency << 20, so the quotient is below 2^20 and the float one is at most 1 beside it, whatever the rounding.
  const __m512i guess = _mm512_cvttps_epi32(_mm512_div_ps(_mm512_cvtepu32_ps(x), _mm512_cvtepi32_ps(frequency)));
  __m512i rest = _mm512_sub_epi32(x, _mm512_mullo_epi32(guess, frequency));
  __m512i quotient = guess;
  const __mmask16 over = _mm512_cmplt_epi32_mask(rest, _mm512_setzero_si512());
  quotient = _mm512_mask_sub_epi32(quotient, over, quotient, _mm512_set1_epi32(1));
  rest = _mm512_mask_add_epi32(rest, over, rest, frequency);
  const __mmask16 under = _mm512_cmpge_epi32_mask(rest, frequency);
  quotient = _mm512_mask_add_epi32(quotient, under, quotient, _mm512_set1_epi32(1));
  rest = _mm512_mask_sub_epi32(rest, under, rest, frequency);
  const __m512i after = _mm512_add_epi32(_mm512_slli_epi32(quotient, kMaxCodeLength), _mm512_add_epi32(rest, start));
  *state = _mm512_mask_mov_epi32(*state, present, after);
  return at;
}

DC_TARGET_AVX512 static DC_ALWAYS_INLINE uint8_t* rans_rounds(const EncodeTable& table, const uint8_t* symbols,
                                                              size_t n, uint8_t* at, int registers, int near) {
  const uint32_t* slots = table.entries;
  const __m512i near_0 = _mm512_load_si512(slots), near_1 = _mm512_load_si512(slots + 16);
  const unsigned lanes = 16 * (unsigned)registers;
  __m512i state[4];
  for (int g = 0; g < registers; g++) state[g] = _mm512_set1_epi32(kRansLowerBound);
  size_t i = (n - 1) / lanes * lanes;
  for (int g = registers; g-- > 0;) {
    const size_t begin = i + 16 * (size_t)g;
    if (begin >= n) continue;
    const __mmask16 present = (__mmask16)_bzhi_u32(0xffff, n - begin < 16 ? (unsigned)(n - begin) : 16);
    at = rans_step(slots, near_0, near_1, near, symbols + begin, present, state + g, at);
  }
  while (i > 0) {
    i -= lanes;
    for (int g = registers; g-- > 0;)
      at = rans_step(slots, near_0, near_1, near, symbols + i + 16 * g, 0xffff, state + g, at);
  }
  at -= 4 * (size_t)lanes;
  for (int g = 0; g < registers; g++) _mm512_storeu_si512(at + 64 * g, state[g]);
  return at;
}

#define DC_RANS_AVX512(registers, suffix, near)                                                                      \
  DC_TARGET_AVX512 static uint8_t* rans_avx512_##registers##suffix(const EncodeTable& table, const uint8_t* symbols, \
                                                                   size_t n, uint8_t* end) {                         \
    return rans_rounds(table, symbols, n, end, registers, near);                                                     \
  }
DC_RANS_AVX512(1, , 0)
DC_RANS_AVX512(2, , 0)
DC_RANS_AVX512(4, , 0)
DC_RANS_AVX512(1, _near, 1)
DC_RANS_AVX512(2, _near, 1)
DC_RANS_AVX512(4, _near, 1)
#undef DC_RANS_AVX512

// 16, 32 or 64 lanes; every symbol is in use.
DC_TARGET_AVX512 static uint8_t* encode_rans_avx512(const EncodeTable& table, const uint8_t* symbols, size_t n,
                                                    unsigned lanes, uint8_t* end) {
  const bool near = table.model.alphabet <= 32;
  switch (lanes) {
    case 16:
      return near ? rans_avx512_1_near(table, symbols, n, end) : rans_avx512_1(table, symbols, n, end);
    case 32:
      return near ? rans_avx512_2_near(table, symbols, n, end) : rans_avx512_2(table, symbols, n, end);
    default:
      return near ? rans_avx512_4_near(table, symbols, n, end) : rans_avx512_4(table, symbols, n, end);
  }
}

// Whether all symbols are in use, 64 at a time.
DC_TARGET_AVX512 static bool all_in_use_avx512(const bool* in_use, const uint8_t* symbols, size_t n) {
  const struct ByteTable table = load_bytes((const uint8_t*)in_use);
  __mmask64 missing = 0;
  for (size_t i = 0; i < n; i += 64) {
    const __mmask64 present = n - i < 64 ? _bzhi_u64(~UINT64_C(0), (unsigned)(n - i)) : ~UINT64_C(0);
    const __m512i used = look_up(&table, _mm512_maskz_loadu_epi8(present, symbols + i), 1);
    missing |= _mm512_mask_testn_epi8_mask(present, used, used);
  }
  return missing == 0;
}
