// Positions: mask -> gaps -> mask and dense values, against a plain loop over weights.
#include "decode/gaps.h"

#include <vector>

#include "check.h"
#include "decode/planes.h"
#include "decode/relative_index.h"
#include "encode/gaps.h"
#include "encode/model.h"
#include "encode/planes.h"
#include "encode/relative_index.h"

using namespace dc;

namespace {

std::vector<uint32_t> random_mask(uint64_t n, double density, uint64_t seed) {
  std::vector<uint32_t> mask((n + 31) / 32);
  for (uint64_t i = 0; i < n; i++) {
    if (random_unit(seed, i) < density) mask[i >> 5] |= 1u << (i & 31);
  }
  return mask;
}
bool bit(const std::vector<uint32_t>& mask, uint64_t i) { return mask[i >> 5] >> (i & 31) & 1; }

struct Plain {
  std::vector<uint8_t> escape, gaps, entries;
};
// docs/format-streams.md S4 word for word, for positions begin .. end-1.
Plain plain_gaps(const std::vector<uint32_t>& mask, uint64_t begin, uint64_t end, unsigned alphabet, unsigned bits,
                 const uint8_t* codes) {
  Plain out;
  uint64_t zeros = 0, zeros_paper = 0;
  for (uint64_t i = begin; i < end; i++) {
    if (!bit(mask, i)) {
      zeros++, zeros_paper++;
      continue;
    }
    while (zeros >= alphabet - 1) out.escape.push_back(static_cast<uint8_t>(alphabet - 1)), zeros -= alphabet - 1;
    out.escape.push_back(static_cast<uint8_t>(zeros));
    while (zeros_paper >= 1u << bits) {
      out.gaps.push_back(static_cast<uint8_t>((1u << bits) - 1)), out.entries.push_back(0), zeros_paper -= 1u << bits;
    }
    out.gaps.push_back(static_cast<uint8_t>(zeros_paper)), out.entries.push_back(static_cast<uint8_t>(*codes++ + 1));
    zeros = zeros_paper = 0;
  }
  return out;
}

void one(uint64_t n, double density, unsigned alphabet, unsigned bits, uint64_t seed) {
  const auto mask = random_mask(n, density, seed);
  std::vector<uint8_t> codes;
  std::vector<float> dense(n);
  const unsigned clusters = seed % 3 == 0 ? 16 : seed % 3 == 1 ? 32 : 200;
  std::vector<float> codebook(clusters);
  for (unsigned k = 0; k < clusters; k++) codebook[k] = 1.0f + k;
  for (uint64_t i = 0; i < n; i++) {
    if (!bit(mask, i)) continue;
    codes.push_back(static_cast<uint8_t>(random_u64(seed + 3, i) % clusters));
    dense[i] = codebook[codes.back()];
  }
  RunHistogram runs;
  CHECK(run_histogram(Job(), mask.data(), n, runs));
  CHECK(runs.kept == codes.size());
  const Plain plain = plain_gaps(mask, 0, n, alphabet, bits, codes.data());
  uint64_t counts[256], expected[256] = {}, fillers = 0;
  escape_counts(runs, alphabet, counts);
  for (uint8_t g : plain.escape) expected[g]++;
  CHECK(std::memcmp(counts, expected, sizeof counts) == 0);
  relative_counts(runs, bits, counts, &fillers);
  std::memset(expected, 0, sizeof expected);
  for (uint8_t g : plain.gaps) expected[g]++;
  CHECK(std::memcmp(counts, expected, sizeof counts) == 0);
  CHECK(fillers == plain.gaps.size() - codes.size());

  // Blocks of 100 weights kept.
  const uint64_t per_block = 100;
  std::vector<uint64_t> starts(codes.size() / per_block + 3);
  size_t blocks = 0;
  uint64_t kept_total = 0;
  CHECK(block_starts(Job(), mask.data(), n, per_block, starts.data(), starts.size(), &blocks, &kept_total));
  CHECK(kept_total == codes.size());
  CHECK(blocks == (codes.size() + per_block - 1) / per_block);

  Levels all = levels();
  for (int l = 0; l < all.count; l++) {
    const CpuLevel level = all.level[l];
    const size_t room = static_cast<size_t>(escape_room(codes.size(), n, alphabet));
    Guarded<uint8_t> gaps(room);
    size_t symbols = 0;
    CHECK(escape_gaps(level, mask.data(), 0, n, alphabet, gaps.data(), room, &symbols));
    CHECK(std::vector<uint8_t>(gaps.data(), gaps.data() + symbols) == plain.escape);
    CHECK(!plain.escape.size() ||
          escape_gaps(level, mask.data(), 0, n, alphabet, gaps.data(), plain.escape.size() - 1, &symbols).status ==
              Status::arg);

    Guarded<uint8_t> exact_gaps(plain.escape.size()), exact_codes(codes.size());
    if (!codes.empty())
      std::memcpy(exact_gaps.data(), plain.escape.data(), plain.escape.size()),
          std::memcpy(exact_codes.data(), codes.data(), codes.size());
    Guarded<float> values(n), exact_codebook(clusters);
    std::memcpy(exact_codebook.data(), codebook.data(), clusters * sizeof(float));
    uint64_t end = 0, kept = 0;
    for (size_t i = 0; i < n; i++) values[i] = -7;
    CHECK(scatter_escape(level, exact_gaps.data(), exact_gaps.size(), alphabet, exact_codes.data(), codes.size(),
                         exact_codebook.data(), clusters, values.data(), n, &end));
    CHECK(n == 0 || std::memcmp(values.data(), dense.data(), n * sizeof(float)) == 0);
    uint64_t expected_end = 0;
    for (uint64_t i = 0; i < n; i++) expected_end = bit(mask, i) ? i + 1 : expected_end;
    CHECK(end == expected_end);
    // Into memory that is said to be zero, kept weights are written and nothing else.
    std::vector<float> only_kept(n, -7.0f);
    for (uint64_t i = 0; i < n; i++) only_kept[i] = bit(mask, i) ? dense[i] : -7.0f;
    for (size_t i = 0; i < n; i++) values[i] = -7;
    CHECK(scatter_escape(level, exact_gaps.data(), exact_gaps.size(), alphabet, exact_codes.data(), codes.size(),
                         exact_codebook.data(), clusters, values.data(), n, &end, true));
    CHECK(n == 0 || std::memcmp(values.data(), only_kept.data(), n * sizeof(float)) == 0);

    // The same, a block at a time, into one mask that is set from bit 13 on and into one dense array.
    Guarded<uint32_t> whole((n + 13 + 31) / 32);
    std::vector<float> dense_blocks(n, -3.0f);
    size_t code_at = 0;
    for (size_t b = 0; b < blocks; b++) {
      const uint64_t begin = starts[b], stop = b + 1 == blocks ? n : starts[b + 1];
      CHECK(escape_gaps(level, mask.data(), begin, stop, alphabet, gaps.data(), room, &symbols));
      const size_t in_block = b + 1 == blocks ? codes.size() - code_at : per_block;
      CHECK(scatter_escape(level, gaps.data(), symbols, alphabet, codes.data() + code_at, in_block, codebook.data(),
                           clusters, dense_blocks.data() + begin, stop - begin, &end));
      CHECK(b + 1 == blocks || end == stop - begin);
      CHECK(mask_escape(level, gaps.data(), symbols, alphabet, whole.data(), begin + 13, stop - begin, &kept, &end));
      CHECK(kept == in_block);
      code_at += in_block;
    }
    if (blocks) CHECK(dense_blocks == dense);
    bool same = true;
    for (uint64_t i = 0; i < n; i++) same = same && (whole[(i + 13) >> 5] >> ((i + 13) & 31) & 1) == bit(mask, i);
    CHECK(same);

    // Relative form.
    const size_t paper_room = static_cast<size_t>(relative_room(codes.size(), n, bits));
    std::vector<uint8_t> paper(paper_room), entries(paper_room);
    CHECK(relative_gaps(level, mask.data(), 0, n, bits, codes.data(), paper.data(), entries.data(), paper_room,
                        &symbols));
    paper.resize(symbols), entries.resize(symbols);
    CHECK(paper == plain.gaps && entries == plain.entries);
    std::fill(values.data(), values.data() + n, -7.0f);
    CHECK(scatter_relative(level, paper.data(), entries.data(), symbols, bits, codebook.data(), clusters, values.data(),
                           n, &end));
    CHECK(n == 0 || std::memcmp(values.data(), dense.data(), n * sizeof(float)) == 0);
    std::fill(values.data(), values.data() + n, -7.0f);
    CHECK(scatter_relative(level, paper.data(), entries.data(), symbols, bits, codebook.data(), clusters, values.data(),
                           n, &end, true));
    CHECK(n == 0 || std::memcmp(values.data(), only_kept.data(), n * sizeof(float)) == 0);
    Guarded<uint32_t> from_paper((n + 31) / 32);
    Guarded<uint8_t> compact(codes.size());
    CHECK(mask_relative(level, paper.data(), entries.data(), symbols, bits, from_paper.data(), 0, n, compact.data(),
                        &kept, &end));
    CHECK(kept == codes.size() && end == expected_end);
    CHECK(mask.empty() || std::memcmp(from_paper.data(), mask.data(), mask.size() * 4) == 0);
    CHECK(codes.empty() || std::memcmp(compact.data(), codes.data(), codes.size()) == 0);

    // The whole tensor at once, in parallel.
    RelativePlan plan;
    Job job;
    job.level = level;
    CHECK(plan_relative_index(job, mask.data(), n, bits, codes.data(), codes.size(), plan));
    CHECK(plan.kept == codes.size() && plan.fillers == plain.gaps.size() - codes.size() && plan.index_bits == bits);
    Guarded<uint8_t> whole_gaps(plain.gaps.size()), whole_entries(plain.gaps.size());
    CHECK(encode_relative_index(job, mask.data(), n, bits, codes.data(), codes.size(), whole_gaps.data(),
                                whole_entries.data(), plain.gaps.size()));
    CHECK(std::vector<uint8_t>(whole_gaps.data(), whole_gaps.data() + plain.gaps.size()) == plain.gaps);
    CHECK(std::vector<uint8_t>(whole_entries.data(), whole_entries.data() + plain.gaps.size()) == plain.entries);
    std::memset(compact.data(), 99, codes.size());
    CHECK(decode_relative_index(job, whole_gaps.data(), whole_entries.data(), plain.gaps.size(), bits,
                                from_paper.data(), n, compact.data(), codes.size()));
    CHECK(mask.empty() || std::memcmp(from_paper.data(), mask.data(), mask.size() * 4) == 0);
    CHECK(codes.empty() || std::memcmp(compact.data(), codes.data(), codes.size()) == 0);
    CHECK(decode_relative_index(job, whole_gaps.data(), whole_entries.data(), plain.gaps.size(), bits,
                                from_paper.data(), n, compact.data(), codes.size() + 1)
              .status == Status::arg);

    // Mask and codes -> dense, from an odd position on.
    const uint64_t from = n > 40 ? 37 : 0;
    size_t skipped = 0;
    for (uint64_t i = 0; i < from; i++) skipped += bit(mask, i);
    std::fill(values.data(), values.data() + n, -7.0f);
    CHECK(expand_masked(level, mask.data(), from, n, codes.data() + skipped, codes.size() - skipped, codebook.data(),
                        clusters, values.data() + from));
    CHECK(n == from || std::memcmp(values.data() + from, dense.data() + from, (n - from) * sizeof(float)) == 0);
    if (codes.size() > skipped) {
      CHECK(expand_masked(level, mask.data(), from, n, codes.data() + skipped, codes.size() - skipped - 1,
                          codebook.data(), clusters, values.data() + from)
                .status == Status::index);
    }

    // One position less than the last weight needs; a code too many; a code past the codebook.
    if (expected_end) {
      CHECK(scatter_escape(level, exact_gaps.data(), exact_gaps.size(), alphabet, exact_codes.data(), codes.size(),
                           exact_codebook.data(), clusters, values.data(), expected_end - 1, &end)
                .status == Status::index);
      CHECK(scatter_escape(level, exact_gaps.data(), exact_gaps.size(), alphabet, exact_codes.data(), codes.size() - 1,
                           exact_codebook.data(), clusters, values.data(), n, &end)
                .status == Status::index);
      Guarded<uint32_t> small((expected_end - 1 + 31) / 32);
      CHECK(mask_escape(level, exact_gaps.data(), exact_gaps.size(), alphabet, small.data(), 0, expected_end - 1, &kept,
                        &end)
                .status == Status::index);
      CHECK(mask_relative(level, paper.data(), entries.data(), symbols, bits, small.data(), 0, expected_end - 1,
                          compact.data(), &kept, &end)
                .status == Status::index);
      const uint8_t good = exact_codes[codes.size() / 2];
      exact_codes[codes.size() / 2] = static_cast<uint8_t>(clusters);
      CHECK(scatter_escape(level, exact_gaps.data(), exact_gaps.size(), alphabet, exact_codes.data(), codes.size(),
                           exact_codebook.data(), clusters, values.data(), n, &end)
                .status == Status::value);
      exact_codes[codes.size() / 2] = good;
    }
  }
}

void rules_are_kept() {
  Levels all = levels();
  for (int l = 0; l < all.count; l++) {
    const CpuLevel level = all.level[l];
    uint64_t end, kept;
    float out[64], codebook[2] = {1, 2};
    uint32_t mask[2] = {};
    uint8_t codes[4] = {0, 1, 0, 1};
    const uint8_t trailing_escape[] = {3, 15}, past_alphabet[] = {16, 3}, fine[] = {15, 3};
    CHECK(scatter_escape(level, trailing_escape, 2, 16, codes, 1, codebook, 2, out, 64, &end).status == Status::index);
    CHECK(mask_escape(level, trailing_escape, 2, 16, mask, 0, 64, &kept, &end).status == Status::index);
    CHECK(scatter_escape(level, past_alphabet, 2, 16, codes, 2, codebook, 2, out, 64, &end).status == Status::index);
    mask[0] = mask[1] = 0;
    CHECK(mask_escape(level, fine, 2, 16, mask, 0, 64, &kept, &end) && kept == 1 && end == 19 && mask[0] == 1u << 18);
    // FIELD.md part 3: gap g advances g + 1; filler 15 advances 16.
    const uint8_t gaps[] = {15, 2}, entries[] = {0, 1}, filler_last[] = {1, 0}, wrong_filler[] = {14, 2};
    CHECK(scatter_relative(level, gaps, entries, 2, 4, codebook, 2, out, 64, &end) && end == 19 && out[18] == 1.0f &&
          out[15] == 0.0f);
    CHECK(scatter_relative(level, gaps, filler_last, 2, 4, codebook, 2, out, 64, &end).status == Status::index);
    CHECK(scatter_relative(level, wrong_filler, entries, 2, 4, codebook, 2, out, 64, &end).status == Status::index);
  }
}

void long_runs() {
  // 3 weights in 5 million positions, runs across the pieces of the histogram.
  const uint64_t n = 5000000;
  std::vector<uint32_t> mask((n + 31) / 32);
  for (uint64_t i : {uint64_t{1}, uint64_t{3000000}, n - 1}) mask[i >> 5] |= 1u << (i & 31);
  RunHistogram runs;
  CHECK(run_histogram(Job(), mask.data(), n, runs));
  CHECK(runs.kept == 3 && runs.counts[1] == 1 && runs.longer.size() == 2);
  CHECK(runs.longer[0] == 2999998 && runs.longer[1] == n - 1 - 3000001);
  double bytes = 0;
  const unsigned best = best_alphabet(runs, 65536, ModeChoice::automatic, &bytes);
  for (unsigned alphabet = 2; alphabet <= 256; alphabet *= 2) {
    uint64_t counts[256];
    Model model;
    escape_counts(runs, alphabet, counts);
    build_model(counts, 65536, ModeChoice::automatic, model);
    CHECK(coded_bytes(model, counts, 65536) + 0.0005 * static_cast<double>(counts[alphabet - 1]) >= bytes);
    CHECK(alphabet != best || coded_bytes(model, counts, 65536) == bytes);
  }
}

void planes() {
  for (size_t n : {size_t{0}, size_t{1}, size_t{15}, size_t{16}, size_t{17}, size_t{1000}, size_t{70001}}) {
    Guarded<float> values(n), back(n);
    Guarded<uint8_t> all_planes(4 * n);
    for (size_t i = 0; i < n; i++) {
      const uint32_t u = static_cast<uint32_t>(random_u64(4, i));
      std::memcpy(&values[i], &u, 4);
    }
    for (int l = 0; l < levels().count; l++) {
      Job job;
      job.level = levels().level[l];
      CHECK(split_planes(job, values.data(), n, all_planes.data(), n));
      if (n) {
        uint32_t u;
        std::memcpy(&u, &values[0], 4);
        CHECK(all_planes[3 * n] == (u >> 23 & 255) && (all_planes[0] & 1) == u >> 31 &&
              all_planes[2 * n] == (u >> 15 & 255));
      }
      CHECK(merge_planes(job, all_planes.data(), n, back.data(), n));
      CHECK(n == 0 || std::memcmp(values.data(), back.data(), n * 4) == 0);
    }
  }
}

}  // namespace

int main() {
  rules_are_kept();
  long_runs();
  planes();
  const uint64_t sizes[] = {0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 1000, 4097, 20000};
  uint64_t seed = 1;
  for (uint64_t n : sizes) {
    for (double density : {0.0, 0.003, 0.04, 0.3, 1.0}) {
      const unsigned alphabets[] = {2, 3, 16, 64, 200, 256}, bits[] = {2, 3, 4, 5, 8, 8};
      for (int k = 0; k < 6; k++) one(n, density, alphabets[k], bits[k], seed++);
    }
  }
  return finish();
}
