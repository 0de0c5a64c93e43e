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

template <Type Stored> INLINE void store_real(char* out, int pixel, Vec y) {
    if constexpr (Stored == Type::float32) store((float*)out + pixel * 16, y);
    else Element<BFloat16>::store((BFloat16*)out + pixel * 16, y);
}

// The same out of memory, for products of whole numbers: beside them a residual and a result have any type, which are too many ways to write out for
// every tile. Residual: its type, or kNone.
constexpr int kNone = -1;

template <int Residual> INLINE Vec residual_at(const char* residual, int pixel, const Finish& finish) {
    if constexpr (Residual == (int)Type::float32) return load((const float*)residual + pixel * 16);
    if constexpr (Residual == (int)Type::bfloat16) return Element<BFloat16>::load((const BFloat16*)residual + pixel * 16);
    const Vec scale = splat(finish.residual_scale), shift = splat(-finish.residual_scale * finish.residual_zero_point);
    return fma(Element<Quantised>::load((const Quantised*)residual + pixel * 16), scale, shift);
}

template <Type Stored, int Residual, class Activate> INLINE void finish_with(const float* sums, int rows, int vectors, const TileArguments& p, Activate activate_one) {
    const Finish& finish = *p.finish;
    const Vec scale = splat(finish.inverse_scale), zero_point = splat(finish.zero_point);
    for (int v = 0; v < vectors; v++, sums += rows * 16) {
        char* out = p.out + v * p.out_block;
        const char* residual = p.residual + v * p.residual_block;
        Vec pool = zero();
        const auto made = [&](int m) {
            Vec y = load(sums + m * 16);
            if constexpr (Residual == kNone) y = activate_one(y);
            else if (finish.residual_after) y = activate_one(y) + residual_at<Residual>(residual, m, finish);
            else y = activate_one(y + residual_at<Residual>(residual, m, finish));
            pool = pool + y;
            return y;
        };
        int m = 0;
        for (; m + 4 <= rows; m += 4) {
            Vec y[4];
            UNROLL for (int u = 0; u < 4; u++) y[u] = made(m + u);
            if (!p.store) continue;
            if constexpr (Stored == Type::uint8) {
                UNROLL for (int u = 0; u < 4; u++) y[u] = fma(y[u], scale, zero_point);
                Element<Quantised>::store_four((Quantised*)out + m * 16, y);
            } else {
                UNROLL for (int u = 0; u < 4; u++) store_real<Stored>(out, m + u, y[u]);
            }
        }
        for (; m < rows; m++) {
            const Vec y = made(m);
            if (!p.store) continue;
            if constexpr (Stored == Type::uint8) Element<Quantised>::store((Quantised*)out + m * 16, fma(y, scale, zero_point));
            else store_real<Stored>(out, m, y);
        }
        if (p.pool) store(p.pool + v * 16, load(p.pool + v * 16) + pool);
    }
}
template <int Residual, class Activate> INLINE void finish_into(const float* sums, int rows, int vectors, const TileArguments& p, Activate activate_one) {
    if (p.finish->stored == Type::float32) finish_with<Type::float32, Residual>(sums, rows, vectors, p, activate_one);
    else if (p.finish->stored == Type::bfloat16) finish_with<Type::bfloat16, Residual>(sums, rows, vectors, p, activate_one);
    else finish_with<Type::uint8, Residual>(sums, rows, vectors, p, activate_one);
}
template <class Activate> INLINE void finish_beside(const float* sums, int rows, int vectors, const TileArguments& p, Activate activate_one) {
    if (!p.residual) finish_into<kNone>(sums, rows, vectors, p, activate_one);
    else if (p.finish->residual == Type::float32) finish_into<(int)Type::float32>(sums, rows, vectors, p, activate_one);
    else if (p.finish->residual == Type::bfloat16) finish_into<(int)Type::bfloat16>(sums, rows, vectors, p, activate_one);
    else finish_into<(int)Type::uint8>(sums, rows, vectors, p, activate_one);
}
[[maybe_unused]] static __attribute__((noinline)) void finish_buffer(const float* sums, int rows, int vectors, const TileArguments& p) {
    const Finish& finish = *p.finish;
    const Vec low = splat(finish.low), high = splat(finish.high);
    if (is_clamp(finish.activation)) finish_beside(sums, rows, vectors, p, [&](Vec y) { return at_most(high, at_least(low, y)); });
    else if (finish.activation == Activation::silu && !p.residual) finish_into<kNone>(sums, rows, vectors, p, [](Vec y) { return silu<3>(y); });
    else if (finish.activation == Activation::silu_folded && !p.residual) finish_into<kNone>(sums, rows, vectors, p, [](Vec y) { return silu_folded<3>(y); });
    else finish_beside(sums, rows, vectors, p, [&](Vec y) { return activate_apart(y, finish); });
}

template <int Rows, int Vectors> INLINE void start_with_bias(Vec (&sums)[Rows][Vectors], const float* bias) {
    UNROLL for (int v = 0; v < Vectors; v++) {
        Vec b = load(bias + v * 16);
        UNROLL for (int m = 0; m < Rows; m++) sums[m][v] = b;
    }
}

constexpr int kPrefetchSteps = 64;  // how far ahead weights are asked for: they come from a cache that is far away, in order

#if defined(CONVLENS_UINT8) && !defined(__AVX512VNNI__)
#define UNROLL_STEPS  // a product is many instructions
#else
#define UNROLL_STEPS UNROLL4
#endif

template <class T, int Rows, int Vectors>
INLINE const T* multiply_block(Vec (&sums)[Rows][Vectors], const T* a, const T* w, int steps) {
    constexpr int step = Element<T>::kStep, vector = 16 * step;
    UNROLL_STEPS for (int k = 0; k < steps; k++) {
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
    finish_tile<BFloat16, Exactness::fine, false, true>(sums, p.tile);
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
