#include "common/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GROW_ITEMS_MIN 8

HQ_NORETURN HQ_COLD static void
out_of_memory(size_t count, size_t item_bytes)
{
    char text[128];
    int len = snprintf(text, sizeof text, "out of memory: %zu x %zu bytes\n", count, item_bytes);
    if (len <= 0 || write(STDERR_FILENO, text, (size_t)len) < 0) {
        abort(); /* nobody left to tell */
    }
    abort();
}

void *
hq_try_calloc(size_t count, size_t item_bytes)
{
    /* calloc checks the product; an allocation of nothing must not look like a failure */
    return count == 0 || item_bytes == 0 ? calloc(1, 1) : calloc(count, item_bytes);
}

void *
hq_try_alloc(size_t bytes)
{
    return hq_try_calloc(1, bytes);
}

void *
hq_try_realloc(void *p, size_t count, size_t item_bytes)
{
    size_t bytes;
    if (!hq_mul_size(count, item_bytes, &bytes)) {
        return NULL;
    }
    return realloc(p, HQ_MAX(bytes, (size_t)1));
}

void *
hq_xalloc(size_t bytes)
{
    return hq_xcalloc(1, bytes);
}

void *
hq_xcalloc(size_t count, size_t item_bytes)
{
    void *p = hq_try_calloc(count, item_bytes);
    if (HQ_UNLIKELY(p == NULL)) {
        out_of_memory(count, item_bytes);
    }
    return p;
}

void *
hq_xrealloc(void *p, size_t count, size_t item_bytes)
{
    void *q = hq_try_realloc(p, count, item_bytes);
    if (HQ_UNLIKELY(q == NULL)) {
        out_of_memory(count, item_bytes);
    }
    return q;
}

char *
hq_xstrdup(const char *s)
{
    return hq_xmemdup(s, strlen(s));
}

void *
hq_xmemdup(const void *p, size_t bytes)
{
    size_t total;
    if (!hq_add_size(bytes, 1, &total)) {
        out_of_memory(1, bytes);
    }
    char *q = hq_xrealloc(NULL, total, 1);
    if (bytes > 0) {
        memcpy(q, p, bytes);
    }
    q[bytes] = '\0';
    return q;
}

void
hq_mem_freep(void *pp)
{
    void *p;
    memcpy(&p, pp, sizeof p); /* pp is a char **, a struct x **, ...: no aliasing through void ** */
    int saved = errno;
    free(p);
    errno = saved;
    p = NULL;
    memcpy(pp, &p, sizeof p);
}

int
hq_try_grow(void *pp, size_t *cap, size_t need, size_t item_bytes)
{
    if (need <= *cap) {
        return 0;
    }
    size_t twice;
    if (!hq_mul_size(*cap, 2, &twice)) {
        twice = need;
    }
    size_t count = HQ_MAX(HQ_MAX(twice, need), (size_t)GROW_ITEMS_MIN);
    void *p;
    memcpy(&p, pp, sizeof p);
    void *q = hq_try_realloc(p, count, item_bytes);
    if (q == NULL) {
        return -ENOMEM;
    }
    memcpy(pp, &q, sizeof q);
    *cap = count;
    return 0;
}

void
hq_xgrow(void *pp, size_t *cap, size_t need, size_t item_bytes)
{
    if (HQ_UNLIKELY(hq_try_grow(pp, cap, need, item_bytes) < 0)) {
        out_of_memory(need, item_bytes);
    }
}
