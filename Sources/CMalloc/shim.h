// How much memory the process has taken from the allocator and not given back, where the C library says so (glibc 2.33 or later).
#include <stdlib.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

// In bytes, over all of the allocator's arenas; negative: not known.
static inline long long bowline_allocated_bytes(void) {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    struct mallinfo2 info = mallinfo2();
    return (long long)info.uordblks + (long long)info.hblkhd;
#else
    return -1;
#endif
}
