// Steps that are no products: pooling, normalisation, activations, sums, copies, changes of layout.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "program.h"

namespace {

// What they share: tasks are blocks of channels, or ranges of pixels where channels are mixed; a batch tensor's images one after another.
class Elementwise : public Layer {
   public:
    Elementwise(const Step& s, const std::vector<Tensor>& tensors, const Kernels& kernels)
        : s_(s), x_(tensors[s.x]), y_(tensors[s.y]), kernels_(kernels), finish_(make_finish(s.activation, s.slope, {})) {}

    int tasks(int threads, int) const override {
        if (threads == 1 || x_.bytes() < (32 << 10)) return 1;
        return std::min(extent(), 4 * threads);
    }
    void run(const Frame& f, int task, int threads) const override {
        const int images = x_.batch ? f.images : 1, count = tasks(threads, images);
        const int first = (int)((int64_t)extent() * task / count), last = (int)((int64_t)extent() * (task + 1) / count);
        for (int n = 0; n < images; n++) part(f, n, first, last);
    }

   protected:
    virtual int extent() const { return y_.blocks(); }
    virtual void part(const Frame& f, int image, int first, int last) const = 0;
    void same_shape() const {
        check(x_.channels == y_.channels && x_.height == y_.height && x_.width == y_.width, "x and y must have the same shape");
        check(x_.type == y_.type, "x and y must have the same dtype");
    }
    size_t block_elements() const { return x_.pixels() * kBlock; }

    Step s_;
    Tensor x_, y_;
    const Kernels& kernels_;
    Finish finish_;
};

class Pool : public Elementwise {
   public:
    Pool(const Step& s, const std::vector<Tensor>& t, const Kernels& k) : Elementwise(s, t, k) {
        check(s.kind == "max" || s.kind == "average", "kind must be \"max\" or \"average\", not \"" + s.kind + "\"");
        check(x_.type == y_.type, "x and y must have the same dtype");
        check(s.kind == "max" || s.dilation == std::array<int, 2>{1, 1}, "average pooling has no dilation");
        check(s.y_channel % kBlock == 0 && s.y_channel + x_.channels <= y_.channels, "y_channel must be a multiple of 16 and leave room for x's channels");
        for (int d = 0; d < 2; d++) {
            const int size = d ? x_.width : x_.height, out = d ? y_.width : y_.height;
            const int before = s.padding[2 * d], after = s.padding[2 * d + 1];
            check(before < (s.kernel[d] - 1) * s.dilation[d] + 1, "padding must be smaller than the kernel");
            const int floor = window_output(size, before, after, s.kernel[d], s.stride[d], s.dilation[d]);
            // torch's ceil_mode: one more window, if it starts on the map or on the padding before it
            check(out >= 1 && out <= floor + 1 && (out - 1) * s.stride[d] < size + before, "y's size does not follow from kernel, stride and padding");
        }
    }
    double macs() const override { return 0; }

   protected:
    int extent() const override { return x_.blocks(); }
    void part(const Frame& f, int image, int first, int last) const override {
        PoolArguments p{};
        p.height = x_.height;
        p.width = x_.width;
        p.out_width = y_.width;
        p.kernel_height = s_.kernel[0];
        p.kernel_width = s_.kernel[1];
        p.stride_height = s_.stride[0];
        p.stride_width = s_.stride[1];
        p.top = s_.padding[0];
        p.bottom = s_.padding[1];
        p.left = s_.padding[2];
        p.right = s_.padding[3];
        p.dilation_height = s_.dilation[0];
        p.dilation_width = s_.dilation[1];
        p.count_include_pad = s_.count_include_pad;
        p.divisor = s_.divisor;
        p.last_row = y_.height;
        for (int b = first; b < last; b++) {
            p.x = f.at(s_.x, image) + b * x_.block_bytes();
            p.y = f.at(s_.y, image) + (s_.y_channel / kBlock + b) * y_.block_bytes();
            (s_.kind == "max" ? kernels_.max_pool : kernels_.average_pool)(p, x_.type);
        }
    }
};

// Output i covers floor(i * size / out) .. ceil((i + 1) * size / out), as in torch.
class AdaptivePool : public Elementwise {
   public:
    AdaptivePool(const Step& s, const std::vector<Tensor>& t, const Kernels& k) : Elementwise(s, t, k) {
        check(s.kind == "max" || s.kind == "average", "kind must be \"max\" or \"average\", not \"" + s.kind + "\"");
        check(x_.channels == y_.channels, "x and y must have the same channels");
    }
    size_t scratch_bytes(int, int) const override { return 128; }

