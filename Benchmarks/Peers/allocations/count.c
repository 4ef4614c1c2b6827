// Writes the number of allocations to the file in ALLOCATION_COUNT_FILE when the process exits. Preload it (LD_PRELOAD)
// together with AllocationCount.c.

#include "AllocationCount.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((destructor)) static void write_count(void) {
    const char *path = getenv("ALLOCATION_COUNT_FILE");
    FILE *file = path == NULL ? NULL : fopen(path, "w");
    if (file == NULL) return;
    fprintf(file, "%" PRId64 "\n", allocation_count());
    fclose(file);
}
