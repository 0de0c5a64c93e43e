// Dense and grouped convolution as a product: a panel of output channels times tiles of pixels, directly on the blocked layout.
// Where the input needs padding, a stride or a gate, a band of its rows is first copied (staged) the way the tiles want it: padded, columns sorted by their
// place within the stride, so that the next pixel always lies sixteen channels further.
// In int8 the tiles read whole numbers, either from x as it is or from a band that is brought to them while it is staged.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "program.h"

namespace {

struct Panel {
    int first = 0, vectors = 0;       // blocks of output channels
    int first_in = 0, last_in = 0;    // blocks of input channels
    int full = 0, tail = 0, tail_channels = 0;
    size_t bias = 0, weights = 0, end = 0;  // bytes into the constant
};

class Convolution : public Layer {
   public:
    Convolution(const Step& s, const std::vector<Tensor>& tensors, const Kernels& kernels)
        : s_(s), x_(tensors[s.x]), y_(tensors[s.y]), kernels_(kernels) {
        outputs_ = s.out_channels;
        taps_ = s.kernel[0] * s.kernel[1];
        read_ = s.compute == "int8" ? Type::uint8 : x_.type;
        element_ = size_of(read_);
        step_ = read_ == Type::uint8 ? 4 : read_ == Type::bfloat16 ? 2 : 1;
        finish_ = make_finish(s.activation, s.slope, y_);
        finish_.residual_after = s.residual_after;
        if (s.residual >= 0) {
            residual_ = tensors[s.residual];
            finish_.residual = residual_.type;
            finish_.residual_scale = residual_.scale;
            finish_.residual_zero_point = (float)residual_.zero_point;
        }
        if (x_.type == Type::uint8) {
            scale_ = x_.scale;
            zero_point_ = x_.zero_point;
        } else if (read_ == Type::uint8) {
            check(s.scale > 0, "scale: a convolution in int8 whose x is no uint8 needs the scale that x is brought to");
            scale_ = s.scale;
            zero_point_ = s.zero_point;
        }
        const bool plain = s.stride == std::array<int, 2>{1, 1} && s.padding == std::array<int, 4>{0, 0, 0, 0};
        flat_ = taps_ == 1 && plain;
        // the gate goes onto whatever there is less of: the weights, or the pixels while they are copied
        scaled_weights_ = s.gate >= 0 && flat_ && s.groups == 1 && (size_t)blocks(outputs_) * kBlock < y_.pixels() && read_ != Type::uint8;
        staged_ = !plain || (s.gate >= 0 && !scaled_weights_) || read_ != x_.type;
        rows_ = flat_ ? 1 : y_.height;
        columns_ = flat_ ? (int)y_.pixels() : y_.width;
        choose_tile();
        make_panels();
        make_stage();
    }

    int tasks(int threads, int) const override { return bands(threads) * groups(threads); }

    size_t scratch_bytes(int, int) const override {
        return align64(stage_room()) + align64(offsets_bytes()) + (scaled_weights_ ? constant_bytes() : 0);
    }
    size_t partial_floats(int threads) const override { return s_.pool >= 0 ? (size_t)tasks(threads, 1) * blocks(outputs_) * kBlock : 0; }
    size_t constant_bytes() const override { return panels_.back().end; }
    double macs() const override { return (double)y_.pixels() * outputs_ * (x_.channels / s_.groups) * taps_; }

