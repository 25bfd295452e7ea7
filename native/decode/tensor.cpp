#include "tensor.h"

#include <cstring>

#include "../base/bits.h"
#include "../base/checked.h"
#include "../base/mask.h"
#include "../base/memory.h"
#include "../container/codebook.h"
#include "block.h"
#include "context.h"
#include "gaps.h"
#include "model.h"
#include "planes.h"

namespace dc {

namespace {

// Where a block's bytes are, and what they hold.
struct BlockPlace {
  uint64_t kept, kept_before, extra;
  uint64_t index_at, index_bytes, code_at, code_bytes;
};

struct PlanePlace {
  uint64_t at, bytes[4];
};

struct Cursor {
  const uint8_t* bytes;
  uint64_t at, end;
};

// DCZ-02
bool read_varint(Cursor& c, uint64_t& value) noexcept {
  value = 0;
  for (unsigned i = 0; i < kVarintBytesMost; i++) {
    if (c.at == c.end) return false;
    const uint8_t byte = c.bytes[c.at++];
    value |= static_cast<uint64_t>(byte & 127) << (7 * i);
    if (byte < 128) return (byte != 0 || i == 0) && value <= kWholeMost;
  }
  return false;
}

// A coded payload whose codebook, models and directory are checked.
class CodedPayload {
 public:
  float values[kClustersMost + 1] = {};  // by code symbol
  const float* codebook = values;
  Array<DecodeTable> tables;  // codes, gaps
  Array<BlockPlace> places;

  Result open(const TensorDescriptor& d, const uint8_t* payload, uint64_t size, const DecodeOptions& options) noexcept {
    uint64_t streams = d.codebook_bytes;
    if (size != d.stored_bytes || !checked_add(streams, d.table_bytes, streams)) return fail(Status::structure);
    const uint64_t directory = streams;
    if (!checked_add(streams, d.index_bytes, streams) || !checked_add(streams, d.code_bytes, streams) ||
        streams > size) {
      return fail(Status::structure);
    }
    values[0] = 0;
    codebook = zero_is_symbol(d) ? values + 1 : values;
    Result result = read_codebook(d, payload, options.allow_nonfinite, values + (zero_is_symbol(d) ? 1 : 0));
    if (!result) return result;
    if (!tables.reset(2)) return fail(Status::nomem);
    result = models(d, payload);
    return result ? blocks(d, payload, directory, size) : result;
  }

 private:
  // DCZ-40
  Result models(const TensorDescriptor& d, const uint8_t* payload) noexcept {
    uint64_t at = d.codebook_bytes;
    const uint64_t end = at + d.table_bytes;
    for (size_t i = 0; i < (has_gaps(d) ? 2u : 1u); i++) {
      size_t consumed = 0;
      const Result result = read_table(payload + at, end - at, tables[i], &consumed);
      if (!result) return fail(result.status, at);
      at += consumed;
    }
    return at == end ? Result{} : fail(Status::structure, at);
  }

