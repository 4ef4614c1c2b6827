#ifndef ALLOCATION_COUNT_H
#define ALLOCATION_COUNT_H

#include <stdint.h>

/// Returns the number of allocations of this process so far: every malloc, calloc, realloc and aligned allocation.
/// Returns -1 where they cannot be counted, which is everywhere except on glibc.
int64_t allocation_count(void);

/// Does nothing. callgrind writes its counts when a program calls this function (`--dump-before=measured_part_begins`).
void measured_part_begins(void);

#endif
