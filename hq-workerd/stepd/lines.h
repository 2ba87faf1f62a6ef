/* lines.h - bytes of one stream cut into whole lines, so that streams can be merged. Pure.
 *
 * Purpose    keeps the unfinished last line back; puts a tag before each line if one is given.
 * Limits     a line longer than LINES_BYTES_MAX is passed on in pieces.
 */
#ifndef HQ_STEPD_LINES_H
#define HQ_STEPD_LINES_H

#include "common/str.h"

#define LINES_BYTES_MAX 65536u

struct lines {
    struct hq_buf rest;  /* begin of a line, without its tag */
    bool is_inside;      /* a piece of the present line was passed on */
    char tag[16];        /* "" = none */
};
void lines_fini(struct lines *l);
/* Appends to `out` the whole lines that are complete now. */
void lines_feed(struct lines *l, struct hq_str data, struct hq_buf *out);
/* The stream has ended: the last line, without an end of line if it had none. */
void lines_end(struct lines *l, struct hq_buf *out);

#endif
