/* out.h - where a command's result goes: output mode, colours, one buffer, one write at the end.
 *
 * Purpose    commands ask `mode` what to print, and print through this struct only.
 * Ownership  hq_out_init / hq_out_fini; printed texts are copied into the buffer.
 * Errors     a failed write to stdout is kept and returned by hq_out_finish (-EPIPE and others).
 * Limits     none: results are bounded by the answers they come from; the buffer is written out beyond 64 KiB.
 */
#ifndef HQ_COMMON_OUT_H
#define HQ_COMMON_OUT_H

#include "common/err.h"
#include "common/str.h"

enum hq_out_mode {
    HQ_OUT_CLI = 0,
    HQ_OUT_JSON = 1,
    HQ_OUT_QUIET = 2,
};
extern const char *const hq_out_mode_words[]; /* "cli", "json", "quiet", NULL */

enum hq_color { /* of words and cells; HQ_COLOR_NONE prints no escape sequence */
                HQ_COLOR_NONE = 0,
                HQ_COLOR_BLACK,
                HQ_COLOR_RED,
                HQ_COLOR_GREEN,
                HQ_COLOR_YELLOW,
                HQ_COLOR_BLUE,
                HQ_COLOR_MAGENTA,
                HQ_COLOR_CYAN,
                HQ_COLOR_BRIGHT_RED,
                HQ_COLOR_BOLD,
};

enum hq_color_choice {
    HQ_COLORS_AUTO = 0,
    HQ_COLORS_ALWAYS = 1,
    HQ_COLORS_NEVER = 2,
};
extern const char *const hq_color_choice_words[]; /* "auto", "always", "never", NULL */

/* Colours on stdout: `always` beats all; `auto` needs a terminal, and NO_COLOR (not empty), TERM=dumb and CLICOLOR=0
 * switch them off. Values are NULL when unset. */
struct hq_color_env {
    const char *no_color;
    const char *term;
    const char *clicolor;
};
bool hq_out_want_color(enum hq_color_choice choice, bool is_tty, const struct hq_color_env *env);

struct hq_out {
    enum hq_out_mode mode;
    bool with_color;   /* cli mode only; else false */
    bool has_document; /* a JSON document was printed */
    int fd;
    int write_rc; /* first failed write, 0 = none */
    struct hq_buf buf;
};

void hq_out_init(struct hq_out *o, enum hq_out_mode mode, bool with_color, int fd);
void hq_out_fini(struct hq_out *o);
void hq_out_text(struct hq_out *o, const char *s);
void hq_out_str(struct hq_out *o, struct hq_str s);
void hq_out_printf(struct hq_out *o, const char *fmt, ...) HQ_PRINTF(2, 3);
void hq_out_line(struct hq_out *o, const char *fmt, ...) HQ_PRINTF(2, 3); /* with newline */
void hq_out_word(struct hq_out *o, enum hq_color color, const char *s);   /* coloured if colours are on */
void hq_out_flush(struct hq_out *o);
/* The error of a command: cli and quiet on `err_fd` with a newline, json as {"error": text} on stdout. Flushes first.
 */
void hq_out_error(struct hq_out *o, int err_fd, const char *text);
/* JSON mode without a document yet: prints {}. Then writes everything out. 0 or the first write error. */
int hq_out_finish(struct hq_out *o);

/* Appends `s` in colour (plain when !with_color or HQ_COLOR_NONE). */
void hq_color_add(struct hq_buf *b, bool with_color, enum hq_color color, struct hq_str s);

/* ---- words and colours of states (spec section "State words and colours") */
enum hq_task_state { /* of tasks and jobs; order of the counters of a State cell is elsewhere */
                     HQ_STATE_WAITING = 0,
                     HQ_STATE_RUNNING,
                     HQ_STATE_FINISHED,
                     HQ_STATE_FAILED,
                     HQ_STATE_CANCELED,
                     HQ_STATE_ABORTED,
                     HQ_STATE_OPENED, /* jobs only */
};
#define HQ_STATES 7
extern const char *const hq_state_lower[]; /* "waiting", "running", ..., "opened", NULL: words of filters and JSON */
const char *hq_state_word(enum hq_task_state s);          /* "WAITING" */
const char *hq_state_title(enum hq_task_state s);         /* "Waiting": keys of job summary in JSON */
enum hq_color hq_state_color(enum hq_task_state s);       /* cells: ABORTED is blue */
enum hq_color hq_state_count_color(enum hq_task_state s); /* counters: ABORTED is bright red */

#endif
