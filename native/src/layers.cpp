// From a step to the layer that runs it: what holds for every step is checked here.
#include <algorithm>
#include <cmath>

#include "program.h"

void check(bool right, const std::string& message) {
    if (!right) throw Invalid(message);
}

Finish make_finish(Activation activation, float slope, const Tensor& y) {
    Finish f;
    f.activation = activation;
    f.low = activation == Activation::relu || activation == Activation::relu6 ? 0.0f : -INFINITY;
    f.high = activation == Activation::relu6 ? 6.0f : INFINITY;
    f.slope = slope;
    f.coarse = y.type != Type::float32;
    f.stored = y.type;
    if (y.type == Type::uint8) {
        f.inverse_scale = 1 / y.scale;
        f.zero_point = (float)y.zero_point;
    }
    return f;
}

static std::string shape_text(const std::vector<size_t>& shape) {
    std::string text = "(";
    for (size_t i = 0; i < shape.size(); i++) text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + ")";
}

const Array& need(const Arrays& arrays, const std::string& name, const std::vector<size_t>& shape) {
    const auto found = arrays.find(name);
    check(found != arrays.end(), "array \"" + name + "\" of shape " + shape_text(shape) + " is needed");
    check(found->second.shape == shape, "array \"" + name + "\" must have shape " + shape_text(shape) + ", not " + shape_text(found->second.shape));
    return found->second;
}

const float* optional_bias(const Arrays& arrays, const std::string& name, size_t size) {
    return arrays.count(name) ? need(arrays, name, {size}).data : nullptr;
}

int window_output(int size, int before, int after, int kernel, int stride, int dilation) {
    const int64_t span = (int64_t)size + before + after - ((int64_t)(kernel - 1) * dilation + 1);
    return span < 0 ? 0 : (int)(span / stride + 1);
}

// A window's numbers, within what makes sense.
static void check_numbers(const std::string& prefix, const std::array<int, 2>& kernel, const std::array<int, 2>& stride, const std::array<int, 2>& dilation, const std::array<int, 4>& padding) {
    constexpr int most = 1 << 14;
    for (int d = 0; d < 2; d++) {
        check(kernel[d] >= 1 && kernel[d] <= most, prefix + "kernel must have 2 numbers of at least 1, height and width");
        check(stride[d] >= 1 && stride[d] <= most, prefix + "stride must have 2 numbers of at least 1, height and width");
        check(dilation[d] >= 1 && dilation[d] <= most, prefix + "dilation must have 2 numbers of at least 1, height and width");
    }
    for (int p : padding) check(p >= 0 && p <= most, prefix + "padding must have 4 numbers of at least 0, top, bottom, left, right");
}

// The output's size follows from the window.
static void check_window(const Step& s, const Tensor& x, const Tensor& y) {
    check_numbers("", s.kernel, s.stride, s.dilation, s.padding);
    if (s.op == "pool") return;  // it also allows torch's ceil_mode
    const int height = window_output(x.height, s.padding[0], s.padding[1], s.kernel[0], s.stride[0], s.dilation[0]);
    const int width = window_output(x.width, s.padding[2], s.padding[3], s.kernel[1], s.stride[1], s.dilation[1]);
    check(y.height == height && y.width == width, "y is " + std::to_string(y.height) + "x" + std::to_string(y.width) + ", but kernel, stride, padding and dilation give " +
                                                      std::to_string(height) + "x" + std::to_string(width));
}

static void check_vector(const std::vector<Tensor>& tensors, int index, int channels, const std::string& name) {
    if (index < 0) return;
    const Tensor& t = tensors[index];
    check(t.layout == Layout::blocked && t.type == Type::float32 && t.height == 1 && t.width == 1 && t.channels == channels,
          name + " must be a blocked float32 tensor of shape (" + std::to_string(channels) + ", 1, 1)");
}