  // DCZ-43
  Result blocks(const TensorDescriptor& d, const uint8_t* payload, uint64_t directory, uint64_t size) noexcept {
    const uint64_t count = tensor_blocks(d), first = size - d.index_bytes - d.code_bytes;
    const bool gaps = has_gaps(d);
    // Each entry has at least one byte a number: the count is bounded by bytes that are there.
    if ((count - 1) * (gaps ? 4 : 1) > first - directory) return fail(Status::structure, directory);
    if (!places.reset(count)) return fail(Status::nomem);
    Cursor c = {payload, directory, first};
    uint64_t kept = d.kept, extra = d.extra_gaps, index = d.index_bytes, code = d.code_bytes, at = first;
    for (uint64_t b = 0; b < count; b++) {
      BlockPlace& p = places[b];
      const uint64_t start = c.at, positions = block_positions(d, b);
      p.kept = gaps ? kept : positions;
      p.extra = extra;
      p.index_bytes = index;
      p.code_bytes = code;
      if (b + 1 < count) {
        const bool read =
            (!gaps || (read_varint(c, p.kept) && read_varint(c, p.extra) && read_varint(c, p.index_bytes))) &&
            read_varint(c, p.code_bytes);
        if (!read || (gaps && p.kept > kept) || p.extra > extra || p.index_bytes > index || p.code_bytes > code) {
          return fail(Status::structure, start);
        }
      }
      p.kept_before = d.kept - kept;
      if (gaps) {
        const uint64_t step = d.layout == Layout::sparse ? d.escape : uint64_t{1} << d.index_bits;
        if (p.kept > positions || p.extra > (positions - p.kept) / step) return fail(Status::index, start);
        kept -= p.kept;
      }
      p.index_at = at;
      p.code_at = at + p.index_bytes;
      at = p.code_at + p.code_bytes;
      extra -= p.extra;
      index -= p.index_bytes;
      code -= p.code_bytes;
    }
    return c.at == first ? Result{} : fail(Status::structure, c.at);
  }
};

// Symbols of one block.
struct Scratch {
  uint8_t* gaps;
  uint8_t* codes;
};

class Workers {
 public:
  [[nodiscard]] bool reset(const Job& job, const TensorDescriptor& d, const CodedPayload& p) noexcept {
    uint64_t most = 0;
    for (const BlockPlace *q = p.places.data(), *end = q + p.places.size(); q < end; q++) {
      most = q->kept + q->extra > most ? q->kept + q->extra : most;
    }
    each_ = most;
    streams_ = has_gaps(d) ? 2 : 1;
    return symbols_.reset(static_cast<size_t>(most) * streams_ * job.threads);
  }
  Scratch of(unsigned worker) noexcept {
    uint8_t* mine = symbols_.data() + each_ * streams_ * worker;
    return {mine, mine + each_ * (streams_ - 1)};
  }

