// The Python side: dicts to steps and tensors, arrays to pointers.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdlib>
#include <chrono>
#include <cstring>

#include "processor.h"
#include "program.h"

namespace nb = nanobind;
using FloatArray = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using WritableBytes = nb::ndarray<uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

namespace {

// The fields of one dict; each is taken once, and what nobody takes is a mistake in the plan.
class Fields {
   public:
    explicit Fields(nb::handle source) {
        check(nb::isinstance<nb::dict>(source), "must be a dict");
        for (auto [key, value] : nb::borrow<nb::dict>(source)) {
            check(nb::isinstance<nb::str>(key), "names must be strings");
            if (!value.is_none()) fields_[nb::cast<std::string>(key)] = nb::borrow(value);
        }
    }
    template <class T> void take(const char* name, T& out, const char* what) {
        const auto found = fields_.find(name);
        if (found == fields_.end()) return;
        if (!read(found->second, out)) throw Invalid(std::string(name) + " must be " + what + ", not " + nb::cast<std::string>(nb::str(nb::repr(found->second))));
        fields_.erase(found);
    }
    template <class T> void require(const char* name, T& out, const char* what) {
        check(fields_.count(name), std::string(name) + " is missing; it must be " + what);
        take(name, out, what);
    }
    void done() const {
        if (!fields_.empty()) throw Invalid("there is no field \"" + fields_.begin()->first + "\" here");
    }

   private:
    static bool read(nb::handle h, int& out) {
        if (nb::isinstance<nb::bool_>(h) || !nb::isinstance<nb::int_>(h)) return false;
        return nb::try_cast(h, out);
    }
    static bool read(nb::handle h, std::optional<size_t>& out) {
        size_t value = 0;
        if (nb::isinstance<nb::bool_>(h) || !nb::isinstance<nb::int_>(h) || !nb::try_cast(h, value)) return false;
        out = value;
        return true;
    }
    static bool read(nb::handle h, bool& out) { return nb::isinstance<nb::bool_>(h) && nb::try_cast(h, out); }
    static bool read(nb::handle h, float& out) {
        double value = 0;
        if (nb::isinstance<nb::bool_>(h) || !(nb::isinstance<nb::int_>(h) || nb::isinstance<nb::float_>(h)) || !nb::try_cast(h, value)) return false;
        out = (float)value;
        return true;
    }
    static bool read(nb::handle h, std::string& out) { return nb::isinstance<nb::str>(h) && nb::try_cast(h, out); }
    static bool read(nb::handle h, std::vector<int>& out) {
        if (!nb::isinstance<nb::list>(h) && !nb::isinstance<nb::tuple>(h)) return false;
        out.clear();
        for (nb::handle item : nb::borrow<nb::sequence>(h)) {
            int value = 0;
            if (!read(item, value)) return false;
            out.push_back(value);
        }
        return true;
    }
    template <size_t N> static bool read(nb::handle h, std::array<int, N>& out) {
        std::vector<int> values;
        if (!read(h, values) || values.size() != N) return false;
        std::copy(values.begin(), values.end(), out.begin());
        return true;
    }

