/* arena.h - memory that is freed all at once: one per received message, one per pass.
 *
 * Purpose    many small objects of one life time.
 * Ownership  everything allocated lives until hq_arena_reset or hq_arena_fini.
 * Errors     hq_arena_try returns NULL at the limit; hq_arena_alloc aborts.
 * Limits     `bytes_max` of init (0 = none) bounds the sum of all blocks.
 */
#ifndef HQ_COMMON_ARENA_H
#define HQ_COMMON_ARENA_H

#include "common/base.h"
#include "common/str.h"

struct hq_arena_block;
struct hq_arena {
    struct hq_arena_block *head; /* newest */
    size_t used_bytes;           /* in head */
    size_t total_bytes;          /* of all blocks */
    size_t bytes_max;
};

void hq_arena_init(struct hq_arena *a, size_t bytes_max); /* allocates nothing yet */
void hq_arena_fini(struct hq_arena *a);                   /* also the cleanup form */
void hq_arena_reset(struct hq_arena *a);                  /* keeps the largest block up to 256 KiB for reuse */
void *hq_arena_alloc(struct hq_arena *a, size_t bytes);   /* zeroed, 16-byte aligned */
void *hq_arena_array(struct hq_arena *a, size_t count, size_t item_bytes); /* product checked */
HQ_MUST_CHECK void *hq_arena_try(struct hq_arena *a, size_t bytes); /* not zeroed */
struct hq_str hq_arena_str(struct hq_arena *a, struct hq_str s);    /* copy, NUL-terminated */
char *hq_arena_strz(struct hq_arena *a, struct hq_str s);           /* the same as char * */
/* Makes room for `need` items in the array *pp (of *cap items, NULL at first): doubles, the old array stays behind. */
void hq_arena_grow(struct hq_arena *a, void *pp, size_t *cap, size_t need, size_t item_bytes);
char *hq_arena_printf(struct hq_arena *a, const char *fmt, ...) HQ_PRINTF(2, 3);

#endif
