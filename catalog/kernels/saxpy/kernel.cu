// output[i] = alpha * x[i] + y[i]. REAL is float or double, set by the compiler call.

extern "C" __global__ void saxpy(REAL alpha, const REAL* __restrict__ x, const REAL* __restrict__ y,
                                 REAL* __restrict__ output, int n)
{
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) output[i] = alpha * x[i] + y[i];
}

// Sixteen bytes a load: a quarter (or half) of the instructions for the same bytes. The last numbers
// of a vector whose length is no multiple are done one by one.
#define PER_LOAD (16 / sizeof(REAL))
struct __align__(16) Pack {
    REAL numbers[PER_LOAD];
};

extern "C" __global__ void saxpy_wide(REAL alpha, const REAL* __restrict__ x,
                                      const REAL* __restrict__ y, REAL* __restrict__ output, int n)
{
    const size_t pack = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    const size_t first = pack * PER_LOAD;
    if (first + PER_LOAD <= n) {
        const Pack of_x = reinterpret_cast<const Pack*>(x)[pack];
        const Pack of_y = reinterpret_cast<const Pack*>(y)[pack];
        Pack sums;
#pragma unroll
        for (int number = 0; number < PER_LOAD; ++number)
            sums.numbers[number] = alpha * of_x.numbers[number] + of_y.numbers[number];
        reinterpret_cast<Pack*>(output)[pack] = sums;
    } else {
        for (size_t i = first; i < n; ++i) output[i] = alpha * x[i] + y[i];
    }
}
