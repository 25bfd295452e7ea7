#include "few_values.h"

#include <algorithm>

#include "../base/bits.h"

namespace dc {

Result few_values(const Job& job, const float* from, size_t count, uint32_t limit, float* values, uint32_t* counts,
                  uint32_t& distinct, bool& few) noexcept {
  // A hash table that is at most a quarter full; a place holds 1 + the number of its value in order of appearance.
  constexpr unsigned kPlacesLog2 = 10;
  uint16_t places[1 << kPlacesLog2] = {};
  float seen[kFewMost];
  uint32_t times[kFewMost];
  uint32_t found = 0;
  distinct = 0;
  few = false;
  if (limit > kFewMost) return {};
  for (size_t i = 0; i < count; i++) {
    if (i % kBlockElements == 0 && job.cancelled()) return fail(Status::aborted);
    const float value = from[i] + 0.0f;  // -0 becomes +0
    uint32_t place = float_bits(value) * 0x9e3779b1u >> (32 - kPlacesLog2);
    while (places[place] && seen[places[place] - 1] != value) place = (place + 1) % (1u << kPlacesLog2);
    if (!places[place]) {
      if (found == limit || !is_finite(value)) return {};
      seen[found] = value;
      times[found] = 0;
      places[place] = static_cast<uint16_t>(++found);
    }
    times[places[place] - 1]++;
  }
  std::copy(seen, seen + found, values);
  std::sort(values, values + found);
  for (uint32_t i = 0; i < found; i++) counts[std::lower_bound(values, values + found, seen[i]) - values] = times[i];
  distinct = found;
  few = true;
  return {};
}

}  // namespace dc
