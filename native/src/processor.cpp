#include "processor.h"

#include <cstdlib>

#include "program.h"

std::vector<const Kernels*> runnable() {
    std::vector<const Kernels*> found;
#if defined(__x86_64__)
    __builtin_cpu_init();
    [[maybe_unused]] const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512cd");
    [[maybe_unused]] const bool avx512bf16 = avx512 && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2");
#if defined(CONVLENS_HAS_avx512bf16)
    if (avx512bf16) found.push_back(&kernels_avx512bf16());
#endif
#if defined(CONVLENS_HAS_avx512vnni)
    if (avx512 && __builtin_cpu_supports("avx512vnni")) found.push_back(&kernels_avx512vnni());
#endif
#if defined(CONVLENS_HAS_avx512)
    if (avx512) found.push_back(&kernels_avx512());
#endif
#if defined(CONVLENS_HAS_avx2)
    if (avx2) found.push_back(&kernels_avx2());
#endif
#endif
    found.push_back(&kernels_portable());
    return found;
}

const Kernels& kernels_named(const std::string& name) {
    std::string names;
    for (const Kernels* k : runnable()) {
        if (name == k->name) return *k;
        names += std::string(names.empty() ? "" : ", ") + k->name;
    }
    throw Invalid("this processor does not run \"" + name + "\"; it runs " + names);
}

const Kernels& chosen() {
    const char* forced = std::getenv("CONVLENS_ISA");
    if (!forced || !*forced) return *runnable().front();
    try {
        return kernels_named(forced);
    } catch (const Invalid& e) {
        throw Invalid(std::string("CONVLENS_ISA: ") + e.what());
    }
}
