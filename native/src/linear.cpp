// Fully connected layers. One image: the weights are read once, four vectors at a time. A batch: tiles of images, as if they were pixels.
#include <algorithm>
#include <cstring>

#include "program.h"

namespace {

class Linear : public Layer {
   public:
    Linear(const Step& s, const std::vector<Tensor>& tensors, const Kernels& kernels)
        : s_(s), x_(tensors[s.x]), y_(tensors[s.y]), kernels_(kernels), finish_(make_finish(s.activation, s.slope, {})) {
        check(y_.height == 1 && y_.width == 1, "y of a linear layer has height and width 1");
        check(s.compute == "float32" || s.compute == "bfloat16", "compute must be \"float32\" or \"bfloat16\", not \"" + s.compute + "\"");
        type_ = s.compute == "bfloat16" ? Type::bfloat16 : Type::float32;
        step_ = type_ == Type::bfloat16 ? 2 : 1;
        pixels_ = (int)x_.pixels();
        full_ = x_.channels / kBlock * pixels_;
        tail_channels_ = x_.channels % kBlock;
        tail_ = tail_channels_ ? pixels_ : 0;
        // one width for both ways: a single row wants many sums in flight, a batch many rows
        vectors_ = kernels.most_rows[2] > 4 ? std::min(2, y_.blocks()) : 1;
    }

    int tasks(int threads, int images) const override {
        if (threads == 1 || macs() * images < 2e5) return 1;
        return std::min(panels(), 2 * threads);
    }
    size_t scratch_bytes(int, int images) const override {
        const size_t rows = x_.batch ? images : 1;
        return align64(rows * row_bytes()) + sizeof(int32_t) * align64(full_ + tail_) + 64 * kMaxVectors * kMaxRows;
    }
    size_t constant_bytes() const override { return (size_t)y_.blocks() * 64 * (1 + steps()); }
    double macs() const override { return (double)x_.channels * pixels_ * y_.channels; }

    void pack(const Arrays& arrays, char* bytes) const override {
        const size_t features = (size_t)x_.channels * pixels_;
        const float* weight = need(arrays, "weight", {(size_t)y_.channels, features}).data;
        const float* bias = optional_bias(arrays, "bias", y_.channels);
        std::memset(bytes, 0, constant_bytes());
        char* out = bytes;
        const EvenSplit split(y_.blocks(), vectors_);
        int first = 0;
        for (int i = 0; i < split.parts; i++) {
            const int lanes = split.at(i) * kBlock;
            for (int l = 0; l < lanes; l++)
                if (const int o = first * kBlock + l; bias && o < y_.channels) ((float*)out)[l] = bias[o];
            out += sizeof(float) * lanes;
            for (int block = 0; block < full_ + tail_; block++) {
                const int cb = block / pixels_, pixel = block % pixels_;
                for (int c = 0; c < (block < full_ ? kBlock : tail_channels_); c += step_)
                    for (int l = 0; l < lanes; l++)
                        for (int u = 0; u < step_; u++, out += size_of(type_)) {
                            const int o = first * kBlock + l, in = cb * kBlock + c + u;
                            if (o >= y_.channels || in >= x_.channels) continue;
                            const float w = weight[(size_t)o * features + (size_t)in * pixels_ + pixel];
                            if (step_ == 2) *(uint16_t*)out = to_bfloat16(w);
                            else *(float*)out = w;
                        }
            }
            first += split.at(i);
        }
    }

    void run(const Frame& f, int task, int threads) const override {
        const int images = x_.batch ? f.images : 1, count = tasks(threads, images);
        const int first = panels() * task / count, last = panels() * (task + 1) / count;
        const char* rows = stage(f, images);
        int32_t* offsets = (int32_t*)(f.scratch + align64((x_.batch ? f.images : 1) * row_bytes()));
        float* sums = (float*)(offsets + align64(full_ + tail_));
        for (int b = 0; b < full_ + tail_; b++) offsets[b] = (int32_t)((size_t)b * images * kBlock * size_of(type_));
        const EvenSplit split(y_.blocks(), vectors_);
        const char* weights = f.constant;
        int block = 0;
        for (int i = 0; i < last; i++) {
            const int vectors = split.at(i);
            if (i >= first) images == 1 ? one_row(f, rows, weights, block, vectors, sums) : many_rows(f, rows, weights, block, vectors, sums, offsets, images);
            weights += (size_t)vectors * 64 * (1 + steps());
            block += vectors;
        }
    }

