// Tiles of products of pixels and weights, kept in registers: the heart of every dense layer.
#pragma once
#include <type_traits>

#include "activations.h"

namespace ISA {

template <class T, int Rows, int Vectors> INLINE void add_residual(Vec (&sums)[Rows][Vectors], const TileArguments& p) {
    UNROLL for (int v = 0; v < Vectors; v++)
        UNROLL for (int m = 0; m < Rows; m++)
            sums[m][v] = sums[m][v] + Element<T>::load((const T*)(p.residual + v * p.residual_block) + m * 16);
}

template <class T, Exactness Exact, bool MayBeFolded, bool AnyType = false, int Rows, int Vectors> INLINE void finish_tile(Vec (&sums)[Rows][Vectors], const TileArguments& p) {
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
    if constexpr (AnyType) {
        UNROLL for (int v = 0; v < Vectors; v++) {
            Vec column[1][Rows];
            UNROLL for (int m = 0; m < Rows; m++) column[0][m] = sums[m][v];
            store_tile(column, finish, p.out + v * p.out_block, 0);
        }
    } else if (finish.stored == Type::float32) {
        UNROLL for (int v = 0; v < Vectors; v++)
            UNROLL for (int m = 0; m < Rows; m++) store((float*)(p.out + v * p.out_block) + m * 16, sums[m][v]);
    } else {
        UNROLL for (int v = 0; v < Vectors; v++)
            UNROLL for (int m = 0; m < Rows; m++) Element<T>::store((T*)(p.out + v * p.out_block) + m * 16, sums[m][v]);
    }
}

// The same out of memory, for products of whole numbers: beside them a residual and a result have any type, which are too many ways to write out for
// every tile.
template <class Activate> INLINE void finish_with(const float* sums, int rows, int vectors, const TileArguments& p, Activate activate_one) {
    const Finish& finish = *p.finish;
    const Vec scale = splat(finish.inverse_scale), zero_point = splat(finish.zero_point);
    const Vec residual_scale = splat(finish.residual_scale), residual_shift = splat(-finish.residual_scale * finish.residual_zero_point);
    for (int v = 0; v < vectors; v++) {
        char* out = p.out + v * p.out_block;
        const char* residual = p.residual + v * p.residual_block;
        Vec pool = zero();
        UNROLL4 for (int m = 0; m < rows; m++, sums += 16) {
            Vec y = load(sums), added = zero();
            if (p.residual) {
                if (finish.residual == Type::float32) added = load((const float*)residual + m * 16);
                else if (finish.residual == Type::bfloat16) added = Element<BFloat16>::load((const BFloat16*)residual + m * 16);
                else added = fma(Element<Quantised>::load((const Quantised*)residual + m * 16), residual_scale, residual_shift);
            }
            y = finish.residual_after ? activate_one(y) + added : activate_one(y + added);
            pool = pool + y;
            if (!p.store) continue;
            if (finish.stored == Type::float32) store((float*)out + m * 16, y);
            else if (finish.stored == Type::bfloat16) Element<BFloat16>::store((BFloat16*)out + m * 16, y);
            else Element<Quantised>::store((Quantised*)out + m * 16, fma(y, scale, zero_point));
        }
        if (p.pool) store(p.pool + v * 16, load(p.pool + v * 16) + pool);
    }
}
[[maybe_unused]] static __attribute__((noinline)) void finish_buffer(const float* sums, int rows, int vectors, const TileArguments& p) {
    const Finish& finish = *p.finish;
    const Vec low = splat(finish.low), high = splat(finish.high);
    if (is_clamp(finish.activation)) finish_with(sums, rows, vectors, p, [&](Vec y) { return at_most(high, at_least(low, y)); });
    else if (finish.activation == Activation::silu) finish_with(sums, rows, vectors, p, [](Vec y) { return silu<3>(y); });
    else if (finish.activation == Activation::silu_folded) finish_with(sums, rows, vectors, p, [](Vec y) { return silu_folded<3>(y); });
    else finish_with(sums, rows, vectors, p, [&](Vec y) { return activate(y, finish); });
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
    constexpr bool whole_numbers = std::is_same_v<T, Quantised>;
    Vec sums[Rows][Vectors];
    if constexpr (whole_numbers) {
        UNROLL for (int v = 0; v < Vectors; v++)
            UNROLL for (int m = 0; m < Rows; m++) sums[m][v] = zero();
    } else {
        start_with_bias(sums, p.bias);
    }
    const T* w = (const T*)p.weights;
    for (int i = 0; i < p.full_blocks; i++) {
        const T* a = (const T*)(p.a + p.offsets[i]);
        UNROLL for (int line = 0; line < Rows * 16 * (int)sizeof(T); line += 64) prefetch((const char*)(a + Rows * 16) + line);
        w = multiply_block<T>(sums, a, w, 16 / step);
    }
    for (int i = 0; i < p.tail_blocks; i++)
        w = multiply_block<T>(sums, (const T*)(p.a + p.offsets[p.full_blocks + i]), w, (p.tail_channels + step - 1) / step);
    if constexpr (whole_numbers) {
        alignas(64) float buffer[Vectors * Rows * 16];
        UNROLL for (int v = 0; v < Vectors; v++) {
            const Vec bias = load(p.bias + v * 16), scale = load(p.bias + (Vectors + v) * 16);
            UNROLL for (int m = 0; m < Rows; m++) store(buffer + (v * Rows + m) * 16, fma(to_float(bits(sums[m][v])), scale, bias));
        }
        finish_buffer(buffer, Rows, Vectors, p);
    } else {
        finish_tile<T, sizeof(T) == 4 ? Exactness::fine : Exactness::coarse, true>(sums, p);
    }
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
    finish_tile<BFloat16, Exactness::as_finish_says, false, true>(sums, p.tile);
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
