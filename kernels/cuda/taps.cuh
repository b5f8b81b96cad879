// Windows that reach over the edges of an axis.
#pragma once

// The taps of a window along one axis that lie inside: from `first` to before `end`. That a window lies inside as a
// whole, as most do, takes no division to see.
struct Taps {
    int first, end;

    __device__ Taps(int start, int kernel, int dilation, int size)
        : first(start < 0 ? (dilation - 1 - start) / dilation : 0),
          end(start + (kernel - 1) * dilation < size ? kernel
              : start < size                         ? (size - 1 - start) / dilation + 1
                                                     : 0) {}

    __device__ int count() const { return max(end - first, 0); }
};
