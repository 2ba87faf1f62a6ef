/* selector.h - which jobs, tasks or workers a command means: last, all, ranges.
 *
 * Purpose    parse selectors of the command line, and turn them into the wire form.
 * Ownership  ranges live in the heap for the whole run of hq; the wire form lies in the arena.
 * Errors     parsers are hq_opt_parse_fn: the reason in err.
 */
#ifndef HQ_HQ_SELECTOR_H
#define HQ_HQ_SELECTOR_H

#include "common/optab.h"
#include "common/ranges.h"

#include "proto/client.pb-c.h"

enum selector_kind {
    SELECTOR_RANGES = 0,
    SELECTOR_LAST = 1,
    SELECTOR_ALL = 2,
};
struct selector {
    enum selector_kind kind;
    struct hq_ranges ids;
};

/* target: struct selector; last | all | RANGES */
int selector_parse(const struct hq_opt *, struct hq_str, void *, struct hq_arena *, struct hq_err *);
/* target: struct selector; last | one plain integer */
int selector_parse_one(const struct hq_opt *, struct hq_str, void *, struct hq_arena *, struct hq_err *);

Hq__Selector *selector_wire(const struct selector *s, struct hq_arena *arena);
Hq__Ranges *selector_ranges_wire(const struct hq_ranges *r, struct hq_arena *arena);
/* Ranges of an answer; damaged ones: -EPROTO. Heap memory, hq_ranges_fini. */
HQ_MUST_CHECK int selector_ranges_read(struct hq_ranges *ret, const Hq__Ranges *wire, struct hq_err *err);

#endif
