// Drives a fuzz target without libFuzzer, for a machine without clang: every file of the corpus once, then simple
// mutations of them (flip, set, insert, erase, splice, truncate) for so many seconds. It sees no coverage, so it finds
// less; it finds what the sanitizers and the target's own comparisons say. The input in hand is written on abort.
// Usage: fuzz_x [-max_total_time=N] [-artifact_prefix=P] [-max_len=N] folder...   (other flags of libFuzzer are
// ignored)
#include <dirent.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" __attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned);

using Bytes = std::vector<uint8_t>;

static uint64_t state = 0x9e3779b97f4a7c15u;  // fixed: a run of so many executions is the same everywhere
static std::vector<Bytes> seeds;
static Bytes current;
static std::string prefix;

static uint64_t random_u64() {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

static size_t below(size_t bound) { return static_cast<size_t>(random_u64() % bound); }

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size) {
  static const uint8_t edges[] = {0, 1, 2, 12, 13, 0x7f, 0x80, 0xfe, 0xff};
  for (size_t times = 1 + below(4); times > 0; times--) {
    const size_t kind = below(6);
    if (size == 0 || (kind == 2 && size < max_size)) {
      if (size >= max_size) return size;
      const size_t at = below(size + 1);
      std::memmove(data + at + 1, data + at, size - at);
      data[at] = static_cast<uint8_t>(random_u64());
      size++;
    } else if (kind == 0) {
      data[below(size)] ^= static_cast<uint8_t>(1u << below(8));
    } else if (kind == 1) {
      data[below(size)] = edges[below(sizeof edges)];
    } else if (kind == 3) {
      const size_t at = below(size);
      std::memmove(data + at, data + at + 1, size - at - 1);
      size--;
    } else if (kind == 4) {
      const Bytes& other = seeds[below(seeds.size())];
      if (other.empty()) continue;
      const size_t at = below(size), from = below(other.size());
      size_t length = 1 + below(32);
      if (length > size - at) length = size - at;
      if (length > other.size() - from) length = other.size() - from;
      std::memcpy(data + at, other.data() + from, length);
    } else if (below(8) == 0) {
      size = below(size + 1);
    }
  }
  return size;
}

static void keep_input(int signal) {
  const std::string path = prefix + "crash";
  if (std::FILE* file = std::fopen(path.c_str(), "wb")) {
    std::fwrite(current.data(), 1, current.size(), file);
    std::fclose(file);
    std::fprintf(stderr, "the input is in %s\n", path.c_str());
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

static void read_folder(const char* folder) {
  DIR* const listing = opendir(folder);
  if (!listing) return;
  while (const dirent* entry = readdir(listing)) {
    std::FILE* const file = std::fopen((std::string(folder) + "/" + entry->d_name).c_str(), "rb");
    if (!file) continue;
    Bytes bytes;
    uint8_t part[4096];
    while (const size_t got = std::fread(part, 1, sizeof part, file)) bytes.insert(bytes.end(), part, part + got);
    std::fclose(file);
    if (entry->d_name[0] != '.') seeds.push_back(bytes);
  }
  closedir(listing);
}

int main(int count, char** words) {
  double seconds = 20;
  size_t max_length = 8192;
  for (int i = 1; i < count; i++) {
    if (std::strncmp(words[i], "-max_total_time=", 16) == 0) seconds = std::atof(words[i] + 16);
    if (std::strncmp(words[i], "-max_len=", 9) == 0) max_length = static_cast<size_t>(std::atol(words[i] + 9));
    if (std::strncmp(words[i], "-artifact_prefix=", 17) == 0) prefix = words[i] + 17;
    if (words[i][0] != '-') read_folder(words[i]);
  }
  std::signal(SIGABRT, keep_input);
  std::signal(SIGSEGV, keep_input);
  unsigned long long executions = 0;
  for (const Bytes& seed : seeds) {
    current = seed;
    LLVMFuzzerTestOneInput(current.data(), current.size());
    executions++;
  }
  seeds.push_back(Bytes(16, 0));
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < seconds) {
    current = seeds[below(seeds.size())];
    size_t size = current.size() < max_length ? current.size() : max_length;
    current.resize(max_length);
    size = LLVMFuzzerCustomMutator ? LLVMFuzzerCustomMutator(current.data(), size, max_length, 0)
                                   : LLVMFuzzerMutate(current.data(), size, max_length);
    current.resize(size);
    LLVMFuzzerTestOneInput(current.data(), size);
    executions++;
  }
  std::fprintf(stderr, "stat::number_of_executed_units: %llu\n", executions);
  return 0;
}
