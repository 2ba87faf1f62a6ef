/* str.h - byte views, growing buffers, escaping.
 *
 * Purpose    struct hq_str is a view of bytes (not necessarily UTF-8, not NUL-terminated);
 *            struct hq_buf builds bytes.
 * Ownership  a view owns nothing. A buffer owns `ptr` until hq_buf_fini or hq_buf_take.
 * Errors     buffers abort without memory (they are bounded by their users).
 */
#ifndef HQ_COMMON_STR_H
#define HQ_COMMON_STR_H

#include "common/base.h"

#include <stdarg.h>
#include <string.h>

struct hq_str {
    const char *ptr; /* may be NULL when len is 0 */
    size_t len;
};

#define HQ_STR(literal) ((struct hq_str){.ptr = "" literal "", .len = sizeof(literal) - 1})
#define HQ_STR_NULL ((struct hq_str){.ptr = NULL, .len = 0})
#define HQ_STR_FMT(s) (int)(s).len, (s).ptr /* for "%.*s"; only for views below 2 GiB */

static inline struct hq_str hq_str_from(const char *s)
{
    return (struct hq_str){.ptr = s, .len = s == NULL ? 0 : strlen(s)};
}
static inline struct hq_str hq_str_make(const char *ptr, size_t len)
{
    return (struct hq_str){.ptr = ptr, .len = len};
}
static inline bool hq_str_eq(struct hq_str a, struct hq_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
static inline bool hq_str_is(struct hq_str a, const char *b)
{
    return hq_str_eq(a, hq_str_from(b));
}
int hq_str_cmp(struct hq_str a, struct hq_str b); /* bytewise, shorter first */
bool hq_str_starts(struct hq_str s, struct hq_str prefix);
bool hq_str_ends(struct hq_str s, struct hq_str suffix);
struct hq_str hq_str_trim(struct hq_str s);                /* ASCII blanks at both ends */
struct hq_str hq_str_sub(struct hq_str s, size_t from, size_t to); /* clamped */
ptrdiff_t hq_str_find(struct hq_str s, struct hq_str what); /* offset or -1 */
ptrdiff_t hq_str_find_byte(struct hq_str s, char c);        /* offset or -1 */
/* Splits at the first `sep`: *ret_head before it, *rest behind it; false (head = all, rest empty) without one. */
bool hq_str_split(struct hq_str *rest, char sep, struct hq_str *ret_head);
char *hq_str_dupz(struct hq_str s);   /* heap, NUL-terminated, aborts without memory */
/* First character of s (not empty): its bytes and *ret_cp, or minus the number of bytes of the broken sequence. */
int hq_utf8_step(struct hq_str s, uint32_t *ret_cp);
bool hq_str_is_utf8(struct hq_str s); /* strict: no surrogates, no overlong forms */
/* Columns a terminal needs: escape sequences 0, wide characters 2, invalid bytes 1. */
size_t hq_str_width(struct hq_str s);

struct hq_buf {
    char *ptr; /* NUL-terminated as soon as anything was appended */
    size_t len;
    size_t cap;
};
#define HQ_BUF_INIT ((struct hq_buf){0})

void hq_buf_fini(struct hq_buf *b); /* also the cleanup form: HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT; */
void hq_buf_clear(struct hq_buf *b); /* keeps the memory */
void hq_buf_reserve(struct hq_buf *b, size_t more_bytes);
void hq_buf_add(struct hq_buf *b, const void *p, size_t len);
void hq_buf_str(struct hq_buf *b, struct hq_str s);
void hq_buf_cstr(struct hq_buf *b, const char *s);
void hq_buf_byte(struct hq_buf *b, char c);
void hq_buf_rep(struct hq_buf *b, char c, size_t count);
void hq_buf_u64(struct hq_buf *b, uint64_t v);
void hq_buf_i64(struct hq_buf *b, int64_t v);
void hq_buf_printf(struct hq_buf *b, const char *fmt, ...) HQ_PRINTF(2, 3);
void hq_buf_vprintf(struct hq_buf *b, const char *fmt, va_list ap) HQ_PRINTF(2, 0);
/* Appends s with control characters and invalid UTF-8 as \xNN, \n as \n, backslash doubled: for log lines. */
void hq_buf_escaped(struct hq_buf *b, struct hq_str s);
/* Appends s in double quotes, as paths stand in error texts: quote, backslash and control characters escaped. */
void hq_buf_quoted(struct hq_buf *b, struct hq_str s);
/* Appends s with invalid UTF-8 replaced by U+FFFD. */
void hq_buf_utf8_lossy(struct hq_buf *b, struct hq_str s);
char *hq_buf_take(struct hq_buf *b); /* heap string; the buffer is empty again; never NULL */
static inline struct hq_str hq_buf_view(const struct hq_buf *b)
{
    return (struct hq_str){.ptr = b->ptr, .len = b->len};
}

#endif
