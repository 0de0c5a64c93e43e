// The first convolution and the depthwise one behind it, row by row: the widest map of the network is never written out.
// Input rows are staged as in planar.cpp, in a ring as long as the kernel is high.
#include "rows.h"

namespace {

class StemDepthwise : public Layer {
   public:
    StemDepthwise(const Step& s, const std::vector<Tensor>& tensors, const Kernels& kernels)
        : s_(s), x_(tensors[s.x]), y_(tensors[s.y]), middle_(middle(s, x_, y_)), kernels_(kernels), rows_(s, middle_, y_, kernels),
          expand_finish_(in_ring(make_finish(s.expand_activation, s.slope, y_))), finish_(make_finish(s.activation, s.slope, y_)) {
        check(x_.channels <= kBlock, "a first layer has at most 16 input channels");
        check(y_.height == window_output(middle_.height, s.padding[0], s.padding[1], s.kernel[0], s.stride[0], 1) &&
                  y_.width == window_output(middle_.width, s.padding[2], s.padding[3], s.kernel[1], s.stride[1], 1),
              "y's size does not follow from the two kernels, strides and paddings");
        vectors_ = s.tile[1] ? s.tile[1] : kernels.most_rows[2] > 4 && y_.blocks() > 1 ? 2 : 1;
        check(vectors_ >= 1 && vectors_ <= kMaxVectors && kernels.most_rows[vectors_], "tile [rows, vectors]: no such tile; see variants()");
        most_rows_ = s.tile[0] ? s.tile[0] : kernels.most_rows[vectors_];
        check(most_rows_ >= 1 && most_rows_ <= kernels.most_rows[vectors_], "tile [rows, vectors]: no such tile; see variants()");
        taps_ = x_.channels * s.expand_kernel[0] * s.expand_kernel[1];
        phases_ = std::min(s.expand_kernel[1], s.expand_stride[1]);
        columns_ = middle_.width + (s.expand_kernel[1] - 1) / s.expand_stride[1];
        // where the taps lie depends on the place in the ring of the first row
        for (int base = 0; base < s.expand_kernel[0]; base++)
            for (int c = 0; c < x_.channels; c++)
                for (int ky = 0; ky < s.expand_kernel[0]; ky++)
                    for (int kx = 0; kx < s.expand_kernel[1]; kx++)
                        offsets_.push_back((int32_t)(staged(c, (base + ky) % s.expand_kernel[0]) + (kx % s.expand_stride[1]) * columns_ + kx / s.expand_stride[1]));
    }

    int tasks(int threads, int) const override { return EvenSplit(y_.blocks(), vectors_).parts * bands(threads); }
    size_t scratch_bytes(int, int) const override { return align64(sizeof(float) * rows_.floats(vectors_)) + sizeof(float) * staged(x_.channels, 0); }
    size_t partial_floats(int threads) const override { return s_.pool >= 0 ? (size_t)bands(threads) * y_.blocks() * kBlock : 0; }
    size_t constant_bytes() const override { return depthwise_bytes(y_.channels, s_) + sizeof(float) * kBlock * (1 + (size_t)y_.blocks() * (taps_ + 1)); }
    double macs() const override { return (double)middle_.pixels() * y_.channels * taps_ + (double)y_.pixels() * y_.channels * s_.kernel[0] * s_.kernel[1]; }
    std::vector<std::array<int, 2>> tiles() const override { return tiles_of(kernels_, y_.blocks(), vectors_); }

    // The depthwise weights, then the padding's bytes, then for each panel its bias and weights [tap][vector][16].
    void pack(const Arrays& arrays, char* bytes) const override {
        pack_depthwise(arrays, y_.channels, s_, 1, bytes);
        const size_t in = x_.channels, area = s_.expand_kernel[0] * s_.expand_kernel[1];
        const float* weight = need(arrays, "expand_weight", {(size_t)y_.channels, in, (size_t)s_.expand_kernel[0], (size_t)s_.expand_kernel[1]}).data;
        const float* bias = optional_bias(arrays, "expand_bias", y_.channels);
        std::vector<double> mean(in, 0), scale(in, 1);
        if (x_.layout == Layout::nhwc)
            for (size_t c = 0; c < in; c++) {
                mean[c] = 255.0 * need(arrays, "mean", {in}).data[c];
                scale[c] = 1.0 / (255.0 * need(arrays, "deviation", {in}).data[c]);
            }
        float* out = (float*)(bytes + depthwise_bytes(y_.channels, s_));
        for (size_t c = 0; c < kBlock; c++) out[c] = c < in ? (float)mean[c] : 0;
        out += kBlock;
        const EvenSplit split(y_.blocks(), vectors_);
        int first = 0;
        for (int i = 0; i < split.parts; i++) {
            const int lanes = split.at(i) * kBlock;
            for (int l = 0; l < lanes; l++) {
                const int o = first * kBlock + l;
                double sum = bias && o < y_.channels ? bias[o] : 0;
                for (size_t t = 0; t < (size_t)taps_; t++) {
                    const double w = o < y_.channels ? weight[(size_t)o * taps_ + t] * scale[t / area] : 0;
                    sum -= w * mean[t / area];
                    out[(t + 1) * lanes + l] = (float)w;
                }
                out[l] = (float)sum;
            }
            out += (size_t)lanes * (taps_ + 1);
            first += split.at(i);
        }
    }

