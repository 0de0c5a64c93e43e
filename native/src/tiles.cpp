// One instruction set's tiles for one element: compiled apart from the rest, for they take the compiler longest.
#include "peak.h"
#include "products.h"

namespace ISA {

template <class T> void fill(Tile (&table)[kMaxVectors + 1][kMaxRows + 1]) {
    fill_tiles<T, 1, most_rows(1)>(table[1]);
    fill_tiles<T, 2, most_rows(2)>(table[2]);
    fill_tiles<T, 3, most_rows(3)>(table[3]);
    fill_tiles<T, 4, most_rows(4)>(table[4]);
}

#if defined(CONVLENS_BFLOAT16)
void fill_bfloat16(Kernels& table) { fill<BFloat16>(table.tile[(int)Type::bfloat16]); }
#elif defined(CONVLENS_UINT8)
void fill_uint8(Kernels& table) {
    fill<Quantised>(table.tile[(int)Type::uint8]);
    table.peak[(int)Type::uint8] = peak<Quantised>;
}
#else
void fill_float(Kernels& table) { fill<float>(table.tile[(int)Type::float32]); }
#endif

}  // namespace ISA

#if defined(CONVLENS_LIKE)  // an instruction set that has nothing new but these
const Kernels& CONVLENS_TABLE() {
    static Kernels kernels = [] {
        Kernels t = CONVLENS_LIKE();
        t.name = CONVLENS_NAME;
        ISA::fill_uint8(t);
        return t;
    }();
    return kernels;
}
#endif
