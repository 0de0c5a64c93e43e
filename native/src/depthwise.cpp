// Depthwise convolution, alone or behind the 1x1 convolution that widens its input. Both keep a ring of float32 rows with their padding: the wide tensor is
// never written out, and the squeeze-and-excitation mean is summed up on the way.
#include <algorithm>
#include <cstring>

#include "rows.h"

int band_count(int threads, int panels, int height) {
    if (threads == 1) return 1;
    if (panels >= 4 * threads || panels % threads == 0) return 1;
    return std::clamp(threads, 1, std::max(1, height / 4));
}

void write_mean(const Frame& f, int pool, int channels, int bands, size_t pixels) {
    const int lanes = blocks(channels) * kBlock;
    float* mean = (float*)f.at(pool);
    for (int i = 0; i < lanes; i++) {
        float sum = 0;
        for (int b = 0; b < bands; b++) sum += f.partial[(size_t)b * lanes + i];
        mean[i] = sum / (float)pixels;
    }
}

void pack_depthwise(const Arrays& arrays, int channels, const Step& s, double factor, char* bytes) {
    const int taps = s.kernel[0] * s.kernel[1];
    const float* weight = need(arrays, "weight", {(size_t)channels, 1, (size_t)s.kernel[0], (size_t)s.kernel[1]}).data;
    const float* bias = optional_bias(arrays, "bias", channels);
    float* out = (float*)bytes;
    for (int b = 0; b < blocks(channels); b++, out += (size_t)(taps + 1) * kBlock)
        for (int l = 0; l < kBlock; l++) {
            const int c = b * kBlock + l;
            out[l] = bias && c < channels ? bias[c] : 0;
            for (int t = 0; t < taps; t++) out[(t + 1) * kBlock + l] = c < channels ? (float)(weight[(size_t)c * taps + t] * factor) : 0;
        }
}
size_t depthwise_bytes(int channels, const Step& s) { return sizeof(float) * blocks(channels) * kBlock * (s.kernel[0] * s.kernel[1] + 1); }

namespace {

class Depthwise : public Layer {
   public:
    Depthwise(const Step& s, const std::vector<Tensor>& tensors, const Kernels& kernels)
        : s_(s), x_(tensors[s.x]), y_(tensors[s.y]), kernels_(kernels), rows_(s, x_, y_, kernels), finish_(make_finish(s.activation, s.slope, y_)) {}

    int tasks(int threads, int) const override { return x_.blocks() * band_count(threads, x_.blocks(), y_.height); }
    size_t scratch_bytes(int, int) const override { return sizeof(float) * rows_.floats(1); }
    size_t partial_floats(int threads) const override { return s_.pool >= 0 ? (size_t)tasks(threads, 1) * kBlock : 0; }
    size_t constant_bytes() const override { return depthwise_bytes(x_.channels, s_); }
    double macs() const override { return (double)y_.pixels() * x_.channels * s_.kernel[0] * s_.kernel[1]; }
    void pack(const Arrays& arrays, char* bytes) const override { pack_depthwise(arrays, x_.channels, s_, 1, bytes); }

    void run(const Frame& f, int task, int threads) const override {
        const int block = task % x_.blocks(), band = task / x_.blocks(), bands = band_count(threads, x_.blocks(), y_.height);
        const int first = y_.height * band / bands, last = y_.height * (band + 1) / bands;
        float* ring = (float*)f.scratch;
        rows_.clear(ring, 1);
        const float* weights = (const float*)f.constant + (size_t)block * (s_.kernel[0] * s_.kernel[1] + 1) * kBlock;
        const char* x = f.at(s_.x) + block * x_.block_bytes();
        char* y = f.at(s_.y) + (s_.y_channel / kBlock + block) * y_.block_bytes();
        float* pool = s_.pool >= 0 ? f.partial + ((size_t)band * x_.blocks() + block) * kBlock : nullptr;
        if (pool) std::memset(pool, 0, sizeof(float) * kBlock);
        const size_t line = (size_t)x_.width * kBlock;
        int made = rows_.first_needed(first);
        for (int oy = first, count; oy < last; oy += count) {
            count = rows_.together(oy, last);
            for (const int end = rows_.needed(oy, count); made < end; made++)
                kernels_.convert(x + made * line * size_of(x_.type), x_.type, (char*)rows_.row(ring, 0, made), Type::float32, line);
            rows_.make(ring, 1, 0, oy, count, weights + kBlock, weights, y, pool, finish_);
        }
    }
    void conclude(const Frame& f, int threads) const override {
        if (s_.pool >= 0) write_mean(f, s_.pool, x_.channels, band_count(threads, x_.blocks(), y_.height), y_.pixels());
    }

