// One block of channels, every channel by itself. Rows are float32 with their padding written out.
#pragma once
#include "activations.h"

namespace ISA {

// `pool`: sums of what was made, four beside each other so that no addition waits long for another.
template <int Rows, int Columns> INLINE void finish_rows(Vec (&sums)[Rows][Columns], const DepthwiseArguments& p, char* out, Vec (&pool)[4]) {
    activate_tile<Exactness::as_finish_says>(sums, *p.finish);
    if (p.pool) {
        UNROLL for (int q = 0; q < Rows; q++)
            UNROLL for (int i = 0; i < Columns; i++) pool[(q * Columns + i) % 4] = pool[(q * Columns + i) % 4] + sums[q][i];
    }
    store_tile(sums, *p.finish, out, p.out_row);
}
INLINE void add_to_pool(const Vec (&pool)[4], const DepthwiseArguments& p) {
    if (p.pool) store(p.pool, load(p.pool) + ((pool[0] + pool[1]) + (pool[2] + pool[3])));
}

// Tiles of Rows x Columns outputs, side by side. An input row is loaded once for all outputs that use it where the registers suffice.
template <int Kernel, int Stride, int Columns, int Rows> void depthwise_tiles(const DepthwiseArguments& p) {
    constexpr int inputs = (Columns - 1) * Stride + Kernel;
    constexpr bool keep = kParts == 1 && inputs + Rows * Columns <= 30;
    const size_t out_step = (size_t)Columns * 16 * size_of(p.finish->stored);
    Vec pool[4] = {zero(), zero(), zero(), zero()};
    for (int tile = 0; tile < p.tiles; tile++) {
        Vec sums[Rows][Columns];
        Vec bias = load(p.bias);
        UNROLL for (int q = 0; q < Rows; q++)
            UNROLL for (int i = 0; i < Columns; i++) sums[q][i] = bias;
        UNROLL for (int y = 0; y < Kernel + Stride * (Rows - 1); y++) {
            const float* row = p.rows[y] + (size_t)tile * (Columns * Stride * 16);
            Vec input[keep ? inputs : 1];
            if constexpr (keep) UNROLL for (int i = 0; i < inputs; i++) input[i] = load(row + i * 16);
            UNROLL for (int q = 0; q < Rows; q++) {
                const int ky = y - q * Stride;
                if (ky < 0 || ky >= Kernel) continue;
                UNROLL for (int kx = 0; kx < Kernel; kx++) {
                    Vec weight = load(p.weights + (ky * Kernel + kx) * 16);
                    UNROLL for (int i = 0; i < Columns; i++) {
                        if constexpr (keep) sums[q][i] = fma(input[i * Stride + kx], weight, sums[q][i]);
                        else sums[q][i] = fma(load(row + (i * Stride + kx) * 16), weight, sums[q][i]);
                    }
                }
            }
        }
        finish_rows(sums, p, p.out + tile * out_step, pool);
    }
    add_to_pool(pool, p);
}

// Any size, stride and dilation: one output at a time.
inline void depthwise_any(const DepthwiseArguments& p) {
    const size_t out_step = 16 * size_of(p.finish->stored);
    Vec pool[4] = {zero(), zero(), zero(), zero()};
    for (int i = 0; i < p.columns; i++) {
        Vec sums[1][1] = {{load(p.bias)}};
        for (int ky = 0; ky < p.kernel_height; ky++)
            for (int kx = 0; kx < p.kernel_width; kx++)
                sums[0][0] = fma(load(p.rows[ky] + (i * p.column_step + kx * p.dilation_width) * 16),
                                 load(p.weights + (ky * p.kernel_width + kx) * 16), sums[0][0]);
        finish_rows(sums, p, p.out + i * out_step, pool);
    }
    add_to_pool(pool, p);
}

constexpr int kColumns = kParts == 1 ? kMaxColumns : kParts == 2 ? 4 : 2;

template <int Kernel, int Stride, int Columns> void fill_depthwise(DepthwiseTile (&table)[kMaxColumns + 1][2]) {
    if constexpr (Columns > 0) {
        table[Columns][0] = depthwise_tiles<Kernel, Stride, Columns, 1>;
        if constexpr (Kernel < 7 && kParts == 1) table[Columns][1] = depthwise_tiles<Kernel, Stride, Columns, 2>;
        fill_depthwise<Kernel, Stride, Columns - 1>(table);
    }
}

}  // namespace ISA
