// output[y, x] = sum over a window of picture[y + dy, x + dx] * filter[dy, dx], the picture continued by
// noughts past its edges; picture and output row-major [height, width], filter [SIDE, SIDE]. REAL is
// float or double, set by the compiler call.

#define SIDE 3
#define REACH (SIDE / 2)
#define TILE 16

extern "C" __global__ void conv2d_naive(const REAL* __restrict__ picture,
                                        const REAL* __restrict__ filter, REAL* __restrict__ output,
                                        int height, int width)
{
    const int x = blockIdx.x * TILE + threadIdx.x;
    const int y = blockIdx.y * TILE + threadIdx.y;
    if (x >= width || y >= height) return;
    REAL sum = 0;
#pragma unroll
    for (int dy = -REACH; dy <= REACH; ++dy)
#pragma unroll
        for (int dx = -REACH; dx <= REACH; ++dx)
            if (y + dy >= 0 && y + dy < height && x + dx >= 0 && x + dx < width)
                sum += picture[(size_t)(y + dy) * width + x + dx] *
                       filter[(dy + REACH) * SIDE + dx + REACH];
    output[(size_t)y * width + x] = sum;
}

// A block brings its tile and the rim around it into shared memory: each number is read from memory once
// a block, and used by nine threads.
#define WITH_RIM (TILE + 2 * REACH)

extern "C" __global__ void conv2d_tiled(const REAL* __restrict__ picture,
                                        const REAL* __restrict__ filter, REAL* __restrict__ output,
                                        int height, int width)
{
    __shared__ REAL tile[WITH_RIM][WITH_RIM];
    const int left = blockIdx.x * TILE - REACH, top = blockIdx.y * TILE - REACH;
    for (int i = threadIdx.y * TILE + threadIdx.x; i < WITH_RIM * WITH_RIM; i += TILE * TILE) {
        const int x = left + i % WITH_RIM, y = top + i / WITH_RIM;
        tile[i / WITH_RIM][i % WITH_RIM] =
            x >= 0 && x < width && y >= 0 && y < height ? picture[(size_t)y * width + x] : 0;
    }
    __syncthreads();
    const int x = blockIdx.x * TILE + threadIdx.x;
    const int y = blockIdx.y * TILE + threadIdx.y;
    if (x >= width || y >= height) return;
    REAL sum = 0;
#pragma unroll
    for (int dy = 0; dy < SIDE; ++dy)
#pragma unroll
        for (int dx = 0; dx < SIDE; ++dx)
            // Past the picture's edge nothing is added: nought times an endless weight is no number.
            if (y + dy >= REACH && y + dy - REACH < height && x + dx >= REACH &&
                x + dx - REACH < width)
                sum += tile[threadIdx.y + dy][threadIdx.x + dx] * filter[dy * SIDE + dx];
    output[(size_t)y * width + x] = sum;
}