    std::map<std::string, nb::object> fields_;
};

const char* const kActivations[] = {"none", "relu", "relu6", "silu", "sigmoid", "hard_swish", "hard_sigmoid", "gelu", "gelu_tanh", "tanh", "leaky_relu"};

void take_activation(Fields& fields, const char* field, Activation& out) {
    std::string name = "none";
    fields.take(field, name, "a string");
    const auto found = std::find(std::begin(kActivations), std::end(kActivations), name);
    check(found != std::end(kActivations), std::string(field) + ": there is no activation \"" + name + "\"");
    out = (Activation)(found - std::begin(kActivations));
}

void check_scale(float scale, int zero_point) {
    check(scale > 1e-30f && scale < 1e30f, "scale: whole numbers need one, greater than 0");
    check(zero_point >= 0 && zero_point <= 255, "zero_point must be 0 to 255");
}

Tensor tensor_from(nb::handle source) {
    Fields f(source);
    Tensor t;
    std::string layout = "blocked", dtype, space = "image";
    f.require("channels", t.channels, "an integer");
    f.require("height", t.height, "an integer");
    f.require("width", t.width, "an integer");
    f.take("layout", layout, "a string");
    f.take("dtype", dtype, "a string");
    f.take("space", space, "a string");
    f.take("offset", t.offset, "an integer of at least 0");
    f.take("scale", t.scale, "a number");
    f.take("zero_point", t.zero_point, "an integer");
    f.done();
    check(layout == "blocked" || layout == "nchw" || layout == "nhwc", "layout must be \"blocked\", \"nchw\" or \"nhwc\", not \"" + layout + "\"");
    t.layout = layout == "nchw" ? Layout::nchw : layout == "nhwc" ? Layout::nhwc : Layout::blocked;
    if (dtype.empty()) dtype = t.layout == Layout::nhwc ? "uint8" : "float32";
    check(dtype == "float32" || dtype == "bfloat16" || dtype == "uint8", "dtype must be \"float32\", \"bfloat16\" or \"uint8\", not \"" + dtype + "\"");
    t.type = dtype == "uint8" ? Type::uint8 : dtype == "bfloat16" ? Type::bfloat16 : Type::float32;
    check(space == "image" || space == "batch", "space must be \"image\" or \"batch\", not \"" + space + "\"");
    t.batch = space == "batch";
    if (t.type == Type::uint8 && t.layout == Layout::blocked) check_scale(t.scale, t.zero_point);
    return t;
}

std::vector<Tensor> tensors_from(nb::handle source) {
    std::vector<Tensor> tensors;
    for (nb::handle item : nb::borrow<nb::sequence>(source)) {
        try {
            tensors.push_back(tensor_from(item));
        } catch (const Invalid& e) {
            throw Invalid("tensor " + std::to_string(tensors.size()) + ": " + e.what());
        }
    }
    return tensors;
}

Step step_from(nb::handle source) {
    Fields f(source);
    Step s;
    const char *number = "an integer", *tensor = "the index of a tensor", *text = "a string", *pair = "2 integers, height and width", *real = "a number", *truth = "true or false";
    f.require("op", s.op, text);
    f.require("x", s.x, tensor);
    f.require("y", s.y, tensor);
    f.take("residual", s.residual, tensor);
    f.take("gate", s.gate, tensor);
    f.take("pool", s.pool, tensor);
    f.take("other", s.other, tensor);
    f.take("constant", s.constant, "the index of a constant");
    for (int index : {s.x, s.y}) check(index >= 0, "x and y must name tensors");
    for (int index : {s.residual, s.gate, s.pool, s.other, s.constant}) check(index >= -1, "a tensor or constant has no negative index");
    take_activation(f, "activation", s.activation);
    take_activation(f, "expand_activation", s.expand_activation);
    f.take("variant", s.variant, text);
    f.take("kind", s.kind, text);
    f.take("compute", s.compute, text);
    f.take("slope", s.slope, real);
    f.take("alpha", s.alpha, real);
    f.take("beta", s.beta, real);
    f.take("k", s.k, real);
    f.take("epsilon", s.epsilon, real);
    f.take("value", s.value, real);
    f.take("scale", s.scale, real);
    f.take("zero_point", s.zero_point, number);
    f.take("kernel", s.kernel, pair);
    f.take("stride", s.stride, pair);
    f.take("dilation", s.dilation, pair);
    f.take("expand_kernel", s.expand_kernel, pair);
    f.take("expand_stride", s.expand_stride, pair);
    f.take("expand_padding", s.expand_padding, "4 integers, top, bottom, left, right");
    f.take("padding", s.padding, "4 integers, top, bottom, left, right");
    f.take("tile", s.tile, "2 integers, rows and vectors");
    f.take("groups", s.groups, number);
    f.take("out_channels", s.out_channels, number);
    f.take("y_channel", s.y_channel, number);
    f.take("size", s.size, number);
    f.take("divisor", s.divisor, number);
    f.take("residual_after", s.residual_after, truth);
    f.take("store", s.store, truth);
    f.take("count_include_pad", s.count_include_pad, truth);
    f.take("channels", s.channels, "a list of integers");
    f.done();
    if (s.scale != 0) check_scale(s.scale, s.zero_point);
    return s;
}

// What a mistake in one step is told with.
template <class Work> auto naming_step(nb::handle source, int index, Work work) {
    try {
        return work();
    } catch (const Invalid& e) {
        std::string op = "?";
        if (nb::isinstance<nb::dict>(source)) {
            const nb::object name = nb::borrow<nb::dict>(source).attr("get")("op");
            if (nb::isinstance<nb::str>(name)) op = nb::cast<std::string>(name);
        }
        throw Invalid("step " + (index < 0 ? "" : std::to_string(index) + " ") + "(" + op + "): " + e.what());
    }
}

std::unique_ptr<Layer> layer_from(nb::handle step, nb::handle tensors, const std::string& isa) {
    const auto all = tensors_from(tensors);
    return naming_step(step, -1, [&] { return make_layer(step_from(step), all, isa.empty() ? chosen() : kernels_named(isa)); });
}

nb::list variants(nb::dict step, nb::handle tensors, const std::string& isa) {
    const auto all = tensors_from(tensors);
    const Kernels& kernels = isa.empty() ? chosen() : kernels_named(isa);
    nb::list found;
    naming_step(step, -1, [&] {
        for (const Step& s : step_variants(step_from(step), all, kernels)) {
            nb::dict d;
            if (!s.variant.empty()) d["variant"] = s.variant;
            if (s.tile[1]) {
                nb::list tile;
                tile.append(s.tile[0]);
                tile.append(s.tile[1]);
                d["tile"] = tile;
            }
            found.append(d);
        }
        return 0;
    });
    return found;
}

void pack(nb::dict step, nb::handle tensors, const std::map<std::string, FloatArray>& given, const std::string& isa, WritableBytes out) {
    auto layer = layer_from(step, tensors, isa);
    naming_step(step, -1, [&] {
        Arrays arrays;
        for (const auto& [name, a] : given) {
            Array& array = arrays[name];
            array.data = a.data();
            for (size_t i = 0; i < a.ndim(); i++) array.shape.push_back(a.shape(i));
        }
        check(out.size() == layer->constant_bytes(), "the output has another size");
        nb::gil_scoped_release release;
        if (out.size()) layer->pack(arrays, (char*)out.data());
        return 0;
    });
}

bool interrupted() {
    static thread_local auto last = std::chrono::steady_clock::now();
    const auto now = std::chrono::steady_clock::now();
    if (now - last < std::chrono::milliseconds(20)) return false;
    last = now;
    nb::gil_scoped_acquire acquire;
    return PyErr_CheckSignals() != 0;
}

class PyProgram {
   public:
    PyProgram(nb::handle tensors, nb::handle steps, const std::vector<Bytes>& constants, std::vector<int> inputs, std::vector<int> outputs, size_t arena, size_t batch_arena, const std::string& isa)
        : held_(constants) {
        std::vector<Step> parsed;
        for (nb::handle s : nb::borrow<nb::sequence>(steps)) {
            const int index = (int)parsed.size();
            parsed.push_back(naming_step(s, index, [&] { return step_from(s); }));
        }
        std::vector<Program::Constant> bytes;
        for (const Bytes& c : constants) {
            check((uintptr_t)c.data() % 64 == 0, "constants must be aligned to 64 bytes");
            bytes.push_back({(const char*)c.data(), c.size()});
        }
        program_ = std::make_unique<Program>(isa.empty() ? chosen() : kernels_named(isa), tensors_from(tensors), std::move(parsed), std::move(bytes), std::move(inputs), std::move(outputs), arena, batch_arena);
    }

