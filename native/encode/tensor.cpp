#include "tensor.h"

#include <cmath>
#include <cstring>

#include "../base/bits.h"
#include "../base/mask.h"
#include "../base/memory.h"
#include "../container/codebook.h"
#include "block.h"
#include "context.h"
#include "gaps.h"
#include "histogram.h"
#include "planes.h"

namespace dc {

namespace {

constexpr uint64_t kSparseBlockEntries = 32768;  // at least, where the tensor has as many
constexpr unsigned kDenseBlockLog2 = 16;
// A dense layout must be this much smaller than the sparse one to be taken: it has more symbols to decode.
constexpr double kDenseAdvantage = 0.995;
// Layout context is a hundred times slower to decode: it must be this much smaller to be taken; where decoding takes no
// time anyway, smaller at all.
constexpr double kContextAdvantage = 0.995;
constexpr uint64_t kContextAnyway = 65536;

uint64_t ceil_bits(double bits) noexcept { return static_cast<uint64_t>(std::ceil(bits)); }

size_t put_varint(uint8_t* out, uint64_t value) noexcept {
  size_t n = 0;
  for (; value >= 128; value >>= 7) out[n++] = static_cast<uint8_t>(128 | (value & 127));
  out[n++] = static_cast<uint8_t>(value);
  return n;
}

unsigned sparse_block_log2(uint64_t elements, uint64_t kept) noexcept {
  unsigned log2 = kDenseBlockLog2;
  const double density = static_cast<double>(kept) / static_cast<double>(elements);
  while (log2 < kBlockLog2Most && static_cast<double>(uint64_t{1} << log2) * density < kSparseBlockEntries) log2++;
  return log2;
}

// What one stream of a tensor is coded with.
struct Stream {
  Model model;
  EncodeTable table;
  uint8_t serialized[kMaxModelBytes];
  size_t serialized_bytes = 0;
  double bytes = 0;    // estimate, model included
  double entropy = 0;  // bits

  void build(const uint64_t counts[256], uint64_t block_symbols, ModeChoice choice) noexcept {
    build_model(counts, block_symbols, choice, model);
    serialized_bytes = serialize_model(model, serialized);
    bytes = coded_bytes(model, counts, block_symbols);
    entropy = entropy_bits(counts);
  }
};

// Blocks are encoded side by side into scratch places of their greatest size and then moved together.
struct Place {
  uint64_t kept = 0, kept_before = 0, gaps = 0;
  uint64_t scratch = 0;  // offset of the scratch place
  size_t index_bytes = 0, code_bytes = 0;
};

// Everything about one layout but its blocks: descriptor fields, models, estimated size.
class Candidate {
 public:
  TensorDescriptor d;
  Array<Stream> streams;  // codes, gaps
  double bytes = 0;

