#include "hq/selector_wire.h"

int
selector_parse(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt;   /* one grammar */
    (void)arena; /* ranges are heap memory */
    return hq_selector_parse(target, value, true, err);
}

int
selector_parse_one(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena,
                   struct hq_err *err)
{
    (void)opt;   /* one grammar */
    (void)arena; /* ranges are heap memory */
    struct hq_selector *s = target;
    bool is_last = false;
    uint32_t id = 0;
    int rc = hq_selector_parse_one(value, &is_last, &id, err);
    if (rc < 0) {
        return rc;
    }
    s->kind = is_last ? HQ_SELECT_LAST : HQ_SELECT_RANGES;
    if (!is_last) {
        hq_ranges_add(&s->ids, id, 1, 1);
    }
    return 0;
}

Hq__Ranges *
selector_ranges_wire(const struct hq_ranges *r, struct hq_arena *arena)
{
    Hq__Ranges *wire = hq_arena_alloc(arena, sizeof *wire);
    hq__ranges__init(wire);
    wire->packed = hq_arena_array(arena, r->count, 3 * sizeof *wire->packed);
    for (size_t ix = 0; ix < r->count; ix++) {
        wire->packed[wire->n_packed++] = r->v[ix].first;
        wire->packed[wire->n_packed++] = r->v[ix].count;
        wire->packed[wire->n_packed++] = r->v[ix].step;
    }
    return wire;
}

Hq__Selector *
selector_wire(const struct hq_selector *s, struct hq_arena *arena)
{
    static const Hq__SelectKind kinds[] = {
        [HQ_SELECT_RANGES] = HQ__SELECT_KIND__SELECT_RANGES,
        [HQ_SELECT_LAST] = HQ__SELECT_KIND__SELECT_LAST,
        [HQ_SELECT_ALL] = HQ__SELECT_KIND__SELECT_ALL,
    };
    Hq__Selector *wire = hq_arena_alloc(arena, sizeof *wire);
    hq__selector__init(wire);
    wire->kind = kinds[s->kind];
    if (s->kind == HQ_SELECT_RANGES) {
        wire->ids = selector_ranges_wire(&s->ids, arena);
    }
    return wire;
}

int
selector_ranges_read(struct hq_ranges *ret, const Hq__Ranges *wire, struct hq_err *err)
{
    size_t n = wire == NULL ? 0 : wire->n_packed;
    if (n % 3 != 0) {
        return hq_err_set(err, -EPROTO, "The server sent damaged ranges");
    }
    for (size_t ix = 0; ix < n; ix += 3) {
        const uint32_t *p = &wire->packed[ix];
        uint64_t last = p[0] + (uint64_t)(p[1] > 0 ? p[1] - 1 : 0) * p[2];
        if (p[1] == 0 || p[2] == 0 || last > UINT32_MAX) {
            return hq_err_set(err, -EPROTO, "The server sent damaged ranges");
        }
        hq_ranges_add(ret, p[0], p[1], p[2]);
    }
    return 0;
}
