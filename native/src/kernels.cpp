// One instruction set's kernels. CMake compiles this file once for each, with ISA and its flags.
#include <cstring>

#include "depthwise.h"
#include "peak.h"
#include "pointwise.h"
#include "products.h"
#include "winograd.h"

namespace ISA {

void fill_float(Kernels& table);
void fill_bfloat16(Kernels& table);
void fill_uint8(Kernels& table);

const Kernels& table() {
    static Kernels kernels = [] {
        Kernels t{};
        t.name = CONVLENS_NAME;
        t.most_columns = kColumns;
        for (int v = 1; v <= kMaxVectors; v++) t.most_rows[v] = most_rows(v);
#if defined(CONVLENS_LIKE)
        std::memcpy(t.tile[(int)Type::float32], CONVLENS_LIKE().tile[(int)Type::float32], sizeof t.tile[(int)Type::float32]);
#else
        fill_float(t);
#endif
        fill_bfloat16(t);
        fill_uint8(t);
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
        t.quantise = quantise;
        t.dequantise = dequantise;
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