    void run(const Frame& f, int task, int threads) const override {
        const EvenSplit split(y_.blocks(), vectors_);
        const int count = bands(threads), band = task % count, panel = task / count;
        int first_block = 0;
        for (int i = 0; i < panel; i++) first_block += split.at(i);
        const int vectors = split.at(panel), first = y_.height * band / count, last = y_.height * (band + 1) / count;
        const float* fill = (const float*)(f.constant + depthwise_bytes(y_.channels, s_));
        const float* weights = fill + kBlock * (1 + (size_t)first_block * (taps_ + 1));
        float* ring = (float*)f.scratch;
        float* stage = (float*)(f.scratch + align64(sizeof(float) * rows_.floats(vectors_)));
        rows_.clear(ring, vectors);
        float* pool = s_.pool >= 0 ? f.partial + ((size_t)band * y_.blocks() + first_block) * kBlock : nullptr;
        if (pool) std::memset(pool, 0, sizeof(float) * kBlock * vectors);
        const size_t taps = s_.kernel[0] * s_.kernel[1] + 1;
        int made = rows_.first_needed(first), staged_until = made * s_.expand_stride[0] - s_.expand_padding[0];
        for (int oy = first, rows; oy < last; oy += rows) {
            rows = rows_.together(oy, last);
            for (const int end = rows_.needed(oy, rows); made < end; made++) {
                const int from = made * s_.expand_stride[0] - s_.expand_padding[0];
                for (staged_until = std::max(staged_until, from); staged_until < from + s_.expand_kernel[0]; staged_until++) stage_row(f, fill, stage, staged_until);
                make_row(vectors, weights, stage, slot(from), rows_.row(ring, 0, made));
            }
            for (int v = 0; v < vectors; v++) {
                const float* depthwise = (const float*)f.constant + (first_block + v) * taps * kBlock;
                rows_.make(ring, vectors, v, oy, rows, depthwise + kBlock, depthwise, f.at(s_.y) + (first_block + v) * y_.block_bytes(), pool ? pool + v * kBlock : nullptr, finish_);
            }
        }
    }
    void conclude(const Frame& f, int threads) const override {
        if (s_.pool >= 0) write_mean(f, s_.pool, y_.channels, bands(threads), y_.pixels());
    }

   private:
    static Tensor middle(const Step& s, const Tensor& x, const Tensor& y) {
        Tensor t;
        t.channels = y.channels;
        t.height = window_output(x.height, s.expand_padding[0], s.expand_padding[1], s.expand_kernel[0], s.expand_stride[0], 1);
        t.width = window_output(x.width, s.expand_padding[2], s.expand_padding[3], s.expand_kernel[1], s.expand_stride[1], 1);
        check(t.height >= 1 && t.width >= 1, "the first kernel does not fit into x");
        return t;
    }
    int bands(int threads) const { return band_count(threads, EvenSplit(y_.blocks(), vectors_).parts, y_.height); }
    int slot(int row) const { return (row % s_.expand_kernel[0] + s_.expand_kernel[0]) % s_.expand_kernel[0]; }
    size_t staged(int channel, int slot) const { return ((size_t)channel * s_.expand_kernel[0] + slot) * phases_ * columns_; }

    void stage_row(const Frame& f, const float* fill, float* stage, int row) const {
        const int stride = s_.expand_stride[1];
        for (int c = 0; c < x_.channels; c++) {
            float* out = stage + staged(c, slot(row));
            if (row < 0 || row >= x_.height) {
                std::fill_n(out, (size_t)phases_ * columns_, fill[c]);
                continue;
            }
            for (int phase = 0; phase < phases_; phase++, out += columns_) {
                const int shift = phase - s_.expand_padding[2];
                const int first = std::clamp(shift < 0 ? (-shift + stride - 1) / stride : 0, 0, columns_);
                const int last = std::clamp(x_.width - shift <= 0 ? 0 : (x_.width - 1 - shift) / stride + 1, first, columns_);
                std::fill_n(out, first, fill[c]);
                const ptrdiff_t column = (ptrdiff_t)first * stride + shift;
                if (last > first && x_.layout == Layout::nhwc)
                    kernels_.gather_bytes((const uint8_t*)f.at(s_.x) + ((ptrdiff_t)row * x_.width + column) * x_.channels + c, stride * x_.channels, out + first, last - first);
                else if (last > first)
                    kernels_.gather_float((const float*)f.at(s_.x) + ((ptrdiff_t)c * x_.height + row) * x_.width + column, stride, out + first, last - first);
                std::fill_n(out + last, columns_ - last, fill[c]);
            }
        }
    }

    void make_row(int vectors, const float* weights, const float* stage, int base, float* out) const {
        PlanarArguments p{};
        p.offsets = offsets_.data() + (size_t)base * taps_;
        p.taps = taps_;
        p.tile.bias = weights;
        p.tile.weights = (const char*)(weights + vectors * kBlock);
        p.tile.out_block = rows_.ring() * rows_.line() * sizeof(float);
        p.tile.finish = &expand_finish_;
        p.tile.store = true;
        const EvenSplit split(middle_.width, vectors == vectors_ ? most_rows_ : kernels_.most_rows[vectors]);
        int column = 0;
        for (int i = 0; i < split.parts; i++) {
            p.a = stage + column;
            p.tile.out = (char*)(out + (size_t)column * kBlock);
            kernels_.planar[vectors][split.at(i)](p);
            column += split.at(i);
        }
    }

    Step s_;
    Tensor x_, y_, middle_;
    const Kernels& kernels_;
    Rows rows_;
    Finish expand_finish_, finish_;
    int vectors_ = 1, most_rows_ = 1, taps_ = 0, phases_ = 1, columns_ = 0;
    std::vector<int32_t> offsets_;
};

}  // namespace

std::unique_ptr<Layer> make_stem_depthwise(const Step& s, const std::vector<Tensor>& tensors, const Kernels& kernels) {
    return std::make_unique<StemDepthwise>(s, tensors, kernels);
}
