#pragma once
// Included by block.cpp only, inside namespace dc. Whole rounds, 8 lanes a register; see encode_huffman in block.cpp
// for why the rounds run backwards. What does not make a whole round is for the serial loop.

// Brings the words of the lanes that are due to the top of a register, in lane order; below them come zeros.
struct GatherTable {
  uint8_t from[256][16];
  constexpr GatherTable() : from() {
    for (unsigned due = 0; due < 256; due++) {
      unsigned to = 8;
      for (unsigned i = 0; i < 16; i++) from[due][i] = 0x80;
      for (unsigned lane = 8; lane-- > 0;) {
        if (!(due >> lane & 1)) continue;
        to--;
        from[due][2 * to] = static_cast<uint8_t>(2 * lane);
        from[due][2 * to + 1] = static_cast<uint8_t>(2 * lane + 1);
      }
    }
  }
};
static constexpr GatherTable kGather;

// The low words of the lanes whose `due` is all ones go below `at`; writes 16 bytes there. Answers the new `at`.
DC_TARGET_AVX2 static DC_ALWAYS_INLINE uint8_t* put_words(uint8_t* at, __m256i words, __m256i due) {
  const unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(due));
  const __m256i low = _mm256_and_si256(words, _mm256_set1_epi32(0xffff));
  const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
  _mm_storeu_si128((__m128i*)(at - 16), _mm_shuffle_epi8(packed, _mm_loadu_si128((const __m128i*)kGather.from[mask])));
  return at - 2 * _mm_popcnt_u32(mask);
}

// Adds the lengths of whole rounds to the sums of their lanes (modulo 256). False when a symbol has no code.
DC_TARGET_AVX2 static bool sum_lengths_avx2(const EncodeTable& table, const uint8_t* symbols, size_t n, unsigned lanes,
                                            uint8_t* sums) {
  __m256i missing = _mm256_setzero_si256();
  for (unsigned lane = 0; lane < lanes; lane += 8) {
    __m256i sum = _mm256_setzero_si256();
    for (size_t i = lane; i < n; i += lanes) {
      const __m256i s = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)(symbols + i)));
      const __m256i entry = _mm256_i32gather_epi32((const int*)table.entries, s, 4);
      missing = _mm256_or_si256(missing, _mm256_cmpeq_epi32(entry, _mm256_setzero_si256()));
      sum = _mm256_add_epi32(sum, _mm256_srli_epi32(entry, 16));
    }
    alignas(32) uint32_t each[8];
    _mm256_store_si256((__m256i*)each, sum);
    for (unsigned k = 0; k < 8; k++) sums[lane + k] = (uint8_t)(sums[lane + k] + each[k]);
  }
  return _mm256_testz_si256(missing, missing);
}

// The same for symbols below 32: lengths from two registers, 64 symbols at a time. n is a multiple of 64.
DC_TARGET_AVX2 static bool sum_short_lengths_avx2(const EncodeTable& table, const uint8_t* symbols, size_t n,
                                                  unsigned lanes, uint8_t* sums) {
  const __m256i nibble = _mm256_set1_epi8(15), zero = _mm256_setzero_si256();
  const __m256i near =
      _mm256_and_si256(_mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)table.high)), nibble);
  const __m256i far =
      _mm256_and_si256(_mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)(table.high + 16))), nibble);
  __m256i sum[2] = {zero, zero}, missing = zero, all = zero;
  for (size_t i = 0; i < n; i += 64) {
    for (int half = 0; half < 2; half++) {
      const __m256i s = _mm256_loadu_si256((const __m256i*)(symbols + i + 32 * half));
      const __m256i length = _mm256_blendv_epi8(_mm256_shuffle_epi8(near, s), _mm256_shuffle_epi8(far, s),
                                                _mm256_slli_epi16(s, 3));  // bit 4 of a symbol is now bit 7
      all = _mm256_or_si256(all, s);
      missing = _mm256_or_si256(missing, _mm256_cmpeq_epi8(length, zero));
      sum[half] = _mm256_add_epi8(sum[half], length);
    }
  }
  alignas(32) uint8_t each[64];
  _mm256_store_si256((__m256i*)each, sum[0]);
  _mm256_store_si256((__m256i*)(each + 32), sum[1]);
  for (unsigned i = 0; i < 64; i++) sums[i & (lanes - 1)] = (uint8_t)(sums[i & (lanes - 1)] + each[i]);
  return _mm256_testz_si256(missing, missing) && _mm256_testz_si256(all, _mm256_set1_epi8((char)0xe0));
}

// Rounds n / lanes - 1 .. 0; n is a multiple of `lanes`.
DC_TARGET_AVX2 static uint8_t* huffman_rounds_avx2(const EncodeTable& table, const uint8_t* symbols, size_t n,
                                                   unsigned lanes, HuffmanLanes& state, uint8_t* at) {
  const __m256i most = _mm256_set1_epi32((int)table.canonical.longest + 15), sixteen = _mm256_set1_epi32(16);
  const __m256i low = _mm256_set1_epi32(0xffff);
  for (size_t i = n; i > 0;) {
    for (unsigned lane = lanes; lane > 0;) {
      lane -= 8;
      i -= 8;
      const __m256i s = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)(symbols + i)));
      const __m256i entry = _mm256_i32gather_epi32((const int*)table.entries, s, 4);
      const __m256i length = _mm256_srli_epi32(entry, 16);
      __m256i held = _mm256_loadu_si256((const __m256i*)(state.held + lane));
      __m256i count = _mm256_loadu_si256((const __m256i*)(state.count + lane));
      const __m256i due = _mm256_cmpgt_epi32(_mm256_add_epi32(count, length), most);
      const __m256i step = _mm256_and_si256(due, sixteen);
      at = put_words(at, held, due);
      count = _mm256_sub_epi32(count, step);
      held = _mm256_or_si256(_mm256_srlv_epi32(held, step), _mm256_sllv_epi32(_mm256_and_si256(entry, low), count));
      _mm256_storeu_si256((__m256i*)(state.held + lane), held);
      _mm256_storeu_si256((__m256i*)(state.count + lane), _mm256_add_epi32(count, length));
    }
  }
  return at;
}
