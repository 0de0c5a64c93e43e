// Runs the steps of a program: one image split over threads, or images over threads, then the steps of the whole batch.
#include "program.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "threads.h"

namespace {

struct Free { void operator()(char* p) const { std::free(p); } };
using Memory = std::unique_ptr<char, Free>;

// What fills most of a large page lies on large pages, where the system has them: fewer misses of the address cache.
Memory allocate(size_t bytes) {
    constexpr size_t large = 2 << 20;
    const size_t page = bytes >= large / 2 ? large : 64, whole = (std::max<size_t>(bytes, 64) + page - 1) / page * page;
    char* p = (char*)std::aligned_alloc(page, whole);
    if (!p) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    if (page == large) madvise(p, whole, MADV_HUGEPAGE);  // a wish: whether it is granted does not matter
#endif
    return Memory(p);
}

struct Room {  // grows, never shrinks
    Memory memory;
    size_t bytes = 0;
    char* get(size_t wanted) {
        if (wanted > bytes) {
            bytes = 0;  // what is there if there is no room for more
            memory.reset();
            memory = allocate(wanted);
            bytes = wanted;
        }
        return memory.get();
    }
};

void rest() {
#if defined(__x86_64__)
    _mm_pause();
#else
    std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

}  // namespace

// What one call needs for itself.
struct Program::Workspace {
    std::vector<Room> arenas, scratch, partial;  // one for each thread
    Room batch;
};

// Workspaces that wait for the next call. A child process starts with an empty shelf: the parent's lock may have been held.
struct Program::Shelf {
    std::mutex mutex;
    std::vector<std::unique_ptr<Workspace>> free;
    pid_t process = getpid();
};

Program::Program(const Kernels& kernels, std::vector<Tensor> tensors, std::vector<Step> steps, std::vector<Constant> constants, std::vector<int> inputs, std::vector<int> outputs,
                 size_t arena, size_t batch_arena)
    : kernels_(kernels), tensors_(std::move(tensors)), steps_(std::move(steps)), constants_(std::move(constants)), inputs_(std::move(inputs)), outputs_(std::move(outputs)),
      arena_(arena), batch_arena_(batch_arena), shelf_(std::make_unique<Shelf>()) {
    check_memory();
    bool batch = false;
    for (size_t i = 0; i < steps_.size(); i++) {
        const Step& s = steps_[i];
        try {
            check(!std::count(inputs_.begin(), inputs_.end(), s.y) && (s.pool < 0 || !std::count(inputs_.begin(), inputs_.end(), s.pool)), "a program's input cannot be written");
            layers_.push_back(make_layer(s, tensors_, kernels_));
            const size_t bytes = layers_.back()->constant_bytes();
            check(s.constant < (int)constants_.size(), "there is no constant " + std::to_string(s.constant));
            if (bytes) {
                check(s.constant >= 0 && s.constant < (int)constants_.size(), "constant: the packed weights are needed");
                check(constants_[s.constant].bytes == bytes, "constant " + std::to_string(s.constant) + " has " + std::to_string(constants_[s.constant].bytes) + " bytes, not the " +
                                                                 std::to_string(bytes) + " that this step's variant and tile need; pack it anew");
            }
            for (int t : {s.x, s.y, s.residual, s.gate, s.pool, s.other}) {
                if (t < 0 || tensors_[t].offset) continue;
                const bool output = t == s.y || t == s.pool, external = std::count(inputs_.begin(), inputs_.end(), t) || std::count(outputs_.begin(), outputs_.end(), t);
                check(external || (output && t == s.y && !s.store), "tensor " + std::to_string(t) + " has no offset");
            }
            check(tensors_[s.x].batch || !batch, "a step for one image cannot follow a step for the batch");
            static const char* const able[] = {"linear", "unary", "scale_shift", "binary", "softmax", "convert", "prelu", "layer_norm"};
            check(!tensors_[s.x].batch || std::count(std::begin(able), std::end(able), s.op), "cannot run for the whole batch");
            check(!tensors_[s.x].batch || tensors_[s.y].batch || tensors_[s.y].layout != Layout::blocked, "y must be in the space \"batch\" as x is");
            check(!tensors_[s.x].batch || s.other < 0 || tensors_[s.other].batch, "other must be in the space \"batch\" as x is");
            batch = tensors_[s.x].batch;
            if (!batch) image_steps_ = (int)i + 1;
        } catch (const Invalid& e) {
            throw Invalid("step " + std::to_string(i) + " (" + s.op + "): " + e.what());
        }
    }
}

Program::~Program() = default;

void Program::check_memory() const {
    check(arena_ <= ((size_t)1 << 40) && batch_arena_ <= ((size_t)1 << 32), "arena must be at most 2^40 bytes, and batch_arena 2^32");
    for (size_t i = 0; i < tensors_.size(); i++) {
        const Tensor& t = tensors_[i];
        const std::string name = "tensor " + std::to_string(i) + ": ";
        constexpr int most = 1 << 20;
        check(t.channels >= 1 && t.height >= 1 && t.width >= 1 && t.channels <= most && t.height <= most && t.width <= most, name + "channels, height and width must be 1 to 2^20");
        check((double)t.blocks() * kBlock * t.height * t.width * 4 < 2147483648.0, name + "larger than 2 GiB for one image");
        check(t.layout != Layout::nchw || t.type == Type::float32, name + "an nchw tensor is float32");
        check(t.layout != Layout::nhwc || t.type == Type::uint8, name + "an nhwc tensor is uint8");
        check(!t.batch || (t.height == 1 && t.width == 1), name + "in the space \"batch\" are vectors only");
        if (!t.offset) continue;
        check(t.layout == Layout::blocked, name + "only a blocked tensor has an offset");
        check(*t.offset % 64 == 0, name + "offset must be a multiple of 64");
        const size_t room = t.batch ? batch_arena_ : arena_;
        check(*t.offset <= room && align64(t.bytes()) <= room - *t.offset, name + "does not fit into its arena");
    }
    for (const auto* list : {&inputs_, &outputs_})
        for (int t : *list) {
            check(t >= 0 && t < (int)tensors_.size(), "inputs and outputs must name tensors");
            check(tensors_[t].layout != Layout::blocked, "inputs and outputs must be nchw or nhwc");
        }
    for (int t : outputs_) check(!std::count(inputs_.begin(), inputs_.end(), t), "a tensor cannot be both input and output");
}

size_t Program::scratch_bytes(int threads, int images) const {
    size_t most = 0;
    for (const auto& layer : layers_) most = std::max(most, layer->scratch_bytes(threads, images));
    return most + 4096;
}

std::unique_ptr<Program::Workspace> Program::acquire(int threads, int) {
    if (shelf_->process != getpid()) {
        (void)shelf_.release();
        shelf_ = std::make_unique<Shelf>();
    }
    std::unique_ptr<Workspace> w;
    {
        std::lock_guard lock(shelf_->mutex);
        if (!shelf_->free.empty()) {
            w = std::move(shelf_->free.back());
            shelf_->free.pop_back();
        }
    }
    if (!w) w = std::make_unique<Workspace>();
    const size_t count = std::max<size_t>(threads, w->arenas.size());
    w->arenas.resize(count);
    w->scratch.resize(count);
    w->partial.resize(count);
    return w;
}

void Program::release(std::unique_ptr<Workspace> w) {
    std::lock_guard lock(shelf_->mutex);
    if (shelf_->free.size() < 8) shelf_->free.push_back(std::move(w));
}

// Consecutive steps that threads share. Whoever is free takes the next task; who finishes the last task of a step opens the next step.
struct Program::Section {
    const Program& program;
    int step, last;
    const Frame& frame;  // scratch and constant are each thread's own
    Workspace& workspace;
    size_t scratch;
    int threads, images;
    std::vector<double>* times;
    std::vector<int> counts;             // tasks of each step
    std::atomic<uint64_t> ticket{0};     // step << 32 | next task
    std::atomic<int> done{0};            // tasks of this step
    std::chrono::steady_clock::time_point started;

