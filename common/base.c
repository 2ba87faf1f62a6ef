#include "common/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void
hq_assert_failed(const char *cond, const char *file, int line)
{
    char text[512];
    int len = snprintf(text, sizeof text, "%s:%d: assertion failed: %s\n", file, line, cond);
    if (len > 0) {
        size_t bytes = HQ_MIN((size_t)len, sizeof text - 1);
        if (write(STDERR_FILENO, text, bytes) < 0) {
            /* there is nobody left to tell */
            abort();
        }
    }
    abort();
}
