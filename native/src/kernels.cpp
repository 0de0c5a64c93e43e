// One instruction set's kernels. CMake compiles this file once for each, with ISA and its flags.
#include "depthwise.h"
#include "pointwise.h"
#include "products.h"
#include "winograd.h"

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

void fill_float(Kernels& table);
void fill_bfloat16(Kernels& table);

const Kernels& table() {
    static Kernels kernels = [] {
        Kernels t{};
        t.name = CONVLENS_NAME;
        t.most_columns = kColumns;
        for (int v = 1; v <= kMaxVectors; v++) t.most_rows[v] = most_rows(v);
        fill_float(t);
        fill_bfloat16(t);
        fill_planar<1, most_rows(1)>(t.planar[1]);
        fill_planar<2, most_rows(2)>(t.planar[2]);
        fill_planar<3, most_rows(3)>(t.planar[3]);
        fill_planar<4, most_rows(4)>(t.planar[4]);
        fill_depthwise<3, 1, kColumns>(t.depthwise[1][0]);
        fill_depthwise<3, 2, kColumns>(t.depthwise[1][1]);
        fill_depthwise<5, 1, kColumns>(t.depthwise[2][0]);
        fill_depthwise<5, 2, kColumns>(t.depthwise[2][1]);
        fill_depthwise<7, 1, kColumns>(t.depthwise[3][0]);
        fill_depthwise<7, 2, kColumns>(t.depthwise[3][1]);
        t.depthwise_any = depthwise_any;
        t.dot[0] = dot<float>;
        t.dot[1] = dot<BFloat16>;
        t.winograd_input[0] = winograd_input<float>;
        t.winograd_input[1] = winograd_input<BFloat16>;
        t.winograd_output[0] = winograd_output<float>;
        t.winograd_output[1] = winograd_output<BFloat16>;
        t.max_pool = max_pool;
        t.average_pool = average_pool;
        t.convert = convert;
        t.scale_blocks = scale_blocks;
        t.scale_weights[0] = scale_weights_float;
        t.scale_weights[1] = scale_weights_bfloat16;
        t.add_pixels = add_pixels;
        t.finish = finish;
        t.scale_shift = scale_shift;
        t.prelu = prelu;
        t.binary = binary;
        t.layer_norm = layer_norm;
        t.softmax = softmax;
        t.response_norm = response_norm;
        t.gather_float = gather_float;
        t.gather_bytes = gather_bytes;
        t.peak[0] = peak<float>;
        t.peak[1] = peak<BFloat16>;
        return t;
    }();
    return kernels;
}

}  // namespace ISA

const Kernels& CONVLENS_TABLE() { return ISA::table(); }
