// Everything that is no product: pooling, normalisation, activations, sums of two tensors, changes of type.
#pragma once
#include "activations.h"

namespace ISA {

// Written out at each use: `T` is the element's type within.
#define WITH_TYPE(type, ...)                                                             \
    do {                                                                                 \
        if ((type) == Type::bfloat16) { using T = BFloat16; __VA_ARGS__ }                \
        else { using T = float; __VA_ARGS__ }                                            \
    } while (0)

// The windows of one output pixel, cut to the map; torch's divisor counts the padding too, cut at the padded edge.
template <class Visit> INLINE void each_place_in_window(const PoolArguments& p, int y, int x, Visit visit) {
    const int top = y * p.stride_height - p.top, left = x * p.stride_width - p.left;
    for (int ky = 0; ky < p.kernel_height; ky++) {
        const int row = top + ky * p.dilation_height;
        if (row < 0 || row >= p.height) continue;
        for (int kx = 0; kx < p.kernel_width; kx++) {
            const int column = left + kx * p.dilation_width;
            if (column < 0 || column >= p.width) continue;
            visit((size_t)row * p.width + column);
        }
    }
}
template <class T, class Visit> INLINE void each_in_window(const PoolArguments& p, int y, int x, Visit visit) {
    each_place_in_window(p, y, x, [&](size_t pixel) { visit(Element<T>::load((const T*)p.x + pixel * 16)); });
}

// Whole numbers of one scale: the largest number is that of the largest value.
inline void max_pool_bytes(const PoolArguments& p) {
    typedef uint8_t Bytes __attribute__((vector_size(16), aligned(1), may_alias));
    for (int y = p.first_row; y < p.last_row; y++)
        for (int x = 0; x < p.out_width; x++) {
            Bytes largest{};
            each_place_in_window(p, y, x, [&](size_t pixel) {
                const Bytes value = *(const Bytes*)(p.x + pixel * 16);
                largest = value > largest ? value : largest;
            });
            *(Bytes*)(p.y + ((size_t)y * p.out_width + x) * 16) = largest;
        }
}

inline void max_pool(const PoolArguments& p, Type type) {
    if (type == Type::uint8) return max_pool_bytes(p);
    WITH_TYPE(type, {
        for (int y = p.first_row; y < p.last_row; y++)
            for (int x = 0; x < p.out_width; x++) {
                Vec largest = splat(-__builtin_inff());
                each_in_window<T>(p, y, x, [&](Vec value) {
                    largest = select(either(less(largest, value), differs(value, value)), value, largest);
                });
                Element<T>::store((T*)p.y + ((size_t)y * p.out_width + x) * 16, largest);
            }
    });
}

inline void average_pool(const PoolArguments& p, Type type) {
    WITH_TYPE(type, {
        for (int y = p.first_row; y < p.last_row; y++)
            for (int x = 0; x < p.out_width; x++) {
                Vec sum = zero();
                int inside = 0;
                each_in_window<T>(p, y, x, [&](Vec value) { sum = sum + value; inside++; });
                const int top = y * p.stride_height - p.top, left = x * p.stride_width - p.left;
                const int bottom = top + p.kernel_height < p.height + p.bottom ? top + p.kernel_height : p.height + p.bottom;
                const int right = left + p.kernel_width < p.width + p.right ? left + p.kernel_width : p.width + p.right;
                const int count = p.divisor ? p.divisor : p.count_include_pad ? (bottom - top) * (right - left) : inside;
                Element<T>::store((T*)p.y + ((size_t)y * p.out_width + x) * 16, sum / splat((float)count));
            }
    });
}

inline void convert(const char* x, Type from, char* y, Type to, size_t count) {
    if (from == Type::bfloat16 && to == Type::float32)
        for (size_t i = 0; i < count; i += 16) store((float*)y + i, Element<BFloat16>::load((const BFloat16*)x + i));
    else if (from == Type::float32 && to == Type::bfloat16)
        for (size_t i = 0; i < count; i += 16) Element<BFloat16>::store((BFloat16*)y + i, load((const float*)x + i));
    else __builtin_memcpy(y, x, count * size_of(from));
}

inline void quantise(const char* x, Type from, size_t step, const float* gate, float inverse_scale, float zero_point, char* y, size_t pixels) {
    Vec scale = splat(inverse_scale);
    const Vec shift = splat(zero_point);
    if (gate) scale = scale * load(gate);
    WITH_TYPE(from, {
        const auto number = [&](size_t i) { return fma(Element<T>::load((const T*)x + i * step * 16), scale, shift); };
        size_t i = 0;
        for (; i + 4 <= pixels; i += 4) {
            const Vec four[4] = {number(i), number(i + 1), number(i + 2), number(i + 3)};
            Element<Quantised>::store_four((Quantised*)y + i * 16, four);
        }
        for (; i < pixels; i++) Element<Quantised>::store((Quantised*)y + i * 16, number(i));
    });
}
inline void dequantise(const char* x, float scale, float zero_point, char* y, Type to, size_t pixels) {
    const Vec factor = splat(scale), shift = splat(-scale * zero_point);
    WITH_TYPE(to, {
        for (size_t i = 0; i < pixels; i++) Element<T>::store((T*)y + i * 16, fma(Element<Quantised>::load((const Quantised*)x + i * 16), factor, shift));
    });
}

inline void scale_blocks(const char* x, const float* gate, char* y, size_t pixels, Type type) {
    const Vec g = load(gate);
    WITH_TYPE(type, {
        for (size_t i = 0; i < pixels; i++) Element<T>::store((T*)y + i * 16, Element<T>::load((const T*)x + i * 16) * g);
    });
}

inline void scale_weights_float(const char* weights, int steps, int vectors, const float* gate, char* out) {
    for (int k = 0; k < steps; k++) {
        const Vec g = splat(gate[k]);
        for (int v = 0; v < vectors; v++, weights += 64, out += 64) store((float*)out, load((const float*)weights) * g);
    }
}
// Each lane holds the weights of two channels: the even one in its lower half.
inline void scale_weights_bfloat16(const char* weights, int steps, int vectors, const float* gate, char* out) {
    for (int k = 0; k < steps; k++) {
        const Vec even = splat(gate[2 * k]), odd = splat(gate[2 * k + 1]);
        for (int v = 0; v < vectors; v++, weights += 64, out += 64) {
            const Int pair = bits(load((const float*)weights));
            Int low, high;
            EACH_PART {
                low.part[i] = pair.part[i] << 16;
                high.part[i] = pair.part[i] & (int32_t)0xffff0000;
            }
            low = bits(bits(low) * even);
            high = bits(bits(high) * odd);
            EACH_PART {  // to the nearest
                const NativeInt l = low.part[i] + 0x8000, h = high.part[i] + 0x8000;
                low.part[i] = ((l >> 16) & 0xffff) | (h & (int32_t)0xffff0000);
            }
            store((float*)out, bits(low));
        }
    }
}

inline void add_pixels(const char* x, size_t pixels, float* sums, Type type) {
    WITH_TYPE(type, {
        Vec sum[4] = {load(sums), zero(), zero(), zero()};
        size_t i = 0;
        for (; i + 4 <= pixels; i += 4)
            UNROLL for (int u = 0; u < 4; u++) sum[u] = sum[u] + Element<T>::load((const T*)x + (i + u) * 16);
        for (; i < pixels; i++) sum[0] = sum[0] + Element<T>::load((const T*)x + i * 16);
        store(sums, (sum[0] + sum[1]) + (sum[2] + sum[3]));
    });
}

inline void finish(char* y, size_t count, const Finish& finish, Type type) {
    if (finish.activation == Activation::none) return;
    WITH_TYPE(type, {
        for (size_t i = 0; i < count; i += 16) Element<T>::store((T*)y + i, activate(Element<T>::load((const T*)y + i), finish));
    });
}

inline void scale_shift(const char* x, const float* scale, const float* shift, char* y, size_t pixels, const Finish& finish, Type type) {
    const Vec a = load(scale), b = load(shift);
    WITH_TYPE(type, {
        for (size_t i = 0; i < pixels; i++)
            Element<T>::store((T*)y + i * 16, activate(fma(Element<T>::load((const T*)x + i * 16), a, b), finish));
    });
}

inline void prelu(const char* x, const float* slope, char* y, size_t pixels, Type type) {
    const Vec a = load(slope);
    WITH_TYPE(type, {
        for (size_t i = 0; i < pixels; i++) {
            Vec value = Element<T>::load((const T*)x + i * 16);
            Element<T>::store((T*)y + i * 16, select(less(zero(), value), value, value * a));
        }
    });
}

INLINE Vec combine(Vec a, Vec b, int kind) { return kind == 0 ? a + b : kind == 1 ? a * b : a - b; }

inline void binary(const char* x, const char* other, Type other_type, int kind, int broadcast, char* y, size_t pixels, const Finish& finish, Type type) {
    WITH_TYPE(type, {
        Vec b = zero();
        if (broadcast == 1)
            b = other_type == Type::bfloat16 ? Element<BFloat16>::load((const BFloat16*)other) : load((const float*)other);
        for (size_t i = 0; i < pixels; i++) {
            if (broadcast != 1)
                b = other_type == Type::bfloat16 ? Element<BFloat16>::load((const BFloat16*)other + i * 16) : load((const float*)other + i * 16);
            if (broadcast == 2) {
                alignas(64) float lane[16];
                store(lane, b);
                b = splat(lane[0]);
            }
            Element<T>::store((T*)y + i * 16, activate(combine(Element<T>::load((const T*)x + i * 16), b, kind), finish));
        }
    });
}

// Strides that the compiler knows become shuffles.
template <class From> INLINE void gather(const From* x, int stride, float* y, int count) {
    switch (stride) {
        case 1: for (int i = 0; i < count; i++) y[i] = (float)x[i]; return;
        case 2: for (int i = 0; i < count; i++) y[i] = (float)x[2 * i]; return;
        case 3: for (int i = 0; i < count; i++) y[i] = (float)x[3 * i]; return;
        case 6: for (int i = 0; i < count; i++) y[i] = (float)x[6 * i]; return;
        default: for (int i = 0; i < count; i++) y[i] = (float)x[(ptrdiff_t)i * stride]; return;
    }
}
inline void gather_float(const float* x, int stride, float* y, int count) { gather(x, stride, y, count); }
inline void gather_bytes(const uint8_t* x, int stride, float* y, int count) { gather(x, stride, y, count); }

// Lanes beyond the last channel as zero, or as another value.
INLINE Vec only_lanes(Vec v, int lanes, float otherwise) {
    alignas(64) float each[16];
    store(each, v);
    for (int i = lanes; i < 16; i++) each[i] = otherwise;
    return load(each);
}

inline void layer_norm(const char* x, char* y, int channels, size_t block, size_t pixels, const float* weight, const float* bias, float epsilon, Type type) {
    const int full = channels / 16, rest = channels % 16;
    WITH_TYPE(type, {
        for (size_t i = 0; i < pixels; i++) {
            const T* in = (const T*)x + i * 16;
            T* out = (T*)y + i * 16;
            Vec sum = zero();
            for (int c = 0; c < full; c++) sum = sum + Element<T>::load(in + c * block);
            if (rest) sum = sum + only_lanes(Element<T>::load(in + full * block), rest, 0);
            const Vec mean = splat(sum_lanes(sum, 16) / (float)channels);
            Vec squares = zero();
            for (int c = 0; c < full; c++) {
                Vec d = Element<T>::load(in + c * block) - mean;
                squares = fma(d, d, squares);
            }
            if (rest) {
                Vec d = only_lanes(Element<T>::load(in + full * block) - mean, rest, 0);
                squares = fma(d, d, squares);
            }
            const Vec scale = splat(1.0f / __builtin_sqrtf(sum_lanes(squares, 16) / (float)channels + epsilon));
            for (int c = 0; c < full + (rest > 0); c++)
                Element<T>::store(out + c * block, fma((Element<T>::load(in + c * block) - mean) * scale, load(weight + c * 16), load(bias + c * 16)));
        }
    });
}

inline void softmax(const char* x, char* y, int channels, size_t block, size_t pixels, Type type) {
    const int count = (channels + 15) / 16;
    const auto lanes = [&](int c) { return c == count - 1 ? channels - 16 * (count - 1) : 16; };
    WITH_TYPE(type, {
        for (size_t i = 0; i < pixels; i++) {
            const T* in = (const T*)x + i * 16;
            T* out = (T*)y + i * 16;
            float top = -__builtin_inff();
            for (int c = 0; c < count; c++) {
                const float here = largest_lane(Element<T>::load(in + c * block), lanes(c));
                if (here > top || here != here) top = here;
            }
            float sum = 0;
            for (int c = 0; c < count; c++) sum += sum_lanes(exponential(Element<T>::load(in + c * block) - splat(top)), lanes(c));
            for (int c = 0; c < count; c++)
                Element<T>::store(out + c * block, exponential(Element<T>::load(in + c * block) - splat(top)) / splat(sum));
        }
    });
}

// Across channels: x / (k + alpha / size * sum of squares over `size` neighbours)^beta (Krizhevsky et al., 2012, section 3.3).
inline void response_norm(const char* x, char* y, int channels, size_t block, size_t pixels, int size, float alpha, float beta, float k, Type type) {
    const int before = size / 2, after = size - 1 - before;
    WITH_TYPE(type, {
        for (size_t i = 0; i < pixels; i++) {
            const T* in = (const T*)x + i * 16;
            T* out = (T*)y + i * 16;
            const int count = (channels + 15) / 16;
            for (int cb = 0; cb < count; cb++) {
                // the neighbours: this block and those beside it
                Vec sum = zero();
                alignas(64) float window[16 + 2 * 64];
                const int reach = before > after ? before : after;
                for (int j = -reach; j < 16 + reach; j++) {
                    const int c = cb * 16 + j;
                    float value = 0;
                    if (c >= 0 && c < channels) {
                        const T* at = in + (size_t)(c / 16) * block + c % 16;
                        if constexpr (sizeof(T) == 4) value = *(const float*)at;
                        else {
                            uint32_t wide = (uint32_t)((const BFloat16*)at)->bits << 16;
                            __builtin_memcpy(&value, &wide, 4);
                        }
                    }
                    window[j + reach] = value * value;
                }
                for (int d = -before; d <= after; d++) sum = sum + load(window + reach + d);
                Vec base = fma(splat(alpha / (float)size), sum, splat(k));
                Vec power;
                if (beta == 0.75f) {  // the networks' own: a root and the root of a root
                    alignas(64) float each[16];
                    store(each, base);
                    for (int l = 0; l < 16; l++) {
                        const float root = __builtin_sqrtf(each[l]);
                        each[l] = root * __builtin_sqrtf(root);
                    }
                    power = load(each);
                } else {
                    alignas(64) float each[16];
                    store(each, base);
                    for (int l = 0; l < 16; l++) each[l] = __builtin_powf(each[l], beta);
                    power = load(each);
                }
                Element<T>::store(out + (size_t)cb * block, Element<T>::load(in + (size_t)cb * block) / power);
            }
        }
    });
}

}  // namespace ISA
