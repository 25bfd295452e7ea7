#pragma once
// Included by block.cpp only, inside namespace dc. Whole rounds, 8 lanes a register; the table look-up is a gather.
// What is left is for the serial loop.

// Where the k-th word goes: byte `lane` of entry `need` is the number of lanes below it that need a word.
struct SpreadTable {
  uint8_t rank[256][8];
  constexpr SpreadTable() : rank() {  // coverage: run by the compiler
    for (unsigned need = 0; need < 256; need++) {
      unsigned k = 0;
      for (unsigned lane = 0; lane < 8; lane++) {
        rank[need][lane] = static_cast<uint8_t>(k);
        k += need >> lane & 1;
      }
    }
  }
};
static constexpr SpreadTable kSpread;

// The next words, one for each lane whose `need` is all ones, 0 for the others. Reads 16 bytes.
DC_TARGET_AVX2 static DC_ALWAYS_INLINE __m256i next_words(__m256i need, const uint8_t** words) {
  const unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(need));
  const __m256i rank = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)kSpread.rank[mask]));
  const __m256i loaded = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)*words));
  *words += 2 * _mm_popcnt_u32(mask);
  return _mm256_and_si256(_mm256_permutevar8x32_epi32(loaded, rank), need);
}

DC_TARGET_AVX2 static DC_ALWAYS_INLINE void store_symbols(uint8_t* out, __m256i entry) {
  const __m256i symbol = _mm256_and_si256(entry, _mm256_set1_epi32(255));
  const __m128i pairs = _mm_packus_epi32(_mm256_castsi256_si128(symbol), _mm256_extracti128_si256(symbol, 1));
  _mm_storel_epi64((__m128i*)out, _mm_packus_epi16(pairs, pairs));
}

// A round takes 2 * lanes bytes at the most, and its last load may reach 16 bytes further.
DC_TARGET_AVX2 static bool round_fits(const Words* words, unsigned lanes) {
  return (size_t)(words->end - words->next) >= 2 * (size_t)lanes + 16;
}

DC_TARGET_AVX2 static size_t huffman_rounds_avx2(const DecodeTable& table, Words& words, HuffmanLanes& state,
                                                 unsigned lanes, uint8_t* out, size_t n) {
  const __m256i longest = _mm256_set1_epi32((int)table.canonical.longest), sixteen = _mm256_set1_epi32(16);
  const __m256i mask = _mm256_set1_epi32(kCodeSpace - 1);
  const __m128i drop = _mm_cvtsi32_si128((int)(kMaxCodeLength - table.canonical.longest));
  size_t i = 0;
  for (; n - i >= lanes && round_fits(&words, lanes); i += lanes) {
    for (unsigned lane = 0; lane < lanes; lane += 8) {
      __m256i bits = _mm256_loadu_si256((const __m256i*)(state.bits + lane)),
              count = _mm256_loadu_si256((const __m256i*)(state.count + lane));
      const __m256i need = _mm256_cmpgt_epi32(longest, count), step = _mm256_and_si256(need, sixteen);
      bits = _mm256_or_si256(_mm256_sllv_epi32(bits, step), next_words(need, &words.next));
      count = _mm256_add_epi32(count, step);
      const __m256i next =
          _mm256_and_si256(_mm256_sll_epi32(_mm256_srlv_epi32(bits, _mm256_sub_epi32(count, longest)), drop), mask);
      const __m256i entry = _mm256_i32gather_epi32((const int*)table.entries, next, 4);
      store_symbols(out + i + lane, entry);
      _mm256_storeu_si256((__m256i*)(state.bits + lane), bits);
      _mm256_storeu_si256((__m256i*)(state.count + lane), _mm256_sub_epi32(count, _mm256_srli_epi32(entry, 8)));
    }
  }
  return i;
}

// --- Huffman without a gather: up to 32 symbols in use, 16 lanes at a time ---
//
// The length comes from one compare for each length but the longest, the rank from the canonical order, the symbol from
// two registers. Lanes stand as two registers of 8 numbers of 32 bits where they are shifted, as one of 16 bits else.

constexpr unsigned kHuffmanNear = 32;

struct HuffmanNear {
  __m256i limits[kMaxCodeLength];  // of each length from the shortest on: above it the code is longer; both with the
                                   // highest bit turned over, because the compare is signed
  unsigned compares;
  __m256i base;       // (rank - code) mod 256 of the first code of a length, by length
  __m256i near, far;  // symbols of ranks 0 .. 15, 16 .. 31
};

DC_TARGET_AVX2 static void load_huffman_near(const CanonicalCode& code, HuffmanNear& t) {
  alignas(16) uint8_t base[16] = {}, symbols[kHuffmanNear] = {};
  memcpy(symbols, code.sorted, code.used);
  t.compares = code.longest - code.shortest;
  for (unsigned length = code.shortest;; length++) {
    const unsigned codes = code.first_rank[length + 1] - code.first_rank[length];
    base[length] = (uint8_t)(code.first_rank[length] - code.first_code[length]);
    if (length == code.longest) break;
    // Not 0: there is a code of the shortest length.
    const unsigned limit = ((code.first_code[length] + codes) << (16 - length)) - 1;
    t.limits[length - code.shortest] = _mm256_set1_epi16((short)(limit ^ 0x8000));
  }
  t.base = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)base));
  t.near = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)symbols));
  t.far = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)(symbols + 16)));
}

