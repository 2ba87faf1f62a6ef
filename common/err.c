#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CUT_MARK "..."
#define CAUSE_HEAD "\n\nCaused by:\n"
#define CAUSE_MARK CAUSE_HEAD "    "

/* Ends a text that filled the whole buffer with "...", never in the middle of a UTF-8 sequence. */
static void
mark_cut(char *text)
{
    size_t at = HQ_ERR_TEXT_BYTES - sizeof CUT_MARK;
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80) {
        at--;
    }
    memcpy(text + at, CUT_MARK, sizeof CUT_MARK);
}

/* Appends to text, of which `len` bytes are used; returns the new length. */
static size_t append_v(char *text, size_t len, const char *fmt, va_list ap) HQ_PRINTF(3, 0);
static size_t
append_v(char *text, size_t len, const char *fmt, va_list ap)
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
static size_t
append(char *text, size_t len, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    len = append_v(text, len, fmt, ap);
    va_end(ap);
    return len;
}

int
hq_err_set(struct hq_err *err, int code, const char *fmt, ...)
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

int
hq_err_sys(struct hq_err *err, int code, const char *fmt, ...)
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

int
hq_err_prefix(struct hq_err *err, const char *fmt, ...)
{
    if (err == NULL) {
        return -EINVAL;
    }
    char text[HQ_ERR_TEXT_BYTES];
    va_list ap;
    va_start(ap, fmt);
    size_t len = append_v(text, 0, fmt, ap);
    va_end(ap);
    len = append(text, len, ": %s", err->text);
    memcpy(err->text, text, len + 1);
    return err->code;
}

/* Appends `cause` after its lead, each further line indented as far as the first. */
static size_t
append_cause(char *text, size_t len, const char *lead, const char *cause, size_t cause_len)
{
    len = append(text, len, "%s", lead);
    for (;;) {
        const char *end = memchr(cause, '\n', cause_len);
        size_t line = end == NULL ? cause_len : (size_t)(end - cause);
        len = append(text, len, "%.*s", (int)line, cause);
        if (end == NULL) {
            return len;
        }
        len = append(text, len, "\n%*s", (int)strlen(lead), "");
        cause += line + 1;
        cause_len -= line + 1;
    }
}

/* Appends the old text as the causes of a new sentence: alone by its own, or numbered when it has causes itself. */
static size_t
append_causes(char *text, size_t len, const char *old)
{
    const char *mark = strstr(old, CAUSE_MARK);
    len = append(text, len, "%s", CAUSE_HEAD);
    if (mark == NULL) {
        return append_cause(text, len, "    ", old, strlen(old));
    }
    len = append_cause(text, len, "    0: ", old, (size_t)(mark - old));
    const char *rest = mark + sizeof CAUSE_HEAD - 1;
    if (strncmp(rest, "    0: ", 7) != 0) {
        len = append(text, len, "\n    1: ");
        for (const char *sep = "";; sep = "\n       ") { /* its lines move from the single lead to the numbered one */
            rest += strspn(rest, " ");
            size_t line = strcspn(rest, "\n");
            len = append(text, len, "%s%.*s", sep, (int)line, rest);
            if (rest[line] == '\0') {
                return len;
            }
            rest += line + 1;
        }
    }
    /* numbered causes are one more each; their further lines are indented deeper than a number */
    for (unsigned number = 1; rest != NULL; number++) {
        const char *end = strstr(rest, "\n    ");
        while (end != NULL && (end[5] == ' ' || end[5] == '\0')) {
            end = strstr(end + 1, "\n    ");
        }
        size_t line = end == NULL ? strlen(rest) : (size_t)(end - rest);
        size_t skip = HQ_MIN((size_t)7, line);
        len = append(text, len, "\n    %u: %.*s", number, (int)(line - skip), rest + skip);
        rest = end == NULL ? NULL : end + 1;
    }
    return len;
}

int
hq_err_wrap(struct hq_err *err, const char *fmt, ...)
{
    if (err == NULL) {
        return -EINVAL;
    }
    char text[HQ_ERR_TEXT_BYTES];
    va_list ap;
    va_start(ap, fmt);
    size_t len = append_v(text, 0, fmt, ap);
    va_end(ap);
    len = append_causes(text, len, err->text);
    memcpy(err->text, text, len + 1);
    return err->code;
}

const char *
hq_err_os(int code)
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
