/* parse.h - the error text that all small grammars share: what was found, what was expected, and where.
 *
 * Purpose    ranges, requests, pools, selectors and stdio values fail in one form (spec section "Usage errors"):
 *              Unexpected token found while attempting to parse number, expected something else:
 *                12-x
 *                   |
 *                   --- Unexpected token `x`
 * Ownership  nothing is kept.
 * Errors     always -EINVAL. The text ends with a newline (but for an empty input), as users know it.
 */
#ifndef HQ_COMMON_PARSE_H
#define HQ_COMMON_PARSE_H

#include "common/err.h"
#include "common/str.h"

struct hq_parse_fault {
    size_t at;            /* offset in the text; its length = end of input */
    size_t token_bytes;   /* of the token found there; 0 = one character */
    const char *context;  /* "number": "while attempting to parse number"; NULL = none */
    const char *expected; /* ", or - or <end of input>"; NULL = "something else" */
    const char *note;     /* a sentence of the grammar's own ("Ranges overlap"); NULL = token or end of input */
};

/* Sets the text for `text`; returns -EINVAL. */
int hq_parse_fault(struct hq_err *err, struct hq_str text, const struct hq_parse_fault *fault);
/* Appends `error_text` with the escape sequences that a terminal gets; a text of another form is appended as it is. */
void hq_parse_color(struct hq_buf *out, struct hq_str error_text);

static inline bool hq_is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool hq_is_letter(char c) /* ASCII */
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
/* Offset of the first byte that is no blank, from `at` on. */
size_t hq_parse_blanks(struct hq_str text, size_t at);
/* Offset behind the digits and "_" that start at `at`; `at` itself when there is no digit. */
size_t hq_parse_digits(struct hq_str text, size_t at);

#endif