 private:
  Array<uint8_t> symbols_;
  uint64_t each_ = 0, streams_ = 1;
};

// In runs whose count fits a byte, so that a compiler can count 16 or 32 symbols at a time.
uint64_t count_zero(const uint8_t* symbols, uint64_t n) noexcept {
  uint64_t zeros = 0, i = 0;
  for (; i + 240 <= n; i += 240) {
    uint8_t run = 0;
    for (unsigned k = 0; k < 240; k++) run = static_cast<uint8_t>(run + (symbols[i + k] == 0));
    zeros += run;
  }
  for (; i < n; i++) zeros += symbols[i] == 0;
  return zeros;
}

bool within(const uint8_t* symbols, uint64_t n, unsigned clusters) noexcept {
  uint8_t highest = 0;
  for (uint64_t i = 0; i < n; i++) highest = symbols[i] > highest ? symbols[i] : highest;
  return n == 0 || highest < clusters;
}

// Gap and code symbols of a block (DCZ-44).
Result block_symbols(const Job& job, const TensorDescriptor& d, const CodedPayload& p, const uint8_t* payload,
                     uint64_t b, const Scratch& to, uint64_t& code_count) noexcept {
  const BlockPlace& place = p.places[b];
  code_count = place.kept + (d.layout == Layout::relative ? place.extra : 0);
  if (has_gaps(d)) {
    const Result result =
        decode_block(job, p.tables[1], payload + place.index_at, place.index_bytes, to.gaps, place.kept + place.extra);
    if (!result) return fail(result.status, place.index_at);
  }
  const Result result = decode_block(job, p.tables[0], payload + place.code_at, place.code_bytes, to.codes, code_count);
  if (!result) return fail(result.status, place.code_at);
  if (d.layout == Layout::relative && count_zero(to.codes, code_count) != place.extra) {
    return fail(Status::index, place.index_at);
  }
  return {};
}

Result block_values(const Job& job, const TensorDescriptor& d, const CodedPayload& p, const uint8_t* payload,
                    uint64_t b, const Scratch& scratch, float* out, bool out_is_zero, uint64_t& zeros) noexcept {
  uint64_t codes = 0, end = 0;
  Result result = block_symbols(job, d, p, payload, b, scratch, codes);
  if (!result) return result;
  const BlockPlace& place = p.places[b];
  const uint64_t positions = block_positions(d, b);
  if (d.layout == Layout::sparse) {
    result = scatter_escape(job.level, scratch.gaps, place.kept + place.extra, d.escape + 1, scratch.codes, codes,
                            p.codebook, d.clusters, out, positions, &end, out_is_zero);
  } else if (d.layout == Layout::relative) {
    result = scatter_relative(job.level, scratch.gaps, scratch.codes, codes, d.index_bits, p.codebook, d.clusters, out,
                              positions, &end, out_is_zero);
  } else {
    if (d.pruned) zeros = count_zero(scratch.codes, codes);
    // p.values has an entry for each byte: a symbol that is no code reads a zero, and is refused.
    for (uint64_t i = 0; i < codes; i++) out[i] = p.values[scratch.codes[i]];
    if (!within(scratch.codes, codes, d.clusters + (d.pruned ? 1 : 0))) result = fail(Status::value);
  }
  return result ? result : fail(result.status, result.status == Status::value ? place.code_at : place.index_at);
}

Result first_failure(const Array<Result>& results) noexcept {
  for (size_t b = 0; b < results.size(); b++) {
    if (!results[b]) return results[b];
  }
  return {};
}

// A run of elements, cut into blocks; blocks at the ends may be wanted in part.
struct Range {
  uint64_t first, count, block_first, blocks;
  unsigned block_log2;
  Range(uint64_t f, uint64_t n, unsigned log2) noexcept
      : first(f), count(n), block_first(f >> log2), blocks(((f + n - 1) >> log2) - block_first + 1), block_log2(log2) {}
};

// Calls make(block, worker, to, partial) for each block, where `to` has room for the whole block, and copies what is
// wanted of blocks at the ends (`partial`: `to` is scratch, not a place of `out`).
template <typename F>
Result for_blocks(const Job& job, const TensorDescriptor& d, const Range& r, float* out, const F& make) noexcept {
  Array<Result> results;
  Array<float> part;  // at most two blocks are partial: the first and the last
  const uint64_t whole = uint64_t{1} << r.block_log2;
  const uint64_t longest = d.elements < whole ? d.elements : whole;
  const bool whole_first = (r.block_first << r.block_log2) == r.first;
  const uint64_t last = r.block_first + r.blocks - 1;
  const bool whole_last = (last << r.block_log2) + block_positions(d, last) == r.first + r.count;
  if (!results.reset(r.blocks)) return fail(Status::nomem);
  if ((!whole_first || !whole_last) && !part.reset(2 * longest)) return fail(Status::nomem);
  const Result result = parallel(job, r.blocks, [&](size_t i, unsigned worker) {
    const uint64_t b = r.block_first + i, begin = b << r.block_log2, end = begin + block_positions(d, b);
    const bool partial = begin < r.first || end > r.first + r.count;
    float* to = partial ? part.data() + (i == 0 ? 0 : longest) : out + (begin - r.first);
    results[i] = make(b, worker, to, partial);
    if (partial && results[i]) {
      const uint64_t from = begin < r.first ? r.first : begin,
                     until = end > r.first + r.count ? r.first + r.count : end;
      std::memcpy(out + (from - r.first), to + (from - begin), (until - from) * sizeof(float));
    }
    job.report(i + 1, r.blocks);
  });
  return result ? first_failure(results) : result;
}

Result coded_values(const Job& job, const TensorDescriptor& d, const uint8_t* payload, uint64_t size, uint64_t first,
                    uint64_t count, const DecodeOptions& options, float* out) noexcept {
  CodedPayload p;
  Workers workers;
  Array<uint64_t> zeros;
  Result result = p.open(d, payload, size, options);
  if (!result) return result;
  const Range range(first, count, d.block_log2);
  if (!workers.reset(job, d, p) || !zeros.reset_zeroed(range.blocks)) return fail(Status::nomem);
  result = for_blocks(job, d, range, out, [&](uint64_t b, unsigned worker, float* to, bool partial) {
    return block_values(job, d, p, payload, b, workers.of(worker), to, options.out_is_zero && !partial,
                        zeros[b - range.block_first]);
  });
  if (!result || d.layout != Layout::dense || !d.pruned || count != d.elements) return result;
  uint64_t pruned = 0;  // DCZ-42
  for (uint64_t b = 0; b < range.blocks; b++) pruned += zeros[b];
  return pruned == d.elements - d.kept ? Result{} : fail(Status::index, d.stored_bytes - d.code_bytes);
}

bool all_finite(const float* values, uint64_t n) noexcept {
  uint32_t odd = 0;
  for (uint64_t i = 0; i < n; i++) odd |= (float_bits(values[i]) & 0x7f800000u) == 0x7f800000u;
  return odd == 0;
}

Result stored_values(const Job& job, const TensorDescriptor& d, const uint8_t* payload, uint64_t size, uint64_t first,
                     uint64_t count, const DecodeOptions& options, float* out) noexcept {
  if (size != d.stored_bytes || size / 4 != d.elements || size % 4) return fail(Status::structure);
  Array<Result> results;
  const size_t blocks = block_count(count);
  if (!results.reset(blocks)) return fail(Status::nomem);
  const Result result = parallel(job, blocks, [&](size_t b, unsigned) {
    const uint64_t begin = b * kBlockElements, end = count - begin < kBlockElements ? count : begin + kBlockElements;
    for (uint64_t i = begin; i < end; i++) out[i] = bits_float(load_u32(payload + 4 * (first + i)));
    results[b] = Result{};
    if (options.allow_nonfinite || all_finite(out + begin, end - begin)) return;
    uint64_t odd = begin;
    while (all_finite(out + odd, 1)) odd++;
    results[b] = fail(Status::value, 4 * (first + odd));
  });
  return result ? first_failure(results) : result;
}

// DCZ-46
Result open_planes(const TensorDescriptor& d, const uint8_t* payload, uint64_t size, Array<DecodeTable>& tables,
                   Array<PlanePlace>& places) noexcept {
  if (size != d.stored_bytes || d.table_bytes > size) return fail(Status::structure);
  if (!tables.reset(4)) return fail(Status::nomem);
  uint64_t at = 0;
  for (int k = 0; k < 4; k++) {
    size_t consumed = 0;
    const Result result = read_table(payload + at, d.table_bytes - at, tables[k], &consumed);
    if (!result) return fail(result.status, at);
    at += consumed;
  }
  if (at != d.table_bytes) return fail(Status::structure, at);
  const uint64_t blocks = tensor_blocks(d);
  if (blocks > (size - at) / 4) return fail(Status::structure, at);
  if (!places.reset(blocks)) return fail(Status::nomem);
  Cursor c = {payload, at, size};
  uint64_t body = 0;
  for (uint64_t b = 0; b < blocks; b++) {
    const uint64_t entry = c.at;
    places[b].at = body;
    for (uint64_t& bytes : places[b].bytes) {
      if (!read_varint(c, bytes) || bytes > size - body) return fail(Status::structure, entry);
      body += bytes;
    }
  }
  if (body != size - c.at) return fail(Status::structure, c.at);
  for (uint64_t b = 0; b < blocks; b++) places[b].at += c.at;
  return {};
}

Result plane_values(const Job& job, const TensorDescriptor& d, const uint8_t* payload, uint64_t size, uint64_t first,
                    uint64_t count, const DecodeOptions& options, float* out) noexcept {
  Array<DecodeTable> tables;
  Array<PlanePlace> places;
  const Result result = open_planes(d, payload, size, tables, places);
  if (!result) return result;
  const uint64_t whole = uint64_t{1} << d.block_log2, longest = d.elements < whole ? d.elements : whole;
  Array<uint8_t> planes;
  if (!planes.reset(4 * longest * job.threads)) return fail(Status::nomem);
  Job serial = job;
  serial.threads = 1;
  serial.pool = nullptr;
  return for_blocks(job, d, Range(first, count, d.block_log2), out, [&](uint64_t b, unsigned worker, float* to, bool) {
    uint8_t* mine = planes.data() + 4 * longest * worker;
    const uint64_t n = block_positions(d, b);
    uint64_t at = places[b].at;
    for (int k = 0; k < 4; k++) {
      const Result decoded = decode_block(job, tables[k], payload + at, places[b].bytes[k], mine + k * longest, n);
      if (!decoded) return fail(decoded.status, at);
      at += places[b].bytes[k];
    }
    (void)merge_planes(serial, mine, longest, to, n);
    if (!options.allow_nonfinite && !all_finite(to, n)) return fail(Status::value, places[b].at);
    return Result{};
  });
}

Result zero_values(const Job& job, uint64_t count, float* out) noexcept {
  return parallel(job, block_count(count), [&](size_t b, unsigned) {
    const uint64_t begin = b * kBlockElements, end = count - begin < kBlockElements ? count : begin + kBlockElements;
    std::memset(out + begin, 0, (end - begin) * sizeof(float));
  });
}

// One block of layout dense into mask and codes; the codes of the block begin at codes[0].
void split_dense(const uint8_t* symbols, uint64_t n, uint32_t* mask, uint8_t* codes) noexcept {
  std::memset(mask, 0, mask_words(n) * sizeof(uint32_t));
  for (uint64_t i = 0; i < n; i++) {
    if (!symbols[i]) continue;
    mask[i / kMaskBits] |= 1u << (i % kMaskBits);
    *codes++ = static_cast<uint8_t>(symbols[i] - 1);
  }
}

void fill_mask(uint32_t* mask, uint64_t n) noexcept {
  std::memset(mask, 0xff, n / kMaskBits * sizeof(uint32_t));
  if (n % kMaskBits) mask[n / kMaskBits] = (1u << n % kMaskBits) - 1;
}

Result dense_codes(const Job& job, const TensorDescriptor& d, const CodedPayload& p, const uint8_t* payload,
                   Workers& workers, uint32_t* mask, uint8_t* codes) noexcept {
  const uint64_t blocks = tensor_blocks(d);
  Array<Result> results;
  Array<uint64_t> before;
  if (!results.reset(blocks) || !before.reset_zeroed(blocks + 1)) return fail(Status::nomem);
  const unsigned alphabet = d.clusters + (d.pruned ? 1 : 0);
  // How many codes a pruned block has is known only after it was decoded: such blocks are decoded twice.
  Result result = parallel(job, blocks, [&](size_t b, unsigned worker) {
    const Scratch scratch = workers.of(worker);
    uint64_t n = 0;
    uint8_t* own = codes + (uint64_t{b} << d.block_log2);
    const Scratch to = d.pruned ? scratch : Scratch{nullptr, own};
    results[b] = block_symbols(job, d, p, payload, b, to, n);
    if (!results[b]) return;
    if (!within(to.codes, n, alphabet)) results[b] = fail(Status::value, p.places[b].code_at);
    before[b + 1] = n - (d.pruned ? count_zero(to.codes, n) : 0);
    if (!d.pruned) fill_mask(mask + (uint64_t{b} << d.block_log2) / kMaskBits, n);
  });
  if (result) result = first_failure(results);
  if (!result || !d.pruned) return result;
  for (uint64_t b = 0; b < blocks; b++) before[b + 1] += before[b];
  if (before[blocks] != d.kept) return fail(Status::index, d.stored_bytes - d.code_bytes);
  // As above, to the end even if the job is cancelled within a block: the symbols must be those that were counted.
  Job whole = job;
  whole.control = nullptr;
  return parallel(job, blocks, [&](size_t b, unsigned worker) {
    const Scratch scratch = workers.of(worker);
    uint64_t n = 0;
    (void)block_symbols(whole, d, p, payload, b, scratch, n);
    split_dense(scratch.codes, n, mask + (uint64_t{b} << d.block_log2) / kMaskBits, codes + before[b]);
  });
}

Result sparse_block_codes(const Job& job, const TensorDescriptor& d, const CodedPayload& p, const uint8_t* payload,
                          uint64_t b, const Scratch& scratch, uint32_t* mask, uint8_t* codes) noexcept {
  const BlockPlace& place = p.places[b];
  const uint64_t positions = block_positions(d, b);
  const bool sparse = d.layout == Layout::sparse;
  uint8_t* own = codes + place.kept_before;
  uint32_t* words = mask + (b << d.block_log2) / kMaskBits;
  uint64_t n = 0, kept = 0, end = 0;
  const Scratch to = {scratch.gaps, sparse ? own : scratch.codes};
  Result result = block_symbols(job, d, p, payload, b, to, n);
  if (!result) return result;
  std::memset(words, 0, mask_words(positions) * sizeof(uint32_t));
  result =
      sparse ? mask_escape(job.level, to.gaps, place.kept + place.extra, d.escape + 1, words, 0, positions, &kept, &end)
             : mask_relative(job.level, to.gaps, to.codes, n, d.index_bits, words, 0, positions, own, &kept, &end);
  if (!result || kept != place.kept) return fail(Status::index, place.index_at);
  return within(own, kept, d.clusters) ? Result{} : fail(Status::value, place.code_at);
}

// A payload of layout context (DCZ-48): codebook, marks (1 where a weight is kept), codes.
struct ContextPayload {
  float codebook[kClustersMost];
  Array<uint8_t> marks, codes;

