"""A small kernel, for what is tried around it."""

KERNEL = """extern "C" __global__ void f(float *x) {
    __shared__ float s[32];
    s[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[0] = s[31 - threadIdx.x];
}
"""