   protected:
    void part(const Frame& f, int image, int first, int last) const override {
        const size_t pixel = kBlock * size_of(x_.type), out_pixel = kBlock * size_of(y_.type);
        float* sums = (float*)f.scratch;
        for (int b = first; b < last; b++) {
            const char* x = f.at(s_.x, image) + b * x_.block_bytes();
            char* y = f.at(s_.y, image) + b * y_.block_bytes();
            for (int i = 0; i < y_.height; i++)
                for (int j = 0; j < y_.width; j++) {
                    const int top = i * x_.height / y_.height, bottom = ((i + 1) * x_.height + y_.height - 1) / y_.height;
                    const int left = j * x_.width / y_.width, right = ((j + 1) * x_.width + y_.width - 1) / y_.width;
                    if (s_.kind == "average") {
                        std::memset(sums, 0, 64);
                        if (left == 0 && right == x_.width) kernels_.add_pixels(x + (size_t)top * x_.width * pixel, (size_t)(bottom - top) * x_.width, sums, x_.type);
                        else
                            for (int r = top; r < bottom; r++) kernels_.add_pixels(x + ((size_t)r * x_.width + left) * pixel, right - left, sums, x_.type);
                        for (int l = 0; l < kBlock; l++) sums[l] /= (float)((bottom - top) * (right - left));
                    } else {
                        PoolArguments p{};
                        p.x = x + ((size_t)top * x_.width + left) * pixel;
                        p.y = (char*)sums;
                        p.height = bottom - top;
                        p.width = x_.width;
                        p.out_width = 1;
                        p.kernel_height = bottom - top;
                        p.kernel_width = right - left;
                        p.stride_height = p.stride_width = p.dilation_height = p.dilation_width = 1;
                        p.last_row = 1;
                        kernels_.max_pool(p, x_.type);
                    }
                    kernels_.convert((const char*)sums, s_.kind == "average" ? Type::float32 : x_.type, y + ((size_t)i * y_.width + j) * out_pixel, y_.type, kBlock);
                }
        }
    }
};

class Unary : public Elementwise {
   public:
    Unary(const Step& s, const std::vector<Tensor>& t, const Kernels& k) : Elementwise(s, t, k) { same_shape(); }

   protected:
    void part(const Frame& f, int image, int first, int last) const override {
        char* y = f.at(s_.y, image) + first * y_.block_bytes();
        const char* x = f.at(s_.x, image) + first * x_.block_bytes();
        if (x != y) std::memmove(y, x, (size_t)(last - first) * x_.block_bytes());
        kernels_.finish(y, (last - first) * block_elements(), finish_, y_.type);
    }
};

// Numbers for each channel, padded to whole blocks: `count` vectors after one another.
void pack_channels(const Arrays& arrays, const std::string& name, int channels, float otherwise, float* out, bool optional = false) {
    const auto found = arrays.find(name);
    const bool one = found != arrays.end() && found->second.size() == 1;
    const float* values = optional ? optional_bias(arrays, name, channels) : one ? found->second.data : need(arrays, name, {(size_t)channels}).data;
    for (int c = 0; c < blocks(channels) * kBlock; c++) out[c] = c < channels && values ? values[one && !optional ? 0 : c] : otherwise;
}

class Prelu : public Elementwise {
   public:
    Prelu(const Step& s, const std::vector<Tensor>& t, const Kernels& k) : Elementwise(s, t, k) { same_shape(); }
    size_t constant_bytes() const override { return (size_t)x_.blocks() * 64; }
    void pack(const Arrays& arrays, char* bytes) const override { pack_channels(arrays, "weight", x_.channels, 0, (float*)bytes); }