  [[nodiscard]] bool prepare() noexcept { return streams.size() == 2 || streams.reset(2); }
  Stream& codes() noexcept { return streams[0]; }
  Stream& gaps() noexcept { return streams[1]; }
};

Result check_input(const Job& job, const QuantizedInput& in, float* codebook, bool& source_order,
                   uint64_t counts[256]) noexcept {
  if (in.clusters < 1 || in.clusters > kClustersMost || in.kept > in.elements) return fail(Status::arg);
  if (!in.mask && in.kept != in.elements) return fail(Status::arg);
  if (in.mask) {
    if (count_mask(job.level, in.mask, in.elements) != in.kept) return fail(Status::arg);
    const unsigned used = in.elements % kMaskBits;
    if (used && in.mask[in.elements / kMaskBits] >> used) return fail(Status::arg);
  }
  for (unsigned i = 0; i < in.clusters; i++) {
    if (!std::isfinite(in.codebook[i])) return fail(Status::nonfinite, i);
    codebook[i] = in.codebook[i] == 0 ? 0.0f : in.codebook[i];
  }
  source_order = !strictly_increasing(codebook, in.clusters);
  const Result result = histogram(job, in.codes, in.kept, counts);
  if (!result) return result;
  for (unsigned s = in.clusters; s < 256; s++) {
    if (counts[s]) return fail(Status::value, s);
  }
  return {};
}

void shift_counts(const uint64_t counts[256], uint64_t zeros, uint64_t shifted[256]) noexcept {
  std::memcpy(shifted + 1, counts, 255 * sizeof(uint64_t));
  shifted[0] = zeros;
}

Result plan_dense(const QuantizedInput& in, const uint64_t counts[256], ModeChoice entropy, Candidate& c) noexcept {
  if (!c.prepare()) return fail(Status::nomem);
  c.d.layout = Layout::dense;
  c.d.block_log2 = kDenseBlockLog2;
  if (!c.d.pruned) {
    c.codes().build(counts, uint64_t{1} << kDenseBlockLog2, entropy);
  } else {
    uint64_t shifted[256];
    shift_counts(counts, in.elements - in.kept, shifted);
    c.codes().build(shifted, uint64_t{1} << kDenseBlockLog2, entropy);
  }
  c.bytes = c.codes().bytes;
  return {};
}

Result plan_sparse(const QuantizedInput& in, const RunHistogram& runs, const uint64_t counts[256],
                   const TensorOptions& options, Candidate& c) noexcept {
  if (!c.prepare()) return fail(Status::nomem);
  c.d.layout = Layout::sparse;
  c.d.block_log2 = sparse_block_log2(in.elements, in.kept);
  const uint64_t blocks = tensor_blocks(c.d), block_symbols = in.kept / blocks + 1;
  const unsigned alphabet =
      options.index_bits ? 1u << options.index_bits : best_alphabet(runs, block_symbols, options.entropy, nullptr);
  c.d.escape = alphabet - 1;
  uint64_t gap_counts[256];
  escape_counts(runs, alphabet, gap_counts);
  c.codes().build(counts, block_symbols, options.entropy);
  c.gaps().build(gap_counts, block_symbols + gap_counts[alphabet - 1] / blocks, options.entropy);
  c.bytes = c.codes().bytes + c.gaps().bytes;
  return {};
}

Result plan_relative(const QuantizedInput& in, const RunHistogram& runs, const uint64_t counts[256],
                     const TensorOptions& options, Candidate& c) noexcept {
  Candidate trial;
  if (!c.prepare() || !trial.prepare()) return fail(Status::nomem);
  c.d.layout = Layout::relative;
  c.d.block_log2 = sparse_block_log2(in.elements, in.kept);
  const uint64_t blocks = tensor_blocks(c.d);
  c.bytes = -1;
  for (unsigned bits = kIndexBitsLeast; bits <= kIndexBitsMost; bits++) {
    if (options.index_bits && bits != options.index_bits) continue;
    uint64_t gap_counts[256], shifted[256], fillers = 0;
    relative_counts(runs, bits, gap_counts, &fillers);
    shift_counts(counts, fillers, shifted);
    const uint64_t block_symbols = (in.kept + fillers) / blocks + 1;
    trial.codes().build(shifted, block_symbols, options.entropy);
    trial.gaps().build(gap_counts, block_symbols, options.entropy);
    const double bytes = trial.codes().bytes + trial.gaps().bytes;
    if (c.bytes >= 0 && bytes >= c.bytes) continue;
    c.bytes = bytes;
    c.d.index_bits = bits;
    c.codes() = trial.codes();
    c.gaps() = trial.gaps();
  }
  return {};
}

// The models are of the whole tensor, but gaps restart in every block, so the runs that cross a border differ: counts
// are taken again, by block. Fills places[] and, for gap streams, the counts of all blocks together.
Result count_blocks(const Job& job, const QuantizedInput& in, const TensorDescriptor& d, Array<Place>& places,
                    uint64_t gap_counts[256]) noexcept {
  const uint64_t blocks = tensor_blocks(d);
  std::memset(gap_counts, 0, 256 * sizeof(uint64_t));
  if (!places.reset_zeroed(blocks)) return fail(Status::nomem);
  Result result = parallel(job, blocks, [&](size_t b, unsigned) {
    const uint64_t begin = b << d.block_log2, positions = block_positions(d, b);
    // A block begins at a whole word of the mask.
    places[b].kept = in.mask ? count_mask(job.level, in.mask + begin / kMaskBits, positions) : positions;
  });
  if (!result) return result;
  uint64_t before = 0;
  for (uint64_t b = 0; b < blocks; b++) {
    places[b].kept_before = before;
    before += places[b].kept;
  }
  return {};
}

uint64_t gap_room(const TensorDescriptor& d, uint64_t kept, uint64_t positions) noexcept {
  if (d.layout == Layout::sparse) return escape_room(kept, positions, d.escape + 1);
  return d.layout == Layout::relative ? relative_room(kept, positions, d.index_bits) : 0;
}

uint64_t code_room(const TensorDescriptor& d, uint64_t kept, uint64_t positions) noexcept {
  return d.layout == Layout::sparse ? kept : d.layout == Layout::dense ? positions : gap_room(d, kept, positions);
}

// Symbols of one block: gaps to `gaps`, code symbols to `codes` unless they can be read where they are.
struct BlockSymbols {
  const uint8_t* codes = nullptr;
  size_t code_count = 0;
  size_t gap_count = 0;
};

Result block_symbols(const Job& job, const QuantizedInput& in, const TensorDescriptor& d, const Place& place,
                     uint64_t b, uint8_t* gaps, uint8_t* codes, size_t capacity, BlockSymbols& out) noexcept {
  const uint64_t begin = b << d.block_log2, positions = block_positions(d, b);
  const uint8_t* own = in.codes + place.kept_before;
  if (d.layout == Layout::sparse) {
    out.codes = own;
    out.code_count = place.kept;
    return escape_gaps(job.level, in.mask, begin, begin + positions, d.escape + 1, gaps, capacity, &out.gap_count);
  }
  if (d.layout == Layout::relative) {
    const Result result = relative_gaps(job.level, in.mask, begin, begin + positions, d.index_bits, own, gaps, codes,
                                        capacity, &out.gap_count);
    out.codes = codes;
    out.code_count = out.gap_count;
    return result;
  }
  out.code_count = positions;
  if (!d.pruned) {
    out.codes = own;
    return {};
  }
  out.codes = codes;
  size_t next = 0;
  for (uint64_t i = 0; i < positions; i++) {
    codes[i] = mask_bit(in.mask, begin + i) ? static_cast<uint8_t>(own[next++] + 1) : uint8_t{0};
  }
  return {};
}

// Encodes all blocks into scratch places and notes their sizes.
Result encode_blocks(const Job& job, const QuantizedInput& in, Candidate& c, Array<Place>& places,
                     Array<uint8_t>& scratch) noexcept {
  const TensorDescriptor& d = c.d;
  const uint64_t blocks = places.size();
  uint64_t scratch_bytes = 0, most_gaps = 0, most_codes = 0;
  for (uint64_t b = 0; b < blocks; b++) {
    const uint64_t positions = block_positions(d, b);
    const uint64_t gaps = gap_room(d, places[b].kept, positions), codes = code_room(d, places[b].kept, positions);
    most_gaps = gaps > most_gaps ? gaps : most_gaps;
    most_codes = codes > most_codes ? codes : most_codes;
    places[b].scratch = scratch_bytes;
    scratch_bytes += block_bound(gaps) + block_bound(codes);
  }
  const uint64_t per_worker = most_gaps + most_codes;
  Array<uint8_t> symbols;
  Array<Result> results;
  if (!scratch.reset(scratch_bytes) || !symbols.reset(per_worker * job.threads) || !results.reset(blocks)) {
    return fail(Status::nomem);
  }
  const Result result = parallel(job, blocks, [&](size_t b, unsigned worker) {
    uint8_t* gaps = symbols.data() + worker * per_worker;
    uint8_t* codes = gaps + most_gaps;
    Place& place = places[b];
    BlockSymbols made;
    Job serial = job;
    serial.threads = 1;
    serial.pool = nullptr;
    results[b] =
        block_symbols(serial, in, d, place, b, gaps, codes, most_gaps > most_codes ? most_gaps : most_codes, made);
    if (!results[b]) return;
    place.gaps = made.gap_count;
    uint8_t* out = scratch.data() + place.scratch;
    if (has_gaps(d)) {
      results[b] = encode_block(serial, c.gaps().table, gaps, made.gap_count, out, block_bound(made.gap_count),
                                &place.index_bytes);
      if (!results[b]) return;
    }
    results[b] = encode_block(serial, c.codes().table, made.codes, made.code_count, out + place.index_bytes,
                              block_bound(made.code_count), &place.code_bytes);
    job.report(b, blocks);
  });
  if (!result) return result;
  for (uint64_t b = 0; b < blocks; b++) {
    if (!results[b]) return results[b];
  }
  return {};
}

// The entropies and the models of the gaps, from the symbols that the blocks really have.
Result recount_gaps(const Job& job, const QuantizedInput& in, Candidate& c, Array<Place>& places,
                    const uint64_t code_counts[256], ModeChoice entropy) noexcept {
  TensorDescriptor& d = c.d;
  const uint64_t blocks = places.size();
  uint64_t most = 0;
  for (uint64_t b = 0; b < blocks; b++) {
    const uint64_t room = gap_room(d, places[b].kept, block_positions(d, b));
    most = room > most ? room : most;
  }
  Array<uint8_t> symbols;
  Array<uint64_t> counts;
  Array<Result> results;
  if (!symbols.reset(2 * most * job.threads) || !counts.reset_zeroed(256 * job.threads) || !results.reset(blocks)) {
    return fail(Status::nomem);
  }
  Result result = parallel(job, blocks, [&](size_t b, unsigned worker) {
    uint8_t* gaps = symbols.data() + 2 * most * worker;
    BlockSymbols made;
    Job serial = job;
    serial.threads = 1;
    serial.pool = nullptr;
    results[b] = block_symbols(serial, in, d, places[b], b, gaps, gaps + most, most, made);
    if (!results[b]) return;
    places[b].gaps = made.gap_count;
    uint64_t own[256];
    results[b] = histogram(serial, gaps, made.gap_count, own);
    for (int s = 0; s < 256; s++) counts[256 * worker + s] += own[s];
  });
  if (!result) return result;
  uint64_t gap_counts[256] = {}, gaps = 0;
  for (unsigned worker = 0; worker < job.threads; worker++) {
    for (int s = 0; s < 256; s++) gap_counts[s] += counts[256 * worker + s];
  }
  for (uint64_t b = 0; b < blocks; b++) {
    if (!results[b]) return results[b];
    gaps += places[b].gaps;
  }
  d.extra_gaps = gaps - in.kept;
  c.gaps().build(gap_counts, gaps / blocks + 1, entropy);
  if (d.layout == Layout::relative) {
    uint64_t shifted[256];
    shift_counts(code_counts, d.extra_gaps, shifted);
    c.codes().build(shifted, gaps / blocks + 1, entropy);
  }
  return {};
}

class Output {
 public:
  Output(uint8_t* out, uint64_t capacity) noexcept : out_(out), capacity_(capacity) {}
  uint8_t* take(uint64_t bytes) noexcept {
    if (bytes > capacity_ - used_) return nullptr;
    uint8_t* p = out_ + used_;
    used_ += bytes;
    return p;
  }
  bool put(const uint8_t* bytes, uint64_t size) noexcept {
    uint8_t* p = take(size);
    if (p && size) std::memcpy(p, bytes, size);
    return p != nullptr;
  }
  bool varint(uint64_t value) noexcept {
    uint8_t bytes[10];
    return put(bytes, put_varint(bytes, value));
  }
  uint64_t used() const noexcept { return used_; }

