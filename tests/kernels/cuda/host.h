// Runs CUDA C on the processor: the threads of a block are fibers that take turns. A thread runs until it waits for
// others (__syncthreads, a warp's shuffle) or ends; the order in which threads and blocks get their turn is forwards or
// backwards, so that a result which depends on it is found out. No GPU, no driver, no CUDA header.
// Libraries that one process loads share the variables here (`inline`): one may launch what calls kernels of another.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <math.h>  // functions of float and of double by one name, as in CUDA
#include <ucontext.h>

#define __device__
#define __global__
#define __shared__ static
#define __restrict__ __restrict
#define __noinline__
#define __launch_bounds__(...)
#define SHARED_ARENA(name) char* const name = host::shared_arena

using std::max;
using std::min;

struct Index {
    int x, y, z;
};

inline Index threadIdx, blockIdx, blockDim, gridDim;

template <class To, class From>
static To bits_as(From value) {
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To result;
    std::memcpy(&result, &value, sizeof result);
    return result;
}

static double __longlong_as_double(long long bits) { return bits_as<double>(bits); }
static float __int_as_float(int bits) { return bits_as<float>(bits); }
static float __fadd_rn(float a, float b) { return a + b; }
static float __fsub_rn(float a, float b) { return a - b; }
static float __fmul_rn(float a, float b) { return a * b; }
static float __uint_as_float(unsigned bits) { return bits_as<float>(bits); }

namespace host {

constexpr int WARP_THREADS = 32;
constexpr size_t STACK_BYTES = 64 * 1024;

enum class Wait { NOTHING, BLOCK, WARP, ENDED };

// Four bytes that a thread has asked to be copied while it goes on: see kernels/cuda/ahead.cuh.
struct Copy {
    void* to;
    const void* from;
    bool exists;
};

struct Thread {
    ucontext_t context;
    std::vector<char> stack;
    Wait wait = Wait::NOTHING;
    int shuffles = 0;
    std::vector<std::vector<Copy>> groups = {{}};  // of copies that it has not waited for; the last one is not ended
};

struct Team {
    std::vector<Thread> threads;
    std::vector<unsigned long long> exchanged[2];  // of each thread, of this shuffle and of the one before
    ucontext_t scheduler;
    int running = 0;
    void (*body)(const void*) = nullptr;
    const void* captured = nullptr;  // what `body` is called with
};

inline Team team;

// What a block may have of shared memory beside what functions declare, and how much of it a launch asked for.
alignas(64) inline char shared_arena[256 * 1024];
inline int shared_bytes = 0;

static void fail(const char* what) {
    std::fprintf(stderr, "CUDA on the host: %s (block %d, %d; thread %d)\n", what, blockIdx.x, blockIdx.y, threadIdx.x);
    std::abort();
}

static void enter() {
    team.body(team.captured);
    if (team.threads[team.running].groups.size() > 1) fail("copies that their thread has not waited for");
    team.threads[team.running].wait = Wait::ENDED;
    swapcontext(&team.threads[team.running].context, &team.scheduler);
}

static void pause(Wait wait) {
    Thread& thread = team.threads[team.running];
    thread.wait = wait;
    swapcontext(&thread.context, &team.scheduler);
}

static void turn(int number) {
    team.running = number;
    threadIdx = {number, 0, 0};
    swapcontext(&team.scheduler, &team.threads[number].context);
}

static void end_group() { team.threads[team.running].groups.emplace_back(); }

// No copy is done before it is waited for: what reads it earlier finds what was there.
static void wait_for_groups(int latest) {
    auto& groups = team.threads[team.running].groups;
    const auto done = groups.end() - std::min<size_t>(groups.size(), latest + 1);
    const unsigned nothing = 0;
    for (auto group = groups.begin(); group != done; ++group)
        for (const Copy& copy : *group) std::memcpy(copy.to, copy.exists ? copy.from : &nothing, sizeof nothing);
    groups.erase(groups.begin(), done);
}

// Whether all threads from `first` on, `count` of them, are at `wait`; if so they may go on.
static bool released(int first, int count, Wait wait) {
    for (int number = first; number < first + count; ++number)
        if (team.threads[number].wait != wait) return false;
    for (int number = first; number < first + count; ++number) team.threads[number].wait = Wait::NOTHING;
    return true;
}

static void run_block(bool backwards) {
    const int count = blockDim.x;
    std::memset(shared_arena, 0xff, shared_bytes);  // NaN: nothing is left of other blocks
    for (int number = 0; number < count; ++number) {
        Thread& thread = team.threads[number];
        thread.wait = Wait::NOTHING;
        thread.shuffles = 0;
        thread.stack.resize(STACK_BYTES);
        getcontext(&thread.context);
        thread.context.uc_stack = {thread.stack.data(), 0, thread.stack.size()};
        thread.context.uc_link = nullptr;
        makecontext(&thread.context, enter, 0);
    }
    while (true) {
        bool moved = false;
        for (int turn_number = 0; turn_number < count; ++turn_number) {
            const int number = backwards ? count - 1 - turn_number : turn_number;
            if (team.threads[number].wait == Wait::NOTHING) turn(number), moved = true;
        }
        for (int first = 0; first < count; first += WARP_THREADS)
            moved |= released(first, std::min(WARP_THREADS, count - first), Wait::WARP);
        moved |= released(0, count, Wait::BLOCK);
        if (!moved) break;
    }
    for (int number = 0; number < count; ++number)
        if (team.threads[number].wait != Wait::ENDED) threadIdx.x = number, fail("a barrier that others do not reach");
}

// Run `body` as the threads of a grid.
template <class Body>
void launch(int blocks_x, int blocks_y, int threads, bool backwards, const Body& body) {
    gridDim = {blocks_x, blocks_y, 1};
    blockDim = {threads, 1, 1};
    team.threads.resize(threads);
    for (auto& values : team.exchanged) values.resize(threads);
    team.body = [](const void* captured) { (*static_cast<const Body*>(captured))(); };
    team.captured = &body;
    for (int number = 0; number < blocks_x * blocks_y; ++number) {
        const int block = backwards ? blocks_x * blocks_y - 1 - number : number;
        blockIdx = {block % blocks_x, block / blocks_x, 0};
        run_block(backwards);
    }
}

}  // namespace host

