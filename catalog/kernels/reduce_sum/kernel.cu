// output[0] = x[0] + ... + x[n - 1], in two launches: every block leaves its sum in `partial`, then one
// block adds those. REAL is float or double, set by the compiler call. The order of the additions
// does not depend on who comes first, so the same numbers give the same bits.

#define WARP 32
#define EVERY_LANE 0xffffffffu
#define MOST_THREADS 1024

// Numbers of this thread: every block takes every gridDim-th stretch of blockDim numbers.
__device__ REAL of_thread(const REAL* x, int n)
{
    REAL sum = 0;
    const size_t stride = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += stride) sum += x[i];
    return sum;
}

// A tree in shared memory: half of the threads add the other half's, again and again. blockDim.x is a
// power of two.
__device__ REAL of_block_by_tree(REAL sum)
{
    __shared__ REAL sums[MOST_THREADS];
    sums[threadIdx.x] = sum;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    return sums[0];
}

// The same within warps by shuffles, which need neither memory nor barriers; then the warps' sums.
__device__ REAL of_block_by_shuffles(REAL sum)
{
    __shared__ REAL sums[WARP];
    for (int half = WARP / 2; half > 0; half /= 2) sum += __shfl_down_sync(EVERY_LANE, sum, half);
    if (threadIdx.x % WARP == 0) sums[threadIdx.x / WARP] = sum;
    __syncthreads();
    const int warps = blockDim.x / WARP;
    sum = threadIdx.x < warps ? sums[threadIdx.x] : 0;
    if (threadIdx.x < WARP)
        for (int half = WARP / 2; half > 0; half /= 2)
            sum += __shfl_down_sync(EVERY_LANE, sum, half);
    return sum;
}

extern "C" __global__ void sum_by_tree(const REAL* __restrict__ x, REAL* __restrict__ output, int n)
{
    const REAL sum = of_block_by_tree(of_thread(x, n));
    if (threadIdx.x == 0) output[blockIdx.x] = sum;
}

extern "C" __global__ void sum_by_shuffles(const REAL* __restrict__ x, REAL* __restrict__ output,
                                           int n)
{
    const REAL sum = of_block_by_shuffles(of_thread(x, n));
    if (threadIdx.x == 0) output[blockIdx.x] = sum;
}
