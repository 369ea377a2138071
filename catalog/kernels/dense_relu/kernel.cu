// y[n, m] = ReLU(W[m, :] . x[n, :] + b[m]), with W row-major [outputs, inputs], x row-major
// [batch, inputs], y row-major [batch, outputs]. REAL is float or double, set by the compiler call.
//
// One warp works out one row of W for VECTORS vectors of the batch. Its lanes read W and x side by
// side, so every load is a full line, and W, by far the largest array, is read once for four vectors.

#define VECTORS 4
#define WARP 32
#define EVERY_LANE 0xffffffffu

extern "C" __global__ void dense_relu(const REAL* __restrict__ weights, const REAL* __restrict__ x,
                                      const REAL* __restrict__ bias, REAL* __restrict__ output,
                                      int outputs, int inputs, int batch)
{
    const int lane = threadIdx.x;
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    const int first = blockIdx.y * VECTORS;
    // All lanes of a warp share threadIdx.y, so a warp leaves whole or stays whole.
    if (row >= outputs) return;

    const REAL* weights_row = weights + (size_t)row * inputs;
    REAL sums[VECTORS] = {};
    for (int column = lane; column < inputs; column += WARP) {
        const REAL weight = weights_row[column];
#pragma unroll
        for (int vector = 0; vector < VECTORS; ++vector) {
            // Past the batch's end the last vector is read again and its sum thrown away.
            const int n = min(first + vector, batch - 1);
            sums[vector] += weight * x[(size_t)n * inputs + column];
        }
    }
#pragma unroll
    for (int vector = 0; vector < VECTORS; ++vector) {
        for (int step = WARP / 2; step > 0; step /= 2)
            sums[vector] += __shfl_down_sync(EVERY_LANE, sums[vector], step);
        if (lane == 0 && first + vector < batch) {
            const REAL y = sums[vector] + bias[row];
            // As on the slide: nought below nought. Written so that a NaN stays a NaN.
            output[(size_t)(first + vector) * outputs + row] = y < REAL(0) ? REAL(0) : y;
        }
    }
}