    Section(const Program& program, int first, int last, const Frame& frame, Workspace& workspace, int threads, int images, std::vector<double>* times = nullptr)
        : program(program), step(first), last(last), frame(frame), workspace(workspace), scratch(program.scratch_bytes(threads, images)), threads(threads), images(images), times(times) {
        for (int s = 0; s < last; s++) counts.push_back(s < first ? 0 : program.layers_[s]->tasks(threads, images));
        for (int t = 0; t < threads; t++) workspace.scratch[t].get(scratch);
    }

    void open(int s) {
        done.store(0, std::memory_order_relaxed);
        if (times) started = std::chrono::steady_clock::now();
        ticket.store((uint64_t)(uint32_t)s << 32, std::memory_order_release);
    }

    void work(int thread) {
        char* scratch_memory = workspace.scratch[thread].memory.get();
        int waited = 0;
        for (;;) {
            uint64_t now = ticket.load(std::memory_order_acquire);
            const int s = (int)(now >> 32), task = (int)(now & 0xffffffff);
            if (s >= last) return;
            if (task >= counts[s]) {
                if (++waited < 4000) rest();
                else usleep(50);
                continue;
            }
            if (!ticket.compare_exchange_weak(now, now + 1, std::memory_order_acq_rel)) continue;
            waited = 0;
            Frame f = frame;
            const int constant = program.steps_[s].constant;
            f.constant = constant >= 0 ? program.constants_[constant].data : nullptr;
            f.scratch = scratch_memory;
            program.layers_[s]->run(f, task, threads);
            if (done.fetch_add(1, std::memory_order_acq_rel) + 1 < counts[s]) continue;
            program.layers_[s]->conclude(f, threads);
            if (times) (*times)[s] = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - started).count();
            open(s + 1);
        }
    }
};