    void pack(const Arrays& arrays, char* bytes) const override {
        const int in_group = x_.channels / s_.groups, out_group = outputs_ / s_.groups;
        const float* weight = need(arrays, "weight", {(size_t)outputs_, (size_t)in_group, (size_t)s_.kernel[0], (size_t)s_.kernel[1]}).data;
        const float* bias = optional_bias(arrays, "bias", outputs_);
        const float* weight_scale = read_ == Type::uint8 ? need(arrays, "weight_scale", {(size_t)outputs_}).data : nullptr;
        std::memset(bytes, 0, constant_bytes());
        for (const Panel& p : panels_) {
            float* b = (float*)(bytes + p.bias);
            for (int i = 0; i < p.vectors * kBlock; i++) {
                const int o = p.first * kBlock + i;
                if (o >= outputs_) continue;
                if (bias) b[i] = bias[o];
                if (!weight_scale) continue;
                // what the zero point adds to every sum is taken away beforehand
                double sum = 0;
                const size_t count = (size_t)in_group * taps_;
                for (size_t k = 0; k < count; k++) sum += to_int8(weight[o * count + k], weight_scale[o]);
                const double factor = (double)scale_ * weight_scale[o];
                b[i] -= (float)(factor * zero_point_ * sum);
                b[p.vectors * kBlock + i] = (float)factor;
            }
            char* out = bytes + p.weights;
            for (int block = p.first_in; block < p.last_in; block++) {
                const int lanes = block == p.last_in - 1 && p.tail ? p.tail_channels : kBlock;
                for (int tap = 0; tap < taps_; tap++)
                    for (int c = 0; c < lanes; c += step_)
                        for (int o = p.first * kBlock; o < (p.first + p.vectors) * kBlock; o++)
                            for (int u = 0; u < step_; u++, out += element_) {
                                const int in = block * kBlock + c + u, within = in - o / out_group * in_group;
                                if (o >= outputs_ || in >= x_.channels || within < 0 || within >= in_group) continue;
                                const float w = weight[((size_t)o * in_group + within) * taps_ + tap];
                                if (step_ == 4) *(int8_t*)out = to_int8(w, weight_scale[o]);
                                else if (step_ == 2) *(uint16_t*)out = to_bfloat16(w);
                                else *(float*)out = w;
                            }
            }
        }
    }

    void run(const Frame& f, int task, int threads) const override {
        const int group_count = groups(threads), band_count = bands(threads), band = task / group_count, group = task % group_count;
        const int extent = flat_ ? columns_ : rows_;
        const int most = flat_ ? band_columns_ : band_rows_;
        const int first = (int)((int64_t)extent * band / band_count), last = (int)((int64_t)extent * (band + 1) / band_count);
        float* pool = s_.pool >= 0 ? f.partial + (size_t)task * blocks(outputs_) * kBlock : nullptr;
        if (pool) std::memset(pool, 0, sizeof(float) * blocks(outputs_) * kBlock);
        char* stage = f.scratch;
        int32_t* offsets = (int32_t*)(f.scratch + align64(stage_room()));
        const int first_panel = (int)(panels_.size() * group / group_count), last_panel = (int)(panels_.size() * (group + 1) / group_count);
        const char* weights = f.constant;
        if (scaled_weights_) {
            char* scaled = f.scratch + align64(stage_room()) + align64(offsets_bytes());
            const float* gate = (const float*)f.at(s_.gate);
            for (int i = first_panel; i < last_panel; i++) {
                const Panel& p = panels_[i];
                std::memcpy(scaled + p.bias, f.constant + p.bias, p.weights - p.bias);
                kernels_.scale_weights[step_ == 2](f.constant + p.weights, (x_.channels + step_ - 1) / step_, p.vectors, gate, scaled + p.weights);
            }
            weights = scaled;
        }
        for (int from = first; from < last; from += most) {  // a task is several bands
            const int to = std::min(last, from + most);
            if (staged_) flat_ ? stage_pixels(f, stage, from, to) : stage_rows(f, stage, from, to);
            for (int i = first_panel; i < last_panel; i++) {
                if (i == first_panel || s_.groups > 1) place_blocks(panels_[i], to - from, offsets);
                run_panel(f, panels_[i], weights, from, to, stage, offsets, pool);
            }
        }
    }

    void conclude(const Frame& f, int threads) const override {
        if (s_.pool < 0) return;
        const int count = tasks(threads, 1);
        const int lanes = blocks(outputs_) * kBlock;
        float* mean = (float*)f.at(s_.pool);
        for (int i = 0; i < lanes; i++) {
            float sum = 0;
            for (int t = 0; t < count; t++) sum += f.partial[(size_t)t * lanes + i];
            mean[i] = sum / (float)y_.pixels();
        }
    }

    std::vector<std::array<int, 2>> tiles() const override { return tiles_of(kernels_, blocks(outputs_), tile_vectors_); }

   private:
    void choose_tile() {
        tile_vectors_ = s_.tile[1] ? s_.tile[1] : default_vectors();
        check(tile_vectors_ >= 1 && tile_vectors_ <= kMaxVectors && kernels_.most_rows[tile_vectors_] > 0, "tile [rows, vectors]: no such tile; see variants()");
        tile_rows_ = s_.tile[0] ? s_.tile[0] : kernels_.most_rows[tile_vectors_];
        check(tile_rows_ >= 1 && tile_rows_ <= kernels_.most_rows[tile_vectors_], "tile [rows, vectors]: no such tile; see variants()");
    }
    int default_vectors() const {
        const int available = blocks(outputs_);
        int best = 1;
        for (int v = 2; v <= 3; v++) if (v <= available && kernels_.most_rows[v] > (v == 3 ? 8 : 4)) best = v;
        return best == 3 && (available % 3 != 0 && available % 2 == 0) ? 2 : best;
    }

