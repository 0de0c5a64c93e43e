// What a kernel is called with, the same for all instruction sets, and the table that each instruction set fills.
#pragma once
#include <cstddef>
#include <cstdint>

enum class Type { float32, bfloat16, uint8 };  // tables of kernels have this order
inline size_t size_of(Type type) { return type == Type::float32 ? 4 : type == Type::bfloat16 ? 2 : 1; }

constexpr int kBlock = 16;  // channels that lie side by side
inline int blocks(int channels) { return (channels + kBlock - 1) / kBlock; }

// silu_folded, within a step: from t = -log2(e) x, which is folded into the weights, to t / (1 + 2^t) = -log2(e) silu(x).
enum class Activation { none, relu, relu6, silu, sigmoid, hard_swish, hard_sigmoid, gelu, gelu_tanh, tanh, leaky_relu, silu_folded };

// What happens to a tile of sums before it is stored.
struct Finish {
    Activation activation = Activation::none;
    float low, high;              // none, relu and relu6 are a clamp
    float slope = 0;              // leaky_relu
    bool residual_after = false;  // add the residual after the activation
    bool coarse = false;          // the result is rounded to bfloat16 or uint8: a cheaper exponential will do
    Type stored = Type::float32;  // how the result lies in memory
    float inverse_scale = 1, zero_point = 0;  // of a result in uint8
    Type residual = Type::float32;
    float residual_scale = 1, residual_zero_point = 0;  // of a residual in uint8
};

// A tile of a product: `rows` pixels times `vectors` blocks of output channels. The input of block i (16 channels at one tap of the
// kernel) starts at a + offsets[i]; the next pixel lies one step further.
struct TileArguments {
    const char* a;
    const int32_t* offsets;  // bytes
    int full_blocks;         // of 16 channels
    int tail_blocks, tail_channels;  // then these, of fewer channels
    const char* weights;     // [block][channel / kStep][vector][16][kStep]
    const float* bias;       // vectors * 16; where the sums are whole numbers, then as many factors that make them real
    char* out;
    size_t out_block;        // bytes from a block of output channels to the next
    const char* residual;    // as out, or null
    size_t residual_block;   // bytes
    float* pool;             // vectors * 16 sums to add to, or null
    const Finish* finish;
    bool store;              // false: only the pool is wanted
};
using Tile = void (*)(const TileArguments&);

// The first layer: a holds single numbers, pixel after pixel; a tap is one channel at one place of the kernel.
struct PlanarArguments {
    const float* a;
    const int32_t* offsets;  // elements, one for each tap
    int taps;
    TileArguments tile;      // weights [tap][vector][16] float32
};
using PlanarTile = void (*)(const PlanarArguments&);

struct DepthwiseArguments {
    const float* rows[32];  // the padded input rows that the output rows read, each at its first column
    int tiles;              // so many side by side
    const float* weights;   // [kh][kw][16]
    const float* bias;
    char* out;
    size_t out_row;         // bytes from an output row to the next
    float* pool;            // 16 sums, or null
    const Finish* finish;
    // for the kernel of any size
    int kernel_height, kernel_width, column_step, dilation_width, columns;
};
using DepthwiseTile = void (*)(const DepthwiseArguments&);

struct PoolArguments {
    const char* x;      // one block of channels: [height][width][16]
    char* y;
    int height, width, out_width;
    int kernel_height, kernel_width, stride_height, stride_width, top, left, bottom, right, dilation_height, dilation_width;
    bool count_include_pad;
    int divisor;        // 0: the number of pixels
    int first_row, last_row;
};

struct WinogradArguments {
    const char* x;      // [block][height][width][16], element type
    int height, width, top, left;
    size_t x_block;     // bytes
    int channels_blocks;
    char* v;            // [36][channel block][tiles][16]
    int first_tile, tiles, tiles_in_row, tiles_capacity;
    // output
    const float* m;     // [36][vectors][tiles_capacity][16]
    int vectors;
    const float* bias;
    char* out;
    int out_height, out_width;
    size_t out_block;   // bytes
    const char* residual;
    float* pool;
    const Finish* finish;
};

constexpr int kMaxRows = 14, kMaxVectors = 4, kMaxColumns = 8;

// Sizes are in elements, a multiple of 16 unless said otherwise; `type` is that of the memory.
struct Kernels {
    const char* name;
    int most_columns;                // of a depthwise tile
    int most_rows[kMaxVectors + 1];  // rows of the largest tile of so many vectors; 0: no such tile
    Tile tile[3][kMaxVectors + 1][kMaxRows + 1];        // [type of the input][vectors][rows]
    PlanarTile planar[kMaxVectors + 1][kMaxRows + 1];
    DepthwiseTile depthwise[4][2][kMaxColumns + 1][2];  // [kernel / 2][stride - 1][columns][output rows - 1]; kernel 3, 5, 7
    DepthwiseTile depthwise_any;
    void (*dot[2])(const char* x, int steps, const char* weights, int vectors, float* sums);  // [bfloat16] one row, panel of weights
    void (*winograd_input[2])(const WinogradArguments&);
    void (*winograd_output[2])(const WinogradArguments&);
    void (*max_pool)(const PoolArguments&, Type);
    void (*average_pool)(const PoolArguments&, Type);
    void (*convert)(const char* x, Type from, char* y, Type to, size_t count);
    // sixteen channels of every `step`-th pixel, times their gate (or null), to whole numbers and back
    void (*quantise)(const char* x, Type from, size_t step, const float* gate, float inverse_scale, float zero_point, char* y, size_t pixels);
    void (*dequantise)(const char* x, float scale, float zero_point, char* y, Type to, size_t pixels);
    void (*scale_blocks)(const char* x, const float* gate, char* y, size_t pixels, Type);  // one block of channels times its gate
    void (*scale_weights[2])(const char* weights, int steps, int vectors, const float* gate, char* out);  // [bfloat16] a panel, each step by its channels' gate
    void (*add_pixels)(const char* x, size_t pixels, float* sums, Type);   // sums of one block over pixels
    void (*finish)(char* y, size_t count, const Finish&, Type);
    void (*scale_shift)(const char* x, const float* scale, const float* shift, char* y, size_t pixels, const Finish&, Type);
    void (*prelu)(const char* x, const float* slope, char* y, size_t pixels, Type);
    // kind 0 add, 1 multiply, 2 subtract; other: 0 the same shape, 1 one vector for all pixels, 2 one channel for all channels (lane 0)
    void (*binary)(const char* x, const char* other, Type other_type, int kind, int broadcast, char* y, size_t pixels, const Finish&, Type);
    void (*layer_norm)(const char* x, char* y, int channels, size_t block, size_t pixels, const float* weight, const float* bias, float epsilon, Type);
    void (*softmax)(const char* x, char* y, int channels, size_t block, size_t pixels, Type);
    void (*response_norm)(const char* x, char* y, int channels, size_t block, size_t pixels, int size, float alpha, float beta, float k, Type);
    // every `stride`-th number, for the first layer
    void (*gather_float)(const float* x, int stride, float* y, int count);
    void (*gather_bytes)(const uint8_t* x, int stride, float* y, int count);
    double (*peak[3])(long rounds);  // [type of the input] multiply-accumulates done
};

const Kernels& kernels_portable();
const Kernels& kernels_avx2();
const Kernels& kernels_avx512();
const Kernels& kernels_avx512vnni();
const Kernels& kernels_avx512bf16();
