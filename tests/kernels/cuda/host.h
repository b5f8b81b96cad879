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
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#define __device__
#define __global__
#define __shared__ static
#define __restrict__ __restrict
#define __noinline__
#define __launch_bounds__(...)
#define SHARED_ARENA(name) char* const name = host::shared_memory()

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
static unsigned __float_as_uint(float value) { return bits_as<unsigned>(value); }
static float __uint_as_float(unsigned bits) { return bits_as<float>(bits); }

namespace host {

constexpr int WARP_THREADS = 32;
constexpr size_t STACK_BYTES = 64 * 1024;
constexpr int MOST_THREADS = 1024;  // of a block
constexpr int MOST_BLOCKS_Y = 65535;
constexpr int MOST_IDLE_ROUNDS = 100;  // in which threads do nothing but look whether others have come

enum class Wait { NOTHING, BLOCK, WARP, ENDED };

// Four bytes that a thread has asked to be copied while it goes on: see kernels/cuda/ahead.cuh.
struct Copy {
    void* to;
    const void* from;
    bool exists;
};

struct alignas(64) SharedUnit {
    char bytes[64];
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
    std::vector<SharedUnit> shared;  // of each block that runs, end to end
    int shared_bytes = 0;            // of a block
    int first_block = 0;
    int running = 0;
    bool sleeping = false;  // the thread that had its turn waits for other blocks
    void (*body)(const void*) = nullptr;
    const void* captured = nullptr;  // what `body` is called with
};

inline Team team;

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

static void locate(int number) {
    const int block = team.first_block + number / blockDim.x;
    team.running = number;
    threadIdx = {number % blockDim.x, 0, 0};
    blockIdx = {block % gridDim.x, block / gridDim.x, 0};
}

static void turn(int number) {
    locate(number);
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

// What the compiler makes of float32 as float16, rounded to the nearest.
static unsigned float16_bits(float value) { return bits_as<unsigned short>(static_cast<_Float16>(value)); }
static float float16_number(unsigned bits) { return bits_as<_Float16>(static_cast<unsigned short>(bits)); }

// Denormals count as zero while this is there, as kernels are compiled to have it (-ftz=true); those of float64 as well,
// which a card would keep.
struct NoDenormals {
#ifdef __SSE__
    static constexpr unsigned FLUSHED = 0x8040;  // results (bit 15) and operands (bit 6)
    const unsigned before = _mm_getcsr();
    NoDenormals() { _mm_setcsr(before | FLUSHED); }
    ~NoDenormals() { _mm_setcsr(before); }
#endif
};

// Whether all threads from `first` on, `count` of them, are at `wait`; if so they may go on.
static bool released(int first, int count, Wait wait) {
    for (int number = first; number < first + count; ++number)
        if (team.threads[number].wait != wait) return false;
    for (int number = first; number < first + count; ++number) team.threads[number].wait = Wait::NOTHING;
    return true;
}

// Make the threads of blocks `first` to `first + blocks - 1` of the grid ready to begin.
static void begin(int first, int blocks) {
    team.first_block = first;
    for (int number = 0; number < blocks * blockDim.x; ++number) {
        Thread& thread = team.threads[number];
        thread.wait = Wait::NOTHING;
        thread.shuffles = 0;
        thread.stack.resize(STACK_BYTES);
        getcontext(&thread.context);
        thread.context.uc_stack = {thread.stack.data(), 0, thread.stack.size()};
        thread.context.uc_link = nullptr;
        makecontext(&thread.context, enter, 0);
    }
    // Shared memory holds nothing: NaNs show what is read before it was written.
    std::memset(team.shared.data(), 0xff, team.shared.size() * sizeof(SharedUnit));
}

// Run blocks of the grid to their end, all at the same time.
static void run_blocks(int first, int blocks, bool backwards) {
    const int count = blockDim.x, all = blocks * count;
    begin(first, blocks);
    for (int idle = 0; idle < MOST_IDLE_ROUNDS;) {
        bool moved = false, slept = false;
        for (int turn_number = 0; turn_number < all; ++turn_number) {
            const int number = backwards ? all - 1 - turn_number : turn_number;
            if (team.threads[number].wait != Wait::NOTHING) continue;
            team.sleeping = false;
            turn(number);
            (team.sleeping ? slept : moved) = true;
        }
        for (int block = 0; block < all; block += count) {
            for (int warp = 0; warp < count; warp += WARP_THREADS)
                moved |= released(block + warp, std::min(WARP_THREADS, count - warp), Wait::WARP);
            moved |= released(block, count, Wait::BLOCK);
        }
        if (!moved && !slept) break;
        idle = moved ? 0 : idle + 1;
    }
    for (int number = 0; number < all; ++number)
        if (team.threads[number].wait != Wait::ENDED) locate(number), fail("waits for what others do not reach");
}

// What a launch is given.
struct Grid {
    int blocks_x, blocks_y, threads;
    int shared_bytes = 0;  // of a block
    int together = 0;      // all blocks run at the same time; else one after the other
};

// Run `body` as the threads of a grid.
template <class Body>
void launch(const Grid& grid, bool backwards, const Body& body) {
    gridDim = {grid.blocks_x, grid.blocks_y, 1};
    blockDim = {grid.threads, 1, 1};
    const bool exists = grid.blocks_x > 0 && grid.blocks_y > 0 && grid.threads > 0;
    if (!exists || grid.blocks_y > MOST_BLOCKS_Y || grid.threads > MOST_THREADS) fail("a launch that no card takes");
    const NoDenormals arithmetic;
    const int blocks = grid.blocks_x * grid.blocks_y, at_once = grid.together ? blocks : 1;
    if (team.threads.size() < size_t(at_once * grid.threads)) team.threads.resize(at_once * grid.threads);
    for (auto& values : team.exchanged) values.resize(team.threads.size());
    team.shared_bytes = grid.shared_bytes;
    team.shared.resize(at_once * (grid.shared_bytes / sizeof(SharedUnit) + 1));
    team.body = [](const void* captured) { (*static_cast<const Body*>(captured))(); };
    team.captured = &body;
    for (int number = 0; number < blocks; number += at_once)
        run_blocks(backwards ? blocks - at_once - number : number, at_once, backwards);
}

// The launch's shared memory of the block whose thread has its turn.
static char* shared_memory() {
    const size_t units = team.shared_bytes / sizeof(SharedUnit) + 1;
    return reinterpret_cast<char*>(team.shared.data() + team.running / blockDim.x * units);
}

}  // namespace host

// Threads take turns: what one does without waiting is atomic.
static unsigned atomicMax(unsigned* place, unsigned value) {
    const unsigned before = *place;
    *place = max(before, value);
    return before;
}

static unsigned atomicAdd(unsigned* place, unsigned value) {
    const unsigned before = *place;
    *place += value;
    return before;
}

static unsigned dynamic_shared_bytes() { return host::team.shared_bytes; }

static void __syncthreads() { host::pause(host::Wait::BLOCK); }

static void __nanosleep(unsigned) {
    host::team.sleeping = true;
    host::pause(host::Wait::NOTHING);
}

static void __threadfence() {}

static float __ldcg(const float* from) { return *from; }

// What the thread `from` of the warp gives; `from` is its number in the block.
template <class T>
static T exchanged(unsigned mask, T value, int from) {
    static_assert(sizeof(T) <= sizeof(unsigned long long), "a shuffle moves up to 8 bytes");
    if (mask != 0xffffffffu) host::fail("a shuffle of part of a warp");
    const int own = host::team.running, first = own - threadIdx.x;
    // Two buffers: a thread may be at the next shuffle while others still read what this one gave them.
    auto& values = host::team.exchanged[host::team.threads[own].shuffles++ % 2];
    std::memcpy(&values[own], &value, sizeof value);
    host::pause(host::Wait::WARP);
    T result;
    std::memcpy(&result, &values[first + from], sizeof result);
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