    void make_panels() {
        const int in_group = x_.channels / s_.groups, out_group = outputs_ / s_.groups;
        // a panel of several blocks reads the same input channels: all in one group, or one block at a time
        const bool aligned = s_.groups == 1 || (in_group % kBlock == 0 && out_group % kBlock == 0);
        size_t at = 0;
        const int unit = aligned ? out_group : outputs_;
        for (int start = 0; start < outputs_; start += unit) {
            int block = start / kBlock;
            const EvenSplit split(blocks(unit), aligned ? tile_vectors_ : 1);
            for (int i = 0; i < split.parts; i++) {
                const int vectors = split.at(i);
                Panel p;
                p.first = block;
                p.vectors = vectors;
                const int first_group = block * kBlock / out_group;
                const int last_group = (std::min((block + vectors) * kBlock, outputs_) - 1) / out_group;
                p.first_in = first_group * in_group / kBlock;
                p.last_in = blocks((last_group + 1) * in_group);
                const int lanes = x_.channels - (p.last_in - 1) * kBlock;
                p.tail_channels = lanes < kBlock ? lanes : 0;
                p.tail = p.tail_channels ? taps_ : 0;
                p.full = (p.last_in - p.first_in) * taps_ - p.tail;
                p.bias = at;
                p.weights = at + sizeof(float) * kBlock * vectors * (read_ == Type::uint8 ? 2 : 1);
                const size_t steps = (size_t)p.full * kBlock / step_ + (size_t)p.tail * ((p.tail_channels + step_ - 1) / step_);
                at = p.end = align64(p.weights + steps * vectors * 64);
                panels_.push_back(p);
                block += vectors;
            }
        }
    }

    void make_stage() {
        if (flat_) {
            // so many pixels that their channels stay in the nearer caches while all panels pass over them
            const size_t pixel = (size_t)x_.blocks() * kBlock * element_;
            int most = (int)((size_t)(128 << 10) / pixel);
            const bool weights_stay = constant_bytes() <= (size_t)(640 << 10);
            if (!weights_stay && !staged_) most = columns_;
            if (!weights_stay) most = std::max(most, (int)((size_t)(512 << 10) / pixel));
            const int whole = tile_rows_ * std::max(1, 126 / tile_rows_);
            most = most >= whole ? most / whole * whole : std::max(tile_rows_, most / tile_rows_ * tile_rows_);
            band_columns_ = std::min(columns_, most);
            return;
        }
        if (!staged_) {
            stage_phases_ = {0};
            band_rows_ = rows_;
            const size_t row = (size_t)x_.blocks() * x_.width * kBlock * element_ * s_.stride[0];
            band_rows_ = std::clamp((int)((size_t)(400 << 10) / std::max<size_t>(row, 1)), 1, rows_);
            return;
        }
        for (int kx = 0; kx < s_.kernel[1]; kx++) {
            const int phase = kx * s_.dilation[1] % s_.stride[1];
            if (std::find(stage_phases_.begin(), stage_phases_.end(), phase) == stage_phases_.end()) stage_phases_.push_back(phase);
        }
        stage_columns_ = columns_ + (s_.kernel[1] - 1) * s_.dilation[1] / s_.stride[1];
        band_rows_ = 1;
        while (band_rows_ < rows_ && stage_bytes(band_rows_ + 1) <= (size_t)(400 << 10)) band_rows_++;
        const int count = (rows_ + band_rows_ - 1) / band_rows_;
        band_rows_ = (rows_ + count - 1) / count;
    }

