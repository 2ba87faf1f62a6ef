#include "common/out.h"

#include "common/fs.h"
#include "common/out_json.h"

#include <string.h>

#define OUT_FLUSH_BYTES 65536u

const char *const hq_out_mode_words[] = {"cli", "json", "quiet", NULL};
const char *const hq_color_choice_words[] = {"auto", "always", "never", NULL};

bool
hq_out_want_color(enum hq_color_choice choice, bool is_tty, const struct hq_color_env *env)
{
    if (choice != HQ_COLORS_AUTO) {
        return choice == HQ_COLORS_ALWAYS;
    }
    bool is_off = (env->no_color != NULL && env->no_color[0] != '\0') ||
                  (env->term != NULL && strcmp(env->term, "dumb") == 0) ||
                  (env->clicolor != NULL && strcmp(env->clicolor, "0") == 0);
    return is_tty && !is_off;
}

void
hq_out_init(struct hq_out *o, enum hq_out_mode mode, bool with_color, int fd)
{
    *o = (struct hq_out){.mode = mode, .with_color = with_color && mode == HQ_OUT_CLI, .fd = fd};
}

void
hq_out_fini(struct hq_out *o)
{
    hq_buf_fini(&o->buf);
}

void
hq_out_flush(struct hq_out *o)
{
    if (o->buf.len > 0 && o->write_rc == 0) {
        o->write_rc = hq_fs_write_all(o->fd, o->buf.ptr, o->buf.len);
    }
    hq_buf_clear(&o->buf);
}

static void
flush_if_long(struct hq_out *o)
{
    if (o->buf.len > OUT_FLUSH_BYTES) {
        hq_out_flush(o);
    }
}

void
hq_out_text(struct hq_out *o, const char *s)
{
    hq_out_str(o, hq_str_from(s));
}

void
hq_out_str(struct hq_out *o, struct hq_str s)
{
    hq_buf_str(&o->buf, s);
    flush_if_long(o);
}

void
hq_out_printf(struct hq_out *o, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    hq_buf_vprintf(&o->buf, fmt, ap);
    va_end(ap);
    flush_if_long(o);
}

void
hq_out_line(struct hq_out *o, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    hq_buf_vprintf(&o->buf, fmt, ap);
    va_end(ap);
    hq_buf_byte(&o->buf, '\n');
    flush_if_long(o);
}

static const char *const color_codes[] = {
    [HQ_COLOR_NONE] = "",
    [HQ_COLOR_BLACK] = "\x1b[30m",
    [HQ_COLOR_RED] = "\x1b[31m",
    [HQ_COLOR_GREEN] = "\x1b[32m",
    [HQ_COLOR_YELLOW] = "\x1b[33m",
    [HQ_COLOR_BLUE] = "\x1b[34m",
    [HQ_COLOR_MAGENTA] = "\x1b[35m",
    [HQ_COLOR_CYAN] = "\x1b[36m",
    [HQ_COLOR_BRIGHT_RED] = "\x1b[91m",
    [HQ_COLOR_BOLD] = "\x1b[1m",
};

void
hq_color_add(struct hq_buf *b, bool with_color, enum hq_color color, struct hq_str s)
{
    bool is_colored = with_color && color != HQ_COLOR_NONE && s.len > 0;
    if (is_colored) {
        hq_buf_cstr(b, color_codes[color]);
    }
    hq_buf_str(b, s);
    if (is_colored) {
        hq_buf_cstr(b, "\x1b[0m");
    }
}

void
hq_out_word(struct hq_out *o, enum hq_color color, const char *s)
{
    hq_color_add(&o->buf, o->with_color, color, hq_str_from(s));
}

void
hq_out_error(struct hq_out *o, int err_fd, const char *text)
{
    if (o->mode == HQ_OUT_JSON) {
        struct hq_json j;
        hq_json_begin_document(&j, o);
        hq_json_object(&j);
        hq_json_put_strz(&j, "error", text);
        hq_json_object_end(&j);
        hq_json_end_document(&j, o);
        hq_out_flush(o);
        return;
    }
    hq_out_flush(o);
    HQ_AUTO(hq_buf_fini) struct hq_buf line = HQ_BUF_INIT;
    hq_buf_printf(&line, "%s\n", text);
    /* Nobody is left to tell when stderr fails. */
    (void)!hq_fs_write_all(err_fd, line.ptr, line.len);
}

int
hq_out_finish(struct hq_out *o)
{
    if (o->mode == HQ_OUT_JSON && !o->has_document) {
        hq_out_text(o, "{}\n");
        o->has_document = true;
    }
    hq_out_flush(o);
    return o->write_rc;
}

static const struct {
    const char *upper;
    const char *title;
    enum hq_color cell;
    enum hq_color count;
} states[] = {
    [HQ_STATE_WAITING] = {"WAITING", "Waiting", HQ_COLOR_CYAN, HQ_COLOR_CYAN},
    [HQ_STATE_RUNNING] = {"RUNNING", "Running", HQ_COLOR_YELLOW, HQ_COLOR_YELLOW},
    [HQ_STATE_FINISHED] = {"FINISHED", "Finished", HQ_COLOR_GREEN, HQ_COLOR_GREEN},
    [HQ_STATE_FAILED] = {"FAILED", "Failed", HQ_COLOR_RED, HQ_COLOR_RED},
    [HQ_STATE_CANCELED] = {"CANCELED", "Canceled", HQ_COLOR_MAGENTA, HQ_COLOR_MAGENTA},
    [HQ_STATE_ABORTED] = {"ABORTED", "Aborted", HQ_COLOR_BLUE, HQ_COLOR_BRIGHT_RED},
    [HQ_STATE_OPENED] = {"OPENED", "Opened", HQ_COLOR_CYAN, HQ_COLOR_CYAN},
};
_Static_assert(HQ_ARRAY_LEN(states) == HQ_STATES, "a state without words");

const char *const hq_state_lower[] = {
    [HQ_STATE_WAITING] = "waiting",   [HQ_STATE_RUNNING] = "running",
    [HQ_STATE_FINISHED] = "finished", [HQ_STATE_FAILED] = "failed",
    [HQ_STATE_CANCELED] = "canceled", [HQ_STATE_ABORTED] = "aborted",
    [HQ_STATE_OPENED] = "opened",     [HQ_STATES] = NULL,
};

const char *
hq_state_word(enum hq_task_state s)
{
    return states[s].upper;
}

const char *
hq_state_title(enum hq_task_state s)
{
    return states[s].title;
}

enum hq_color
hq_state_color(enum hq_task_state s)
{
    return states[s].cell;
}

enum hq_color
hq_state_count_color(enum hq_task_state s)
{
    return states[s].count;
}