   private:
    Step s_;
    Tensor x_, y_;
    const Kernels& kernels_;
    Rows rows_;
    Finish finish_;
};

class ExpandDepthwise : public Layer {
   public:
    ExpandDepthwise(const Step& s, const std::vector<Tensor>& tensors, const Kernels& kernels)
        : s_(s), x_(tensors[s.x]), y_(tensors[s.y]), kernels_(kernels), rows_(s, x_, y_, kernels),
          expand_finish_(in_ring(make_finish(s.expand_activation == Activation::silu ? Activation::silu_folded : s.expand_activation, s.slope, y_))), finish_(make_finish(s.activation, s.slope, y_)) {
        step_ = x_.type == Type::uint8 ? 4 : x_.type == Type::bfloat16 ? 2 : 1;
        vectors_ = s.tile[1] ? s.tile[1] : kernels.most_rows[2] > 4 && y_.blocks() > 1 ? 2 : 1;
        check(vectors_ >= 1 && vectors_ <= kMaxVectors && kernels.most_rows[vectors_], "tile [rows, vectors]: no such tile; see variants()");
        most_rows_ = s.tile[0] ? s.tile[0] : kernels.most_rows[vectors_];
        check(most_rows_ >= 1 && most_rows_ <= kernels.most_rows[vectors_], "tile [rows, vectors]: no such tile; see variants()");
        const EvenSplit split(y_.blocks(), vectors_);
        size_t at = depthwise_bytes(y_.channels, s);
        int first = 0;
        for (int i = 0; i < split.parts; i++) {
            panels_.push_back({first, split.at(i), at});
            first += split.at(i);
            at += (size_t)split.at(i) * 64 * (heads() + steps());
        }
        bytes_ = at;
    }

    int tasks(int threads, int) const override { return (int)panels_.size() * bands(threads); }
    size_t scratch_bytes(int, int) const override { return align64(sizeof(float) * rows_.floats(vectors_)) + sizeof(int32_t) * x_.blocks(); }
    size_t partial_floats(int threads) const override { return s_.pool >= 0 ? (size_t)bands(threads) * y_.blocks() * kBlock : 0; }
    size_t constant_bytes() const override { return bytes_; }
    double macs() const override {
        return (double)x_.pixels() * x_.channels * y_.channels + (double)y_.pixels() * y_.channels * s_.kernel[0] * s_.kernel[1];
    }

    void pack(const Arrays& arrays, char* bytes) const override {
        // SiLU takes -log2(e) x: the factor goes into the weights before it, and out of those behind it
        const bool folded = s_.expand_activation == Activation::silu;
        const double before = folded ? -1.4426950408889634 : 1;
        pack_depthwise(arrays, y_.channels, s_, 1 / before, bytes);
        const float* weight = need(arrays, "expand_weight", {(size_t)y_.channels, (size_t)x_.channels, 1, 1}).data;
        const float* bias = optional_bias(arrays, "expand_bias", y_.channels);
        const float* weight_scale = step_ == 4 ? need(arrays, "expand_weight_scale", {(size_t)y_.channels}).data : nullptr;
        for (const Panel& p : panels_) {
            float* b = (float*)(bytes + p.at);
            for (int i = 0; i < p.vectors * kBlock; i++) {
                const int o = p.first * kBlock + i;
                b[i] = bias && o < y_.channels ? (float)(bias[o] * before) : 0;
                if (step_ != 4) continue;
                double sum = 0, factor = 0;
                if (o < y_.channels) {
                    factor = (double)x_.scale * weight_scale[o] * before;
                    for (int c = 0; c < x_.channels; c++) sum += to_int8(weight[(size_t)o * x_.channels + c], weight_scale[o]);
                }
                b[i] -= (float)(factor * x_.zero_point * sum);
                b[p.vectors * kBlock + i] = (float)factor;
            }
            char* out = (char*)(b + heads() * p.vectors * kBlock);
            for (size_t k = 0; k < steps(); k++)
                for (int o = p.first * kBlock; o < (p.first + p.vectors) * kBlock; o++)
                    for (int u = 0; u < step_; u++) {
                        const int c = (int)k * step_ + u;
                        const float w = o < y_.channels && c < x_.channels ? weight[(size_t)o * x_.channels + c] : 0;
                        if (step_ == 4) *(int8_t*)out = o < y_.channels ? to_int8(w, weight_scale[o]) : 0;
                        else if (step_ == 2) *(uint16_t*)out = to_bfloat16((float)(w * before));
                        else *(float*)out = (float)(w * before);
                        out += 4 / step_;
                    }
        }
    }

