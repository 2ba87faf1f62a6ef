#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CUT_MARK "..."
#define CAUSE_MARK "\n\nCaused by:\n    "

/* Ends a text that filled the whole buffer with "...", never in the middle of a UTF-8 sequence. */
static void mark_cut(char *text)
{
    size_t at = HQ_ERR_TEXT_BYTES - sizeof CUT_MARK;
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80) {
        at--;
    }
    memcpy(text + at, CUT_MARK, sizeof CUT_MARK);
}

/* Appends to text, of which `len` bytes are used; returns the new length. */
static size_t append_v(char *text, size_t len, const char *fmt, va_list ap) HQ_PRINTF(3, 0);
static size_t append_v(char *text, size_t len, const char *fmt, va_list ap)
{
    size_t room = HQ_ERR_TEXT_BYTES - len;
    int more = vsnprintf(text + len, room, fmt, ap);
    if (more < 0) {
        text[len] = '\0';
        return len;
    }
    if ((size_t)more >= room) {
        mark_cut(text);
        return strlen(text);
    }
    return len + (size_t)more;
}

static size_t append(char *text, size_t len, const char *fmt, ...) HQ_PRINTF(3, 4);
static size_t append(char *text, size_t len, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    len = append_v(text, len, fmt, ap);
    va_end(ap);
    return len;
}

int hq_err_set(struct hq_err *err, int code, const char *fmt, ...)
{
    HQ_ASSERT(code < 0);
    if (err == NULL) {
        return code;
    }
    char text[HQ_ERR_TEXT_BYTES]; /* the arguments may point into err->text */
    va_list ap;
    va_start(ap, fmt);
    size_t len = append_v(text, 0, fmt, ap);
    va_end(ap);
    err->code = code;
    memcpy(err->text, text, len + 1);
    return code;
}

int hq_err_sys(struct hq_err *err, int code, const char *fmt, ...)
{
    HQ_ASSERT(code < 0);
    if (err == NULL) {
        return code;
    }
    char text[HQ_ERR_TEXT_BYTES];
    va_list ap;
    va_start(ap, fmt);
    size_t len = append_v(text, 0, fmt, ap);
    va_end(ap);
    len = append(text, len, ": %s", hq_err_os(code));
    err->code = code;
    memcpy(err->text, text, len + 1);
    return code;
}

/* Puts outer, of which `len` bytes are used, and `joint` in front of the present text. */
static int put_before(struct hq_err *err, char *outer, size_t len, const char *joint)
{
    len = append(outer, len, "%s%s", joint, err->text);
    memcpy(err->text, outer, len + 1);
    return err->code;
}

int hq_err_prefix(struct hq_err *err, const char *fmt, ...)
{
    if (err == NULL) {
        return -EINVAL;
    }
    char text[HQ_ERR_TEXT_BYTES];
    va_list ap;
    va_start(ap, fmt);
    size_t len = append_v(text, 0, fmt, ap);
    va_end(ap);
    return put_before(err, text, len, ": ");
}

int hq_err_wrap(struct hq_err *err, const char *fmt, ...)
{
    if (err == NULL) {
        return -EINVAL;
    }
    char text[HQ_ERR_TEXT_BYTES];
    va_list ap;
    va_start(ap, fmt);
    size_t len = append_v(text, 0, fmt, ap);
    va_end(ap);
    return put_before(err, text, len, CAUSE_MARK);
}

const char *hq_err_os(int code)
{
    static _Thread_local char text[128];
    int number = code < 0 ? -code : code;
    const char *desc = strerrordesc_np(number);
    if (desc == NULL) {
        (void)snprintf(text, sizeof text, "Unknown error %d (os error %d)", number, number); /* always fits */
    } else {
        (void)snprintf(text, sizeof text, "%s (os error %d)", desc, number); /* a cut text is still a text */
    }
    return text;
}
