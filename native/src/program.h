// Steps, tensors and what a running program hands to them. Nothing here depends on the instruction set or on Python.
#pragma once
#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "arguments.h"

struct Invalid : std::runtime_error { using std::runtime_error::runtime_error; };

enum class Layout { blocked, nchw, nhwc };

struct Tensor {
    int channels = 0, height = 0, width = 0;
    Layout layout = Layout::blocked;
    Type type = Type::float32;
    float scale = 0;               // of a blocked uint8 tensor, which stands for scale * (number - zero_point)
    int zero_point = 0;
    std::optional<size_t> offset;  // bytes into its arena
    bool batch = false;            // lives in the arena of the whole batch

    size_t pixels() const { return (size_t)height * width; }
    int blocks() const { return ::blocks(channels); }
    size_t block_bytes() const { return pixels() * kBlock * size_of(type); }
    size_t bytes() const { return layout == Layout::blocked ? blocks() * block_bytes() : (size_t)channels * pixels() * size_of(type); }
};

struct Step {
    std::string op, variant, kind = "add", compute = "float32";
    int x = -1, y = -1, residual = -1, gate = -1, pool = -1, other = -1, constant = -1;
    Activation activation = Activation::none, expand_activation = Activation::none;
    float slope = 0.01f, alpha = 1e-4f, beta = 0.75f, k = 1, epsilon = 1e-6f, value = 0, scale = 0;
    std::array<int, 2> kernel{1, 1}, stride{1, 1}, dilation{1, 1}, expand_kernel{1, 1}, expand_stride{1, 1};
    std::array<int, 4> padding{0, 0, 0, 0}, expand_padding{0, 0, 0, 0};  // top, bottom, left, right
    int out_channels = 0, groups = 1, y_channel = 0, size = 5, divisor = 0, zero_point = 0;
    bool residual_after = false, store = true, count_include_pad = true;
    std::array<int, 2> tile{0, 0};  // rows, vectors; 0: not chosen
    std::vector<int> channels;
};

// float32 arrays by name, contiguous.
struct Array { const float* data; std::vector<size_t> shape; size_t size() const { size_t n = 1; for (size_t s : shape) n *= s; return n; } };
using Arrays = std::map<std::string, Array>;

// Where one image's tensors are while a step runs.
struct Frame {
    const Kernels& kernels;
    const std::vector<Tensor>& tensors;
    char* arena;
    char* batch_arena;
    int images;               // of the call
    int image;                // this one; steps of the whole batch start at 0
    const char* const* external;  // for each tensor: the caller's array, or null
    const char* constant;
    char* scratch;            // this thread's
    float* partial;           // this image's: sums that tasks leave to be added up

    char* at(int tensor, int which = 0) const {
        const Tensor& t = tensors[tensor];
        const size_t index = image + which;
        if (external[tensor]) return const_cast<char*>(external[tensor]) + index * t.bytes();
        if (t.batch) return batch_arena + *t.offset * images + index * t.bytes();
        return arena + t.offset.value_or(0);
    }
};

// One step, checked and ready to run. A step's work falls into tasks that may run at the same time.
class Layer {
   public:
    virtual ~Layer() = default;
    virtual int tasks(int threads, int images) const = 0;
    virtual void run(const Frame& frame, int task, int threads) const = 0;
    virtual void conclude(const Frame&, int /*threads*/) const {}  // when all tasks are done, by one thread
    virtual size_t scratch_bytes(int /*threads*/, int /*images*/) const { return 0; }
    virtual size_t partial_floats(int /*threads*/) const { return 0; }
    virtual size_t constant_bytes() const { return 0; }
    virtual void pack(const Arrays&, char* /*bytes*/) const {}
    virtual double macs() const { return 0; }  // for one image
    virtual std::vector<std::array<int, 2>> tiles() const { return {}; }  // rows and vectors that can be chosen; the first is the guess
};