 private:
  uint8_t* out_;
  uint64_t capacity_, used_ = 0;
};

Result write_payload(const Job& job, const float* codebook, Candidate& c, const Array<Place>& places,
                     const Array<uint8_t>& scratch, uint8_t* bytes, uint64_t capacity) noexcept {
  TensorDescriptor& d = c.d;
  const bool gaps = has_gaps(d);
  Output out(bytes, capacity);
  uint8_t* book = out.take(d.codebook_bytes);
  if (!book) return fail(Status::arg);
  write_codebook(codebook, d.clusters, d.codebook_form, book, d.codebook_bytes);
  bool room = out.put(c.codes().serialized, c.codes().serialized_bytes);
  if (gaps) room = room && out.put(c.gaps().serialized, c.gaps().serialized_bytes);
  d.table_bytes = out.used() - d.codebook_bytes;
  const uint64_t blocks = places.size();
  for (uint64_t b = 0; b + 1 < blocks; b++) {
    if (gaps) {
      room = room && out.varint(places[b].kept) && out.varint(places[b].gaps - places[b].kept) &&
             out.varint(places[b].index_bytes);
    }
    room = room && out.varint(places[b].code_bytes);
  }
  for (uint64_t b = 0; b < blocks; b++) {
    d.index_bytes += places[b].index_bytes;
    d.code_bytes += places[b].code_bytes;
  }
  const uint64_t first = out.used();
  if (!room || !out.take(d.index_bytes + d.code_bytes)) return fail(Status::arg);
  d.stored_bytes = out.used();
  Array<uint64_t> at;
  if (!at.reset(blocks)) return fail(Status::nomem);
  uint64_t end = first;
  for (uint64_t b = 0; b < blocks; b++) {
    at[b] = end;
    end += places[b].index_bytes + places[b].code_bytes;
  }
  return parallel(job, blocks, [&](size_t b, unsigned) {
    const size_t size = places[b].index_bytes + places[b].code_bytes;
    if (size) std::memcpy(bytes + at[b], scratch.data() + places[b].scratch, size);
  });
}

Result choose_layout(const Job& job, const QuantizedInput& in, const TensorOptions& options, const uint64_t counts[256],
                     Candidate& best) noexcept {
  const bool room_for_zero = in.clusters < kClustersMost;
  const LayoutChoice layout = options.layout;
  if (layout == LayoutChoice::relative && !room_for_zero) return fail(Status::arg);
  if (layout == LayoutChoice::dense || (layout == LayoutChoice::automatic && !best.d.pruned)) {
    return best.d.pruned && !room_for_zero ? fail(Status::arg) : plan_dense(in, counts, options.entropy, best);
  }
  RunHistogram runs;
  Result result = run_histogram(job, in.mask, in.elements, runs);
  if (!result) return result;
  if (layout == LayoutChoice::relative) return plan_relative(in, runs, counts, options, best);
  result = plan_sparse(in, runs, counts, options, best);
  if (!result || layout == LayoutChoice::sparse || !room_for_zero) return result;
  Candidate dense;
  dense.d = best.d;
  dense.d.escape = 0;
  result = plan_dense(in, counts, options.entropy, dense);
  if (result && dense.bytes < kDenseAdvantage * best.bytes) best = static_cast<Candidate&&>(dense);
  return result;
}

}  // namespace

uint64_t quantized_bound(uint64_t elements, uint64_t kept, unsigned clusters) noexcept {
  // A stream takes at most a byte a symbol but for its block's frame; gap symbols are at most kept + elements / 3
  // (index bits 2), or, with alphabet 2, one an element.
  const uint64_t blocks = (elements >> kDenseBlockLog2) + 1;
  return 4 * uint64_t{clusters} + 2 * kMaxModelBytes + blocks * (2 * block_bound(0) + 64) + 2 * kept + elements;
}

namespace {

// Everything that does not depend on the layout.
struct Checked {
  TensorDescriptor d;
  float codebook[kClustersMost];
  uint64_t counts[256];
};

Result encode_blocked(const Job& job, const QuantizedInput& input, const TensorOptions& options, const Checked& checked,
                      uint8_t* out, uint64_t capacity, TensorDescriptor& d) noexcept {
  Candidate c;
  c.d = checked.d;
  QuantizedInput in = input;
  Array<uint32_t> all;
  if (!c.d.pruned) in.mask = nullptr;
  if (!in.mask && options.layout != LayoutChoice::automatic && options.layout != LayoutChoice::dense) {
    if (!all.reset(mask_words(in.elements))) return fail(Status::nomem);
    std::memset(all.data(), 0xff, all.size() * 4);
    if (in.elements % kMaskBits) all[all.size() - 1] = (1u << in.elements % kMaskBits) - 1;
    in.mask = all.data();
  }
  Result result = choose_layout(job, in, options, checked.counts, c);
  if (!result) return result;
  Array<Place> places;
  uint64_t unused[256];
  result = count_blocks(job, in, c.d, places, unused);
  if (result && has_gaps(c.d)) result = recount_gaps(job, in, c, places, checked.counts, options.entropy);
  if (!result) return result;
  c.d.code_entropy_bits = ceil_bits(c.codes().entropy);
  result = build_encode_table(c.codes().model, c.codes().table);
  if (result && has_gaps(c.d)) {
    c.d.index_entropy_bits = ceil_bits(c.gaps().entropy);
    result = build_encode_table(c.gaps().model, c.gaps().table);
  }
  Array<uint8_t> scratch;
  if (result) result = encode_blocks(job, in, c, places, scratch);
  if (result) result = write_payload(job, checked.codebook, c, places, scratch, out, capacity);
  d = c.d;
  return result;
}

// DCZ-48. Status::arg when the capacity is short, or the tensor takes too few bytes for its bits (DCZ-38).
Result encode_contextual(const Job& job, const QuantizedInput& in, const TensorOptions& options, const Checked& checked,
                         uint8_t* out, uint64_t capacity, TensorDescriptor& d) noexcept {
  d = checked.d;
  d.layout = Layout::context;
  d.block_log2 = kContextElementsLog2;
  d.width = options.width >= 1 && options.width <= in.elements ? options.width : in.elements;
  d.width = d.width > kWidthMost ? kWidthMost : d.width;
  d.stride = d.pruned ? context_stride(job, in.mask, in.elements, d.width) : 1;
  d.code_entropy_bits = ceil_bits(entropy_bits(checked.counts));
  if (d.pruned) {
    uint64_t marks[256] = {in.elements - in.kept, in.kept};
    d.index_entropy_bits = ceil_bits(entropy_bits(marks));
  }
  if (capacity < d.codebook_bytes) return fail(Status::arg);
  write_codebook(checked.codebook, d.clusters, d.codebook_form, out, d.codebook_bytes);
  const Result result = encode_context(job, in, d.width, d.stride, out + d.codebook_bytes, capacity - d.codebook_bytes,
                                       &d.index_bytes, &d.code_bytes);
  d.stored_bytes = d.codebook_bytes + d.index_bytes + d.code_bytes;
  return result && !context_bits_fit(d) ? fail(Status::arg) : result;
}

// Puts the context layout into `out` where it is enough smaller than what is there.
Result improve_by_context(const Job& job, const QuantizedInput& in, const TensorOptions& options,
                          const Checked& checked, uint8_t* out, TensorDescriptor& d) noexcept {
  const double share = in.elements <= kContextAnyway ? 1 : kContextAdvantage;
  // Whole bytes below the share of what is there.
  const uint64_t most = static_cast<uint64_t>(std::ceil(share * static_cast<double>(d.stored_bytes))) - 1;
  Array<uint8_t> trial;
  TensorDescriptor made;
  if (!trial.reset(most)) return fail(Status::nomem);
  const Result result = encode_contextual(job, in, options, checked, trial.data(), most, made);
  if (result.status == Status::arg) return {};
  if (!result) return result;
  std::memcpy(out, trial.data(), made.stored_bytes);
  d = made;
  return {};
}

}  // namespace

Result encode_quantized(const Job& job, const QuantizedInput& input, const TensorOptions& options, uint8_t* out,
                        uint64_t capacity, TensorDescriptor& d) noexcept {
  d = TensorDescriptor();
  d.elements = input.elements;
  if (input.kept == 0) {  // DCZ-32
    const bool agrees = input.elements == 0 || (input.mask && count_mask(job.level, input.mask, input.elements) == 0);
    return agrees ? Result{} : fail(Status::arg);
  }
  Checked checked;
  checked.d = d;
  Result result = check_input(job, input, checked.codebook, checked.d.source_order, checked.counts);
  if (!result) return result;
  checked.d.kept = input.kept;
  checked.d.clusters = input.clusters;
  checked.d.pruned = input.kept < input.elements;
  size_t codebook_bytes;
  checked.d.codebook_form = smallest_form(checked.codebook, input.clusters, checked.d.source_order, &codebook_bytes);
  checked.d.codebook_bytes = codebook_bytes;
  if (options.layout == LayoutChoice::context) {
    if (input.elements > uint64_t{1} << kContextElementsLog2) return fail(Status::arg);
    return encode_contextual(job, input, options, checked, out, capacity, d);
  }
  result = encode_blocked(job, input, options, checked, out, capacity, d);
  const bool free = options.layout == LayoutChoice::automatic && options.entropy == ModeChoice::automatic &&
                    options.index_bits == 0 && input.elements <= uint64_t{1} << kContextElementsLog2;
  return result && free ? improve_by_context(job, input, options, checked, out, d) : result;
}

uint64_t raw_bound(uint64_t elements) noexcept { return 4 * elements; }

namespace {

constexpr size_t kRawBlock = size_t{1} << kDenseBlockLog2;

struct PlaneSizes {
  size_t bytes[4] = {};
};

// What one pass over the floats tells: a non-finite value, whether all are +0.0.
Result look(const Job& job, const float* values, uint64_t n, bool allow_nonfinite, bool& all_zero) noexcept {
  const size_t blocks = block_count(n);
  Array<uint64_t> bad;
  Array<uint8_t> zero;
  if (!bad.reset(blocks) || !zero.reset(blocks)) return fail(Status::nomem);
  Result result = parallel(job, blocks, [&](size_t b, unsigned) {
    const uint64_t begin = b * kBlockElements, end = n - begin < kBlockElements ? n : begin + kBlockElements;
    uint32_t any = 0, odd = 0;
    for (uint64_t i = begin; i < end; i++) {
      const uint32_t u = float_bits(values[i]);
      any |= u;
      odd |= (u & 0x7f800000u) == 0x7f800000u;
    }
    zero[b] = any == 0;
    bad[b] = UINT64_MAX;
    for (uint64_t i = begin; odd && i < end; i++) {
      if (!std::isfinite(values[i])) {
        bad[b] = i;
        break;
      }
    }
  });
  if (!result) return result;
  all_zero = true;
  for (size_t b = 0; b < blocks; b++) {
    all_zero = all_zero && zero[b];
    if (bad[b] != UINT64_MAX && !allow_nonfinite) return fail(Status::nonfinite, bad[b]);
  }
  return {};
}

}  // namespace

Result encode_raw(const Job& job, const float* values, uint64_t elements, ModeChoice entropy, bool allow_nonfinite,
                  uint8_t* out, uint64_t capacity, TensorDescriptor& d) noexcept {
  d = TensorDescriptor();
  d.elements = elements;
  bool all_zero = true;
  Result result = look(job, values, elements, allow_nonfinite, all_zero);
  if (!result || all_zero) return result;
  d.layout = Layout::raw;
  d.raw_form = RawForm::planes;
  d.block_log2 = kDenseBlockLog2;
  d.kept = elements;
  if (capacity < 4 * elements) return fail(Status::arg);

  const size_t blocks = tensor_blocks(d);
  const size_t longest = elements < kRawBlock ? elements : kRawBlock, room = block_bound(longest);
  Array<uint8_t> planes;
  Array<uint64_t> counts;
  Array<Stream> streams;
  if (!planes.reset(4 * longest * job.threads) || !counts.reset_zeroed(4 * 256 * job.threads) || !streams.reset(4)) {
    return fail(Status::nomem);
  }
  Job serial = job;
  serial.threads = 1;
  serial.pool = nullptr;
  result = parallel(job, blocks, [&](size_t b, unsigned worker) {
    uint8_t* mine = planes.data() + 4 * longest * worker;
    const size_t n = block_positions(d, b);
    uint64_t own[256];
    (void)split_planes(serial, values + b * kRawBlock, n, mine, longest);
    for (int k = 0; k < 4; k++) {
      (void)histogram(serial, mine + k * longest, n, own);
      for (int s = 0; s < 256; s++) counts[(4 * worker + k) * 256 + s] += own[s];
    }
    job.report(b, 2 * blocks);
  });
  if (!result) return result;
  double estimate = static_cast<double>(blocks);
  for (int k = 0; k < 4; k++) {
    uint64_t sum[256] = {};
    for (unsigned worker = 0; worker < job.threads; worker++) {
      for (int s = 0; s < 256; s++) sum[s] += counts[(4 * worker + k) * 256 + s];
    }
    streams[k].build(sum, kRawBlock, entropy);
    d.table_bytes += streams[k].serialized_bytes;
    estimate += streams[k].bytes;
    result = build_encode_table(streams[k].model, streams[k].table);
    if (!result) return result;
  }
  Array<uint8_t> scratch;
  Array<PlaneSizes> sizes;
  uint64_t body = 0;
  if (estimate < 4.0 * static_cast<double>(elements)) {
    if (!scratch.reset(4 * room * blocks) || !sizes.reset_zeroed(blocks)) return fail(Status::nomem);
    result = parallel(job, blocks, [&](size_t b, unsigned worker) {
      uint8_t* mine = planes.data() + 4 * longest * worker;
      uint8_t* to = scratch.data() + 4 * room * b;
      const size_t n = block_positions(d, b);
      (void)split_planes(serial, values + b * kRawBlock, n, mine, longest);
      for (int k = 0; k < 4; k++) {
        // Every symbol was counted and the room is block_bound: this cannot fail.
        (void)encode_block(serial, streams[k].table, mine + k * longest, n, to, room, &sizes[b].bytes[k]);
        to += sizes[b].bytes[k];
      }
      job.report(blocks + b, 2 * blocks);
    });
    if (!result) return result;
    uint8_t number[10];
    for (size_t b = 0; b < blocks; b++) {
      for (int k = 0; k < 4; k++) body += put_varint(number, sizes[b].bytes[k]) + sizes[b].bytes[k];
    }
  }
  if (sizes.size() == 0 || d.table_bytes + body >= 4 * elements) {
    d.raw_form = RawForm::stored;
    d.block_log2 = 0;
    d.table_bytes = 0;
    d.stored_bytes = 4 * elements;
    return parallel(job, block_count(elements), [&](size_t b, unsigned) {
      const uint64_t begin = b * kBlockElements;
      const uint64_t end = elements - begin < kBlockElements ? elements : begin + kBlockElements;
      for (uint64_t i = begin; i < end; i++) store_u32(out + 4 * i, float_bits(values[i]));
    });
  }
  Output writer(out, capacity);
  for (int k = 0; k < 4; k++) (void)writer.put(streams[k].serialized, streams[k].serialized_bytes);
  for (size_t b = 0; b < blocks; b++) {
    for (int k = 0; k < 4; k++) (void)writer.varint(sizes[b].bytes[k]);
  }
  for (size_t b = 0; b < blocks; b++) {
    size_t size = 0;
    for (int k = 0; k < 4; k++) size += sizes[b].bytes[k];
    if (!writer.put(scratch.data() + 4 * room * b, size)) return fail(Status::arg);
  }
  d.stored_bytes = writer.used();
  d.code_bytes = d.stored_bytes - d.table_bytes;
  return {};
}

}  // namespace dc