   protected:
    void part(const Frame& f, int image, int first, int last) const override {
        for (int b = first; b < last; b++)
            kernels_.prelu(f.at(s_.x, image) + b * x_.block_bytes(), (const float*)f.constant + b * kBlock, f.at(s_.y, image) + b * y_.block_bytes(), x_.pixels(), x_.type);
    }
};

class ScaleShift : public Elementwise {
   public:
    ScaleShift(const Step& s, const std::vector<Tensor>& t, const Kernels& k) : Elementwise(s, t, k) { same_shape(); }
    size_t constant_bytes() const override { return (size_t)x_.blocks() * 128; }
    void pack(const Arrays& arrays, char* bytes) const override {
        pack_channels(arrays, "weight", x_.channels, 0, (float*)bytes);
        pack_channels(arrays, "bias", x_.channels, 0, (float*)bytes + x_.blocks() * kBlock, true);
    }

   protected:
    void part(const Frame& f, int image, int first, int last) const override {
        const float* scale = (const float*)f.constant;
        const float* shift = scale + x_.blocks() * kBlock;
        for (int b = first; b < last; b++)
            kernels_.scale_shift(f.at(s_.x, image) + b * x_.block_bytes(), scale + b * kBlock, shift + b * kBlock, f.at(s_.y, image) + b * y_.block_bytes(), x_.pixels(), finish_, x_.type);
    }
};

class Binary : public Elementwise {
   public:
    Binary(const Step& s, const std::vector<Tensor>& t, const Kernels& k) : Elementwise(s, t, k) {
        same_shape();
        check(s.other >= 0, "other: a tensor is needed");
        other_ = t[s.other];
        check(s.kind == "add" || s.kind == "multiply" || s.kind == "subtract", "kind must be \"add\", \"multiply\" or \"subtract\", not \"" + s.kind + "\"");
        kind_ = s.kind == "add" ? 0 : s.kind == "multiply" ? 1 : 2;
        const bool same_map = other_.height == x_.height && other_.width == x_.width;
        if (other_.channels == x_.channels && same_map) broadcast_ = 0;
        else if (other_.channels == x_.channels && other_.height == 1 && other_.width == 1) broadcast_ = 1;
        else if (other_.channels == 1 && same_map) broadcast_ = 2;
        else check(false, "other must have x's shape, or height and width 1, or one channel");
    }

   protected:
    void part(const Frame& f, int image, int first, int last) const override {
        for (int b = first; b < last; b++)
            kernels_.binary(f.at(s_.x, image) + b * x_.block_bytes(), f.at(s_.other, other_.batch ? image : 0) + (broadcast_ == 2 ? 0 : b * other_.block_bytes()), other_.type, kind_, broadcast_,
                            f.at(s_.y, image) + b * y_.block_bytes(), x_.pixels(), finish_, x_.type);
    }

   private:
    Tensor other_;
    int kind_ = 0, broadcast_ = 0;
};

// Steps that mix the channels of a pixel.
class ByPixel : public Elementwise {
   public:
    ByPixel(const Step& s, const std::vector<Tensor>& t, const Kernels& k) : Elementwise(s, t, k) {
        same_shape();
        check(s.op != "local_response_norm" || (s.size >= 1 && s.size <= 64), "size must be 1 to 64");
        check(s.op != "local_response_norm" || s.y != s.x, "local_response_norm cannot write over its input");
    }
    size_t constant_bytes() const override { return s_.op == "layer_norm" ? (size_t)x_.blocks() * 128 : 0; }
    void pack(const Arrays& arrays, char* bytes) const override {
        if (s_.op != "layer_norm") return;
        if (arrays.count("weight")) pack_channels(arrays, "weight", x_.channels, 0, (float*)bytes);
        else std::fill_n((float*)bytes, x_.blocks() * kBlock, 1.0f);
        pack_channels(arrays, "bias", x_.channels, 0, (float*)bytes + x_.blocks() * kBlock, true);
    }

