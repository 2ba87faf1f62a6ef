/* map.h - 64-bit keys to 64-bit values or pointers, for hot paths: open addressing, linear probing, seeded hash.
 *
 * Purpose    get, set and del in O(1). Keys that a peer chooses can't be made to collide without the seed.
 * Ownership  the map owns its table, not what the values point to.
 * Errors     hq_map_set aborts without memory, hq_map_try_set gives -ENOMEM.
 * Limits     pointers from hq_map_find hold until the next set or del.
 */
#ifndef HQ_COMMON_MAP_H
#define HQ_COMMON_MAP_H

#include "common/base.h"

struct hq_map_slot {
    uint64_t key; /* 0 = free; key 0 itself lives in struct hq_map */
    uint64_t value;
};

struct hq_map {
    struct hq_map_slot *v;
    size_t mask;  /* slots - 1, valid when v is not NULL */
    size_t count; /* with key 0 */
    uint64_t seed;
    uint64_t zero_value;
    bool has_zero;
};

void hq_map_init(struct hq_map *m, uint64_t seed); /* allocates nothing yet */
void hq_map_fini(struct hq_map *m);                /* also the cleanup form */
void hq_map_clear(struct hq_map *m);               /* keeps the table */
void hq_map_reserve(struct hq_map *m, size_t count);
uint64_t *hq_map_find(const struct hq_map *m, uint64_t key); /* NULL when absent */
void hq_map_set(struct hq_map *m, uint64_t key, uint64_t value);
HQ_MUST_CHECK int hq_map_try_set(struct hq_map *m, uint64_t key, uint64_t value);
bool hq_map_del(struct hq_map *m, uint64_t key); /* false when absent */

static inline uint64_t hq_map_get(const struct hq_map *m, uint64_t key, uint64_t if_absent)
{
    const uint64_t *p = hq_map_find(m, key);
    return p == NULL ? if_absent : *p;
}
static inline void *hq_map_get_ptr(const struct hq_map *m, uint64_t key) /* NULL when absent */
{
    return (void *)(uintptr_t)hq_map_get(m, key, 0);
}
static inline void hq_map_set_ptr(struct hq_map *m, uint64_t key, void *p)
{
    hq_map_set(m, key, (uint64_t)(uintptr_t)p);
}
static inline uint64_t hq_map_key2(uint32_t high, uint32_t low) /* two ids as one key */
{
    return (uint64_t)high << 32 | low;
}

/* for (size_t it = 0; hq_map_next(m, &it, &key, &value);) in no particular order; no set or del meanwhile. */
bool hq_map_next(const struct hq_map *m, size_t *it, uint64_t *ret_key, uint64_t *ret_value);

#endif