    void run(const Frame& f, int task, int threads) const override {
        const int count = bands(threads), band = task % count;
        const Panel& p = panels_[task / count];
        const int first = y_.height * band / count, last = y_.height * (band + 1) / count;
        float* ring = (float*)f.scratch;
        int32_t* offsets = (int32_t*)(f.scratch + align64(sizeof(float) * rows_.floats(vectors_)));
        for (int b = 0; b < x_.blocks(); b++) offsets[b] = (int32_t)(b * x_.block_bytes());
        rows_.clear(ring, p.vectors);
        float* pool = s_.pool >= 0 ? f.partial + ((size_t)band * y_.blocks() + p.first) * kBlock : nullptr;
        if (pool) std::memset(pool, 0, sizeof(float) * kBlock * p.vectors);
        const size_t taps = s_.kernel[0] * s_.kernel[1] + 1;
        int made = rows_.first_needed(first);
        for (int oy = first, rows; oy < last; oy += rows) {
            rows = rows_.together(oy, last);
            for (const int end = rows_.needed(oy, rows); made < end; made++) widen(f, p, made, ring, offsets);
            for (int v = 0; v < p.vectors; v++) {
                const float* weights = (const float*)f.constant + (p.first + v) * taps * kBlock;
                rows_.make(ring, p.vectors, v, oy, rows, weights + kBlock, weights, f.at(s_.y) + (p.first + v) * y_.block_bytes(),
                           pool ? pool + v * kBlock : nullptr, finish_);
            }
        }
    }
    void conclude(const Frame& f, int threads) const override {
        if (s_.pool >= 0) write_mean(f, s_.pool, y_.channels, bands(threads), y_.pixels());
    }

    std::vector<std::array<int, 2>> tiles() const override { return tiles_of(kernels_, blocks(y_.channels), vectors_); }

   private:
    struct Panel { int first, vectors; size_t at; };
    size_t steps() const { return (x_.channels + step_ - 1) / step_; }
    size_t heads() const { return step_ == 4 ? 2 : 1; }  // vectors before the weights: the bias, and for whole numbers their factors
    int bands(int threads) const { return band_count(threads, (int)panels_.size(), y_.height); }

    // One row of the input through the 1x1 convolution into the ring.
    void widen(const Frame& f, const Panel& p, int row, float* ring, const int32_t* offsets) const {
        TileArguments t{};
        t.offsets = offsets;
        t.full_blocks = x_.channels / kBlock;
        t.tail_channels = x_.channels % kBlock;
        t.tail_blocks = t.tail_channels > 0;
        t.bias = (const float*)(f.constant + p.at);
        t.weights = f.constant + p.at + sizeof(float) * kBlock * p.vectors * heads();
        t.out_block = rows_.ring() * rows_.line() * sizeof(float);
        t.finish = &expand_finish_;
        t.store = true;
        const size_t pixel = kBlock * size_of(x_.type);
        const char* x = f.at(s_.x) + (size_t)row * x_.width * pixel;
        float* out = rows_.row(ring, 0, row);
        const EvenSplit split(x_.width, p.vectors == vectors_ ? most_rows_ : kernels_.most_rows[p.vectors]);
        int column = 0;
        for (int i = 0; i < split.parts; i++) {
            t.a = x + column * pixel;
            t.out = (char*)(out + (size_t)column * kBlock);
            kernels_.tile[(int)x_.type][p.vectors][split.at(i)](t);
            column += split.at(i);
        }
    }

    Step s_;
    Tensor x_, y_;
    const Kernels& kernels_;
    Rows rows_;
    Finish expand_finish_, finish_;
    int step_ = 1, vectors_ = 1, most_rows_ = 1;
    std::vector<Panel> panels_;
    size_t bytes_ = 0;
};

}  // namespace

std::unique_ptr<Layer> make_depthwise(const Step& s, const std::vector<Tensor>& tensors, const Kernels& kernels) {
    return std::make_unique<Depthwise>(s, tensors, kernels);
}
std::unique_ptr<Layer> make_expand_depthwise(const Step& s, const std::vector<Tensor>& tensors, const Kernels& kernels) {
    return std::make_unique<ExpandDepthwise>(s, tensors, kernels);
}
