/* The entry point of all harnesses. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

const char *
fuzz_file(struct fuzz *f)
{
    static int fd = -1;
    static char path[32];
    if (fd < 0) {
        fd = memfd_create("fuzz", 0);
        MUST(fd >= 0);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    MUST(ftruncate(fd, 0) == 0);
    MUST(pwrite(fd, f->text.ptr, f->text.len, 0) == (ssize_t)f->text.len);
    return path;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f = {.text = hq_str_make((const char *)data, size)};
    hq_arena_init(&f.arena, 0);
    fuzz_one(&f);
    MUST(f.arena.total_bytes <= FUZZ_BYTES_FREE + FUZZ_BYTES_PER_BYTE * size);
    hq_arena_fini(&f.arena);
    return 0;
}
