// CUDA's threads, blocks, barriers and shuffles on one thread of the processor, for tests.
//
// A kernel's source is included after this file and compiled by a C++ compiler. The threads of a
// block are fibers that run until they wait for each other or end; blocks run one after another. This
// shows a kernel's logic (indices, barriers, edges), and nothing about its speed. Threads run in
// order or in the opposite one: where a barrier is missing, one of the two goes wrong.
//
// Not here: dynamic shared memory, textures, cooperative groups, streams, and warps wider than 32.

#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

struct Index3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) double2 {
    double x, y;
};

inline Index3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;
constexpr int warpSize = 32;

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
// Arrays end where unreadable memory begins, and so begin anywhere.
#define __align__(bytes)
// Blocks run one after another, so one copy serves them all.
#define __shared__ static

using std::max;
using std::min;

namespace on_host {

constexpr unsigned LANES = 32;
constexpr std::size_t STACK_BYTES = 64 * 1024;

enum class State { ready, at_block_barrier, at_warp_barrier, done };

struct Fiber {
    ucontext_t context;
    // Once it has begun; `swapcontext` costs two system calls, a jump costs none.
    jmp_buf place;
    bool has_begun = false;
    std::vector<char> stack = std::vector<char>(STACK_BYTES);
    State state = State::done;
    Index3 index{};
};

// What went wrong; `fine` is 0 for the caller.
enum Outcome { fine = 0, stuck_at_barrier = 1, lane_has_ended = 2 };

struct Block {
    std::vector<Fiber> fibers;
    // Values that the lanes of each warp hand to each other; no type in use is larger.
    std::vector<double> exchanged;
    ucontext_t scheduler;
    jmp_buf back;
    unsigned current = 0, threads = 0;
    void (*body)(void*) = nullptr;
    void* arguments = nullptr;
    Outcome outcome = fine;
};

inline Block block;

inline void enter() {
    block.body(block.arguments);
    block.fibers[block.current].state = State::done;
    _longjmp(block.back, 1);
}

inline void wait(State where) {
    Fiber& self = block.fibers[block.current];
    self.state = where;
    if (_setjmp(self.place) == 0) _longjmp(block.back, 1);
}

inline void resume(unsigned number) {
    Fiber& fiber = block.fibers[number];
    block.current = number;
    threadIdx = fiber.index;
    if (_setjmp(block.back) != 0) return;
    if (fiber.has_begun) _longjmp(fiber.place, 1);
    fiber.has_begun = true;
    swapcontext(&block.scheduler, &fiber.context);
}

// Lets go whom a barrier holds once everybody who has to be there is. False when nobody is let go.
inline bool release(unsigned first, unsigned last, State where) {
    bool anybody = false;
    for (unsigned number = first; number < last; ++number) {
        const State state = block.fibers[number].state;
        if (state != where && state != State::done) return false;
        anybody = anybody || state == where;
    }
    for (unsigned number = first; number < last; ++number)
        if (block.fibers[number].state == where) block.fibers[number].state = State::ready;
    return anybody;
}

inline void run_block(bool backwards) {
    for (unsigned number = 0; number < block.threads; ++number) {
        Fiber& fiber = block.fibers[number];
        fiber.index = {number % blockDim.x, number / blockDim.x % blockDim.y,
                       number / (blockDim.x * blockDim.y)};
        fiber.state = State::ready;
        fiber.has_begun = false;
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        fiber.context.uc_link = &block.scheduler;
        makecontext(&fiber.context, enter, 0);
    }
    for (bool anybody = true; anybody && block.outcome == fine;) {
        anybody = false;
        for (unsigned step = 0; step < block.threads; ++step) {
            const unsigned number = backwards ? block.threads - 1 - step : step;
            if (block.fibers[number].state != State::ready) continue;
            anybody = true;
            resume(number);
        }
        for (unsigned first = 0; first < block.threads; first += LANES)
            if (release(first, min(first + LANES, block.threads), State::at_warp_barrier))
                anybody = true;
        if (!anybody) anybody = release(0, block.threads, State::at_block_barrier);
    }
    for (const Fiber& fiber : block.fibers)
        if (fiber.state != State::done && block.outcome == fine) block.outcome = stuck_at_barrier;
}

// A value from another lane of the warp; the mask must be of lanes that are still running.
template <class T>
T exchange(unsigned mask, T value, unsigned from) {
    static_assert(sizeof(T) <= sizeof(double), "no wider values");
    const unsigned lane = block.current % LANES, first = block.current - lane;
    std::memcpy(&block.exchanged[block.current], &value, sizeof value);
    wait(State::at_warp_barrier);
    T found = value;
    if (from < LANES && first + from < block.threads) {
        if (block.fibers[first + from].state == State::done && (mask >> from & 1u) != 0)
            block.outcome = lane_has_ended;
        std::memcpy(&found, &block.exchanged[first + from], sizeof found);
    }
    wait(State::at_warp_barrier);
    return found;
}

template <class... Parameters, std::size_t... I>
int launch(void (*kernel)(Parameters...), const unsigned* grid, const unsigned* threads,
           void** arguments, bool backwards, std::index_sequence<I...>) {
    struct Call {
        void (*kernel)(Parameters...);
        void** arguments;
    } call{kernel, arguments};
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {threads[0], threads[1], threads[2]};
    block.threads = threads[0] * threads[1] * threads[2];
    block.fibers.resize(block.threads);
    block.exchanged.assign(block.threads, 0.0);
    block.outcome = fine;
    block.arguments = &call;
    block.body = [](void* given) {
        const Call& made = *static_cast<Call*>(given);
        made.kernel(*static_cast<std::remove_reference_t<Parameters>*>(made.arguments[I])...);
    };
    const unsigned count = grid[0] * grid[1] * grid[2];
    for (unsigned number = 0; number < count && block.outcome == fine; ++number) {
        blockIdx = {number % grid[0], number / grid[0] % grid[1], number / (grid[0] * grid[1])};
        run_block(backwards);
    }
    return block.outcome;
}

template <class... Parameters>
int launch(void (*kernel)(Parameters...), const unsigned* grid, const unsigned* threads,
           void** arguments, bool backwards) {
    return launch(kernel, grid, threads, arguments, backwards,
                  std::index_sequence_for<Parameters...>{});
}

}  // namespace on_host

inline void __syncthreads() { on_host::wait(on_host::State::at_block_barrier); }
inline void __syncwarp(unsigned = 0xffffffffu) { on_host::wait(on_host::State::at_warp_barrier); }

template <class T>
T __shfl_sync(unsigned mask, T value, int lane) {
    return on_host::exchange(mask, value, unsigned(lane) % on_host::LANES);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta) {
    return on_host::exchange(mask, value, on_host::block.current % on_host::LANES + delta);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta) {
    return on_host::exchange(mask, value, on_host::block.current % on_host::LANES - delta);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes) {
    return on_host::exchange(mask, value,
                             (on_host::block.current % on_host::LANES) ^ unsigned(lanes));
}
template <class T>
T atomicAdd(T* place, T value) {
    const T before = *place;
    *place += value;
    return before;
}
template <class T>
T __ldg(const T* place) {
    return *place;
}

// One for each function that is launched.
#define ON_HOST_ENTRY(ENTRY)                                                                              \
    extern "C" int labpool_launch_##ENTRY(const unsigned* grid, const unsigned* threads,           \
                                          void** arguments, int backwards) {                       \
        return on_host::launch(ENTRY, grid, threads, arguments, backwards != 0);                   \
    }