   private:
    int panels() const { return EvenSplit(y_.blocks(), vectors_).parts; }
    size_t steps() const { return (size_t)full_ * kBlock / step_ + (size_t)tail_ * ((tail_channels_ + step_ - 1) / step_); }
    size_t row_bytes() const { return (size_t)(full_ + tail_) * kBlock * size_of(type_); }

    // The images' blocks side by side, [block][image][16], in the element that the weights have.
    const char* stage(const Frame& f, int images) const {
        if (images == 1 && x_.type == type_) return f.at(s_.x);
        const size_t from = kBlock * size_of(x_.type), to = kBlock * size_of(type_);
        if (images == 1) {
            kernels_.convert(f.at(s_.x), x_.type, f.scratch, type_, (size_t)(full_ + tail_) * kBlock);
            return f.scratch;
        }
        for (int n = 0; n < images; n++) {
            const char* x = f.at(s_.x, n);
            for (int b = 0; b < full_ + tail_; b++) kernels_.convert(x + b * from, x_.type, f.scratch + ((size_t)b * images + n) * to, type_, kBlock);
        }
        return f.scratch;
    }

    void one_row(const Frame& f, const char* x, const char* weights, int block, int vectors, float* sums) const {
        std::memcpy(sums, weights, 64 * vectors);
        const char* w = weights + 64 * vectors;
        const auto dot = kernels_.dot[step_ == 2];
        const int whole = full_ * kBlock / step_, rest = (tail_channels_ + step_ - 1) / step_;
        dot(x, whole, w, vectors, sums);
        w += (size_t)whole * vectors * 64;
        for (int b = 0; b < tail_; b++, w += (size_t)rest * vectors * 64) dot(x + (size_t)(full_ + b) * kBlock * size_of(type_), rest, w, vectors, sums);
        kernels_.finish((char*)sums, vectors * kBlock, finish_, Type::float32);
        kernels_.convert((const char*)sums, Type::float32, f.at(s_.y) + block * y_.block_bytes(), y_.type, vectors * kBlock);
    }

    void many_rows(const Frame& f, const char* x, const char* weights, int block, int vectors, float* sums, const int32_t* offsets, int images) const {
        TileArguments t{};
        t.offsets = offsets;
        t.full_blocks = full_;
        t.tail_blocks = tail_;
        t.tail_channels = tail_channels_;
        t.bias = (const float*)weights;
        t.weights = weights + 64 * vectors;
        t.finish = &finish_;
        t.store = true;
        t.out = (char*)sums;
        const EvenSplit split(images, kernels_.most_rows[vectors]);
        int image = 0;
        for (int i = 0; i < split.parts; i++) {
            const int rows = split.at(i);
            t.a = x + (size_t)image * kBlock * size_of(type_);
            t.out_block = (size_t)rows * 64;
            kernels_.tile[step_ == 2][vectors][rows](t);
            for (int n = 0; n < rows; n++)
                for (int v = 0; v < vectors; v++)
                    kernels_.convert((const char*)(sums + ((size_t)v * rows + n) * kBlock), Type::float32, f.at(s_.y, image + n) + (block + v) * y_.block_bytes(), y_.type, kBlock);
            image += rows;
        }
    }

    Step s_;
    Tensor x_, y_;
    const Kernels& kernels_;
    Finish finish_;
    Type type_ = Type::float32;
    int step_ = 1, pixels_ = 1, full_ = 0, tail_ = 0, tail_channels_ = 0, vectors_ = 1;
};

}  // namespace

std::unique_ptr<Layer> make_linear(const Step& s, const std::vector<Tensor>& tensors, const Kernels& kernels) {
    return std::make_unique<Linear>(s, tensors, kernels);
}
