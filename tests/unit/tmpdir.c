#include "tests/unit/tmpdir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"

char *
tmpdir_make(void)
{
    char *path = hq_xstrdup("/tmp/hq-test-XXXXXX");
    if (mkdtemp(path) == NULL) {
        abort();
    }
    return path;
}

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void
tmpdir_remove(char *path)
{
    if (path != NULL && nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        perror(path);
    }
    free(path);
}