static std::unique_ptr<Layer> make_any_convolution(Step s, const std::vector<Tensor>& tensors, const Kernels& kernels) {
    const Tensor &x = tensors[s.x], &y = tensors[s.y];
    check_window(s, x, y);
    if (!s.out_channels) s.out_channels = y.channels;
    check(s.out_channels >= 1 && s.y_channel >= 0 && s.y_channel % kBlock == 0 && s.y_channel + s.out_channels <= y.channels,
          "y_channel must be a multiple of 16, and y must have room for out_channels there");
    check(s.y_channel + s.out_channels == y.channels || s.out_channels % kBlock == 0, "out_channels must be a multiple of 16 unless they are y's last");
    check(s.groups >= 1 && x.channels % s.groups == 0 && s.out_channels % s.groups == 0, "groups must divide the channels of x and out_channels");
    check_vector(tensors, s.gate, x.channels, "gate");
    check_vector(tensors, s.pool, s.out_channels, "pool");
    check(s.store || s.pool >= 0, "store false makes sense only with pool");
    if (s.residual >= 0) {
        const Tensor& r = tensors[s.residual];
        check(r.layout == Layout::blocked && (r.type == y.type || s.compute == "int8") && r.channels == s.out_channels && r.height == y.height && r.width == y.width,
              "residual must have the shape and dtype of what is written");
    }
    if (x.layout != Layout::blocked) {
        check(s.variant.empty() || s.variant == "planar", "variant of a first layer (x in nchw or nhwc) must be \"planar\"");
        return make_planar(s, tensors, kernels);
    }
    check(s.compute == "float32" || s.compute == "int8", "compute must be \"float32\" or \"int8\", not \"" + s.compute + "\"");
    if (s.compute == "int8") {
        check(s.variant.empty() || s.variant == "direct", "variant of a convolution in int8 must be \"direct\"");
        check(s.gate < 0 || x.type != Type::uint8, "gate needs an x of float32 or bfloat16");
        return make_convolution(s, tensors, kernels);
    }
    check(x.type != Type::uint8, "compute must be \"int8\" for an x of uint8");
    const bool depthwise = s.groups == x.channels && s.out_channels == x.channels && s.groups > 1 && s.gate < 0 && s.residual < 0 && s.store && s.kernel[0] <= 32;
    check(x.type == y.type || (depthwise && y.type == Type::uint8 && (s.variant.empty() || s.variant == "depthwise")), "x and y must have the same dtype");
    if (s.variant == "winograd") return make_winograd(s, tensors, kernels);
    if (s.variant == "depthwise" || (s.variant.empty() && depthwise)) {
        check(depthwise, "variant \"depthwise\" needs groups = channels of x = out_channels, no gate, no residual, store, a kernel of at most 32 rows");
        return make_depthwise(s, tensors, kernels);
    }
    check(s.variant.empty() || s.variant == "direct", "variant must be \"direct\", \"winograd\" or \"depthwise\", not \"" + s.variant + "\"");
    return make_convolution(s, tensors, kernels);
}

// Most steps take real numbers only.
static void check_whole_numbers(const Step& s, const std::vector<Tensor>& tensors) {
    const auto whole = [&](int index) { return index >= 0 && tensors[index].layout == Layout::blocked && tensors[index].type == Type::uint8; };
    const bool maximum = s.op == "pool" && s.kind == "max", products = s.op == "convolution" || s.op == "expand_depthwise";
    check(!whole(s.x) || products || maximum || s.op == "convert", "x cannot be uint8; use convert");
    check(!whole(s.y) || products || maximum || s.op == "convert" || s.op == "stem_depthwise", "y cannot be uint8; use convert");
    check(!whole(s.other) && !whole(s.gate) && !whole(s.pool), "other, gate and pool cannot be uint8");
    if (maximum && whole(s.x) && whole(s.y))
        check(tensors[s.x].scale == tensors[s.y].scale && tensors[s.x].zero_point == tensors[s.y].zero_point, "x and y must have the same scale and zero_point");
}

