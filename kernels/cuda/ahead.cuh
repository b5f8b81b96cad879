// Copies from global to shared memory that go on while their thread computes (cp.async, sm_80 and later). What a thread
// has asked for is a group when it says so; it waits for all but the latest groups. Before sm_80 a copy is done at once.
// Source: PTX ISA, "cp.async".
#pragma once

// *to = exists ? *from : 0, at the latest when the thread has waited for the copy's group. `to`: in shared memory.
template <class T>
__device__ void copy_ahead(T* to, const T* from, bool exists) {
    static_assert(sizeof(T) == 4, "what one copy moves");
#ifndef __CUDACC__
    host::team.threads[host::team.running].groups.back().push_back({to, from, exists});
#elif __CUDA_ARCH__ >= 800
    const unsigned target = static_cast<unsigned>(__cvta_generic_to_shared(to));
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(target), "l"(from), "r"(exists ? 4 : 0));
#else
    *to = exists ? *from : T();
#endif
}

// The copies since the last group are a group.
__device__ inline void end_group() {
#ifndef __CUDACC__
    host::end_group();
#elif __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Wait until all of this thread's groups but the latest `LATEST` are there; others see them after a barrier.
template <int LATEST>
__device__ void wait_for_groups() {
#ifndef __CUDACC__
    host::wait_for_groups(LATEST);
#elif __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(LATEST) : "memory");
#endif
}
