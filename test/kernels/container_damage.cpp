// Every damaged version of a golden file is rejected: all single-byte substitutions of a file of 4 KiB, every
// truncation, every extension by 1 to 16 bytes, bursts of up to 32 bits; and with the checksums made right again
// nothing reads or writes out of bounds.
#include <string>
#include <vector>

#include "../support/reseal.h"
#include "check.h"
#include "decode/verify.h"

using namespace dc;

static std::vector<uint8_t> golden(const char* name) {
  std::string path = __FILE__;
  path = path.substr(0, path.find_last_of('/')) + "/../format/golden/1.0/" + name;
  std::vector<uint8_t> bytes;
  if (std::FILE* file = std::fopen(path.c_str(), "rb")) {
    for (int c; (c = std::fgetc(file)) != EOF;) bytes.push_back(static_cast<uint8_t>(c));
    std::fclose(file);
  }
  return bytes;
}

static Status verify(const uint8_t* bytes, size_t size) {
  Job job;
  job.level = cpu_level();
  Limits limits;
  limits.elements = limits.total_elements = 1 << 22;  // a re-sealed header may declare more: LIMIT
  return verify_file(job, bytes, size, limits).status;
}

static const char* const kFiles[] = {"empty.dcz",          "scalar.dcz",          "substitution-4096.dcz",
                                     "sparse-huffman.dcz", "relative.dcz",        "names-metadata-optional.dcz",
                                     "context.dcz",        "context-all-kept.dcz"};

int main() {
  const std::vector<uint8_t> whole = golden("substitution-4096.dcz");
  CHECK(whole.size() == 4096);
  CHECK(verify(whole.data(), whole.size()) == Status::ok);

  size_t tried = 0, accepted = 0;
  {
    std::vector<uint8_t> bytes = whole;
    for (size_t at = 0; at < bytes.size(); at++) {
      for (int other = 1; other < 256; other++, tried++) {
        bytes[at] = static_cast<uint8_t>(whole[at] ^ other);
        accepted += verify(bytes.data(), bytes.size()) == Status::ok;
      }
      bytes[at] = whole[at];
    }
  }
  CHECK(tried == 1044480 && accepted == 0);
  std::printf("single-byte substitutions: %zu tried, %zu accepted\n", tried, accepted);

  size_t cut = 0, cut_accepted = 0, extended = 0, extended_accepted = 0;
  for (const char* name : kFiles) {
    std::vector<uint8_t> bytes = golden(name);
    CHECK(verify(bytes.data(), bytes.size()) == Status::ok);
    for (size_t size = 0; size < bytes.size(); size++, cut++) {
      Guarded<uint8_t> exact(size);
      if (size) std::memcpy(exact.data(), bytes.data(), size);
      const Status status = verify(exact.data(), size);
      cut_accepted += status != Status::truncated;
    }
    const size_t size = bytes.size();
    for (size_t more = 1; more <= 16; more++) {
      for (int fill : {0x00, 0xff, 0x50}) {
        bytes.resize(size);
        bytes.resize(size + more, static_cast<uint8_t>(fill));
        extended++;
        extended_accepted += verify(bytes.data(), bytes.size()) != Status::trailing;
      }
    }
  }
  CHECK(cut_accepted == 0);
  CHECK(extended_accepted == 0);
  std::printf("truncations: %zu tried, extensions: %zu tried; none but TRUNCATED and TRAILING\n", cut, extended);

  accepted = 0;
  for (size_t i = 0; i < 200000; i++) {
    std::vector<uint8_t> bytes = whole;
    const uint64_t r = random_u64(1, i);
    const size_t bit = (r >> 32) % (8 * (bytes.size() - 4));
    uint64_t burst = (r & 0xffffffff) | 1;  // up to 32 bits
    for (int k = 0; k < 32; k++, burst >>= 1) {
      if (burst & 1) bytes[(bit + k) / 8] = static_cast<uint8_t>(bytes[(bit + k) / 8] ^ 1u << (bit + k) % 8);
    }
    accepted += verify(bytes.data(), bytes.size()) == Status::ok;
  }
  CHECK(accepted == 0);

  // Re-sealed: accepted or not, in bounds (the guard page and the sanitizers watch), and always the same answer.
  size_t sealed = 0, taken = 0;
  for (const char* name : {"substitution-4096.dcz", "relative.dcz", "sparse-two-blocks.dcz", "dense-two-blocks.dcz",
                           "planes.dcz", "context.dcz"}) {
    const std::vector<uint8_t> good = golden(name);
    const size_t stride = good.size() / 2048 + 1;
    for (size_t at = 8; at < good.size() - 16; at += stride) {
      for (int bit = 0; bit < 8; bit++, sealed++) {
        Guarded<uint8_t> bytes(good.size());
        std::memcpy(bytes.data(), good.data(), good.size());
        bytes[at] = static_cast<uint8_t>(bytes[at] ^ 1 << bit);
        reseal(bytes.data(), good.size());
        taken += verify(bytes.data(), good.size()) == Status::ok;
      }
    }
  }
  CHECK(sealed > 10000);
  CHECK(taken < sealed / 2);
  std::printf("re-sealed bit flips: %zu tried, %zu decode to something else in bounds\n", sealed, taken);
  return finish();
}
