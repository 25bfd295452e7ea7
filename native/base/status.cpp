#include "status.h"

namespace dc {

static const char* const kNames[kStatusCount] = {
    "OK",        "MAGIC",     "VERSION", "FEATURE", "TRUNCATED", "TRAILING",  "CHECKSUM", "STRUCTURE", "HUFFMAN",
    "BITSTREAM", "INDEX",     "VALUE",   "LIMIT",   "NOMEM",     "IO",        "ARG",      "TYPE",      "DETACHED",
    "SHARED",    "NONFINITE", "ABORTED", "CLOSED",  "BUSY",      "TOO_LARGE", "ADDON",
};

const char* status_name(Status status) noexcept {
  const int index = static_cast<int>(status);
  return index >= 0 && index < kStatusCount ? kNames[index] : "ADDON";
}

}  // namespace dc
