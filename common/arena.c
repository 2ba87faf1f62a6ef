#include "common/arena.h"

#include "common/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ALIGN_BYTES 16u
#define BLOCK_BYTES_MIN ((size_t)4096)
#define BLOCK_BYTES_MAX ((size_t)1 << 20)  /* blocks double up to here; larger objects get a block of their own */
#define KEEP_BYTES_MAX ((size_t)256 << 10) /* what a reset may keep: one large message must not bind memory for ever   \
                                            */

struct hq_arena_block {
    struct hq_arena_block *next; /* older */
    size_t cap_bytes;            /* of data */
    _Alignas(ALIGN_BYTES) unsigned char data[];
};

void
hq_arena_init(struct hq_arena *a, size_t bytes_max)
{
    *a = (struct hq_arena){.bytes_max = bytes_max};
}

void
hq_arena_fini(struct hq_arena *a)
{
    int saved = errno;
    struct hq_arena_block *b = a->head;
    while (b != NULL) {
        struct hq_arena_block *next = b->next;
        free(b);
        b = next;
    }
    *a = (struct hq_arena){.bytes_max = a->bytes_max};
    errno = saved;
}

void
hq_arena_reset(struct hq_arena *a)
{
    struct hq_arena_block *kept = NULL;
    struct hq_arena_block *b = a->head;
    while (b != NULL) {
        struct hq_arena_block *next = b->next;
        struct hq_arena_block *gone = b;
        if (b->cap_bytes <= KEEP_BYTES_MAX && (kept == NULL || b->cap_bytes > kept->cap_bytes)) {
            gone = kept;
            kept = b;
        }
        free(gone);
        b = next;
    }
    a->head = kept;
    a->used_bytes = 0;
    a->total_bytes = 0;
    if (kept != NULL) {
        kept->next = NULL;
        a->total_bytes = kept->cap_bytes;
    }
}

/* A block for an object of `need` bytes (a multiple of ALIGN_BYTES). NULL at the limit or without memory. */
HQ_COLD static void *
new_block(struct hq_arena *a, size_t need)
{
    size_t cap = a->head == NULL ? BLOCK_BYTES_MIN : HQ_MIN(a->head->cap_bytes * 2, BLOCK_BYTES_MAX);
    cap = HQ_MAX(cap, need);
    if (a->bytes_max != 0) {
        size_t room = a->bytes_max > a->total_bytes ? a->bytes_max - a->total_bytes : 0;
        if (need > room) {
            return NULL;
        }
        cap = HQ_MIN(cap, room);
    }
    size_t bytes;
    if (!hq_add_size(cap, sizeof(struct hq_arena_block), &bytes)) {
        return NULL;
    }
    struct hq_arena_block *b = malloc(bytes);
    if (b == NULL) {
        return NULL;
    }
    b->cap_bytes = cap;
    a->total_bytes += cap;
    /* A full block of a large object goes behind a head that still has more room. */
    if (a->head != NULL && a->head->cap_bytes - a->used_bytes > cap - need) {
        b->next = a->head->next;
        a->head->next = b;
        return b->data;
    }
    b->next = a->head;
    a->head = b;
    a->used_bytes = need;
    return b->data;
}

void *
hq_arena_try(struct hq_arena *a, size_t bytes)
{
    if (HQ_UNLIKELY(bytes > SIZE_MAX / 2)) {
        return NULL;
    }
    size_t need = (HQ_MAX(bytes, (size_t)1) + (ALIGN_BYTES - 1)) & ~(size_t)(ALIGN_BYTES - 1);
    struct hq_arena_block *b = a->head;
    /* used_bytes may stand above cap_bytes - need only, never above cap_bytes */
    if (HQ_LIKELY(b != NULL && b->cap_bytes - a->used_bytes >= need)) {
        void *p = b->data + a->used_bytes;
        a->used_bytes += need;
        return p;
    }
    return new_block(a, need);
}

/* Not zeroed; aborts at the limit: callers of the aborting forms size their objects themselves. */
static void *
must_alloc(struct hq_arena *a, size_t bytes)
{
    void *p = hq_arena_try(a, bytes);
    HQ_ASSERT(p != NULL);
    return p;
}

void *
hq_arena_alloc(struct hq_arena *a, size_t bytes)
{
    return memset(must_alloc(a, bytes), 0, bytes);
}

void *
hq_arena_array(struct hq_arena *a, size_t count, size_t item_bytes)
{
    size_t bytes = 0;
    bool fits = hq_mul_size(count, item_bytes, &bytes);
    HQ_ASSERT(fits);
    return hq_arena_alloc(a, bytes);
}

void
hq_arena_grow(struct hq_arena *a, void *pp, size_t *cap, size_t need, size_t item_bytes)
{
    if (need <= *cap) {
        return;
    }
    size_t new_cap = HQ_MAX(HQ_MAX(*cap * 2, need), (size_t)8);
    void *old = NULL;
    memcpy(&old, pp, sizeof old);
    void *fresh = hq_arena_array(a, new_cap, item_bytes);
    if (old != NULL && *cap > 0) {
        memcpy(fresh, old, *cap * item_bytes);
    }
    memcpy(pp, &fresh, sizeof fresh);
    *cap = new_cap;
}

char *
hq_arena_strz(struct hq_arena *a, struct hq_str s)
{
    size_t bytes = 0;
    bool fits = hq_add_size(s.len, 1, &bytes);
    HQ_ASSERT(fits);
    char *p = must_alloc(a, bytes);
    if (s.len > 0) {
        memcpy(p, s.ptr, s.len);
    }
    p[s.len] = '\0';
    return p;
}

struct hq_str
hq_arena_str(struct hq_arena *a, struct hq_str s)
{
    return hq_str_make(hq_arena_strz(a, s), s.len);
}

char *
hq_arena_printf(struct hq_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    HQ_ASSERT(len >= 0);
    char *p = must_alloc(a, (size_t)len + 1);
    va_start(ap, fmt);
    int again = vsnprintf(p, (size_t)len + 1, fmt, ap);
    va_end(ap);
    HQ_ASSERT(again == len);
    return p;
}