   protected:
    int extent() const override { return (int)x_.pixels(); }
    void part(const Frame& f, int image, int first, int last) const override {
        const size_t pixel = kBlock * size_of(x_.type);
        const char* x = f.at(s_.x, image) + first * pixel;
        char* y = f.at(s_.y, image) + first * pixel;
        const float* weight = (const float*)f.constant;
        if (s_.op == "layer_norm")
            kernels_.layer_norm(x, y, x_.channels, block_elements(), last - first, weight, weight + x_.blocks() * kBlock, s_.epsilon, x_.type);
        else if (s_.op == "softmax") kernels_.softmax(x, y, x_.channels, block_elements(), last - first, x_.type);
        else kernels_.response_norm(x, y, x_.channels, block_elements(), last - first, s_.size, s_.alpha, s_.beta, s_.k, x_.type);
    }
};

template <class T> void copy_lanes(const char* x, char* y, size_t pixels, int from, int to, int lanes) {
    const T* in = (const T*)x + from;
    T* out = (T*)y + to;
    for (size_t i = 0; i < pixels; i++)
        for (int l = 0; l < lanes; l++) out[i * kBlock + l] = in[i * kBlock + l];
}

class GatherChannels : public Elementwise {
   public:
    GatherChannels(const Step& s, const std::vector<Tensor>& t, const Kernels& k) : Elementwise(s, t, k) {
        check(x_.height == y_.height && x_.width == y_.width && x_.type == y_.type, "x and y must have the same height, width and dtype");
        check(s.y_channel >= 0 && s.y_channel + (int64_t)s.channels.size() <= y_.channels, "y has no room for so many channels at y_channel");
        check(!s.channels.empty(), "channels must not be empty");
        for (int c : s.channels) check(c >= 0 && c < x_.channels, "channels: x has no channel " + std::to_string(c));
        // runs of neighbours that stay within one block on both sides are copied at once
        for (size_t i = 0; i < s.channels.size();) {
            const int from = s.channels[i], to = s.y_channel + (int)i;
            int lanes = 1;
            while (i + lanes < s.channels.size() && s.channels[i + lanes] == from + lanes && (from + lanes) % kBlock && (to + lanes) % kBlock) lanes++;
            runs_.push_back({from, to, lanes});
            i += lanes;
        }
    }

   protected:
    int extent() const override { return (int)(blocks(s_.y_channel + (int)s_.channels.size()) - s_.y_channel / kBlock); }
    void part(const Frame& f, int image, int first, int last) const override {
        const int first_channel = (s_.y_channel / kBlock + first) * kBlock, last_channel = (s_.y_channel / kBlock + last) * kBlock;
        const int end = s_.y_channel + (int)s_.channels.size();
        if (end == y_.channels && end % kBlock && last == extent())  // what lies beyond the last channel must be a number
            clear_lanes(f.at(s_.y, image) + (size_t)(end / kBlock) * y_.block_bytes(), end % kBlock);
        for (const Run& r : runs_) {
            if (r.to < first_channel || r.to >= last_channel) continue;
            const char* x = f.at(s_.x, image) + r.from / kBlock * x_.block_bytes();
            char* y = f.at(s_.y, image) + r.to / kBlock * y_.block_bytes();
            if (r.lanes == kBlock) std::memcpy(y, x, x_.block_bytes());
            else if (x_.type == Type::float32) copy_lanes<float>(x, y, x_.pixels(), r.from % kBlock, r.to % kBlock, r.lanes);
            else copy_lanes<uint16_t>(x, y, x_.pixels(), r.from % kBlock, r.to % kBlock, r.lanes);
        }
    }

   private:
    void clear_lanes(char* y, int first) const {
        const size_t pixel = kBlock * size_of(y_.type), kept = first * size_of(y_.type);
        for (size_t i = 0; i < y_.pixels(); i++) std::memset(y + i * pixel + kept, 0, pixel - kept);
    }

    struct Run { int from, to, lanes; };
    std::vector<Run> runs_;
};

class Pad : public Elementwise {
   public:
    Pad(const Step& s, const std::vector<Tensor>& t, const Kernels& k) : Elementwise(s, t, k) {
        check(x_.type == y_.type && x_.channels == y_.channels, "x and y must have the same channels and dtype");
        check(y_.height == x_.height + s.padding[0] + s.padding[1] && y_.width == x_.width + s.padding[2] + s.padding[3], "y's size does not follow from the padding");
    }

