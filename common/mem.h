/* mem.h - heap memory with checked sizes.
 *
 * Purpose    hq_xalloc* abort when there is no memory (start-up, small fixed sizes);
 *            hq_try_* return NULL (anything sized by a peer, anything per task in hq-workerd).
 * Ownership  freed by free() or hq_mem_freep.
 */
#ifndef HQ_COMMON_MEM_H
#define HQ_COMMON_MEM_H

#include "common/base.h"

void *hq_xalloc(size_t bytes);                                   /* zeroed */
void *hq_xcalloc(size_t count, size_t item_bytes);               /* zeroed, product checked */
void *hq_xrealloc(void *p, size_t count, size_t item_bytes);     /* product checked */
char *hq_xstrdup(const char *s);
void *hq_xmemdup(const void *p, size_t bytes);                   /* one NUL byte is added behind the copy */
HQ_MUST_CHECK void *hq_try_alloc(size_t bytes);                  /* zeroed or NULL */
HQ_MUST_CHECK void *hq_try_calloc(size_t count, size_t item_bytes);
HQ_MUST_CHECK void *hq_try_realloc(void *p, size_t count, size_t item_bytes); /* old block stays valid on NULL */
/* cleanup form for char * and friends: HQ_AUTO(hq_mem_freep) */
void hq_mem_freep(void *pp);

/* Grows *p (array of item_bytes items, *cap of them allocated) so that at least `need` fit; doubles. Aborts without memory. */
void hq_xgrow(void *pp, size_t *cap, size_t need, size_t item_bytes);
/* The same, but -ENOMEM. */
HQ_MUST_CHECK int hq_try_grow(void *pp, size_t *cap, size_t need, size_t item_bytes);

/* a + b, a * b; false (ret untouched) on overflow */
HQ_MUST_CHECK static inline bool hq_add_size(size_t a, size_t b, size_t *ret)
{
    return !__builtin_add_overflow(a, b, ret);
}
HQ_MUST_CHECK static inline bool hq_mul_size(size_t a, size_t b, size_t *ret)
{
    return !__builtin_mul_overflow(a, b, ret);
}

#endif
