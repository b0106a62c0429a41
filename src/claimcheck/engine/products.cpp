// Batched products of small float32 matrices for processors with AVX-512; see products.py for why and when.
//
// c[m] = a[m] b[m] for every member m, one after the other. Columns of b are packed into panels of 32 (16 where no more
// are left), padded with zeros; a tile of the result stays in registers while its sum runs over the depth, in order. A
// result therefore depends on its own row of a and column of b alone, not on member, place or alignment.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <vector>

namespace {

constexpr int64_t LANES = 16;
typedef float Vector __attribute__((vector_size(4 * LANES), aligned(4)));

struct Strided {  // a matrix as it lies in memory
  const float* data;
  int64_t row, column;
};

// ROWS x (16 VECTORS) results, of which `columns` are stored. 24 sums are as many as the 32 registers can hold.
template <int ROWS, int VECTORS>
void tile(Strided a, const float* panel, int64_t depth, float* c, int64_t c_row, int64_t columns) {
  Vector sum[ROWS][VECTORS] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Vector b[VECTORS];
    for (int v = 0; v < VECTORS; ++v) b[v] = *reinterpret_cast<const Vector*>(panel + (k * VECTORS + v) * LANES);
    for (int i = 0; i < ROWS; ++i)
      for (int v = 0; v < VECTORS; ++v) sum[i][v] += a.data[i * a.row + k * a.column] * b[v];
  }
  for (int i = 0; i < ROWS; ++i)
    for (int v = 0; v < VECTORS; ++v) {
      float* to = c + i * c_row + v * LANES;
      if (columns >= (v + 1) * LANES)
        *reinterpret_cast<Vector*>(to) = sum[i][v];
      else
        for (int64_t j = 0; j < columns - v * LANES; ++j) to[j] = sum[i][v][j];
    }
}

template <int VECTORS>
void panel_product(Strided a, int64_t rows, const float* panel, int64_t depth, float* c, int64_t c_row, int64_t columns) {
  constexpr int ROWS = 24 / VECTORS;
  int64_t i = 0;
  auto below = [&] { return Strided{a.data + i * a.row, a.row, a.column}; };
  for (; i + ROWS <= rows; i += ROWS) tile<ROWS, VECTORS>(below(), panel, depth, c + i * c_row, c_row, columns);
  for (; i + 4 <= rows; i += 4) tile<4, VECTORS>(below(), panel, depth, c + i * c_row, c_row, columns);
  for (; i < rows; ++i) tile<1, VECTORS>(below(), panel, depth, c + i * c_row, c_row, columns);
}

void pack(Strided b, int64_t depth, int64_t columns, int64_t width, float* panel) {
  if (b.column == 1) {
    for (int64_t k = 0; k < depth; ++k) {
      std::copy_n(b.data + k * b.row, columns, panel + k * width);
      std::fill_n(panel + k * width + columns, width - columns, 0.0f);
    }
    return;
  }
  for (int64_t j = 0; j < width; ++j)
    for (int64_t k = 0; k < depth; ++k) panel[k * width + j] = j < columns ? b.data[k * b.row + j * b.column] : 0.0f;
}

// a b of every member, with the matrices of a or of b transposed first if the flags say so.
at::Tensor bmm(const at::Tensor& left_operand, const at::Tensor& right_operand, bool turn_left, bool turn_right) {
  const at::Tensor a = turn_left ? left_operand.mT() : left_operand, b = turn_right ? right_operand.mT() : right_operand;
  TORCH_CHECK(a.dim() == 3 && b.dim() == 3 && a.size(0) == b.size(0) && a.size(2) == b.size(1), "claimcheck::bmm: shapes ",
              a.sizes(), " and ", b.sizes());
  TORCH_CHECK(a.scalar_type() == at::kFloat && b.scalar_type() == at::kFloat, "claimcheck::bmm: float32 only");
  const int64_t rows = a.size(1), depth = a.size(2), columns = b.size(2);
  at::Tensor c = at::empty({a.size(0), rows, columns}, a.options());
  std::vector<float> storage(2 * LANES * depth + LANES);
  float* panel = storage.data() + (LANES - reinterpret_cast<uintptr_t>(storage.data()) / 4 % LANES) % LANES;
  for (int64_t member = 0; member < a.size(0); ++member) {
    const Strided left{a.const_data_ptr<float>() + member * a.stride(0), a.stride(1), a.stride(2)};
    const float* right = b.const_data_ptr<float>() + member * b.stride(0);
    float* result = c.mutable_data_ptr<float>() + member * rows * columns;
    for (int64_t j = 0; j < columns; j += 2 * LANES) {
      const int64_t here = std::min(columns - j, 2 * LANES);
      const bool one = here <= LANES;
      pack({right + j * b.stride(2), b.stride(1), b.stride(2)}, depth, here, one ? LANES : 2 * LANES, panel);
      (one ? panel_product<1> : panel_product<2>)(left, rows, panel, depth, result + j, columns, here);
    }
  }
  return c;
}

}  // namespace

TORCH_LIBRARY(claimcheck, library) { library.def("bmm(Tensor a, Tensor b, bool turn_a, bool turn_b) -> Tensor"); }
TORCH_LIBRARY_IMPL(claimcheck, CPU, library) { library.impl("bmm", bmm); }