// The next `longest` bits of 8 lanes, after lanes that have fewer took a word.
DC_TARGET_AVX2 static DC_ALWAYS_INLINE __m256i next_bits(HuffmanLanes* state, unsigned lane, __m256i longest,
                                                         __m256i mask, __m256i* count, const uint8_t** words) {
  __m256i bits = _mm256_loadu_si256((const __m256i*)(state->bits + lane));
  *count = _mm256_loadu_si256((const __m256i*)(state->count + lane));
  const __m256i need = _mm256_cmpgt_epi32(longest, *count);
  const __m256i step = _mm256_and_si256(need, _mm256_set1_epi32(16));
  bits = _mm256_or_si256(_mm256_sllv_epi32(bits, step), next_words(need, words));
  *count = _mm256_add_epi32(*count, step);
  _mm256_storeu_si256((__m256i*)(state->bits + lane), bits);
  return _mm256_and_si256(_mm256_srlv_epi32(bits, _mm256_sub_epi32(*count, longest)), mask);
}

// 16, 32 or 64 lanes; at most kHuffmanNear symbols.
DC_TARGET_AVX2 static size_t huffman_near_rounds_avx2(const DecodeTable& table, Words& words, HuffmanLanes& state,
                                                      unsigned lanes, uint8_t* out, size_t n) {
  HuffmanNear t;
  load_huffman_near(table.canonical, t);
  const __m256i longest = _mm256_set1_epi32((int)table.canonical.longest);
  const __m256i mask = _mm256_set1_epi32((1 << table.canonical.longest) - 1);
  const __m256i shortest = _mm256_set1_epi16((short)table.canonical.shortest), zero = _mm256_setzero_si256();
  const __m256i turned = _mm256_set1_epi16(INT16_MIN), low = _mm256_set1_epi16(255);
  const __m128i align = _mm_cvtsi32_si128((int)(16 - table.canonical.longest));
  const uint8_t* next = words.next;
  size_t i = 0;
  for (; n - i >= lanes && (size_t)(words.end - next) >= 2 * (size_t)lanes + 16; i += lanes) {
    for (unsigned lane = 0; lane < lanes; lane += 16) {
      __m256i count_a, count_b;
      const __m256i next_a = next_bits(&state, lane, longest, mask, &count_a, &next);
      const __m256i next_b = next_bits(&state, lane + 8, longest, mask, &count_b, &next);
      // Lanes 0-3, 8-11, 4-7, 12-15.
      const __m256i top = _mm256_xor_si256(_mm256_sll_epi16(_mm256_packus_epi32(next_a, next_b), align), turned);
      __m256i length = shortest;
      for (unsigned k = 0; k < t.compares; k++) length = _mm256_sub_epi16(length, _mm256_cmpgt_epi16(top, t.limits[k]));
      const __m256i length_a = _mm256_unpacklo_epi16(length, zero), length_b = _mm256_unpackhi_epi16(length, zero);
      const __m256i code = _mm256_packus_epi32(_mm256_srlv_epi32(next_a, _mm256_sub_epi32(longest, length_a)),
                                               _mm256_srlv_epi32(next_b, _mm256_sub_epi32(longest, length_b)));
      // The upper byte of a length is 0, and so is the base there.
      const __m256i rank = _mm256_add_epi8(code, _mm256_shuffle_epi8(t.base, length));
      const __m256i symbol =
          _mm256_and_si256(_mm256_blendv_epi8(_mm256_shuffle_epi8(t.near, rank), _mm256_shuffle_epi8(t.far, rank),
                                              _mm256_slli_epi16(rank, 3)),
                           low);
      const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(symbol), _mm256_extracti128_si256(symbol, 1));
      _mm_storeu_si128((__m128i*)(out + i + lane), _mm_shuffle_epi32(bytes, _MM_SHUFFLE(3, 1, 2, 0)));
      _mm256_storeu_si256((__m256i*)(state.count + lane), _mm256_sub_epi32(count_a, length_a));
      _mm256_storeu_si256((__m256i*)(state.count + lane + 8), _mm256_sub_epi32(count_b, length_b));
    }
  }
  words.next = next;
  return i;
}

DC_TARGET_AVX2 static size_t rans_rounds_avx2(const DecodeTable& table, Words& words, uint32_t* state, unsigned lanes,
                                              uint8_t* out, size_t n) {
  const __m256i mask = _mm256_set1_epi32(kCodeSpace - 1), sixteen = _mm256_set1_epi32(16),
                zero = _mm256_setzero_si256();
  size_t i = 0;
  for (; n - i >= lanes && round_fits(&words, lanes); i += lanes) {
    for (unsigned lane = 0; lane < lanes; lane += 8) {
      const __m256i before = _mm256_loadu_si256((const __m256i*)(state + lane));
      const __m256i entry = _mm256_i32gather_epi32((const int*)table.entries, _mm256_and_si256(before, mask), 4);
      store_symbols(out + i + lane, entry);
      const __m256i frequency = _mm256_and_si256(_mm256_srli_epi32(entry, 8), mask);
      const __m256i x = _mm256_add_epi32(_mm256_mullo_epi32(frequency, _mm256_srli_epi32(before, kMaxCodeLength)),
                                         _mm256_srli_epi32(entry, 20));
      // Below kRansLowerBound = 2^16: the upper half is zero.
      const __m256i need = _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), zero);
      _mm256_storeu_si256(
          (__m256i*)(state + lane),
          _mm256_or_si256(_mm256_sllv_epi32(x, _mm256_and_si256(need, sixteen)), next_words(need, &words.next)));
    }
  }
  return i;
}
