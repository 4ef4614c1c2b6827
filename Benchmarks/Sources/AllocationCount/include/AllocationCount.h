#ifndef ALLOCATION_COUNT_H
#define ALLOCATION_COUNT_H

#include <stdint.h>

/// How many blocks of memory this process has asked for so far: every malloc, calloc, realloc and aligned allocation.
/// -1 where they cannot be counted (anywhere but on glibc).
int64_t allocation_count(void);

#endif
