/* directive.h - #HQ lines and the shebang line at the head of a script.
 *
 * Purpose    script text to words; the option table makes arguments of them (submit_args.h).
 * Ownership  words are copied into the arena.
 * Threads    pure.
 * Errors     -EINVAL "Parse error\n..." naming the place in the line.
 * Limits     DIRECTIVE_BYTES_MAX of a file are looked at.
 */
#ifndef HQ_HQ_DIRECTIVE_H
#define HQ_HQ_DIRECTIVE_H

#include "common/optab.h"

#define DIRECTIVE_BYTES_MAX (32u << 10)

struct directives {
    struct hq_strv words;   /* of all #HQ lines, in order */
    struct hq_strv shebang; /* words behind "#!" of the very first line; empty without one */
};

/* Scans the head of a script: #HQ lines up to the first line that is neither blank nor a comment. */
HQ_MUST_CHECK int directive_scan(struct directives *ret, struct hq_str text, struct hq_arena *arena,
                                 struct hq_err *err);
/* Words of one line: blanks separate, "..." quotes, backslash escapes a blank or a quote. Appends. */
HQ_MUST_CHECK int directive_words(struct hq_strv *words, struct hq_str line, struct hq_arena *arena,
                                  struct hq_err *err);

#endif