   protected:
    void part(const Frame& f, int image, int first, int last) const override {
        const size_t pixel = kBlock * size_of(x_.type);
        alignas(64) float wide[kBlock];
        alignas(64) char value[64];
        std::fill_n(wide, kBlock, s_.value);
        kernels_.convert((const char*)wide, Type::float32, value, y_.type, kBlock);
        for (int b = first; b < last; b++)
            for (int y = 0; y < y_.height; y++)
                for (int c = 0; c < y_.width; c++) {
                    const int row = y - s_.padding[0], column = c - s_.padding[2];
                    const bool inside = row >= 0 && row < x_.height && column >= 0 && column < x_.width;
                    const char* from = inside ? f.at(s_.x, image) + b * x_.block_bytes() + ((size_t)row * x_.width + column) * pixel : value;
                    std::memcpy(f.at(s_.y, image) + b * y_.block_bytes() + ((size_t)y * y_.width + c) * pixel, from, pixel);
                }
    }
};

class Upsample : public Elementwise {
   public:
    Upsample(const Step& s, const std::vector<Tensor>& t, const Kernels& k) : Elementwise(s, t, k) {
        check(x_.type == y_.type && x_.channels == y_.channels, "x and y must have the same channels and dtype");
    }

   protected:
    void part(const Frame& f, int image, int first, int last) const override {
        const size_t pixel = kBlock * size_of(x_.type);
        for (int b = first; b < last; b++)
            for (int y = 0; y < y_.height; y++)
                for (int c = 0; c < y_.width; c++) {
                    const size_t row = (size_t)y * x_.height / y_.height, column = (size_t)c * x_.width / y_.width;
                    std::memcpy(f.at(s_.y, image) + b * y_.block_bytes() + ((size_t)y * y_.width + c) * pixel,
                                f.at(s_.x, image) + b * x_.block_bytes() + (row * x_.width + column) * pixel, pixel);
                }
    }
};

// Between the caller's layouts and the blocked one, and between types.
class Convert : public Elementwise {
   public:
    Convert(const Step& s, const std::vector<Tensor>& t, const Kernels& k) : Elementwise(s, t, k) {
        check(x_.channels == y_.channels && x_.height == y_.height && x_.width == y_.width, "x and y must have the same shape");
        check(x_.layout == Layout::blocked || y_.layout == Layout::blocked, "one of x and y must be blocked");
        check(y_.layout != Layout::nhwc, "y cannot be nhwc");
        const bool whole = x_.type == Type::uint8 && y_.type == Type::uint8 && x_.layout == Layout::blocked;
        check(!whole || (x_.scale == y_.scale && x_.zero_point == y_.zero_point), "x and y must have the same scale and zero_point");
    }
    size_t scratch_bytes(int, int) const override { return 64 * (size_t)kPixels; }
    size_t constant_bytes() const override { return x_.layout == Layout::nhwc ? (size_t)x_.blocks() * 128 : 0; }
    void pack(const Arrays& arrays, char* bytes) const override {
        if (x_.layout != Layout::nhwc) return;
        const float* mean = need(arrays, "mean", {(size_t)x_.channels}).data;
        const float* deviation = need(arrays, "deviation", {(size_t)x_.channels}).data;
        float* scale = (float*)bytes;
        float* shift = scale + x_.blocks() * kBlock;
        for (int c = 0; c < x_.blocks() * kBlock; c++) {
            scale[c] = c < x_.channels ? 1.0f / (255.0f * deviation[c]) : 0;
            shift[c] = c < x_.channels ? -mean[c] / deviation[c] : 0;
        }
    }