    // rows of the input that `out` rows of the output read, as staged; a kernel of height one needs only the rows it reads
    int staged_rows(int out) const { return s_.kernel[0] == 1 ? out : (out - 1) * s_.stride[0] + (s_.kernel[0] - 1) * s_.dilation[0] + 1; }
    int staged_row(int out, int ky) const { return s_.kernel[0] == 1 ? out : out * s_.stride[0] + ky * s_.dilation[0]; }
    size_t staged_line() const { return stage_phases_.size() * stage_columns_ * kBlock * element_; }
    size_t stage_bytes(int extent) const {
        return flat_ ? (size_t)x_.blocks() * extent * kBlock * element_ : (size_t)x_.blocks() * staged_rows(extent) * staged_line();
    }
    size_t stage_room() const { return staged_ ? stage_bytes(flat_ ? band_columns_ : band_rows_) : 0; }
    size_t offsets_bytes() const {
        size_t most = 0;
        for (const Panel& p : panels_) most = std::max(most, (size_t)(p.full + p.tail));
        return most * sizeof(int32_t);
    }

    int bands(int threads) const {
        const int extent = flat_ ? columns_ : rows_, most = flat_ ? band_columns_ : band_rows_;
        if (threads == 1) return 1;
        const int count = (extent + most - 1) / most, finest = flat_ ? std::max(1, extent / tile_rows_) : extent;
        return std::min({(count + threads - 1) / threads * threads, 4 * threads, finest});
    }
    int groups(int threads) const {
        const int count = bands(threads);
        return count >= threads || threads == 1 ? 1 : (int)std::min<size_t>(panels_.size(), (threads + count - 1) / count);
    }

    void stage_pixels(const Frame& f, char* stage, int from, int to) const {
        const char* x = f.at(s_.x);
        const float* gate = s_.gate >= 0 ? (const float*)f.at(s_.gate) : nullptr;
        const size_t pixel = kBlock * element_, x_pixel = kBlock * size_of(x_.type);
        for (int b = 0; b < x_.blocks(); b++) {
            const char* in = x + b * x_.block_bytes() + from * x_pixel;
            char* out = stage + (size_t)b * (to - from) * pixel;
            if (read_ != x_.type) quantise(in, 1, gate, b, out, to - from);
            else kernels_.scale_blocks(in, gate + b * kBlock, out, to - from, x_.type);
        }
    }
    void quantise(const char* in, int step, const float* gate, int block, char* out, size_t pixels) const {
        kernels_.quantise(in, x_.type, step, gate ? gate + block * kBlock : nullptr, 1 / scale_, (float)zero_point_, out, pixels);
    }

    void stage_rows(const Frame& f, char* stage, int from, int to) const {
        const char* x = f.at(s_.x);
        const float* gate = s_.gate >= 0 ? (const float*)f.at(s_.gate) : nullptr;
        const size_t pixel = kBlock * element_, x_pixel = kBlock * size_of(x_.type), line = staged_line();
        const int count = staged_rows(to - from), stride = s_.stride[1];
        for (int b = 0; b < x_.blocks(); b++)
            for (int r = 0; r < count; r++) {
                char* out = stage + ((size_t)b * count + r) * line;
                const int row = s_.kernel[0] == 1 ? (from + r) * s_.stride[0] - s_.padding[0] : from * s_.stride[0] + r - s_.padding[0];
                if (row < 0 || row >= x_.height) {
                    std::memset(out, zero_point_, line);
                    continue;
                }
                const char* in = x + b * x_.block_bytes() + (size_t)row * x_.width * x_pixel;
                for (int phase : stage_phases_) {
                    // staged column j is column j * stride + phase - left of the map
                    const int shift = phase - s_.padding[2];
                    const int first = std::clamp(shift < 0 ? (-shift + stride - 1) / stride : 0, 0, stage_columns_);
                    const int last = std::clamp(x_.width - shift <= 0 ? 0 : (x_.width - 1 - shift) / stride + 1, first, stage_columns_);
                    std::memset(out, zero_point_, first * pixel);
                    const char* source = in + ((ptrdiff_t)first * stride + shift) * (ptrdiff_t)x_pixel;
                    if (read_ != x_.type) quantise(source, stride, gate, b, out + first * pixel, last - first);
                    else if (stride == 1) std::memcpy(out + first * pixel, source, (last - first) * pixel);
                    else
                        for (int j = first; j < last; j++, source += stride * pixel) std::memcpy(out + j * pixel, source, pixel);
                    std::memset(out + last * pixel, zero_point_, (stage_columns_ - last) * pixel);
                    if (gate && read_ == x_.type) kernels_.scale_blocks(out, gate + b * kBlock, out, stage_columns_, x_.type);
                    out += stage_columns_ * pixel;
                }
            }
    }

