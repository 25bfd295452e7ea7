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
