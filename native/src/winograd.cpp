// 3x3 convolution with stride 1 by Winograd's F(4x4, 3x3): the input's tiles are transformed, 36 products are made, and their result is transformed back.
#include <algorithm>
#include <cstring>

#include "program.h"

namespace {

class Winograd : public Layer {
   public:
    Winograd(const Step& s, const std::vector<Tensor>& tensors, const Kernels& kernels)
        : s_(s), x_(tensors[s.x]), y_(tensors[s.y]), kernels_(kernels), finish_(make_finish(s.activation, s.slope, y_)), none_(make_finish(Activation::none, 0, {})) {
        check(s.kernel == std::array<int, 2>{3, 3} && s.stride == std::array<int, 2>{1, 1} && s.dilation == std::array<int, 2>{1, 1} && s.groups == 1 && s.gate < 0 && s.store,
              "winograd is for 3x3 kernels with stride 1, dilation 1, one group, no gate");
        finish_.residual_after = s.residual_after;
        vectors_ = s.tile[1] ? s.tile[1] : kernels.most_rows[2] > 4 && blocks(s.out_channels) > 1 ? 2 : 1;
        check(vectors_ >= 1 && vectors_ <= kMaxVectors && kernels.most_rows[vectors_], "tile [rows, vectors]: no such tile; see variants()");
        most_rows_ = s.tile[0] ? s.tile[0] : kernels.most_rows[vectors_];
        check(most_rows_ >= 1 && most_rows_ <= kernels.most_rows[vectors_], "tile [rows, vectors]: no such tile; see variants()");
        tiles_in_row_ = (y_.width + 3) / 4;
        tiles_ = tiles_in_row_ * ((y_.height + 3) / 4);
        const size_t tile_bytes = (size_t)36 * 64 * x_.blocks();
        most_tiles_ = std::clamp((int)((size_t)(1100 << 10) / tile_bytes), 56, 112);
    }

    int tasks(int threads, int) const override {
        int count = (tiles_ + most_tiles_ - 1) / most_tiles_;
        if (threads > 1 && count % threads) count = (count + threads - 1) / threads * threads;
        return std::min(count, tiles_);
    }
    size_t scratch_bytes(int threads, int) const override {
        return (size_t)36 * 64 * capacity(threads) * (x_.blocks() + vectors_) + sizeof(int32_t) * x_.blocks() + 64 * kMaxVectors;
    }
    size_t partial_floats(int threads) const override { return s_.pool >= 0 ? (size_t)tasks(threads, 1) * blocks(s_.out_channels) * kBlock : 0; }
    size_t constant_bytes() const override { return (size_t)blocks(s_.out_channels) * 64 * (1 + 36 * (size_t)x_.channels); }
    double macs() const override { return (double)y_.pixels() * s_.out_channels * x_.channels * 9; }

    // [panel]: bias, then [36][channel][vector][16]
    void pack(const Arrays& arrays, char* bytes) const override {
        static const double g[6][3] = {{1 / 4.0, 0, 0}, {-1 / 6.0, -1 / 6.0, -1 / 6.0}, {-1 / 6.0, 1 / 6.0, -1 / 6.0},
                                       {1 / 24.0, 1 / 12.0, 1 / 6.0}, {1 / 24.0, -1 / 12.0, 1 / 6.0}, {0, 0, 1}};
        const size_t in = x_.channels;
        const float* weight = need(arrays, "weight", {(size_t)s_.out_channels, in, 3, 3}).data;
        const float* bias = optional_bias(arrays, "bias", s_.out_channels);
        std::memset(bytes, 0, constant_bytes());
        float* out = (float*)bytes;
        const EvenSplit split(blocks(s_.out_channels), vectors_);
        int first = 0;
        for (int i = 0; i < split.parts; i++) {
            const int lanes = split.at(i) * kBlock;
            for (int l = 0; l < lanes; l++) {
                const int o = first * kBlock + l;
                if (o >= s_.out_channels) continue;
                out[l] = bias ? bias[o] : 0;
                for (size_t c = 0; c < in; c++) {
                    const float* w = weight + ((size_t)o * in + c) * 9;
                    double half[6][3];
                    for (int a = 0; a < 6; a++)
                        for (int b = 0; b < 3; b++) half[a][b] = g[a][0] * w[b] + g[a][1] * w[3 + b] + g[a][2] * w[6 + b];
                    for (int a = 0; a < 6; a++)
                        for (int b = 0; b < 6; b++)
                            out[lanes + ((size_t)(a * 6 + b) * in + c) * lanes + l] = (float)(half[a][0] * g[b][0] + half[a][1] * g[b][1] + half[a][2] * g[b][2]);
                }
            }
            out += lanes * (1 + 36 * in);
            first += split.at(i);
        }
    }

