// Order: which element comes first, sorting by all threads of a block, and counting in their order.
#pragma once

// Whether a comes before b, largest or smallest first. NaN counts as larger than every number, two NaN are alike.
template <class T>
__device__ bool comes_before(T a, T b, bool largest) {
    return largest ? a > b || (a != a && b == b) : a < b || (b != b && a == a);
}

// Of the threads of a block, of which some have `chosen`: how many of those come before this one, and how many all are.
// Every thread of the block takes part.
struct Chosen {
    int before, all;

    __device__ Chosen(bool chosen, const Block& block) : before(0), all(0) {
        __shared__ int counts[1024 / WARP];
        const int warp = block.rank / WARP, lane = block.rank % WARP;
        const unsigned votes = __ballot_sync(0xffffffffu, chosen);
        if (lane == 0) counts[warp] = __popc(votes);
        block.sync();
        for (int other = 0; other < block.size / WARP; ++other) {
            if (other < warp) before += counts[other];
            all += counts[other];
        }
        before += __popc(votes & ((1u << lane) - 1));
        block.sync();
    }
};

// Sorts `count` numbers in memory by all threads of a block; `precedes` says of any two different ones which comes
// first, so that there is one order only. A bitonic network that always puts the smaller one first (each merge begins
// with a reflection), so that a count which is no power of two needs no filling up: what lies behind would stay there.
// Source: K. E. Batcher, "Sorting networks and their applications" (1968).
template <class Precedes>
__device__ void sort(word* order, int count, const Precedes& precedes, const Block& block) {
    for (int merged = 2; merged < 2 * count; merged *= 2) {
        for (int span = merged; span > 1; span /= 2) {
            const int half = span / 2;
            for (int pair = block.rank; pair < (count + span - 1) / span * half; pair += block.size) {
                const int within = pair & (half - 1), first = 2 * (pair - within) + within;
                const int second = span == merged ? first - within + span - 1 - within : first + half;
                if (second >= count) continue;
                const word a = order[first], b = order[second];
                if (precedes(b, a)) order[first] = b, order[second] = a;
            }
            block.sync();
        }
    }
}
