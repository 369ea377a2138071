// output[column, row] = matrix[row, column], both row-major, matrix [rows, columns]. REAL is float or
// double, set by the compiler call. A block of SIDE x STRIPS threads turns a square of SIDE x SIDE.

#define SIDE 32
#define STRIPS 8

// Reads along a row, writes down a column: each write of a warp touches 32 lines of memory.
extern "C" __global__ void transpose_naive(const REAL* __restrict__ matrix,
                                           REAL* __restrict__ output, int rows, int columns)
{
    const int column = blockIdx.x * SIDE + threadIdx.x;
    for (int strip = threadIdx.y; strip < SIDE; strip += STRIPS) {
        const int row = blockIdx.y * SIDE + strip;
        if (row < rows && column < columns)
            output[(size_t)column * rows + row] = matrix[(size_t)row * columns + column];
    }
}

// The square goes through shared memory, so both reads and writes run along rows. WIDTH is how far
// two rows of it lie apart: with 32 a column lies in one bank and its reads queue up; with 33 no two
// numbers of a column share one.
template <int WIDTH>
__device__ void through_shared(const REAL* matrix, REAL* output, int rows, int columns)
{
    __shared__ REAL square[SIDE][WIDTH];
    const int column = blockIdx.x * SIDE + threadIdx.x;
    for (int strip = threadIdx.y; strip < SIDE; strip += STRIPS) {
        const int row = blockIdx.y * SIDE + strip;
        if (row < rows && column < columns)
            square[strip][threadIdx.x] = matrix[(size_t)row * columns + column];
    }
    __syncthreads();
    // The block's square of the output: what were columns are rows.
    const int output_column = blockIdx.y * SIDE + threadIdx.x;
    for (int strip = threadIdx.y; strip < SIDE; strip += STRIPS) {
        const int output_row = blockIdx.x * SIDE + strip;
        if (output_row < columns && output_column < rows)
            output[(size_t)output_row * rows + output_column] = square[threadIdx.x][strip];
    }
}

extern "C" __global__ void transpose_tiled(const REAL* __restrict__ matrix,
                                           REAL* __restrict__ output, int rows, int columns)
{
    through_shared<SIDE>(matrix, output, rows, columns);
}

extern "C" __global__ void transpose_padded(const REAL* __restrict__ matrix,
                                            REAL* __restrict__ output, int rows, int columns)
{
    through_shared<SIDE + 1>(matrix, output, rows, columns);
}