std::vector<Step> step_variants(const Step&, const std::vector<Tensor>&, const Kernels&);  // the first is the guess
std::unique_ptr<Layer> make_layer(const Step&, const std::vector<Tensor>&, const Kernels&);
// makers of the families
std::unique_ptr<Layer> make_convolution(const Step&, const std::vector<Tensor>&, const Kernels&);
std::unique_ptr<Layer> make_winograd(const Step&, const std::vector<Tensor>&, const Kernels&);
std::unique_ptr<Layer> make_planar(const Step&, const std::vector<Tensor>&, const Kernels&);
std::unique_ptr<Layer> make_depthwise(const Step&, const std::vector<Tensor>&, const Kernels&);
std::unique_ptr<Layer> make_expand_depthwise(const Step&, const std::vector<Tensor>&, const Kernels&);
std::unique_ptr<Layer> make_stem_depthwise(const Step&, const std::vector<Tensor>&, const Kernels&);
std::unique_ptr<Layer> make_linear(const Step&, const std::vector<Tensor>&, const Kernels&);
std::unique_ptr<Layer> make_elementwise(const Step&, const std::vector<Tensor>&, const Kernels&);

// Helpers that the families share.
Finish make_finish(Activation, float slope, const Tensor& y);
const Array& need(const Arrays&, const std::string& name, const std::vector<size_t>& shape);
const float* optional_bias(const Arrays&, const std::string& name, size_t size);
std::vector<std::array<int, 2>> tiles_of(const Kernels&, int blocks, int guess);
void check(bool right, const std::string& message);
// Into the fewest parts of at most `most`; sizes differ by one at most.
struct EvenSplit {
    int parts, size, larger;
    EvenSplit(int total, int most) : parts((total + most - 1) / most), size(parts ? total / parts : 0), larger(parts ? total % parts : 0) {}
    int at(int i) const { return size + (i < larger); }
};
inline uint16_t to_bfloat16(float value) {
    uint32_t bits;
    __builtin_memcpy(&bits, &value, 4);
    if ((bits & 0x7fffffff) > 0x7f800000) return (bits >> 16) | 0x40;
    return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}
// A weight as a whole number of its channel's scale.
inline int8_t to_int8(float weight, float scale) {
    const float number = std::nearbyint(weight / scale);
    return (int8_t)(number < -127 ? -127 : number > 127 ? 127 : number == number ? number : 0);
}
inline size_t align64(size_t bytes) { return (bytes + 63) & ~size_t(63); }
int window_output(int size, int before, int after, int kernel, int stride, int dilation);

class Program {
   public:
    struct Constant { const char* data; size_t bytes; };
    Program(const Kernels&, std::vector<Tensor>, std::vector<Step>, std::vector<Constant>, std::vector<int> inputs, std::vector<int> outputs,
            size_t arena, size_t batch_arena);
    ~Program();
    // `check_signals` is called between images on the calling thread; true stops.
    void run(const std::vector<const void*>& inputs, const std::vector<void*>& outputs, int images, int threads, bool (*interrupted)());
    std::vector<double> measure(const std::vector<const void*>& inputs, const std::vector<void*>& outputs, int threads);
    size_t scratch_bytes(int threads, int images) const;
    const std::vector<int>& inputs() const { return inputs_; }
    const std::vector<int>& outputs() const { return outputs_; }
    const std::vector<Tensor>& tensors() const { return tensors_; }
    double macs(int step) const { return layers_[step]->macs(); }

   private:
    struct Workspace;
    struct Section;
    void check_memory() const;
    std::unique_ptr<Workspace> acquire(int threads, int images);
    void release(std::unique_ptr<Workspace>);
    void run_section(Section&, int threads);
    void run_alone(int step, Frame, char* scratch) const;

    const Kernels& kernels_;
    std::vector<Tensor> tensors_;
    std::vector<Step> steps_;
    std::vector<Constant> constants_;
    std::vector<int> inputs_, outputs_;
    size_t arena_, batch_arena_;
    std::vector<std::unique_ptr<Layer>> layers_;
    int image_steps_ = 0;  // the first so many run for each image, the others for the batch
    struct Shelf;
    std::unique_ptr<Shelf> shelf_;  // workspaces that no call uses now
};
