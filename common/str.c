#include "common/str.h"

#include "common/mem.h"

#include <stdio.h>
#include <stdlib.h>

int
hq_str_cmp(struct hq_str a, struct hq_str b)
{
    size_t len = HQ_MIN(a.len, b.len);
    int rc = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    if (rc != 0) {
        return rc;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

bool
hq_str_starts(struct hq_str s, struct hq_str prefix)
{
    return s.len >= prefix.len && hq_str_eq(hq_str_make(s.ptr, prefix.len), prefix);
}

bool
hq_str_ends(struct hq_str s, struct hq_str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + (s.len - suffix.len), suffix.ptr, suffix.len) == 0);
}

static bool
is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct hq_str
hq_str_trim(struct hq_str s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1])) {
        s.len--;
    }
    return s;
}

struct hq_str
hq_str_sub(struct hq_str s, size_t from, size_t to)
{
    to = HQ_MIN(to, s.len);
    from = HQ_MIN(from, to);
    return s.len == 0 ? s : hq_str_make(s.ptr + from, to - from);
}

ptrdiff_t
hq_str_find(struct hq_str s, struct hq_str what)
{
    if (what.len == 0) {
        return 0;
    }
    if (s.len < what.len) {
        return -1;
    }
    const char *at = memmem(s.ptr, s.len, what.ptr, what.len);
    return at == NULL ? -1 : at - s.ptr;
}

ptrdiff_t
hq_str_find_byte(struct hq_str s, char c)
{
    const char *at = s.len == 0 ? NULL : memchr(s.ptr, c, s.len);
    return at == NULL ? -1 : at - s.ptr;
}

bool
hq_str_split(struct hq_str *rest, char sep, struct hq_str *ret_head)
{
    struct hq_str all = *rest;
    ptrdiff_t at = hq_str_find_byte(all, sep);
    if (at < 0) {
        *ret_head = all;
        *rest = hq_str_sub(all, all.len, all.len);
        return false;
    }
    *ret_head = hq_str_sub(all, 0, (size_t)at);
    *rest = hq_str_sub(all, (size_t)at + 1, all.len);
    return true;
}

char *
hq_str_dupz(struct hq_str s)
{
    return hq_xmemdup(s.ptr, s.len);
}

int
hq_utf8_step(struct hq_str s, uint32_t *ret_cp)
{
    HQ_ASSERT(s.len > 0);
    unsigned char lead = (unsigned char)s.ptr[0];
    if (lead < 0x80) {
        *ret_cp = lead;
        return 1;
    }
    /* bounds of the second byte exclude overlong forms, surrogates and what lies above U+10FFFF */
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    int more;
    uint32_t cp;
    if (lead >= 0xc2 && lead <= 0xdf) {
        more = 1;
        cp = lead & 0x1fu;
    } else if (lead >= 0xe0 && lead <= 0xef) {
        more = 2;
        cp = lead & 0x0fu;
        low = lead == 0xe0 ? 0xa0 : 0x80;
        high = lead == 0xed ? 0x9f : 0xbf;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        more = 3;
        cp = lead & 0x07u;
        low = lead == 0xf0 ? 0x90 : 0x80;
        high = lead == 0xf4 ? 0x8f : 0xbf;
    } else {
        return -1;
    }
    for (int i = 1; i <= more; i++) {
        if ((size_t)i >= s.len) {
            return -i;
        }
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < low || c > high) {
            return -i;
        }
        cp = cp << 6 | (c & 0x3fu);
        low = 0x80;
        high = 0xbf;
    }
    *ret_cp = cp;
    return more + 1;
}

bool
hq_str_is_utf8(struct hq_str s)
{
    uint32_t cp;
    while (s.len > 0) {
        int step = hq_utf8_step(s, &cp);
        if (step < 0) {
            return false;
        }
        s.ptr += step;
        s.len -= (size_t)step;
    }
    return true;
}

void
hq_buf_fini(struct hq_buf *b)
{
    int saved = errno;
    free(b->ptr);
    errno = saved;
    *b = HQ_BUF_INIT;
}

void
hq_buf_clear(struct hq_buf *b)
{
    b->len = 0;
    if (b->ptr != NULL) {
        b->ptr[0] = '\0';
    }
}

/* Room for `more_bytes` and a NUL byte behind them. */
void
hq_buf_reserve(struct hq_buf *b, size_t more_bytes)
{
    size_t need = 0;
    bool fits = hq_add_size(b->len, more_bytes, &need) && hq_add_size(need, 1, &need);
    HQ_ASSERT(fits);
    if (need > b->cap) {
        hq_xgrow(&b->ptr, &b->cap, HQ_MAX(need, (size_t)64), 1);
        b->ptr[b->len] = '\0';
    }
}

