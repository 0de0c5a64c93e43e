// Sixteen float lanes, one block of channels, on whatever vectors the processor has: one zmm, two ymm, or four 16-byte vectors.
// This header and those that build on it are compiled once for each instruction set, each time in a namespace of its own (ISA), and
// use nothing of the standard library that could be emitted out of line: a linker would keep one copy for all instruction sets.
#pragma once
#include <cstddef>
#include <cstdint>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define INLINE inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define UNROLL4 _Pragma("clang loop unroll_count(4)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#define UNROLL4 _Pragma("GCC unroll 4")
#endif

namespace ISA {

#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX2__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif
constexpr int kParts = 16 / kWidth;

typedef float Native __attribute__((vector_size(kWidth * 4)));
typedef int32_t NativeInt __attribute__((vector_size(kWidth * 4)));
typedef uint32_t NativeUnsigned __attribute__((vector_size(kWidth * 4)));
typedef float NativeUnaligned __attribute__((vector_size(kWidth * 4), aligned(4), may_alias));
typedef int32_t NativeIntUnaligned __attribute__((vector_size(kWidth * 4), aligned(4), may_alias));
typedef uint16_t NativeHalf __attribute__((vector_size(kWidth * 2), aligned(2), may_alias));

struct Vec { Native part[kParts]; };
struct Int { NativeInt part[kParts]; };

#define EACH_PART UNROLL for (int i = 0; i < kParts; i++)

INLINE Vec splat(float value) { Vec r; EACH_PART r.part[i] = value - Native{}; return r; }
INLINE Vec zero() { Vec r; EACH_PART r.part[i] = Native{}; return r; }
INLINE Vec load(const float* p) { Vec r; EACH_PART r.part[i] = *(const NativeUnaligned*)(p + i * kWidth); return r; }
INLINE void store(float* p, Vec v) { EACH_PART *(NativeUnaligned*)(p + i * kWidth) = v.part[i]; }
INLINE Vec operator+(Vec a, Vec b) { EACH_PART a.part[i] += b.part[i]; return a; }
INLINE Vec operator-(Vec a, Vec b) { EACH_PART a.part[i] -= b.part[i]; return a; }
INLINE Vec operator*(Vec a, Vec b) { EACH_PART a.part[i] *= b.part[i]; return a; }
INLINE Vec operator/(Vec a, Vec b) { EACH_PART a.part[i] /= b.part[i]; return a; }
INLINE Vec fma(Vec a, Vec b, Vec c) { EACH_PART c.part[i] += a.part[i] * b.part[i]; return c; }  // contracted where there is an FMA
INLINE Vec bits(Int a) { Vec r; EACH_PART r.part[i] = (Native)a.part[i]; return r; }
INLINE Int bits(Vec a) { Int r; EACH_PART r.part[i] = (NativeInt)a.part[i]; return r; }
INLINE Int less(Vec a, Vec b) { Int r; EACH_PART r.part[i] = a.part[i] < b.part[i]; return r; }
INLINE Int differs(Vec a, Vec b) { Int r; EACH_PART r.part[i] = a.part[i] != b.part[i]; return r; }
INLINE Int either(Int a, Int b) { EACH_PART a.part[i] |= b.part[i]; return a; }
INLINE Vec select(Int mask, Vec yes, Vec no) { EACH_PART yes.part[i] = mask.part[i] ? yes.part[i] : no.part[i]; return yes; }

// The larger or smaller of a bound and a value; a value that is no number stays (as torch's clamp, ReLU and ReLU6 do).
INLINE Vec at_least(Vec bound, Vec value) {
#if defined(__AVX512F__)
    value.part[0] = (Native)_mm512_max_ps((__m512)bound.part[0], (__m512)value.part[0]);
#elif defined(__AVX2__)
    EACH_PART value.part[i] = (Native)_mm256_max_ps((__m256)bound.part[i], (__m256)value.part[i]);
#else
    EACH_PART value.part[i] = value.part[i] < bound.part[i] ? bound.part[i] : value.part[i];
#endif
    return value;
}
INLINE Vec at_most(Vec bound, Vec value) {
#if defined(__AVX512F__)
    value.part[0] = (Native)_mm512_min_ps((__m512)bound.part[0], (__m512)value.part[0]);
#elif defined(__AVX2__)
    EACH_PART value.part[i] = (Native)_mm256_min_ps((__m256)bound.part[i], (__m256)value.part[i]);
#else
    EACH_PART value.part[i] = bound.part[i] < value.part[i] ? bound.part[i] : value.part[i];
#endif
    return value;
}
// x / d to within 6e-5 (enough for a bfloat16 result).
INLINE Vec divide_coarsely(Vec x, Vec d) {
#if defined(__AVX512F__)
    d.part[0] = (Native)_mm512_rcp14_ps((__m512)d.part[0]);
    return x * d;
#else
    return x / d;
#endif
}
INLINE Vec absolute(Vec a) { EACH_PART a.part[i] = (Native)((NativeInt)a.part[i] & 0x7fffffff); return a; }

INLINE float sum_lanes(Vec v, int lanes) {
    alignas(64) float each[16];
    store(each, v);
    float sum = 0;
    for (int i = 0; i < lanes; i++) sum += each[i];
    return sum;
}
INLINE float largest_lane(Vec v, int lanes) {
    alignas(64) float each[16];
    store(each, v);
    float largest = each[0];
    for (int i = 1; i < lanes; i++) if (each[i] > largest || each[i] != each[i]) largest = each[i];
    return largest;
}

// 2^t. Degree: of the polynomial on the fraction: 3 is good to 1e-4 (enough for a bfloat16 result), 4 to 3e-6, 5 to 2e-7.
template <int Degree> INLINE Vec power_of_two_fraction(Vec f) {
    Vec p;
    if constexpr (Degree == 3) {
        p = fma(splat(7.8024523e-2f), f, splat(2.2606716e-1f));
        p = fma(p, f, splat(6.9583354e-1f));
        return fma(p, f, splat(9.9992520e-1f));
    } else if constexpr (Degree == 4) {
        p = fma(splat(1.3534167e-2f), f, splat(5.2011464e-2f));
        p = fma(p, f, splat(2.4144275e-1f));
        p = fma(p, f, splat(6.9300383e-1f));
        return fma(p, f, splat(1.0000026f));
    } else {
        p = fma(splat(1.8775767e-3f), f, splat(8.9893397e-3f));
        p = fma(p, f, splat(5.5826318e-2f));
        p = fma(p, f, splat(2.4015361e-1f));
        p = fma(p, f, splat(6.9315308e-1f));
        return fma(p, f, splat(9.9999994e-1f));
    }
}
template <int Degree> INLINE Vec power_of_two(Vec t) {
#if defined(__AVX512F__)
    __m512 x = (__m512)t.part[0];
    Vec fraction;
    fraction.part[0] = (Native)_mm512_sub_ps(x, _mm512_roundscale_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
#if defined(__AVX512DQ__)
    fraction.part[0] = (Native)_mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#endif
    Vec p = power_of_two_fraction<Degree>(fraction);
    p.part[0] = (Native)_mm512_scalef_ps((__m512)p.part[0], x);
    return p;
#else
    Int none = less(t, splat(-126.0f)), infinite = less(splat(127.99999f), t);
    t = at_most(splat(127.99999f), at_least(splat(-126.0f), t));
    Vec whole;
    Int exponent;
    EACH_PART {
        NativeInt n = __builtin_convertvector(t.part[i], NativeInt);
        n += __builtin_convertvector(n, Native) > t.part[i];  // true is -1: truncated towards zero, wanted downwards
        whole.part[i] = __builtin_convertvector(n, Native);
        exponent.part[i] = (n + 127) << 23;
    }
    Vec p = power_of_two_fraction<Degree>(t - whole) * bits(exponent);
    return select(infinite, splat(__builtin_inff()), select(none, zero(), p));
#endif
}
template <int Degree = 5> INLINE Vec exponential(Vec x) { return power_of_two<Degree>(x * splat(1.4426950408889634f)); }

// Elements as they lie in memory. kStep: how many input channels one multiply-accumulate takes.
struct BFloat16 { uint16_t bits; };
template <class T> struct Element;

template <> struct Element<float> {
    static constexpr int kStep = 1;
    static INLINE Vec load(const float* p) { return ISA::load(p); }
    static INLINE void store(float* p, Vec v) { ISA::store(p, v); }
    static INLINE Vec broadcast(const float* p) { return splat(*p); }
    static INLINE Vec accumulate(Vec sum, Vec a, Vec w) { return fma(a, w, sum); }
};

template <> struct Element<BFloat16> {
    static constexpr int kStep = 2;
    static INLINE Vec load(const BFloat16* p) {
        Vec r;
        EACH_PART {
            NativeInt wide = (NativeInt)__builtin_convertvector(*(const NativeHalf*)(p + i * kWidth), NativeInt);
            r.part[i] = (Native)(wide << 16);
        }
        return r;
    }
    // To the nearest, ties to even; what is no number stays none.
    static INLINE void store(BFloat16* p, Vec v) {
#if defined(__AVX512BF16__)
        *(__m256i_u*)p = (__m256i)_mm512_cvtneps_pbh((__m512)v.part[0]);
#else
        EACH_PART {
            NativeInt b = (NativeInt)v.part[i];
            NativeInt rounded = (b + 0x7fff + ((b >> 16) & 1)) >> 16;
            NativeInt quiet = (b >> 16) | 0x40;
            NativeInt nan = v.part[i] != v.part[i];
            NativeInt r = (nan & quiet) | (~nan & rounded);
            *(NativeHalf*)(p + i * kWidth) = __builtin_convertvector(r, NativeHalf);
        }
#endif
    }
    // A pair of channels, in every lane.
    static INLINE Vec broadcast(const BFloat16* p) {
        int32_t pair;
        __builtin_memcpy(&pair, p, 4);
        Int r;
        EACH_PART r.part[i] = pair - NativeInt{};
        return bits(r);
    }
    static INLINE Vec accumulate(Vec sum, Vec a, Vec w) {
#if defined(__AVX512BF16__)
        sum.part[0] = (Native)_mm512_dpbf16_ps((__m512)sum.part[0], (__m512bh)a.part[0], (__m512bh)w.part[0]);
#else
        EACH_PART {
            NativeInt x = (NativeInt)a.part[i], y = (NativeInt)w.part[i];
            sum.part[i] += (Native)(x << 16) * (Native)(y << 16);
            sum.part[i] += (Native)(x & (int32_t)0xffff0000) * (Native)(y & (int32_t)0xffff0000);
        }
#endif
        return sum;
    }
};

// A whole number 0..255 that stands for scale * (number - zero_point). Four of them are multiplied with four int8 weights into a sum of int32, whose bits
// a Vec carries here. All instruction sets give the same sums: none saturates on the way.
struct Quantised { uint8_t number; };
typedef uint8_t NativeByte __attribute__((vector_size(kWidth), aligned(1), may_alias));

#if defined(__SSE2__)
// Pairs of int16 multiplied and added up.
INLINE NativeInt multiply_pairs(NativeInt a, NativeInt b) {
#if defined(__AVX512BW__)
    return (NativeInt)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (NativeInt)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#else
    return (NativeInt)_mm_madd_epi16((__m128i)a, (__m128i)b);
#endif
}
typedef int16_t NativeShort __attribute__((vector_size(kWidth * 4)));
typedef uint16_t NativeUnsignedShort __attribute__((vector_size(kWidth * 4)));
#endif

template <> struct Element<Quantised> {
    static constexpr int kStep = 4;
    static INLINE Vec load(const Quantised* p) {
        Vec r;
        EACH_PART {
#if defined(__AVX512F__)
            r.part[i] = (Native)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(*(const __m128i_u*)p));
#elif defined(__AVX2__)
            r.part[i] = (Native)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)(p + i * kWidth))));
