/* log.h - one line per event on stderr (spec section "Log lines").
 *
 * Purpose    shells and main() log; pure code returns reasons instead. A sentence, then key=value words.
 * Threads    any; one write(2) per line, so that lines of threads and processes don't mix.
 * Limits     HQ_LOG_BYTES_MAX; a longer line is cut (ending in "...").
 * Form       2026-01-31T12:00:00Z INFO text       or, in the debug form, [2026-01-31T12:00:00.123Z INFO  hqd::shell] text
 *            Control characters and bytes that are no UTF-8 are escaped.
 */
#ifndef HQ_COMMON_LOG_H
#define HQ_COMMON_LOG_H

#include "common/id.h"
#include "common/str.h"

#define HQ_LOG_BYTES_MAX 8192

enum hq_log_level {
    HQ_LOG_OFF = 0,
    HQ_LOG_ERROR = 1, /* someone must act */
    HQ_LOG_WARN = 2,  /* we coped */
    HQ_LOG_INFO = 3,  /* life events, rate-limited */
    HQ_LOG_DEBUG = 4, /* decisions */
    HQ_LOG_TRACE = 5,
};

/* Level and form from --debug and $RUST_LOG (NULL = unset): "debug", "hq=debug", "error,hq=info". Colours if is_tty. */
void hq_log_init(bool debug, const char *rust_log, bool is_tty);
/* The usual call of main(): reads RUST_LOG and looks at stderr. */
void hq_log_start(bool debug);
bool hq_log_on(enum hq_log_level level);
void hq_log_write(enum hq_log_level level, const char *file, const char *fmt, ...) HQ_PRINTF(3, 4);

#define hq_log(level, ...)                                                                                             \
    do {                                                                                                               \
        if (hq_log_on(level)) {                                                                                        \
            hq_log_write(level, __FILE__, __VA_ARGS__);                                                                \
        }                                                                                                              \
    } while (0)
#define hq_log_error(...) hq_log(HQ_LOG_ERROR, __VA_ARGS__)
#define hq_log_warn(...) hq_log(HQ_LOG_WARN, __VA_ARGS__)
#define hq_log_info(...) hq_log(HQ_LOG_INFO, __VA_ARGS__)
#define hq_log_debug(...) hq_log(HQ_LOG_DEBUG, __VA_ARGS__)
#define hq_log_trace(...) hq_log(HQ_LOG_TRACE, __VA_ARGS__)

/* One line with its newline, as hq_log_write makes it. Pure. */
struct hq_log_form {
    bool is_long; /* debug form */
    bool with_color;
};
void hq_log_format(struct hq_buf *out, struct hq_log_form form, enum hq_log_level level, const char *file,
                   hq_wall_ms at, struct hq_str text);

/* At most `burst` events per `period_ms`; the rest is counted. Zeroed state with burst and period set. */
struct hq_ratelimit {
    uint32_t burst;
    hq_ms period_ms;
    hq_ms since_ms;   /* start of the present period; 0 = none yet */
    uint32_t used;
    uint32_t dropped; /* since the last event that passed */
};
/* true: log it, and say "(<n> more like it)" when *ret_dropped > 0. */
bool hq_ratelimit_pass(struct hq_ratelimit *r, hq_ms now_ms, uint32_t *ret_dropped);

#endif