void Program::run_section(Section& section, int threads) {
    section.open(section.step);
    with_helpers(threads - 1, [&](int thread) { section.work(thread); });
}

void Program::run_alone(int step, Frame f, char* scratch) const {
    const int constant = steps_[step].constant;
    f.constant = constant >= 0 ? constants_[constant].data : nullptr;
    f.scratch = scratch;
    const int count = layers_[step]->tasks(1, 1);
    for (int task = 0; task < count; task++) layers_[step]->run(f, task, 1);
    layers_[step]->conclude(f, 1);
}

void Program::run(const std::vector<const void*>& inputs, const std::vector<void*>& outputs, int images, int threads, bool (*interrupted)()) {
    threads = std::clamp(threads, 1, 256);
    struct Return {
        Program& program;
        std::unique_ptr<Workspace> workspace;
        ~Return() { program.release(std::move(workspace)); }
    } held{*this, acquire(threads, images)};
    Workspace& w = *held.workspace;
    std::vector<const char*> external(tensors_.size(), nullptr);
    for (size_t i = 0; i < inputs_.size(); i++) external[inputs_[i]] = (const char*)inputs[i];
    for (size_t i = 0; i < outputs_.size(); i++) external[outputs_[i]] = (const char*)outputs[i];
    char* batch = w.batch.get(batch_arena_ * images);
    const auto partial_floats = [&](int split) {
        size_t most = 0;
        for (const auto& layer : layers_) most = std::max(most, layer->partial_floats(split));
        return most;
    };
    const auto frame = [&](int thread, int image, int split) {
        return Frame{kernels_, tensors_, w.arenas[thread].get(arena_), batch, images, image, external.data(), nullptr, nullptr,
                     (float*)w.partial[thread].get(sizeof(float) * partial_floats(split))};
    };
    const auto section = [&](const Frame& f, int first, int last, int split, int count) {
        if (first == last) return;
        Section s(*this, first, last, f, w, split, count);
        run_section(s, split);
    };
    if (image_steps_) {
        // whole images for every thread, then what remains, each split over all threads
        const int whole = threads > 1 ? images / threads * threads : images;
        if (threads > 1 && whole) {
            for (int t = 0; t < threads; t++) {  // here, where running out of memory can be told
                w.scratch[t].get(scratch_bytes(1, 1));
                frame(t, 0, 1);
            }
            std::atomic<int> next{0};
            std::atomic<bool> stop{false};
            with_helpers(threads - 1, [&](int thread) {
                for (int image; !stop && (image = next.fetch_add(1)) < whole;) {
                    const Frame f = frame(thread, image, 1);
                    for (int i = 0; i < image_steps_; i++) run_alone(i, f, w.scratch[thread].memory.get());
                    if (thread == 0 && interrupted()) stop = true;
                }
            });
            if (stop) return;
        }
        for (int image = threads > 1 ? whole : 0; image < images; image++) {
            section(frame(0, image, threads), 0, image_steps_, threads, 1);
            if (image + 1 < images && interrupted()) return;
        }
    }
    section(frame(0, 0, threads), image_steps_, (int)steps_.size(), threads, images);
}

std::vector<double> Program::measure(const std::vector<const void*>& inputs, const std::vector<void*>& outputs, int threads) {
    threads = std::clamp(threads, 1, 256);
    struct Return {
        Program& program;
        std::unique_ptr<Workspace> workspace;
        ~Return() { program.release(std::move(workspace)); }
    } held{*this, acquire(threads, 1)};
    Workspace& w = *held.workspace;
    std::vector<const char*> external(tensors_.size(), nullptr);
    for (size_t i = 0; i < inputs_.size(); i++) external[inputs_[i]] = (const char*)inputs[i];
    for (size_t i = 0; i < outputs_.size(); i++) external[outputs_[i]] = (const char*)outputs[i];
    size_t partial = 0;
    for (const auto& layer : layers_) partial = std::max(partial, layer->partial_floats(threads));
    const Frame f{kernels_, tensors_, w.arenas[0].get(arena_), w.batch.get(batch_arena_), 1, 0, external.data(), nullptr, nullptr, (float*)w.partial[0].get(sizeof(float) * partial)};
    std::vector<double> times(steps_.size());
    Section s(*this, 0, (int)steps_.size(), f, w, threads, 1, &times);
    run_section(s, threads);
    return times;
}