  Result open(const Job& job, const TensorDescriptor& d, const uint8_t* payload, uint64_t size,
              const DecodeOptions& options, uint32_t* mask) noexcept {
    uint64_t index_at = d.codebook_bytes, code_at = 0, end = 0;
    if (size != d.stored_bytes || !checked_add(index_at, d.index_bytes, code_at) ||
        !checked_add(code_at, d.code_bytes, end) || end != size) {
      return fail(Status::structure);
    }
    Result result = read_codebook(d, payload, options.allow_nonfinite, codebook);
    if (!result) return result;
    if (!marks.reset(d.elements) || !codes.reset(d.kept)) return fail(Status::nomem);
    const ContextShape shape = {d.elements, d.kept, d.width, d.stride};
    if (d.pruned) {
      result = decode_context_mask(job, shape, payload + index_at, d.index_bytes, marks.data());
      if (!result) return fail(result.status, index_at);
    } else {
      std::memset(marks.data(), 1, d.elements);
    }
    if (mask) {
      std::memset(mask, 0, mask_words(d.elements) * sizeof(uint32_t));
      for (uint64_t i = 0; i < d.elements; i++) mask[i / kMaskBits] |= uint32_t{marks[i]} << (i % kMaskBits);
    }
    result = decode_context_codes(job, shape, d.clusters, payload + code_at, d.code_bytes, marks.data(), codes.data());
    return result ? result : fail(result.status, code_at);
  }
};

Result context_values(const Job& job, const TensorDescriptor& d, const uint8_t* payload, uint64_t size, uint64_t first,
                      uint64_t count, const DecodeOptions& options, float* out) noexcept {
  ContextPayload p;
  const Result result = p.open(job, d, payload, size, options, nullptr);
  if (!result) return result;
  uint64_t next = 0;
  for (uint64_t i = 0; i < first; i++) next += p.marks[i] != 0;
  for (uint64_t i = 0; i < count; i++) out[i] = p.marks[first + i] ? p.codebook[p.codes[next++]] : 0.0f;
  job.report(1, 1);
  return {};
}

}  // namespace

Result decode_values(const Job& job, const TensorDescriptor& d, const uint8_t* payload, uint64_t size, uint64_t first,
                     uint64_t count, const DecodeOptions& options, float* out) noexcept {
  if (first > d.elements || count > d.elements - first) return fail(Status::arg);
  if (count == 0 || d.layout == Layout::zero) return options.out_is_zero ? Result{} : zero_values(job, count, out);
  if (d.layout == Layout::context) return context_values(job, d, payload, size, first, count, options, out);
  if (d.layout != Layout::raw) return coded_values(job, d, payload, size, first, count, options, out);
  return d.raw_form == RawForm::stored ? stored_values(job, d, payload, size, first, count, options, out)
                                       : plane_values(job, d, payload, size, first, count, options, out);
}

Result decode_codes(const Job& job, const TensorDescriptor& d, const uint8_t* payload, uint64_t size,
                    const DecodeOptions& options, uint32_t* mask, uint8_t* codes, float* codebook) noexcept {
  if (d.layout == Layout::raw) return fail(Status::arg);
  if (d.layout == Layout::zero) {
    std::memset(mask, 0, mask_words(d.elements) * sizeof(uint32_t));
    return {};
  }
  if (d.layout == Layout::context) {
    ContextPayload p;
    const Result result = p.open(job, d, payload, size, options, mask);
    if (!result) return result;
    std::memcpy(codebook, p.codebook, d.clusters * sizeof(float));
    std::memcpy(codes, p.codes.data(), d.kept);
    return {};
  }
  CodedPayload p;
  Workers workers;
  Result result = p.open(d, payload, size, options);
  if (!result) return result;
  if (!workers.reset(job, d, p)) return fail(Status::nomem);
  std::memcpy(codebook, p.codebook, d.clusters * sizeof(float));
  if (!has_gaps(d)) return dense_codes(job, d, p, payload, workers, mask, codes);
  Array<Result> results;
  if (!results.reset(p.places.size())) return fail(Status::nomem);
  result = parallel(job, p.places.size(), [&](size_t b, unsigned worker) {
    results[b] = sparse_block_codes(job, d, p, payload, b, workers.of(worker), mask, codes);
  });
  return result ? first_failure(results) : result;
}

}  // namespace dc