    void run(const std::vector<Bytes>& inputs, const std::vector<WritableBytes>& outputs, int images, int threads) {
        const auto [in, out] = pointers(inputs, outputs, images);
        {
            nb::gil_scoped_release release;
            program_->run(in, out, images, threads, interrupted);
        }
        if (PyErr_Occurred()) throw nb::python_error();
    }

    std::vector<double> measure(const std::vector<Bytes>& inputs, const std::vector<WritableBytes>& outputs, int threads) {
        const auto [in, out] = pointers(inputs, outputs, 1);
        nb::gil_scoped_release release;
        return program_->measure(in, out, threads);
    }
    size_t scratch_bytes(int threads) const { return program_->scratch_bytes(threads, 1); }
    double macs(int step) const { return program_->macs(step); }

   private:
    std::pair<std::vector<const void*>, std::vector<void*>> pointers(const std::vector<Bytes>& inputs, const std::vector<WritableBytes>& outputs, int images) const {
        check(inputs.size() == program_->inputs().size() && outputs.size() == program_->outputs().size(), "another number of inputs or outputs");
        check(images >= 1, "no images");
        std::vector<const void*> in;
        std::vector<void*> out;
        for (size_t i = 0; i < inputs.size(); i++) {
            check(inputs[i].size() == program_->tensors()[program_->inputs()[i]].bytes() * images, "an input has another size");
            in.push_back(inputs[i].data());
        }
        for (size_t i = 0; i < outputs.size(); i++) {
            check(outputs[i].size() == program_->tensors()[program_->outputs()[i]].bytes() * images, "an output has another size");
            out.push_back(outputs[i].data());
        }
        return {in, out};
    }

    std::vector<Bytes> held_;  // a constant lives as long as its program
    std::unique_ptr<Program> program_;
};

}  // namespace

NB_MODULE(_native, m) {
    nb::register_exception_translator([](const std::exception_ptr& p, void*) {
        try {
            std::rethrow_exception(p);
        } catch (const Invalid& e) {
            PyErr_SetString(PyExc_ValueError, e.what());
        }
    });
    m.def("isa", [] { return std::string(chosen().name); });
    m.def("isas", [] {
        std::vector<std::string> names;
        for (const Kernels* k : runnable()) names.push_back(k->name);
        return names;
    });
    m.def("tensor_bytes", [](nb::handle t) { return tensor_from(t).bytes(); });
    m.def("variants", variants);
    m.def("constant_bytes", [](nb::dict s, nb::handle t, const std::string& isa) { return layer_from(s, t, isa)->constant_bytes(); });
    m.def("step_macs", [](nb::dict s, nb::handle t) { return layer_from(s, t, "")->macs(); });
    m.def("pack", pack);
    m.def("peak", [](int type, double seconds) {
        nb::gil_scoped_release release;
        const auto start = std::chrono::steady_clock::now();
        double best = 0;
        do {
            const auto before = std::chrono::steady_clock::now();
            const double done = chosen().peak[type](20000);
            best = std::max(best, done / std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count());
        } while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < seconds);
        return best;
    });
    nb::class_<PyProgram>(m, "Program")
        .def(nb::init<nb::handle, nb::handle, const std::vector<Bytes>&, std::vector<int>, std::vector<int>, size_t, size_t, const std::string&>())
        .def("run", &PyProgram::run)
        .def("measure", &PyProgram::measure)
        .def("scratch_bytes", &PyProgram::scratch_bytes)
        .def("macs", &PyProgram::macs);
}
