// Tiles of products of pixels and weights, kept in registers: the heart of every dense layer.
#pragma once
#include "activations.h"

namespace ISA {

template <class T, int Rows, int Vectors> INLINE void add_residual(Vec (&sums)[Rows][Vectors], const TileArguments& p) {
    UNROLL for (int v = 0; v < Vectors; v++)
        UNROLL for (int m = 0; m < Rows; m++)
            sums[m][v] = sums[m][v] + Element<T>::load((const T*)(p.residual + v * p.out_block) + m * 16);
}

template <class T, Exactness Exact, bool MayBeFolded, int Rows, int Vectors> INLINE void finish_tile(Vec (&sums)[Rows][Vectors], const TileArguments& p) {
    const Finish& finish = *p.finish;
    if (p.residual && !finish.residual_after) add_residual<T>(sums, p);
    activate_tile<Exact, MayBeFolded>(sums, finish);
    if (p.residual && finish.residual_after) add_residual<T>(sums, p);
    if (p.pool)
        UNROLL for (int v = 0; v < Vectors; v++) {
            Vec sum = load(p.pool + v * 16);
            UNROLL for (int m = 0; m < Rows; m++) sum = sum + sums[m][v];
            store(p.pool + v * 16, sum);
        }
    if (!p.store) return;
    if (p.out_float) {
        UNROLL for (int v = 0; v < Vectors; v++)
            UNROLL for (int m = 0; m < Rows; m++) store((float*)(p.out + v * p.out_block) + m * 16, sums[m][v]);
    } else {
        UNROLL for (int v = 0; v < Vectors; v++)
            UNROLL for (int m = 0; m < Rows; m++) Element<T>::store((T*)(p.out + v * p.out_block) + m * 16, sums[m][v]);
    }
}

template <int Rows, int Vectors> INLINE void start_with_bias(Vec (&sums)[Rows][Vectors], const float* bias) {
    UNROLL for (int v = 0; v < Vectors; v++) {
        Vec b = load(bias + v * 16);
        UNROLL for (int m = 0; m < Rows; m++) sums[m][v] = b;
    }
}

constexpr int kPrefetchSteps = 64;  // how far ahead weights are asked for: they come from a cache that is far away, in order

template <class T, int Rows, int Vectors>
INLINE const T* multiply_block(Vec (&sums)[Rows][Vectors], const T* a, const T* w, int steps) {
    constexpr int step = Element<T>::kStep, vector = 16 * step;
    UNROLL4 for (int k = 0; k < steps; k++) {
        Vec weight[Vectors];
        UNROLL for (int v = 0; v < Vectors; v++) weight[v] = load((const float*)(w + v * vector));
        UNROLL for (int v = 0; v < Vectors; v++) prefetch((const char*)w + (kPrefetchSteps * Vectors + v) * 64);
        UNROLL for (int m = 0; m < Rows; m++) {
            Vec pixel = Element<T>::broadcast(a + m * 16);
            UNROLL for (int v = 0; v < Vectors; v++) sums[m][v] = Element<T>::accumulate(sums[m][v], pixel, weight[v]);
        }
        w += Vectors * vector;
        a += step;
    }
    return w;
}

template <class T, int Rows, int Vectors> void tile(const TileArguments& p) {
    constexpr int step = Element<T>::kStep;
    Vec sums[Rows][Vectors];
    start_with_bias(sums, p.bias);
    const T* w = (const T*)p.weights;
    for (int i = 0; i < p.full_blocks; i++) {
        const T* a = (const T*)(p.a + p.offsets[i]);
        UNROLL for (int line = 0; line < Rows * 16 * (int)sizeof(T); line += 64) prefetch((const char*)(a + Rows * 16) + line);
        w = multiply_block<T>(sums, a, w, 16 / step);
    }
    for (int i = 0; i < p.tail_blocks; i++)
        w = multiply_block<T>(sums, (const T*)(p.a + p.offsets[p.full_blocks + i]), w, (p.tail_channels + step - 1) / step);
    finish_tile<T, sizeof(T) == 2 ? Exactness::coarse : Exactness::fine, true>(sums, p);
}

// The first layer, in float32 whatever is stored.
template <int Rows, int Vectors> void planar_tile(const PlanarArguments& p) {
    Vec sums[Rows][Vectors];
    start_with_bias(sums, p.tile.bias);
    const float* w = (const float*)p.tile.weights;
    for (int i = 0; i < p.taps; i++) {
        const float* a = p.a + p.offsets[i];
        Vec weight[Vectors];
        UNROLL for (int v = 0; v < Vectors; v++) weight[v] = load(w + v * 16);
        UNROLL for (int m = 0; m < Rows; m++) {
            Vec pixel = splat(a[m]);
            UNROLL for (int v = 0; v < Vectors; v++) sums[m][v] = fma(pixel, weight[v], sums[m][v]);
        }
        w += Vectors * 16;
    }
    finish_tile<BFloat16, Exactness::as_finish_says, false>(sums, p.tile);
}

// One row against a panel of weights that memory holds up: four sums for each vector, so that no addition waits for another.
template <class T, int Vectors> INLINE void dot_panel(const T* x, int steps, const T* w, float* out) {
    constexpr int step = Element<T>::kStep, vector = 16 * step;
    Vec sums[4][Vectors];
    UNROLL for (int u = 0; u < 4; u++)
        UNROLL for (int v = 0; v < Vectors; v++) sums[u][v] = zero();
    int k = 0;
    for (; k + 4 <= steps; k += 4) {
        UNROLL for (int u = 0; u < 4; u++) {
            Vec pixel = Element<T>::broadcast(x + (k + u) * step);
            UNROLL for (int v = 0; v < Vectors; v++) {
                prefetch((const char*)(w + v * vector) + 8192);
                sums[u][v] = Element<T>::accumulate(sums[u][v], pixel, load((const float*)(w + v * vector)));
            }
            w += Vectors * vector;
        }
    }
    for (; k < steps; k++) {
        Vec pixel = Element<T>::broadcast(x + k * step);
        UNROLL for (int v = 0; v < Vectors; v++)
            sums[0][v] = Element<T>::accumulate(sums[0][v], pixel, load((const float*)(w + v * vector)));
        w += Vectors * vector;
    }
    UNROLL for (int v = 0; v < Vectors; v++)
        store(out + v * 16, load(out + v * 16) + ((sums[0][v] + sums[1][v]) + (sums[2][v] + sums[3][v])));
}
template <class T> void dot(const char* x, int steps, const char* weights, int vectors, float* sums) {
    switch (vectors) {
        case 1: return dot_panel<T, 1>((const T*)x, steps, (const T*)weights, sums);
        case 2: return dot_panel<T, 2>((const T*)x, steps, (const T*)weights, sums);
        case 3: return dot_panel<T, 3>((const T*)x, steps, (const T*)weights, sums);
        default: return dot_panel<T, 4>((const T*)x, steps, (const T*)weights, sums);
    }
}

// How many rows fit in the registers beside the weights and one pixel.
constexpr int most_rows(int vectors) {
#if defined(__AVX512F__)
    return vectors == 1 ? 14 : vectors == 2 ? 14 : vectors == 3 ? 9 : 6;
#elif defined(__AVX2__)
    return vectors == 1 ? 6 : vectors == 2 ? 2 : 0;
#elif defined(__aarch64__)
    return vectors == 1 ? 6 : vectors == 2 ? 2 : 0;
#else
    return vectors == 1 ? 2 : 0;
#endif
}
template <class T, int Vectors, int Rows> void fill_tiles(Tile (&table)[kMaxRows + 1]) {
    if constexpr (Rows > 0) {
        table[Rows] = tile<T, Rows, Vectors>;
        fill_tiles<T, Vectors, Rows - 1>(table);
    }
}
template <int Vectors, int Rows> void fill_planar(PlanarTile (&table)[kMaxRows + 1]) {
    if constexpr (Rows > 0) {
        table[Rows] = planar_tile<Rows, Vectors>;
        fill_planar<Vectors, Rows - 1>(table);
    }
}

}  // namespace ISA
