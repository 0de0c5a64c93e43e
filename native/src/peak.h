// How fast the processor multiplies at best.
#pragma once
#include "simd.h"

#if defined(__aarch64__)
#define REGISTER "+w"
#else
#define REGISTER "+v"
#endif

namespace ISA {

// Multiply-accumulates as fast as the processor can: sums that never wait for each other.
template <class T> double peak(long rounds) {
    constexpr int chains = kParts == 1 ? 12 : kParts == 2 ? 6 : 3;
    Vec sums[chains], a = splat(0.9999f), b = splat(1e-8f);
    UNROLL for (int i = 0; i < chains; i++) sums[i] = splat((float)i);
    for (long r = 0; r < rounds; r++) {
        UNROLL for (int u = 0; u < 8; u++)
            UNROLL for (int c = 0; c < chains; c++) {
                sums[c] = Element<T>::accumulate(sums[c], a, b);
                EACH_PART asm volatile("" : REGISTER (sums[c].part[i]));  // or the compiler would do it once
            }
    }
    volatile float sink = 0;
    UNROLL for (int i = 0; i < chains; i++) sink = sink + sum_lanes(sums[i], 16);
    return (double)rounds * 8 * chains * 16 * Element<T>::kStep;
}

}  // namespace ISA
