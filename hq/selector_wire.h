/* selector_wire.h - selectors of the command line: rows of option tables, and the form of the wire.
 *
 * Purpose    common/selector.h as values of options; ranges and selectors as messages carry them.
 * Ownership  ranges live in the heap for the whole run of hq; the wire form lies in the arena.
 * Errors     parsers are hq_opt_parse_fn: the reason in err.
 */
#ifndef HQ_HQ_SELECTOR_WIRE_H
#define HQ_HQ_SELECTOR_WIRE_H

#include "common/optab.h"
#include "common/selector.h"

#include "proto/client.pb-c.h"

/* target: struct hq_selector; last | all | RANGES */
int selector_parse(const struct hq_opt *, struct hq_str, void *, struct hq_arena *, struct hq_err *);
/* target: struct hq_selector; last | one plain integer */
int selector_parse_one(const struct hq_opt *, struct hq_str, void *, struct hq_arena *, struct hq_err *);

Hq__Selector *selector_wire(const struct hq_selector *s, struct hq_arena *arena);
Hq__Ranges *selector_ranges_wire(const struct hq_ranges *r, struct hq_arena *arena);
/* Ranges of an answer; damaged ones: -EPROTO. Heap memory, hq_ranges_fini. */
HQ_MUST_CHECK int selector_ranges_read(struct hq_ranges *ret, const Hq__Ranges *wire, struct hq_err *err);

#endif
