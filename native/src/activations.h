// Activations on sixteen lanes, and how a value becomes an output. Infinity and what is no number behave as in torch.
#pragma once
#include "arguments.h"
#include "simd.h"

namespace ISA {

template <int Degree> INLINE Vec sigmoid(Vec x) {
    return splat(1.0f) / (splat(1.0f) + power_of_two<Degree>(x * splat(-1.4426950408889634f)));
}
// x / d; for a coarse exponential in d a coarse quotient will do.
template <int Degree> INLINE Vec divide(Vec x, Vec d) {
    if constexpr (Degree == 3) return divide_coarsely(x, d);
    else return x / d;
}
template <int Degree> INLINE Vec silu(Vec x) {
    return divide<Degree>(x, splat(1.0f) + power_of_two<Degree>(x * splat(-1.4426950408889634f)));
}
template <int Degree> INLINE Vec silu_folded(Vec t) { return divide<Degree>(t, splat(1.0f) + power_of_two<Degree>(t)); }
INLINE Vec hard_sigmoid(Vec x) {
    return at_most(splat(6.0f), at_least(zero(), x + splat(3.0f))) * splat(1.0f / 6.0f);
}

// 1 - erf(x) for x >= 0: Abramowitz and Stegun, 7.1.26.
INLINE Vec complementary_error(Vec x) {
    Vec t = splat(1.0f) / fma(splat(0.3275911f), x, splat(1.0f));
    Vec p = fma(splat(1.061405429f), t, splat(-1.453152027f));
    p = fma(p, t, splat(1.421413741f));
    p = fma(p, t, splat(-0.284496736f));
    p = fma(p, t, splat(0.254829592f));
    return p * t * exponential(zero() - x * x);
}
INLINE Vec gelu(Vec x) {
    Vec half = splat(0.5f) * complementary_error(absolute(x) * splat(0.70710678f));
    return x * select(less(x, zero()), half, splat(1.0f) - half);
}
INLINE Vec hyperbolic_tangent(Vec x) {
    Vec size = absolute(x), e = exponential(splat(-2.0f) * size);
    Vec far = (splat(1.0f) - e) / (splat(1.0f) + e);
    far = select(less(x, zero()), zero() - far, far);
    Vec square = x * x;
    Vec series = fma(splat(62.0f / 2835), square, splat(-17.0f / 315));
    series = fma(series, square, splat(2.0f / 15));
    series = fma(series, square, splat(-1.0f / 3));
    Vec near = fma(x * square, series, x);
    return select(less(size, splat(0.3f)), near, far);
}
INLINE Vec gelu_tanh(Vec x) {  // 0.5 (1 + tanh(u)) = sigmoid(2 u)
    Vec u = splat(0.7978845608f) * fma(splat(0.044715f) * x * x, x, x);
    return x * sigmoid<5>(splat(2.0f) * u);
}

INLINE bool is_clamp(Activation activation) {
    return activation == Activation::none || activation == Activation::relu || activation == Activation::relu6;
}

// Any activation, one vector at a time: for kernels that memory holds up anyway.
INLINE Vec activate(Vec x, const Finish& finish) {
    switch (finish.activation) {
        case Activation::silu: return silu<5>(x);
        case Activation::sigmoid: return sigmoid<5>(x);
        case Activation::hard_sigmoid: return hard_sigmoid(x);
        case Activation::hard_swish: return x * hard_sigmoid(x);
        case Activation::gelu: return gelu(x);
        case Activation::gelu_tanh: return gelu_tanh(x);
        case Activation::tanh: return hyperbolic_tangent(x);
        case Activation::leaky_relu: return select(less(zero(), x), x, x * splat(finish.slope));
        default: return at_most(splat(finish.high), at_least(splat(finish.low), x));
    }
}

[[maybe_unused]] static __attribute__((noinline)) Vec activate_apart(Vec x, const Finish& finish) { return activate(x, finish); }
[[maybe_unused]] static __attribute__((noinline)) void activate_buffer(float* values, int vectors, const Finish& finish) {
    for (int i = 0; i < vectors; i++) store(values + i * 16, activate(load(values + i * 16), finish));
}

// How exact SiLU's exponential is: coarse where the result is rounded to bfloat16 anyway.
enum class Exactness { fine, coarse, as_finish_says };

template <int Degree, bool Folded, int Rows, int Vectors> INLINE void silu_all(Vec (&sums)[Rows][Vectors]) {
    UNROLL for (int v = 0; v < Vectors; v++)
        UNROLL for (int m = 0; m < Rows; m++) sums[m][v] = Folded ? silu_folded<Degree>(sums[m][v]) : silu<Degree>(sums[m][v]);
}
template <Exactness Exact, bool Folded, int Rows, int Vectors> INLINE void silu_tile(Vec (&sums)[Rows][Vectors], const Finish& finish) {
    if (Exact == Exactness::coarse || (Exact == Exactness::as_finish_says && finish.coarse)) silu_all<3, Folded>(sums);
    else silu_all<4, Folded>(sums);
}

// Sums in registers through the activation. The frequent ones stay in registers, the others go through memory.
template <Exactness Exact, bool MayBeFolded = false, int Rows, int Vectors>
INLINE void activate_tile(Vec (&sums)[Rows][Vectors], const Finish& finish) {
    if (is_clamp(finish.activation)) {
        Vec low = splat(finish.low), high = splat(finish.high);
        UNROLL for (int v = 0; v < Vectors; v++)
            UNROLL for (int m = 0; m < Rows; m++) sums[m][v] = at_most(high, at_least(low, sums[m][v]));
    } else if (finish.activation == Activation::silu) {
        silu_tile<Exact, false>(sums, finish);
    } else if (MayBeFolded && finish.activation == Activation::silu_folded) {
        silu_tile<Exact, true>(sums, finish);
    } else {
        alignas(64) float buffer[Rows * Vectors * 16];
        UNROLL for (int v = 0; v < Vectors; v++)
            UNROLL for (int m = 0; m < Rows; m++) store(buffer + (m * Vectors + v) * 16, sums[m][v]);
        activate_buffer(buffer, Rows * Vectors, finish);
        UNROLL for (int v = 0; v < Vectors; v++)
            UNROLL for (int m = 0; m < Rows; m++) sums[m][v] = load(buffer + (m * Vectors + v) * 16);
    }
}

// Pixels side by side as whole numbers, out of memory: written out once, and not for every tile.
[[maybe_unused]] static __attribute__((noinline)) void store_numbers(const float* values, int pixels, const Finish& finish, char* out) {
    const Vec scale = splat(finish.inverse_scale), zero_point = splat(finish.zero_point);
    int i = 0;
    for (; i + 4 <= pixels; i += 4) {
        Vec four[4];
        UNROLL for (int u = 0; u < 4; u++) four[u] = fma(load(values + (i + u) * 16), scale, zero_point);
        Element<Quantised>::store_four((Quantised*)out + i * 16, four);
    }
    for (; i < pixels; i++) Element<Quantised>::store((Quantised*)out + i * 16, fma(load(values + i * 16), scale, zero_point));
}

// As the finish says; from a row of the tile to the next, `step` bytes.
template <int Rows, int Columns> INLINE void store_tile(Vec (&sums)[Rows][Columns], const Finish& finish, char* out, size_t step) {
    if (finish.stored == Type::float32) {
        UNROLL for (int q = 0; q < Rows; q++)
            UNROLL for (int i = 0; i < Columns; i++) store((float*)(out + q * step) + i * 16, sums[q][i]);
    } else if (finish.stored == Type::bfloat16) {
        UNROLL for (int q = 0; q < Rows; q++)
            UNROLL for (int i = 0; i < Columns; i++) Element<BFloat16>::store((BFloat16*)(out + q * step) + i * 16, sums[q][i]);
    } else {
        alignas(64) float buffer[Rows * Columns * 16];
        UNROLL for (int q = 0; q < Rows; q++)
            UNROLL for (int i = 0; i < Columns; i++) store(buffer + (q * Columns + i) * 16, sums[q][i]);
        for (int q = 0; q < Rows; q++) store_numbers(buffer + q * Columns * 16, Columns, finish, out + q * step);
    }
}

}  // namespace ISA
