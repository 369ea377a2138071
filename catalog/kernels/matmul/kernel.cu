// output[m, n] = a[m, k] . b[k, n], all row-major: a [rows, inner], b [inner, columns]. REAL is float or
// double, set by the compiler call.

// A thread for each number of the output; a and b are read from memory again by every thread.
extern "C" __global__ void matmul_naive(const REAL* __restrict__ a, const REAL* __restrict__ b,
                                        REAL* __restrict__ output, int rows, int columns, int inner)
{
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row >= rows || column >= columns) return;
    REAL sum = 0;
    for (int i = 0; i < inner; ++i)
        sum += a[(size_t)row * inner + i] * b[(size_t)i * columns + column];
    output[(size_t)row * columns + column] = sum;
}

// A block works out a square of SIDE x SIDE. It brings squares of a and b into shared memory one after
// the other, so each number is read from memory once for SIDE uses.
#define SIDE 16

extern "C" __global__ void matmul_tiled(const REAL* __restrict__ a, const REAL* __restrict__ b,
                                        REAL* __restrict__ output, int rows, int columns, int inner)
{
    __shared__ REAL of_a[SIDE][SIDE];
    __shared__ REAL of_b[SIDE][SIDE];
    const int column = blockIdx.x * SIDE + threadIdx.x;
    const int row = blockIdx.y * SIDE + threadIdx.y;
    REAL sum = 0;
    for (int first = 0; first < inner; first += SIDE) {
        const int in_a = first + threadIdx.x, in_b = first + threadIdx.y;
        // Past an edge nought is added; 0 . NaN would be NaN, so both sides are nought there.
        of_a[threadIdx.y][threadIdx.x] =
            row < rows && in_a < inner ? a[(size_t)row * inner + in_a] : 0;
        of_b[threadIdx.y][threadIdx.x] =
            column < columns && in_b < inner ? b[(size_t)in_b * columns + column] : 0;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < SIDE; ++i) sum += of_a[threadIdx.y][i] * of_b[i][threadIdx.x];
        __syncthreads();
    }
    if (row < rows && column < columns) output[(size_t)row * columns + column] = sum;
}

// A thread works out EACH x EACH numbers that it keeps in registers: for 2 EACH numbers read from shared
// memory it does EACH . EACH products, where the variant before does one for two.
#define TILE 64
#define DEPTH 16
#define EACH 4
#define ACROSS (TILE / EACH)
#define THREADS (ACROSS * ACROSS)

extern "C" __global__ void matmul_register_blocked(const REAL* __restrict__ a,
                                                   const REAL* __restrict__ b,
                                                   REAL* __restrict__ output, int rows, int columns,
                                                   int inner)
{
    // a's tile lies turned, so that both are read along rows; one more column keeps its writes apart.
    __shared__ REAL of_a[DEPTH][TILE + 1];
    __shared__ REAL of_b[DEPTH][TILE];
    const int thread = threadIdx.y * ACROSS + threadIdx.x;
    const int first_row = blockIdx.y * TILE, first_column = blockIdx.x * TILE;
    REAL sums[EACH][EACH] = {};
    for (int first = 0; first < inner; first += DEPTH) {
        for (int i = thread; i < TILE * DEPTH; i += THREADS) {
            const int row = first_row + i / DEPTH, in_a = first + i % DEPTH;
            of_a[i % DEPTH][i / DEPTH] =
                row < rows && in_a < inner ? a[(size_t)row * inner + in_a] : 0;
            const int in_b = first + i / TILE, column = first_column + i % TILE;
            of_b[i / TILE][i % TILE] =
                column < columns && in_b < inner ? b[(size_t)in_b * columns + column] : 0;
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < DEPTH; ++i) {
            REAL from_a[EACH], from_b[EACH];
#pragma unroll
            for (int e = 0; e < EACH; ++e) {
                // Rows and columns of a thread lie ACROSS apart: neighbours read side by side.
                from_a[e] = of_a[i][threadIdx.y + e * ACROSS];
                from_b[e] = of_b[i][threadIdx.x + e * ACROSS];
            }
#pragma unroll
            for (int row = 0; row < EACH; ++row)
#pragma unroll
                for (int column = 0; column < EACH; ++column)
                    sums[row][column] += from_a[row] * from_b[column];
        }
        __syncthreads();
    }
#pragma unroll
    for (int row = 0; row < EACH; ++row)
#pragma unroll
        for (int column = 0; column < EACH; ++column) {
            const int to_row = first_row + threadIdx.y + row * ACROSS;
            const int to_column = first_column + threadIdx.x + column * ACROSS;
            if (to_row < rows && to_column < columns)
                output[(size_t)to_row * columns + to_column] = sums[row][column];
        }
}
