// output[row, :] = exp(x[row, :] - m) / sum, with m the row's greatest number, x and output row-major
// [rows, columns]. REAL is float or double, set by the compiler call. Without m, numbers above 88
// would overflow in float.

#define WARP 32
#define EVERY_LANE 0xffffffffu

__device__ REAL greater(REAL a, REAL b)
{
    // Written so that a NaN wins: it belongs into the whole row.
    return a > b || a != a ? a : b;
}

// A thread for each row, as one would write it first: neighbouring threads read numbers that lie a
// whole row apart.
extern "C" __global__ void softmax_thread_per_row(const REAL* __restrict__ x,
                                                  REAL* __restrict__ output, int rows, int columns)
{
    const int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    const REAL* from = x + (size_t)row * columns;
    REAL* to = output + (size_t)row * columns;
    REAL greatest = from[0];
    for (int column = 1; column < columns; ++column) greatest = greater(greatest, from[column]);
    REAL sum = 0;
    for (int column = 0; column < columns; ++column) {
        to[column] = exp(from[column] - greatest);
        sum += to[column];
    }
    for (int column = 0; column < columns; ++column) to[column] /= sum;
}

// A warp for each row: its lanes read side by side and combine what they found by shuffles. Greatest
// number and sum are found in one pass, by shrinking the sum whenever a greater number turns up.
extern "C" __global__ void softmax_warp_per_row(const REAL* __restrict__ x,
                                                REAL* __restrict__ output, int rows, int columns)
{
    const int lane = threadIdx.x % WARP;
    const int row = (blockIdx.x * blockDim.x + threadIdx.x) / WARP;
    // All lanes of a warp have one row, so a warp leaves whole or stays whole.
    if (row >= rows) return;
    const REAL* from = x + (size_t)row * columns;
    REAL* to = output + (size_t)row * columns;

    // A lane past the row's end stands for a number that adds nothing to the sum.
    REAL greatest = from[min(lane, columns - 1)];
    REAL sum = lane < columns ? 1 : 0;
    for (int column = lane + WARP; column < columns; column += WARP) {
        const REAL number = from[column], before = greatest;
        greatest = greater(greatest, number);
        sum = sum * exp(before - greatest) + exp(number - greatest);
    }
    for (int half = WARP / 2; half > 0; half /= 2) {
        const REAL other = __shfl_xor_sync(EVERY_LANE, greatest, half);
        const REAL of_other = __shfl_xor_sync(EVERY_LANE, sum, half);
        const REAL both = greater(greatest, other);
        sum = sum * exp(greatest - both) + of_other * exp(other - both);
        greatest = both;
    }
    for (int column = lane; column < columns; column += WARP)
        to[column] = exp(from[column] - greatest) / sum;
}
