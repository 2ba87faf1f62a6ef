#include "common/map.h"

#include "common/mem.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN ((size_t)16)

/* Both halves of a 128-bit product: every bit of key and seed reaches the low bits, which choose the slot. */
static uint64_t
hash_key(const struct hq_map *m, uint64_t key)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)(key ^ m->seed) * UINT64_C(0x9e3779b97f4a7c15);
    uint64_t h = (uint64_t)product ^ (uint64_t)(product >> 64);
    return h ^ h >> 29;
}

void
hq_map_init(struct hq_map *m, uint64_t seed)
{
    *m = (struct hq_map){.seed = seed};
}

void
hq_map_fini(struct hq_map *m)
{
    int saved = errno;
    free(m->v);
    *m = (struct hq_map){.seed = m->seed};
    errno = saved;
}

void
hq_map_clear(struct hq_map *m)
{
    if (m->v != NULL) {
        memset(m->v, 0, (m->mask + 1) * sizeof *m->v);
    }
    m->count = 0;
    m->has_zero = false;
}

/* Slot of `key`, or the free one where it would go. The table is never full. */
HQ_HOT static struct hq_map_slot *
probe(const struct hq_map *m, uint64_t key)
{
    size_t ix = hash_key(m, key) & m->mask;
    while (m->v[ix].key != key && m->v[ix].key != 0) {
        ix = (ix + 1) & m->mask;
    }
    return &m->v[ix];
}

static bool
has_room(const struct hq_map *m, size_t count)
{
    return m->v != NULL && count <= (m->mask + 1) / 4 * 3;
}

static int
resize(struct hq_map *m, size_t count)
{
    size_t slots = SLOTS_MIN;
    while (slots / 4 * 3 < count) {
        if (!hq_mul_size(slots, 2, &slots)) {
            return -ENOMEM;
        }
    }
    struct hq_map_slot *v = hq_try_calloc(slots, sizeof *v);
    if (v == NULL) {
        return -ENOMEM;
    }
    struct hq_map_slot *old = m->v;
    size_t old_slots = old == NULL ? 0 : m->mask + 1;
    m->v = v;
    m->mask = slots - 1;
    for (size_t i = 0; i < old_slots; i++) {
        if (old[i].key != 0) {
            *probe(m, old[i].key) = old[i];
        }
    }
    free(old);
    return 0;
}

void
hq_map_reserve(struct hq_map *m, size_t count)
{
    if (!has_room(m, count)) {
        int rc = resize(m, count);
        HQ_ASSERT(rc == 0);
    }
}

HQ_HOT uint64_t *
hq_map_find(const struct hq_map *m, uint64_t key)
{
    if (HQ_UNLIKELY(key == 0)) {
        /* the one value outside the table; its owner handed us the map to change values through */
        return m->has_zero ? (uint64_t *)(uintptr_t)&m->zero_value : NULL;
    }
    if (HQ_UNLIKELY(m->v == NULL)) {
        return NULL;
    }
    struct hq_map_slot *slot = probe(m, key);
    return slot->key == 0 ? NULL : &slot->value;
}

HQ_HOT int
hq_map_try_set(struct hq_map *m, uint64_t key, uint64_t value)
{
    if (HQ_UNLIKELY(key == 0)) {
        m->count += !m->has_zero;
        m->has_zero = true;
        m->zero_value = value;
        return 0;
    }
    if (HQ_UNLIKELY(!has_room(m, m->count + 1))) {
        int rc = resize(m, (m->count + 1) * 2);
        if (rc < 0) {
            return rc;
        }
    }
    struct hq_map_slot *slot = probe(m, key);
    m->count += slot->key == 0;
    slot->key = key;
    slot->value = value;
    return 0;
}

void
hq_map_set(struct hq_map *m, uint64_t key, uint64_t value)
{
    int rc = hq_map_try_set(m, key, value);
    HQ_ASSERT(rc == 0);
}

bool
hq_map_del(struct hq_map *m, uint64_t key)
{
    if (key == 0) {
        bool had = m->has_zero;
        m->has_zero = false;
        m->count -= had;
        return had;
    }
    if (m->v == NULL) {
        return false;
    }
    struct hq_map_slot *slot = probe(m, key);
    if (slot->key == 0) {
        return false;
    }
    /* Pull back what was pushed past this slot, so that no mark of the deleted key stays. */
    size_t hole = (size_t)(slot - m->v);
    for (size_t ix = (hole + 1) & m->mask; m->v[ix].key != 0; ix = (ix + 1) & m->mask) {
        size_t home = hash_key(m, m->v[ix].key) & m->mask;
        if (((ix - home) & m->mask) >= ((ix - hole) & m->mask)) {
            m->v[hole] = m->v[ix];
            hole = ix;
        }
    }
    m->v[hole] = (struct hq_map_slot){0};
    m->count--;
    return true;
}

bool
hq_map_next(const struct hq_map *m, size_t *it, uint64_t *ret_key, uint64_t *ret_value)
{
    if (*it == 0) {
        ++*it;
        if (m->has_zero) {
            *ret_key = 0;
            *ret_value = m->zero_value;
            return true;
        }
    }
    if (m->v == NULL) {
        return false;
    }
    while (*it - 1 <= m->mask) {
        const struct hq_map_slot *slot = &m->v[*it - 1];
        ++*it;
        if (slot->key != 0) {
            *ret_key = slot->key;
            *ret_value = slot->value;
            return true;
        }
    }
    return false;
}
