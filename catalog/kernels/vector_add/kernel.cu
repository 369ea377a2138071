// output[i] = a[i] + b[i]. REAL is float or double, set by the compiler call.
//
// Neighbouring threads read neighbouring numbers, so every load is a full line of memory: nothing
// else decides the speed of three arrays that pass by once.

extern "C" __global__ void vector_add(const REAL* __restrict__ a, const REAL* __restrict__ b,
                                      REAL* __restrict__ output, int n)
{
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) output[i] = a[i] + b[i];
}

// A grid of a fixed size walks over the arrays: fewer blocks to start, the same order of reading.
extern "C" __global__ void vector_add_strided(const REAL* __restrict__ a,
                                              const REAL* __restrict__ b,
                                              REAL* __restrict__ output, int n)
{
    const size_t stride = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += stride)
        output[i] = a[i] + b[i];
}
