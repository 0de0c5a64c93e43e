// The first layer: reads the caller's images as they are, float32 channel by channel or bytes pixel by pixel, and writes the blocked layout.
// Bytes are not normalised: mean and deviation are folded into the weights and the bias, and the padding is the byte that would become zero.
#include <algorithm>
#include <cstring>

#include "program.h"

namespace {

class Planar : public Layer {
   public:
    Planar(const Step& s, const std::vector<Tensor>& tensors, const Kernels& kernels)
        : s_(s), x_(tensors[s.x]), y_(tensors[s.y]), kernels_(kernels), finish_(make_finish(s.activation, s.slope, y_)) {
        check(s.groups == 1 && s.residual < 0 && s.gate < 0 && s.pool < 0, "a first layer (x in nchw or nhwc) has no groups, residual, gate or pool; convert x first");
        check(x_.channels <= kBlock, "a first layer has at most 16 input channels; convert x first");
        vectors_ = s.tile[1] ? s.tile[1] : kernels.most_rows[2] > 4 && blocks(s.out_channels) > 1 ? 2 : 1;
        check(vectors_ >= 1 && vectors_ <= kMaxVectors && kernels.most_rows[vectors_], "tile [rows, vectors]: no such tile; see variants()");
        most_rows_ = s.tile[0] ? s.tile[0] : kernels.most_rows[vectors_];
        check(most_rows_ >= 1 && most_rows_ <= kernels.most_rows[vectors_], "tile [rows, vectors]: no such tile; see variants()");
        taps_ = x_.channels * s.kernel[0] * s.kernel[1];
        for (int kx = 0; kx < s.kernel[1]; kx++) {
            const int phase = kx * s.dilation[1] % s.stride[1];
            if (std::find(phases_.begin(), phases_.end(), phase) == phases_.end()) phases_.push_back(phase);
        }
        columns_ = y_.width + (s.kernel[1] - 1) * s.dilation[1] / s.stride[1];
        band_rows_ = std::min(y_.height, 8);
        for (int c = 0; c < x_.channels; c++)
            for (int ky = 0; ky < s.kernel[0]; ky++)
                for (int kx = 0; kx < s.kernel[1]; kx++) {
                    const int column = kx * s.dilation[1];
                    const size_t phase = std::find(phases_.begin(), phases_.end(), column % s.stride[1]) - phases_.begin();
                    offsets_.push_back((int32_t)(((size_t)c * lines() + ky * s.dilation[0]) * line() + phase * columns_ + column / s.stride[1]));
                }
    }

    int tasks(int, int) const override { return (y_.height + band_rows_ - 1) / band_rows_; }
    size_t scratch_bytes(int, int) const override { return sizeof(float) * x_.channels * lines() * line(); }
    size_t constant_bytes() const override {
        return sizeof(float) * kBlock * (1 + (size_t)blocks(s_.out_channels) * (taps_ + 1));
    }
    double macs() const override { return (double)y_.pixels() * s_.out_channels * taps_; }

    void pack(const Arrays& arrays, char* bytes) const override {
        const size_t in = x_.channels, area = s_.kernel[0] * s_.kernel[1];
        const float* weight = need(arrays, "weight", {(size_t)s_.out_channels, in, (size_t)s_.kernel[0], (size_t)s_.kernel[1]}).data;
        const float* bias = optional_bias(arrays, "bias", s_.out_channels);
        std::vector<double> mean(in, 0), scale(in, 1);
        if (x_.layout == Layout::nhwc)
            for (size_t c = 0; c < in; c++) {
                mean[c] = 255.0 * need(arrays, "mean", {in}).data[c];
                scale[c] = 1.0 / (255.0 * need(arrays, "deviation", {in}).data[c]);
            }
        float* out = (float*)bytes;
        for (size_t c = 0; c < kBlock; c++) out[c] = c < in ? (float)mean[c] : 0;
        out += kBlock;
        const EvenSplit split(blocks(s_.out_channels), vectors_);
        int first = 0;
        for (int i = 0; i < split.parts; i++) {
            const int lanes = split.at(i) * kBlock;
            for (int l = 0; l < lanes; l++) {
                const int o = first * kBlock + l;
                double sum = bias && o < s_.out_channels ? bias[o] : 0;
                for (size_t t = 0; o < s_.out_channels && t < (size_t)taps_; t++) sum -= weight[(size_t)o * taps_ + t] * scale[t / area] * mean[t / area];
                out[l] = (float)sum;
                for (size_t t = 0; t < (size_t)taps_; t++)
                    out[(t + 1) * lanes + l] = o < s_.out_channels ? (float)(weight[(size_t)o * taps_ + t] * scale[t / area]) : 0;
            }
            out += (size_t)lanes * (taps_ + 1);
            first += split.at(i);
        }
    }

