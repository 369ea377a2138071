// output[i] = x[i]. REAL is float or double, set by the compiler call.

extern "C" __global__ void copy_one_each(const REAL* __restrict__ x, REAL* __restrict__ output,
                                         int n)
{
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) output[i] = x[i];
}

// Sixteen bytes a load; the last numbers of a vector whose length is no multiple go one by one.
#define PER_LOAD (16 / sizeof(REAL))
struct __align__(16) Pack {
    REAL numbers[PER_LOAD];
};

extern "C" __global__ void copy_wide(const REAL* __restrict__ x, REAL* __restrict__ output, int n)
{
    const size_t pack = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    const size_t first = pack * PER_LOAD;
    if (first + PER_LOAD <= n) {
        reinterpret_cast<Pack*>(output)[pack] = reinterpret_cast<const Pack*>(x)[pack];
    } else {
        for (size_t i = first; i < n; ++i) output[i] = x[i];
    }
}
