/* err.h - an error code and the sentence that a person reads.
 *
 * Purpose    functions return a negative errno; the reason travels in the last parameter.
 * Ownership  the text lies inside the struct; nothing to free. NULL is allowed everywhere.
 * Limits     HQ_ERR_TEXT_BYTES; longer texts are cut (ending in "...").
 */
#ifndef HQ_COMMON_ERR_H
#define HQ_COMMON_ERR_H

#include "common/base.h"

#define HQ_ERR_TEXT_BYTES 2304

struct hq_err {
    int code;                     /* negative errno, 0 = nothing set */
    char text[HQ_ERR_TEXT_BYTES]; /* the sentence; causes follow after "\n\nCaused by:\n    " */
};

/* Sets code and text; returns `code`, so that `return hq_err_set(err, -EINVAL, "...")` works.
 * `code` must be negative. */
int hq_err_set(struct hq_err *err, int code, const char *fmt, ...) HQ_PRINTF(3, 4);
/* As hq_err_set, with ": " and the system's text of `code`, in the form "<text>: No such file or directory (os error 2)". */
int hq_err_sys(struct hq_err *err, int code, const char *fmt, ...) HQ_PRINTF(3, 4);
/* Puts "<formatted text>: " in front of the present text; returns the present code (-EINVAL with err NULL). */
int hq_err_prefix(struct hq_err *err, const char *fmt, ...) HQ_PRINTF(2, 3);
/* Makes the present text the cause of a new outer sentence: "<outer>\n\nCaused by:\n    <old text>"; several causes are
 * numbered from 0, outermost first. Returns the present code. */
int hq_err_wrap(struct hq_err *err, const char *fmt, ...) HQ_PRINTF(2, 3);
/* "No such file or directory (os error 2)" for errno `code` (sign ignored); static or thread-local memory. */
const char *hq_err_os(int code);

#endif
