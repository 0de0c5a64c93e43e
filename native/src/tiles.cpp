// One instruction set's tiles for one element: compiled apart from the rest, for they take the compiler longest.
#include "products.h"

namespace ISA {

template <class T> void fill(Tile (&table)[kMaxVectors + 1][kMaxRows + 1]) {
    fill_tiles<T, 1, most_rows(1)>(table[1]);
    fill_tiles<T, 2, most_rows(2)>(table[2]);
    fill_tiles<T, 3, most_rows(3)>(table[3]);
    fill_tiles<T, 4, most_rows(4)>(table[4]);
}

#if defined(CONVLENS_BFLOAT16)
void fill_bfloat16(Kernels& table) { fill<BFloat16>(table.tile[1]); }
#else
void fill_float(Kernels& table) { fill<float>(table.tile[0]); }
#endif

}  // namespace ISA
