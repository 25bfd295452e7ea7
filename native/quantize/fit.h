#pragma once
#include "cells.h"

namespace dc {

// The `fit` algorithm: the density of the values is fitted by likelihood from a histogram, and the centroids are those
// of the density (its exact optimal quantizer over a fine grid); the values are not looked at again.
//   - Families: Gaussian, Laplace and generalized Gaussian, exp(-(|x - mean| / scale)^shape), the last one only when it
//   is
//     worth its parameter (Schwarz 1978).
//   - With a hole around zero (pruned weights) each side is fitted on its own beyond its smallest magnitude.
//   - Where the fit expects fewer than a hundred values, the histogram itself stands in for it (far tails, outliers).
// cells: ascending, not empty. Writes `clusters` ascending centroids; equal ones are possible where the density is too
// narrow for float32.
Result fit_centroids(const Job& job, const Cells& cells, uint32_t clusters, float* centroids) noexcept;

// exp and log in plain double arithmetic, for the same bits on every machine (libm differs): relative error below
// 1e-14.
double plain_exp(double x) noexcept;
double plain_log(double x) noexcept;  // x > 0

}  // namespace dc