    void run(const Frame& f, int task, int threads) const override {
        const int count = tasks(threads, 1), first_tile = (int)((int64_t)tiles_ * task / count), last_tile = (int)((int64_t)tiles_ * (task + 1) / count);
        const bool half = x_.type == Type::bfloat16;
        WinogradArguments w{};
        w.tiles_capacity = capacity(threads);
        w.first_tile = first_tile;
        w.tiles = last_tile - first_tile;
        w.tiles_in_row = tiles_in_row_;
        w.x = f.at(s_.x);
        w.height = x_.height;
        w.width = x_.width;
        w.top = s_.padding[0];
        w.left = s_.padding[2];
        w.x_block = x_.block_bytes();
        w.channels_blocks = x_.blocks();
        w.v = f.scratch;
        kernels_.winograd_input[half](w);

        const size_t tile_line = (size_t)w.tiles_capacity * 64;  // bytes of one block of channels of all tiles
        char* m = f.scratch + 36 * tile_line * x_.blocks();
        int32_t* offsets = (int32_t*)(m + 36 * tile_line * vectors_);
        for (int b = 0; b < x_.blocks(); b++) offsets[b] = (int32_t)(b * tile_line);
        alignas(64) static const float no_bias[kMaxVectors * kBlock] = {};
        float* pool = s_.pool >= 0 ? f.partial + (size_t)task * blocks(s_.out_channels) * kBlock : nullptr;
        if (pool) std::memset(pool, 0, sizeof(float) * blocks(s_.out_channels) * kBlock);
        TileArguments t{};
        t.offsets = offsets;
        t.full_blocks = x_.channels / kBlock;
        t.tail_channels = x_.channels % kBlock;
        t.tail_blocks = t.tail_channels > 0;
        t.bias = no_bias;
        t.out_block = tile_line;
        t.finish = &none_;
        t.store = true;
        const EvenSplit split(blocks(s_.out_channels), vectors_);
        const float* weights = (const float*)f.constant;
        int first = 0;
        for (int i = 0; i < split.parts; i++) {
            const int vectors = split.at(i), lanes = vectors * kBlock;
            const EvenSplit rows(w.tiles, vectors == vectors_ ? most_rows_ : kernels_.most_rows[vectors]);
            for (int k = 0; k < 36; k++) {
                t.weights = (const char*)(weights + lanes + (size_t)k * x_.channels * lanes);
                int tile = 0;
                for (int j = 0; j < rows.parts; j++) {
                    t.a = f.scratch + k * tile_line * x_.blocks() + (size_t)tile * 64;
                    t.out = m + k * tile_line * vectors + (size_t)tile * 64;
                    kernels_.tile[0][vectors][rows.at(j)](t);
                    tile += rows.at(j);
                }
            }
            w.m = (const float*)m;
            w.vectors = vectors;
            w.bias = weights;
            w.out = f.at(s_.y) + (s_.y_channel / kBlock + first) * y_.block_bytes();
            w.out_height = y_.height;
            w.out_width = y_.width;
            w.out_block = y_.block_bytes();
            w.residual = s_.residual >= 0 ? f.at(s_.residual) + first * y_.block_bytes() : nullptr;
            w.pool = pool ? pool + first * kBlock : nullptr;
            w.finish = &finish_;
            kernels_.winograd_output[half](w);
            weights += lanes * (1 + 36 * (size_t)x_.channels);
            first += vectors;
        }
    }

    void conclude(const Frame& f, int threads) const override {
        if (s_.pool < 0) return;
        const int lanes = blocks(s_.out_channels) * kBlock, count = tasks(threads, 1);
        float* mean = (float*)f.at(s_.pool);
        for (int i = 0; i < lanes; i++) {
            float sum = 0;
            for (int t = 0; t < count; t++) sum += f.partial[(size_t)t * lanes + i];
            mean[i] = sum / (float)y_.pixels();
        }
    }

    std::vector<std::array<int, 2>> tiles() const override { return tiles_of(kernels_, blocks(s_.out_channels), vectors_); }

   private:
    int capacity(int threads) const {
        const int count = tasks(threads, 1);
        return (tiles_ + count - 1) / count;
    }

    Step s_;
    Tensor x_, y_;
    const Kernels& kernels_;
    Finish finish_, none_;
    int vectors_ = 1, most_rows_ = 1, tiles_in_row_ = 0, tiles_ = 0, most_tiles_ = 0;
};

}  // namespace

std::unique_ptr<Layer> make_winograd(const Step& s, const std::vector<Tensor>& tensors, const Kernels& kernels) {
    return std::make_unique<Winograd>(s, tensors, kernels);
}