   protected:
    void part(const Frame& f, int image, int first, int last) const override {
        const char* x = f.at(s_.x, image);
        char* y = f.at(s_.y, image);
        for (int b = first; b < last; b++) {
            if (x_.layout == Layout::blocked && y_.layout == Layout::blocked)
                convert(x + b * x_.block_bytes(), x_.type, y + b * y_.block_bytes(), y_.type, block_elements());
            else if (y_.layout == Layout::blocked) to_blocked(f, x, y + b * y_.block_bytes(), b);
            else from_blocked(f, x + b * x_.block_bytes(), (float*)y, b);
        }
    }

   private:
    static constexpr size_t kPixels = 64;

    void to_blocked(const Frame& f, const char* x, char* y, int b) const {
        const int lanes = std::min(kBlock, x_.channels - b * kBlock);
        float* buffer = (float*)f.scratch;
        const float* scale = (const float*)f.constant;
        for (size_t first = 0; first < x_.pixels(); first += kPixels) {
            const size_t count = std::min(kPixels, x_.pixels() - first);
            std::memset(buffer, 0, count * 64);
            for (int l = 0; l < lanes; l++) {
                const size_t c = b * kBlock + l;
                if (x_.layout == Layout::nchw) {
                    const float* in = (const float*)x + c * x_.pixels() + first;
                    for (size_t i = 0; i < count; i++) buffer[i * kBlock + l] = in[i];
                } else {
                    const uint8_t* in = (const uint8_t*)x + first * x_.channels + c;
                    const float a = scale[c], s = scale[x_.blocks() * kBlock + c];
                    for (size_t i = 0; i < count; i++) buffer[i * kBlock + l] = (float)in[i * x_.channels] * a + s;
                }
            }
            convert((const char*)buffer, Type::float32, y + first * kBlock * size_of(y_.type), y_.type, count * kBlock);
        }
    }
    void convert(const char* in, Type from, char* out, Type to, size_t count) const {
        if (from == to) kernels_.convert(in, from, out, to, count);
        else if (to == Type::uint8) kernels_.quantise(in, from, 1, nullptr, 1 / y_.scale, (float)y_.zero_point, out, count / kBlock);
        else if (from == Type::uint8) kernels_.dequantise(in, x_.scale, (float)x_.zero_point, out, to, count / kBlock);
        else kernels_.convert(in, from, out, to, count);
    }

    void from_blocked(const Frame& f, const char* x, float* y, int b) const {
        const int lanes = std::min(kBlock, x_.channels - b * kBlock);
        float* buffer = (float*)f.scratch;
        for (size_t first = 0; first < x_.pixels(); first += kPixels) {
            const size_t count = std::min(kPixels, x_.pixels() - first);
            convert(x + first * kBlock * size_of(x_.type), x_.type, (char*)buffer, Type::float32, count * kBlock);
            for (int l = 0; l < lanes; l++)
                for (size_t i = 0; i < count; i++) y[((size_t)b * kBlock + l) * x_.pixels() + first + i] = buffer[i * kBlock + l];
        }
    }
};

}  // namespace

std::unique_ptr<Layer> make_elementwise(const Step& s, const std::vector<Tensor>& tensors, const Kernels& kernels) {
    if (s.op == "pool") return std::make_unique<Pool>(s, tensors, kernels);
    if (s.op == "adaptive_pool") return std::make_unique<AdaptivePool>(s, tensors, kernels);
    if (s.op == "unary") return std::make_unique<Unary>(s, tensors, kernels);
    if (s.op == "prelu") return std::make_unique<Prelu>(s, tensors, kernels);
    if (s.op == "scale_shift") return std::make_unique<ScaleShift>(s, tensors, kernels);
    if (s.op == "binary") return std::make_unique<Binary>(s, tensors, kernels);
    if (s.op == "layer_norm" || s.op == "softmax" || s.op == "local_response_norm") return std::make_unique<ByPixel>(s, tensors, kernels);
    if (s.op == "gather_channels") return std::make_unique<GatherChannels>(s, tensors, kernels);
    if (s.op == "pad") return std::make_unique<Pad>(s, tensors, kernels);
    if (s.op == "upsample") return std::make_unique<Upsample>(s, tensors, kernels);
    if (s.op == "convert") return std::make_unique<Convert>(s, tensors, kernels);
    return nullptr;
}