#else
            r.part[i] = __builtin_convertvector(__builtin_convertvector(*(const NativeByte*)(p + i * kWidth), NativeInt), Native);
#endif
        }
        return r;
    }
    // To the nearest of 0..255; what is no number becomes 0.
    static INLINE void store(Quantised* p, Vec v) {
        v = at_most(splat(255.0f), at_least(zero(), v)) + splat(12582912.0f);  // 1.5 * 2^23: the last bits are the whole number
        EACH_PART {
#if defined(__AVX512F__)
            *(__m128i_u*)p = _mm512_cvtepi32_epi8((__m512i)v.part[i]);
#else
            *(NativeByte*)(p + i * kWidth) = __builtin_convertvector((NativeInt)v.part[i] & 0xff, NativeByte);
#endif
        }
    }
    // Four pixels side by side.
    static INLINE void store_four(Quantised* p, const Vec (&v)[4]) {
#if defined(__AVX512BW__)
        __m512i whole[4];
        UNROLL for (int i = 0; i < 4; i++) whole[i] = _mm512_cvtps_epi32((__m512)at_most(splat(255.0f), v[i]).part[0]);
        const __m512i quarters = _mm512_packus_epi16(_mm512_packs_epi32(whole[0], whole[1]), _mm512_packs_epi32(whole[2], whole[3]));
        const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        _mm512_storeu_si512(p, _mm512_permutexvar_epi32(order, quarters));
#else
        UNROLL for (int i = 0; i < 4; i++) store(p + i * 16, v[i]);
#endif
    }
    static INLINE Vec broadcast(const Quantised* p) {
        int32_t four;
        __builtin_memcpy(&four, p, 4);
        Int r;
        EACH_PART r.part[i] = four - NativeInt{};
        return bits(r);
    }
    static INLINE Vec accumulate(Vec sum, Vec a, Vec w) {
#if defined(__AVX512VNNI__)
        sum.part[0] = (Native)_mm512_dpbusd_epi32((__m512i)sum.part[0], (__m512i)a.part[0], (__m512i)w.part[0]);
#elif defined(__SSE2__)
        EACH_PART {
            const NativeInt x = (NativeInt)a.part[i], y = (NativeInt)w.part[i];
            const NativeInt even = multiply_pairs(x & 0x00ff00ff, (NativeInt)((NativeShort)((NativeUnsignedShort)y << 8) >> 8));
            const NativeInt odd = multiply_pairs((NativeInt)((NativeUnsignedShort)x >> 8), (NativeInt)((NativeShort)y >> 8));
            sum.part[i] = (Native)((NativeInt)sum.part[i] + even + odd);
        }
#else
        EACH_PART {
            const NativeInt x = (NativeInt)a.part[i], y = (NativeInt)w.part[i];
            NativeInt s = (NativeInt)sum.part[i];
            UNROLL for (int u = 0; u < 32; u += 8) s += ((x >> u) & 0xff) * ((NativeInt)((NativeUnsigned)y << (24 - u)) >> 24);
            sum.part[i] = (Native)s;
        }
#endif
        return sum;
    }
};
// Whole numbers as float.
INLINE Vec to_float(Int a) { Vec r; EACH_PART r.part[i] = __builtin_convertvector(a.part[i], Native); return r; }

INLINE void prefetch(const void* p) { __builtin_prefetch(p, 0, 3); }

}  // namespace ISA
