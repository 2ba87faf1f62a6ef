#include "common/log.h"

#include "common/clock.h"
#include "common/num.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* Level, debug form and colours in one word: threads read it while main() has set it long before. */
#define LEVEL_MASK 0xfu
#define LONG_BIT 0x10u
#define COLOR_BIT 0x20u
static atomic_uint log_state = HQ_LOG_INFO;

static const struct {
    const char *word;
    const char *lower; /* in filters */
    const char *color;
} levels[] = {
    [HQ_LOG_OFF] = {"OFF", "off", ""},
    [HQ_LOG_ERROR] = {"ERROR", "error", "\033[31m"},
    [HQ_LOG_WARN] = {"WARN", "warn", "\033[33m"},
    [HQ_LOG_INFO] = {"INFO", "info", "\033[32m"},
    [HQ_LOG_DEBUG] = {"DEBUG", "debug", "\033[34m"},
    [HQ_LOG_TRACE] = {"TRACE", "trace", "\033[36m"},
};
_Static_assert(HQ_ARRAY_LEN(levels) == HQ_LOG_TRACE + 1, "a level without a name");

static int
level_of_word(struct hq_str word) /* -1: none */
{
    for (int i = 0; i < (int)HQ_ARRAY_LEN(levels); i++) {
        if (hq_str_is(word, levels[i].lower) || hq_str_is(word, levels[i].word)) {
            return i;
        }
    }
    return -1;
}

/* "error,hq=debug": bare words set the level; "module=level" counts for modules of this suite, the most talkative one
 * wins because one level holds for the whole process. */
static enum hq_log_level
level_of_filter(struct hq_str filter, enum hq_log_level level)
{
    int found = -1;
    bool has_more = true;
    while (has_more) {
        struct hq_str item;
        has_more = hq_str_split(&filter, ',', &item);
        struct hq_str value = item;
        struct hq_str module;
        int word;
        if (hq_str_split(&value, '=', &module)) {
            bool is_ours = hq_str_starts(hq_str_trim(module), HQ_STR("hq")) ||
                           hq_str_starts(hq_str_trim(module), HQ_STR("hyperqueue"));
            word = is_ours ? level_of_word(hq_str_trim(value)) : -1;
        } else {
            word = level_of_word(hq_str_trim(item));
        }
        found = HQ_MAX(found, word);
    }
    return found < 0 ? level : (enum hq_log_level)found;
}

void
hq_log_init(bool debug, const char *rust_log, bool is_tty)
{
    struct hq_str filter = hq_str_from(rust_log);
    enum hq_log_level level = level_of_filter(filter, debug ? HQ_LOG_DEBUG : HQ_LOG_INFO);
    unsigned state = (unsigned)level;
    if (debug || hq_str_find(filter, HQ_STR("debug")) >= 0) {
        state |= LONG_BIT;
    }
    if (is_tty) {
        state |= COLOR_BIT;
    }
    atomic_store_explicit(&log_state, state, memory_order_relaxed);
}

void
hq_log_start(bool debug)
{
    hq_log_init(debug, getenv("RUST_LOG"), isatty(STDERR_FILENO) == 1);
}

bool
hq_log_on(enum hq_log_level level)
{
    return (unsigned)level <= (atomic_load_explicit(&log_state, memory_order_relaxed) & LEVEL_MASK);
}

/* "hqd/core/job.c" -> "hqd::core::job" */
static void
add_module(struct hq_buf *out, const char *file)
{
    struct hq_str rest = hq_str_from(file);
    if (hq_str_ends(rest, HQ_STR(".c"))) {
        rest.len -= 2;
    }
    struct hq_str part;
    while (hq_str_split(&rest, '/', &part)) {
        hq_buf_str(out, part);
        hq_buf_cstr(out, "::");
    }
    hq_buf_str(out, part);
}

void
hq_log_format(struct hq_buf *out, struct hq_log_form form, enum hq_log_level level, const char *file, hq_wall_ms at,
              struct hq_str text)
{
    const char *plain = form.with_color ? "\033[0m" : "";
    hq_buf_cstr(out, form.is_long ? "[" : "");
    hq_buf_cstr(out, form.with_color ? "\033[30m" : "");
    if (form.is_long) {
        hq_date_rfc3339_millis(out, at);
    } else {
        hq_date_rfc3339_whole(out, at);
    }
    hq_buf_printf(out, "%s %s%s%s%s", plain, form.with_color ? "\033[1m" : "",
                  form.with_color ? levels[level].color : "", levels[level].word, plain);
    if (form.is_long) {
        hq_buf_rep(out, ' ', 5 - strlen(levels[level].word) + 1);
        add_module(out, file);
        hq_buf_byte(out, ']');
    }
    hq_buf_byte(out, ' ');
    size_t start = out->len;
    hq_buf_escaped(out, text);
    if (out->len - start > HQ_LOG_BYTES_MAX) {
        size_t end = start + HQ_LOG_BYTES_MAX;
        while (end > start && ((unsigned char)out->ptr[end] & 0xc0) == 0x80) {
            end--;
        }
        out->len = end;
        hq_buf_cstr(out, "...");
    }
    hq_buf_byte(out, '\n');
}

void
hq_log_write(enum hq_log_level level, const char *file, const char *fmt, ...)
{
    int saved = errno;
    unsigned state = atomic_load_explicit(&log_state, memory_order_relaxed);
    struct hq_log_form form = {.is_long = (state & LONG_BIT) != 0, .with_color = (state & COLOR_BIT) != 0};
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf line = HQ_BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    hq_buf_vprintf(&text, fmt, ap);
    va_end(ap);
    hq_log_format(&line, form, level, file, hq_clock_wall_ms(), hq_buf_view(&text));
    size_t done = 0;
    while (done < line.len) {
        ssize_t n = write(STDERR_FILENO, line.ptr + done, line.len - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break; /* a log that can't be written has nobody to complain to */
        }
        done += (size_t)n;
    }
    errno = saved;
}

bool
hq_ratelimit_pass(struct hq_ratelimit *r, hq_ms now_ms, uint32_t *ret_dropped)
{
    if (r->since_ms == 0 || now_ms - r->since_ms >= r->period_ms || now_ms < r->since_ms) {
        r->since_ms = now_ms == 0 ? 1 : now_ms;
        r->used = 0;
    }
    if (r->used >= r->burst) {
        r->dropped += r->dropped < UINT32_MAX;
        return false;
    }
    r->used++;
    *ret_dropped = r->dropped;
    r->dropped = 0;
    return true;
}
