#pragma once
#include "cells.h"

namespace dc {

// How many cells serve so many clusters.
size_t cells_for(uint32_t clusters) noexcept;

// A guess of the price of a cluster: that of a smooth density that fills the cells, (sum of w^(1/3) h^(2/3))^3 / (6
// k^3) (Panter and Dite 1951). Right to some percent where the cells are many more than the clusters.
double smooth_price(const double* values, const double* weights, size_t count, uint32_t clusters) noexcept;

// Centroids of the cheapest partition of the cells, and its squared error; `lambda` (the price of a cluster) goes in as
// a guess and comes out as found.
Result partition_centroids(const Job& job, const Cells& cells, uint32_t clusters, double* lambda, float* centroids,
                           double* cost) noexcept;

// Starting centroids for Lloyd, ascending (equal ones are allowed: Lloyd's rule for empty clusters parts them).
Result starting_centroids(const Job& job, const KmeansRequest& request, const SortedPoints& points,
                          float* centroids) noexcept;

// Centroids of the exact optimum over fine cells. With `detail`, `cost` becomes the squared error of that optimum, the
// one inside the cells included.
Result histogram_centroids(const Job& job, const SortedPoints& points, uint32_t clusters, float* centroids,
                           CellDetail* detail = nullptr, double* cost = nullptr) noexcept;

// k-means on a random 1 % of the points, to its fixed point: the usual work-around, kept as a baseline.
Result sampled_centroids(const Job& job, const SortedPoints& points, uint32_t clusters, uint64_t seed,
                         float* centroids) noexcept;

// Counter-based random numbers (splitmix64): number `counter` of stream `seed`.
inline uint64_t random_bits(uint64_t seed, uint64_t counter) noexcept {
  uint64_t z = seed * 0x9e3779b97f4a7c15ull + (counter + 1) * 0xd1342543de82ef95ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}
inline double random_unit(uint64_t seed, uint64_t counter) noexcept {
  return static_cast<double>(random_bits(seed, counter) >> 11) * 0x1p-53;
}

}  // namespace dc