std::unique_ptr<Layer> make_layer(const Step& step, const std::vector<Tensor>& tensors, const Kernels& kernels) {
    for (int index : {step.x, step.y}) check(index >= 0 && index < (int)tensors.size(), "x and y must name tensors");
    for (int index : {step.residual, step.gate, step.pool, step.other}) check(index >= -1 && index < (int)tensors.size(), "there is no tensor " + std::to_string(index));
    check(step.y_channel >= 0, "y_channel must be at least 0");
    const Tensor &x = tensors[step.x], &y = tensors[step.y];
    static const char* const known[] = {"convolution", "expand_depthwise", "stem_depthwise", "linear", "pool", "adaptive_pool", "unary", "prelu", "scale_shift", "binary", "layer_norm", "softmax", "local_response_norm", "gather_channels", "pad", "upsample", "convert"};
    check(std::count(std::begin(known), std::end(known), step.op) > 0, "there is no such step");
    check_whole_numbers(step, tensors);
    if (step.op == "convolution") return make_any_convolution(step, tensors, kernels);
    if (step.op == "stem_depthwise") {
        check(x.layout != Layout::blocked && y.layout == Layout::blocked, "x must be nchw or nhwc, and y blocked");
        check_numbers("", step.kernel, step.stride, step.dilation, step.padding);
        check_numbers("expand_", step.expand_kernel, step.expand_stride, {1, 1}, step.expand_padding);
        check(step.dilation == std::array<int, 2>{1, 1}, "stem_depthwise has no dilation");
        check(step.kernel[0] <= 32 && step.expand_kernel[0] <= 32, "kernel must have at most 32 rows");
        check_vector(tensors, step.pool, y.channels, "pool");
        return make_stem_depthwise(step, tensors, kernels);
    }
    if (step.op != "convert") {
        check(x.layout == Layout::blocked && y.layout == Layout::blocked, "x and y must be blocked; use convert");
        if (step.other >= 0) check(tensors[step.other].layout == Layout::blocked, "other must be blocked; use convert");
    }
    if (step.op == "expand_depthwise") {
        check_window(step, x, y);
        check(step.dilation == std::array<int, 2>{1, 1}, "expand_depthwise has no dilation");
        check(x.type == y.type || x.type == Type::uint8 || y.type == Type::uint8, "x and y must have the same dtype, or one of them uint8");
        check(step.kernel[0] <= 32, "kernel must have at most 32 rows");
        check_vector(tensors, step.pool, y.channels, "pool");
        return make_expand_depthwise(step, tensors, kernels);
    }
    if (step.op == "pool") check_window(step, x, y);
    if (step.op == "linear") return make_linear(step, tensors, kernels);
    return make_elementwise(step, tensors, kernels);
}

std::vector<std::array<int, 2>> tiles_of(const Kernels& kernels, int blocks, int guess) {
    std::vector<std::array<int, 2>> found{{kernels.most_rows[guess], guess}};
    for (int vectors = 1; vectors <= kMaxVectors; vectors++)
        if (vectors != guess && kernels.most_rows[vectors] && vectors <= blocks) found.push_back({kernels.most_rows[vectors], vectors});
    return found;
}

std::vector<Step> step_variants(const Step& step, const std::vector<Tensor>& tensors, const Kernels& kernels) {
    std::vector<Step> found;
    Step plain = step;
    plain.variant.clear();
    plain.tile = {0, 0};
    const auto add = [&](const std::string& variant) {
        Step s = plain;
        s.variant = variant;
        const auto layer = make_layer(s, tensors, kernels);
        const auto tiles = layer->tiles();
        if (tiles.empty()) found.push_back(s);
        for (const auto& tile : tiles) {
            s.tile = tile;
            found.push_back(s);
        }
    };
    if (step.op != "convolution") {
        add("");
        return found;
    }
    const Tensor& x = tensors.at(step.x);
    if (x.layout != Layout::blocked) {
        add("planar");
        return found;
    }
    const bool winograd = step.kernel == std::array<int, 2>{3, 3} && step.stride == std::array<int, 2>{1, 1} && step.dilation == std::array<int, 2>{1, 1} && step.groups == 1 &&
                          step.gate < 0 && step.store && x.channels >= 32 && step.compute != "int8";
    if (winograd) add("winograd");
    try {
        add("depthwise");
    } catch (const Invalid&) {
        add("direct");
    }
    return found;
}