// Threads take turns: what one does without waiting is atomic.
static unsigned atomicMax(unsigned* place, unsigned value) {
    const unsigned before = *place;
    *place = max(before, value);
    return before;
}

static void __syncthreads() { host::pause(host::Wait::BLOCK); }

// What the thread `from` of the warp gives; `from` is its number in the block.
template <class T>
static T exchanged(unsigned mask, T value, int from) {
    static_assert(sizeof(T) <= sizeof(unsigned long long), "a shuffle moves up to 8 bytes");
    if (mask != 0xffffffffu) host::fail("a shuffle of part of a warp");
    const int own = threadIdx.x;
    // Two buffers: a thread may be at the next shuffle while others still read what this one gave them.
    auto& values = host::team.exchanged[host::team.threads[own].shuffles++ % 2];
    std::memcpy(&values[own], &value, sizeof value);
    host::pause(host::Wait::WARP);
    T result;
    std::memcpy(&result, &values[from], sizeof result);
    return result;
}

template <class T>
static T __shfl_xor_sync(unsigned mask, T value, int apart) {
    return exchanged(mask, value, threadIdx.x ^ apart);
}

template <class T>
static T __shfl_up_sync(unsigned mask, T value, int apart) {
    const int own = threadIdx.x;
    return exchanged(mask, value, own % host::WARP_THREADS < apart ? own : own - apart);
}

template <class T>
static T __shfl_sync(unsigned mask, T value, int lane) {
    return exchanged(mask, value, threadIdx.x / host::WARP_THREADS * host::WARP_THREADS + lane);
}

static unsigned __ballot_sync(unsigned mask, bool vote) {
    unsigned votes = unsigned(vote) << threadIdx.x % host::WARP_THREADS;
    for (int apart = host::WARP_THREADS / 2; apart > 0; apart /= 2) votes |= __shfl_xor_sync(mask, votes, apart);
    return votes;
}

static int __popc(unsigned bits) { return __builtin_popcount(bits); }
