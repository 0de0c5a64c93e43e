// Winograd's F(4x4, 3x3): sixteen outputs of a 3x3 kernel with 36 multiplications instead of 144 (Lavin and Gray, 2015, section 4.3).
// The transformed input and the products are float32, whatever the element.
#pragma once
#include "activations.h"

namespace ISA {

// One row or column of the input's transform, B^T d.
INLINE void transform_input(const Vec (&d)[6], Vec (&o)[6]) {
    Vec two = splat(2.0f), four = splat(4.0f), minus_four = splat(-4.0f), minus_five = splat(-5.0f);
    o[0] = fma(four, d[0], fma(minus_five, d[2], d[4]));
    Vec a = fma(minus_four, d[2], d[4]), b = fma(minus_four, d[1], d[3]);
    o[1] = a + b;
    o[2] = a - b;
    Vec c = d[4] - d[2], e = d[3] - d[1];
    o[3] = fma(two, e, c);
    o[4] = fma(splat(-2.0f), e, c);
    o[5] = fma(four, d[1], fma(minus_five, d[3], d[5]));
}
// One row or column of the output's transform, A^T m.
INLINE void transform_output(const Vec (&m)[6], Vec (&o)[4]) {
    Vec a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
    o[0] = (m[0] + a) + c;
    o[1] = fma(splat(2.0f), d, b);
    o[2] = fma(splat(4.0f), c, a);
    o[3] = fma(splat(8.0f), d, b) + m[5];
}

template <class T, bool Inside>
INLINE void transform_patch(const T* x, int top, int left, const WinogradArguments& p, float* v, size_t plane) {
    Vec rows[6][6];
    UNROLL for (int y = 0; y < 6; y++) {
        Vec d[6];
        UNROLL for (int i = 0; i < 6; i++) {
            const int row = top + y, column = left + i;
            if (Inside || (row >= 0 && row < p.height && column >= 0 && column < p.width))
                d[i] = Element<T>::load(x + ((ptrdiff_t)row * p.width + column) * 16);
            else d[i] = zero();
        }
        transform_input(d, rows[y]);
    }
    UNROLL for (int i = 0; i < 6; i++) {
        Vec d[6], o[6];
        UNROLL for (int y = 0; y < 6; y++) d[y] = rows[y][i];
        transform_input(d, o);
        UNROLL for (int y = 0; y < 6; y++) store(v + (y * 6 + i) * plane, o[y]);
    }
}

template <class T> void winograd_input(const WinogradArguments& p) {
    const size_t plane = (size_t)p.channels_blocks * p.tiles_capacity * 16;
    for (int cb = 0; cb < p.channels_blocks; cb++) {
        const T* x = (const T*)(p.x + cb * p.x_block);
        for (int t = 0; t < p.tiles; t++) {
            const int top = (p.first_tile + t) / p.tiles_in_row * 4 - p.top;
            const int left = (p.first_tile + t) % p.tiles_in_row * 4 - p.left;
            float* v = (float*)p.v + ((size_t)cb * p.tiles_capacity + t) * 16;
            if (top >= 0 && left >= 0 && top + 6 <= p.height && left + 6 <= p.width)
                transform_patch<T, true>(x, top, left, p, v, plane);
            else transform_patch<T, false>(x, top, left, p, v, plane);
        }
    }
}

template <class T> void winograd_output(const WinogradArguments& p) {
    const size_t plane = (size_t)p.vectors * p.tiles_capacity * 16;
    for (int vector = 0; vector < p.vectors; vector++) {
        const Vec bias = load(p.bias + vector * 16);
        for (int t = 0; t < p.tiles; t++) {
            const float* m = p.m + ((size_t)vector * p.tiles_capacity + t) * 16;
            Vec rows[6][4], y[4][4];
            UNROLL for (int i = 0; i < 6; i++) {
                Vec d[6];
                UNROLL for (int j = 0; j < 6; j++) d[j] = load(m + (i * 6 + j) * plane);
                transform_output(d, rows[i]);
            }
            UNROLL for (int j = 0; j < 4; j++) {
                Vec d[6], o[4];
                UNROLL for (int i = 0; i < 6; i++) d[i] = rows[i][j];
                transform_output(d, o);
                UNROLL for (int i = 0; i < 4; i++) y[i][j] = o[i] + bias;
            }
            const int top = (p.first_tile + t) / p.tiles_in_row * 4, left = (p.first_tile + t) % p.tiles_in_row * 4;
            const size_t at = vector * p.out_block + ((size_t)top * p.out_width + left) * 16 * sizeof(T);
            T* out = (T*)(p.out + at);
            const T* residual = p.residual ? (const T*)(p.residual + at) : nullptr;
            const int high = p.out_height - top < 4 ? p.out_height - top : 4, wide = p.out_width - left < 4 ? p.out_width - left : 4;
            const size_t row = (size_t)p.out_width * 16;
            if (residual && !p.finish->residual_after)
                for (int i = 0; i < high; i++)
                    for (int j = 0; j < wide; j++) y[i][j] = y[i][j] + Element<T>::load(residual + i * row + j * 16);
            activate_tile<sizeof(T) == 2 ? Exactness::coarse : Exactness::fine>(y, *p.finish);
            if (residual && p.finish->residual_after)
                for (int i = 0; i < high; i++)
                    for (int j = 0; j < wide; j++) y[i][j] = y[i][j] + Element<T>::load(residual + i * row + j * 16);
            if (p.pool) {
                Vec sum = load(p.pool + vector * 16);
                for (int i = 0; i < high; i++)
                    for (int j = 0; j < wide; j++) sum = sum + y[i][j];
                store(p.pool + vector * 16, sum);
            }
            if (high == 4 && wide == 4) {
                UNROLL for (int i = 0; i < 4; i++)
                    UNROLL for (int j = 0; j < 4; j++) Element<T>::store(out + i * row + j * 16, y[i][j]);
            } else {
                for (int i = 0; i < high; i++)
                    for (int j = 0; j < wide; j++) Element<T>::store(out + i * row + j * 16, y[i][j]);
            }
        }
    }
}

}  // namespace ISA