void
hq_buf_add(struct hq_buf *b, const void *p, size_t len)
{
    hq_buf_reserve(b, len);
    if (len > 0) {
        memcpy(b->ptr + b->len, p, len);
    }
    b->len += len;
    b->ptr[b->len] = '\0';
}

void
hq_buf_str(struct hq_buf *b, struct hq_str s)
{
    hq_buf_add(b, s.ptr, s.len);
}

void
hq_buf_cstr(struct hq_buf *b, const char *s)
{
    hq_buf_add(b, s, strlen(s));
}

void
hq_buf_byte(struct hq_buf *b, char c)
{
    hq_buf_reserve(b, 1);
    b->ptr[b->len++] = c;
    b->ptr[b->len] = '\0';
}

void
hq_buf_rep(struct hq_buf *b, char c, size_t count)
{
    hq_buf_reserve(b, count);
    memset(b->ptr + b->len, c, count);
    b->len += count;
    b->ptr[b->len] = '\0';
}

void
hq_buf_u64(struct hq_buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    hq_buf_add(b, digits + at, sizeof digits - at);
}

void
hq_buf_i64(struct hq_buf *b, int64_t v)
{
    if (v < 0) {
        hq_buf_byte(b, '-');
        hq_buf_u64(b, (uint64_t)0 - (uint64_t)v);
        return;
    }
    hq_buf_u64(b, (uint64_t)v);
}

void
hq_buf_printf(struct hq_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    hq_buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void
hq_buf_vprintf(struct hq_buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    hq_buf_reserve(b, 64);
    int len = vsnprintf(b->ptr + b->len, b->cap - b->len, fmt, ap);
    HQ_ASSERT(len >= 0);
    if ((size_t)len >= b->cap - b->len) {
        hq_buf_reserve(b, (size_t)len);
        len = vsnprintf(b->ptr + b->len, b->cap - b->len, fmt, again);
        HQ_ASSERT(len >= 0);
    }
    va_end(again);
    b->len += (size_t)len;
}

static void
add_hex_byte(struct hq_buf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    const char text[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
    hq_buf_add(b, text, sizeof text);
}

void
hq_buf_escaped(struct hq_buf *b, struct hq_str s)
{
    while (s.len > 0) {
        uint32_t cp = 0;
        int step = hq_utf8_step(s, &cp);
        size_t bytes = (size_t)(step < 0 ? -step : step);
        bool is_control = cp < 0x20 || (cp >= 0x7f && cp < 0xa0);
        if (step > 0 && cp == '\n') {
            hq_buf_cstr(b, "\\n");
        } else if (step > 0 && cp == '\\') {
            hq_buf_cstr(b, "\\\\");
        } else if (step < 0 || is_control) {
            for (size_t i = 0; i < bytes; i++) {
                add_hex_byte(b, (unsigned char)s.ptr[i]);
            }
        } else {
            hq_buf_add(b, s.ptr, bytes);
        }
        s.ptr += bytes;
        s.len -= bytes;
    }
}

void
hq_buf_quoted(struct hq_buf *b, struct hq_str s)
{
    hq_buf_byte(b, '"');
    while (s.len > 0) {
        uint32_t cp = 0;
        int step = hq_utf8_step(s, &cp);
        size_t bytes = (size_t)(step < 0 ? -step : step);
        if (step < 0) {
            for (size_t i = 0; i < bytes; i++) {
                hq_buf_printf(b, "\\x%02X", (unsigned)(unsigned char)s.ptr[i]);
            }
        } else if (cp == '"' || cp == '\\') {
            hq_buf_printf(b, "\\%c", (char)cp);
        } else if (cp == '\n' || cp == '\t' || cp == '\r' || cp == '\0') {
            hq_buf_cstr(b, cp == '\n' ? "\\n" : cp == '\t' ? "\\t" : cp == '\r' ? "\\r" : "\\0");
        } else if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) {
            hq_buf_printf(b, "\\u{%x}", (unsigned)cp);
        } else {
            hq_buf_add(b, s.ptr, bytes);
        }
        s.ptr += bytes;
        s.len -= bytes;
    }
    hq_buf_byte(b, '"');
}

void
hq_buf_utf8_lossy(struct hq_buf *b, struct hq_str s)
{
    while (s.len > 0) {
        uint32_t cp = 0;
        int step = hq_utf8_step(s, &cp);
        size_t bytes = (size_t)(step < 0 ? -step : step);
        if (step < 0) {
            hq_buf_cstr(b, "\xef\xbf\xbd");
        } else {
            hq_buf_add(b, s.ptr, bytes);
        }
        s.ptr += bytes;
        s.len -= bytes;
    }
}

char *
hq_buf_take(struct hq_buf *b)
{
    hq_buf_reserve(b, 0);
    char *p = b->ptr;
    *b = HQ_BUF_INIT;
    return p;
}