    void run(const Frame& f, int task, int threads) const override {
        const int count = tasks(threads, 1), from = y_.height * task / count, to = y_.height * (task + 1) / count;
        float* stage = (float*)f.scratch;
        stage_rows(f, stage, from, to);
        PlanarArguments p{};
        p.offsets = offsets_.data();
        p.taps = taps_;
        p.tile.finish = &finish_;
        p.tile.store = true;
        p.tile.out_block = y_.block_bytes();
        const size_t pixel = kBlock * size_of(y_.type);
        const EvenSplit split(blocks(s_.out_channels), vectors_);
        const float* weights = (const float*)f.constant + kBlock;
        int first = 0;
        for (int i = 0; i < split.parts; i++) {
            const int vectors = split.at(i);
            p.tile.bias = weights;
            p.tile.weights = (const char*)(weights + vectors * kBlock);
            char* y = f.at(s_.y) + (s_.y_channel / kBlock + first) * y_.block_bytes();
            const EvenSplit row(y_.width, vectors == vectors_ ? most_rows_ : kernels_.most_rows[vectors]);
            for (int oy = from; oy < to; oy++) {
                const float* a = stage + (size_t)(oy - from) * s_.stride[0] * line();
                char* out = y + (size_t)oy * y_.width * pixel;
                for (int j = 0; j < row.parts; j++) {
                    p.a = a;
                    p.tile.out = out;
                    kernels_.planar[vectors][row.at(j)](p);
                    a += row.at(j);
                    out += row.at(j) * pixel;
                }
            }
            weights += (size_t)vectors * kBlock * (taps_ + 1);
            first += vectors;
        }
    }

    std::vector<std::array<int, 2>> tiles() const override { return tiles_of(kernels_, blocks(s_.out_channels), vectors_); }

   private:
    size_t line() const { return phases_.size() * columns_; }  // floats of one staged row
    size_t lines() const { return (size_t)(band_rows_ - 1) * s_.stride[0] + (s_.kernel[0] - 1) * s_.dilation[0] + 1; }  // of one channel

    void stage_rows(const Frame& f, float* stage, int from, int to) const {
        const bool bytes = x_.layout == Layout::nhwc;
        const float* fill = (const float*)f.constant;
        const int needed = (to - 1 - from) * s_.stride[0] + (s_.kernel[0] - 1) * s_.dilation[0] + 1, stride = s_.stride[1];
        for (int c = 0; c < x_.channels; c++)
            for (int r = 0; r < needed; r++) {
                float* out = stage + (c * lines() + r) * line();
                const int row = from * s_.stride[0] + r - s_.padding[0];
                if (row < 0 || row >= x_.height) {
                    std::fill_n(out, line(), fill[c]);
                    continue;
                }
                for (int phase : phases_) {
                    const int shift = phase - s_.padding[2];
                    const int first = std::clamp(shift < 0 ? (-shift + stride - 1) / stride : 0, 0, columns_);
                    const int last = std::clamp(x_.width - shift <= 0 ? 0 : (x_.width - 1 - shift) / stride + 1, first, columns_);
                    std::fill_n(out, first, fill[c]);
                    const ptrdiff_t column = (ptrdiff_t)first * stride + shift;
                    if (last > first && bytes)
                        kernels_.gather_bytes((const uint8_t*)f.at(s_.x) + ((ptrdiff_t)row * x_.width + column) * x_.channels + c, stride * x_.channels, out + first, last - first);
                    else if (last > first)
                        kernels_.gather_float((const float*)f.at(s_.x) + ((ptrdiff_t)c * x_.height + row) * x_.width + column, stride, out + first, last - first);
                    std::fill_n(out + last, columns_ - last, fill[c]);
                    out += columns_;
                }
            }
    }

    Step s_;
    Tensor x_, y_;
    const Kernels& kernels_;
    Finish finish_;
    int vectors_ = 1, most_rows_ = 1, taps_ = 0, columns_ = 0, band_rows_ = 1;
    std::vector<int> phases_;
    std::vector<int32_t> offsets_;
};

}  // namespace

std::unique_ptr<Layer> make_planar(const Step& s, const std::vector<Tensor>& tensors, const Kernels& kernels) {
    return std::make_unique<Planar>(s, tensors, kernels);
}