    // Where in the input each block of sixteen channels at each tap lies.
    void place_blocks(const Panel& p, int extent, int32_t* offsets) const {
        const size_t pixel = kBlock * element_;
        const size_t block_bytes = !staged_ ? x_.block_bytes() : flat_ ? (size_t)extent * pixel : staged_rows(extent) * staged_line();
        for (int b = p.first_in; b < p.last_in; b++)
            for (int ky = 0; ky < s_.kernel[0]; ky++)
                for (int kx = 0; kx < s_.kernel[1]; kx++) *offsets++ = (int32_t)(b * block_bytes + tap_offset(ky, kx));
    }

    void run_panel(const Frame& f, const Panel& p, const char* weights, int from, int to, const char* stage, const int32_t* offsets, float* pool) const {
        const size_t pixel = kBlock * element_;
        const char* base = staged_ ? stage : f.at(s_.x);
        TileArguments t{};
        t.offsets = offsets;
        t.full_blocks = p.full;
        t.tail_blocks = p.tail;
        t.tail_channels = p.tail_channels;
        t.weights = weights + p.weights;
        t.bias = (const float*)(weights + p.bias);
        t.out_block = y_.block_bytes();
        t.pool = pool ? pool + p.first * kBlock : nullptr;
        t.finish = &finish_;
        t.store = s_.store;
        const size_t y_pixel = kBlock * size_of(y_.type);
        char* y = s_.store ? f.at(s_.y) + (s_.y_channel / kBlock + p.first) * y_.block_bytes() : nullptr;
        const size_t residual_pixel = kBlock * size_of(residual_.type);
        t.residual_block = residual_.block_bytes();
        const char* residual = s_.residual >= 0 ? f.at(s_.residual) + p.first * t.residual_block : nullptr;
        const auto& table = kernels_.tile[(int)read_][p.vectors];
        const int most = p.vectors == tile_vectors_ ? tile_rows_ : kernels_.most_rows[p.vectors];
        for (int row = flat_ ? 0 : from; row < (flat_ ? 1 : to); row++) {
            int column = flat_ ? from : 0;
            const int end = flat_ ? to : columns_;
            const EvenSplit split(end - column, most);
            for (int i = 0; i < split.parts; i++) {
                const int rows = split.at(i);
                if (flat_) t.a = base + (size_t)(staged_ ? column - from : column) * pixel;
                else if (staged_) t.a = base + staged_row(row - from, 0) * staged_line() + column * pixel;
                else t.a = base + ((size_t)row * x_.width + column) * pixel;
                const size_t at = (size_t)row * columns_ + column;
                t.out = y + at * y_pixel;
                t.residual = residual ? residual + at * residual_pixel : nullptr;
                table[rows](t);
                column += rows;
            }
        }
    }
    size_t tap_offset(int ky, int kx) const {
        const size_t pixel = kBlock * element_;
        if (!staged_) return ((size_t)ky * s_.dilation[0] * x_.width + kx * s_.dilation[1]) * pixel;
        if (flat_) return 0;
        const int column = kx * s_.dilation[1];
        const size_t phase = std::find(stage_phases_.begin(), stage_phases_.end(), column % s_.stride[1]) - stage_phases_.begin();
        return (s_.kernel[0] == 1 ? 0 : (size_t)ky * s_.dilation[0]) * staged_line() + (phase * stage_columns_ + column / s_.stride[1]) * pixel;
    }

    Step s_;
    Tensor x_, y_, residual_;
    const Kernels& kernels_;
    Type read_ = Type::float32;  // what the tiles read
    float scale_ = 0;            // of whole numbers that they read
    int zero_point_ = 0;
    size_t element_ = 4;
    int outputs_ = 0, taps_ = 1, step_ = 1;
    Finish finish_;
    bool staged_ = false, flat_ = false, scaled_weights_ = false;
    int rows_ = 0, columns_ = 0;  // of the output; a flat one is a single long row
    int tile_rows_ = 0, tile_vectors_ = 0;
    std::vector<Panel> panels_;
    std::vector<int> stage_phases_;
    int stage_columns_ = 0, band_rows_ = 1, band_columns_ = 1;
};

}  // namespace

std::unique_ptr<Layer> make_convolution(const Step& s, const std::vector<Tensor>& tensors, const Kernels& kernels) {
    return std::make_unique<Convolution>(s, tensors, kernels);
}
