// What the layers with a depthwise convolution share: rows of one or more blocks of channels in a ring, float32 with their padding, and the outputs made from them.
#pragma once
#include <algorithm>
#include <cstring>

#include "program.h"

class Rows {
   public:
    Rows(const Step& s, const Tensor& x, const Tensor& y, const Kernels& kernels) : s_(s), x_(x), y_(y), kernels_(kernels) {
        const int kernel = s.kernel[0], stride = s.stride[0];
        const bool square = kernel == s.kernel[1] && stride == s.stride[1] && s.dilation == std::array<int, 2>{1, 1};
        fast_ = square && (kernel == 3 || kernel == 5 || kernel == 7) && (stride == 1 || stride == 2);
        split_ = EvenSplit(y.width, kernels.most_columns);
        pair_ = fast_ && kernels.depthwise[kernel / 2][stride - 1][1][1] != nullptr;
        width_ = (y.width - 1) * s.stride[1] + (s.kernel[1] - 1) * s.dilation[1] + 1;
        width_ = std::max(width_, x.width + s.padding[2]);
        reach_ = (s.kernel[0] - 1) * s.dilation[0] + 1;
        // as many rows as the rows of outputs that are made together read
        ring_ = std::max(1, std::min(x.height, reach_ + (pair_ ? s.stride[0] : 0)));
    }
    int ring() const { return ring_; }
    size_t line() const { return (size_t)width_ * kBlock; }                       // floats of a row
    size_t floats(int vectors) const { return (vectors * (size_t)ring_ + 1) * line(); }  // and a row of zeros

    float* row(float* ring, int vector, int y) const { return ring + (size_t)(vector * ring_ + y % ring_) * line() + (size_t)s_.padding[2] * kBlock; }
    // zeros beside every row, and the row of zeros at the end
    void clear(float* ring, int vectors) const {
        for (int r = 0; r < vectors * ring_; r++) {
            float* p = ring + r * line();
            std::memset(p, 0, sizeof(float) * kBlock * s_.padding[2]);
            const int right = width_ - s_.padding[2] - x_.width;
            if (right > 0) std::memset(p + (size_t)(s_.padding[2] + x_.width) * kBlock, 0, sizeof(float) * kBlock * right);
        }
        std::memset(ring + (size_t)vectors * ring_ * line(), 0, sizeof(float) * line());
    }
    // How many output rows can be made at once from `y` on, and the input rows that must be there.
    int together(int y, int end) const { return pair_ && y + 1 < end ? 2 : 1; }
    int needed(int y, int count) const { return std::clamp((y + count - 1) * s_.stride[0] - s_.padding[0] + reach_, 0, x_.height); }
    int first_needed(int y) const { return std::clamp(y * s_.stride[0] - s_.padding[0], 0, x_.height); }

    // `count` rows of outputs from `y` on, of the block at `vector` in the ring.
    void make(float* ring, int vectors, int vector, int y, int count, const float* weights, const float* bias, char* out, float* pool, const Finish& finish) const {
        DepthwiseArguments a;
        const int used = fast_ ? reach_ + (count - 1) * s_.stride[0] : s_.kernel[0], step = fast_ ? 1 : s_.dilation[0];
        const float* zeros = ring + (size_t)vectors * ring_ * line();
        const float* lines = ring + (size_t)vector * ring_ * line();
        int in = y * s_.stride[0] - s_.padding[0], slot = std::max(in, 0) % ring_;  // the row's place in the ring
        for (int i = 0; i < used; i++, in += step) {
            a.rows[i] = in < 0 || in >= x_.height ? zeros : lines + slot * line();
            slot += std::max(in + step, 0) - std::max(in, 0);
            while (slot >= ring_) slot -= ring_;
        }
        const size_t pixel = kBlock * size_of(y_.type);
        a.weights = weights;
        a.bias = bias;
        a.out_row = y_.width * pixel;
        a.out = out + y * a.out_row;
        a.pool = pool;
        a.finish = &finish;
        a.kernel_height = s_.kernel[0];
        a.kernel_width = s_.kernel[1];
        a.column_step = s_.stride[1];
        a.dilation_width = s_.dilation[1];
        a.columns = y_.width;
        if (!fast_) return kernels_.depthwise_any(a);
        const int tiles[2] = {split_.larger, split_.parts - split_.larger}, columns[2] = {split_.size + 1, split_.size};
        for (int k = 0; k < 2; k++) {  // the wider ones, then the others
            if (!tiles[k]) continue;
            a.tiles = tiles[k];
            kernels_.depthwise[s_.kernel[0] / 2][s_.stride[0] - 1][columns[k]][count - 1](a);
            if (k == 1) break;
            for (int r = 0; r < used; r++) a.rows[r] += (size_t)tiles[k] * columns[k] * s_.stride[1] * kBlock;
            a.out += tiles[k] * columns[k] * pixel;
        }
    }

   private:
    Step s_;
    Tensor x_, y_;
    const Kernels& kernels_;
    bool fast_, pair_;
    EvenSplit split_{0, 1};  // of an output row into tiles
    int width_, reach_, ring_;
};

// What goes into a ring is float32, whatever comes of it in the end.
inline Finish in_ring(Finish finish) {
    finish.stored = Type::float32;
    return finish;
}
// Bands of output rows so that every thread has work; a band makes the rows above and below it anew.
int band_count(int threads, int panels, int height);
// The mean over the map from the sums of each band.
void write_mean(const Frame&, int pool, int channels, int bands, size_t pixels);
// [block]: bias, then [kh][kw][16]; `factor` multiplies the weights, not the bias.
void pack_depthwise(const Arrays&, int channels, const Step&, double factor, char* bytes);
size_t depthwise_bytes(int channels, const Step&);
