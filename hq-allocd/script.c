#include "hq-allocd/script.h"

#include "common/num.h"

void
script_job_name(struct hq_str name, uint32_t queue, uint32_t number, struct hq_buf *out)
{
    if (name.len > 0) {
        hq_buf_printf(out, "%.*s-%u", HQ_STR_FMT(name), number);
    } else {
        hq_buf_printf(out, "hq-%u-%u", queue, number);
    }
}

void
script_dir(struct hq_str server_dir, struct hq_str name, uint32_t queue, uint32_t number, struct hq_buf *out)
{
    hq_buf_str(out, server_dir);
    hq_buf_printf(out, "/autoalloc/%u", queue);
    if (name.len > 0) {
        hq_buf_printf(out, "-%.*s", HQ_STR_FMT(name));
    }
    hq_buf_printf(out, "/%03u", number);
}

static void
walltime(hq_ms limit_ms, struct hq_buf *out)
{
    hq_ms secs = limit_ms / 1000; /* fractions are cut */
    hq_buf_printf(out, "%02lld:%02lld:%02lld", (long long)(secs / 3600), (long long)(secs / 60 % 60),
                  (long long)(secs % 60));
}

/* One character of a path in double quotes. Slurm replaces %x, unless there is a backslash in the name: then it takes one of
 * each two away, after the quotes have done so. */
static void
directive_char(char c, bool is_pbs, bool has_backslash, struct hq_buf *out)
{
    if (c == '"') {
        hq_buf_cstr(out, "\"'\"'\"");
    } else if (c == '\\' && !is_pbs) {
        hq_buf_cstr(out, "\\\\\\\\");
    } else if (c == '%' && !is_pbs && !has_backslash) {
        hq_buf_cstr(out, "%%");
    } else {
        hq_buf_byte(out, c);
    }
}

/* A path in a directive: both batch systems take double quotes. */
static void
directive_path(struct hq_str dir, const char *file, bool is_pbs, struct hq_buf *out)
{
    bool is_plain = true;
    for (size_t i = 0; i < dir.len; i++) {
        is_plain = is_plain && strchr(" \t'\"#\\", dir.ptr[i]) == NULL;
    }
    bool has_backslash = hq_str_find_byte(dir, '\\') >= 0;
    hq_buf_cstr(out, is_plain ? "" : "\"");
    for (size_t i = 0; i < dir.len; i++) {
        directive_char(dir.ptr[i], is_pbs, has_backslash, out);
    }
    hq_buf_printf(out, "/%s%s\n", file, is_plain ? "" : "\"");
}

bool
script_dir_ok(struct hq_str dir)
{
    for (size_t i = 0; i < dir.len; i++) {
        if ((unsigned char)dir.ptr[i] < ' ' && dir.ptr[i] != '\t') {
            return false;
        }
    }
    return true;
}

/* Inside double quotes of a shell. */
static void
quoted(struct hq_str text, struct hq_buf *out)
{
    hq_buf_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (strchr("\"\\$`", text.ptr[i]) != NULL) {
            hq_buf_byte(out, '\\');
        }
        hq_buf_byte(out, text.ptr[i]);
    }
    hq_buf_byte(out, '"');
}

static void
single_quoted(struct hq_str text, struct hq_buf *out)
{
    hq_buf_byte(out, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'') {
            hq_buf_cstr(out, "'\\''");
        } else {
            hq_buf_byte(out, text.ptr[i]);
        }
    }
    hq_buf_byte(out, '\'');
}

/* A word that needs no quotes stays as it is. */
static void
word(struct hq_str text, struct hq_buf *out)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:=@%,";
    bool is_plain = text.len > 0;
    for (size_t i = 0; i < text.len; i++) {
        is_plain = is_plain && text.ptr[i] != '\0' && strchr(plain, text.ptr[i]) != NULL;
    }
    if (is_plain) {
        hq_buf_str(out, text);
    } else {
        single_quoted(text, out);
    }
}

static void
worker_line(const struct script *s, bool with_log, struct hq_buf *out)
{
    if (s->start_cmd.len > 0) {
        hq_buf_printf(out, "%.*s && ", HQ_STR_FMT(s->start_cmd));
    }
    if (with_log && s->rust_log.len > 0) {
        hq_buf_cstr(out, "RUST_LOG=");
        word(s->rust_log, out);
        hq_buf_byte(out, ' ');
    }
    if (s->wrap_cmd.len > 0) {
        hq_buf_printf(out, "%.*s ", HQ_STR_FMT(s->wrap_cmd));
    }
    word(s->hq, out);
    hq_buf_cstr(out, " worker start --idle-timeout \"");
    hq_duration_print(out, hq_ns_from_ms(s->idle_timeout_ms));
    hq_buf_printf(out, "\" --manager \"%s\" --server-dir ", s->is_pbs ? "pbs" : "slurm");
    quoted(s->server_dir, out);
    for (size_t i = 0; i < s->worker_arg_count; i++) {
        hq_buf_byte(out, ' ');
        hq_buf_str(out, s->worker_args[i]);
    }
    if (s->stop_cmd.len > 0) {
        hq_buf_printf(out, "; %.*s", HQ_STR_FMT(s->stop_cmd));
    }
}

static void
start_pbs(const struct script *s, struct hq_buf *out)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf line = HQ_BUF_INIT;
    worker_line(s, true, &line);
    if (s->nodes > 1) {
        hq_buf_cstr(out, "pbsdsh -- bash -l -c ");
        single_quoted(hq_buf_view(&line), out);
    } else {
        hq_buf_str(out, hq_buf_view(&line));
    }
}

/* srun starts one word list per node; a list of commands needs a shell there. */
static void
start_slurm(const struct script *s, struct hq_buf *out)
{
    if (s->nodes <= 1) {
        worker_line(s, true, out);
        return;
    }
    if (s->rust_log.len > 0) { /* srun hands the environment on */
        hq_buf_cstr(out, "RUST_LOG=");
        word(s->rust_log, out);
        hq_buf_byte(out, ' ');
    }
    hq_buf_printf(out, "srun --overlap --ntasks=%u --nodes=%u ", s->nodes, s->nodes);
    if (s->start_cmd.len == 0 && s->stop_cmd.len == 0) {
        worker_line(s, false, out);
        return;
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf line = HQ_BUF_INIT;
    worker_line(s, false, &line);
    hq_buf_cstr(out, "bash -c ");
    single_quoted(hq_buf_view(&line), out);
}

void
script_text(const struct script *s, struct hq_buf *out)
{
    const char *mark = s->is_pbs ? "#PBS" : "#SBATCH";
    HQ_AUTO(hq_buf_fini) struct hq_buf name = HQ_BUF_INIT;
    script_job_name(s->name, s->queue, s->number, &name);
    hq_buf_printf(out, "#!/bin/bash\n%s %s%u\n", mark, s->is_pbs ? "-l select=" : "--nodes=", s->nodes);
    hq_buf_printf(out, "%s %s%s\n", mark, s->is_pbs ? "-N " : "--job-name=", name.ptr);
    hq_buf_printf(out, "%s %s", mark, s->is_pbs ? "-o " : "--output=");
    directive_path(s->dir, "stdout", s->is_pbs, out);
    hq_buf_printf(out, "%s %s", mark, s->is_pbs ? "-e " : "--error=");
    directive_path(s->dir, "stderr", s->is_pbs, out);
    hq_buf_printf(out, "%s %s", mark, s->is_pbs ? "-l walltime=" : "--time=");
    walltime(s->time_limit_ms, out);
    hq_buf_byte(out, '\n');
    for (size_t i = 0; i < s->extra_arg_count; i++) {
        hq_buf_cstr(out, i == 0 ? mark : "");
        hq_buf_printf(out, " %.*s", HQ_STR_FMT(s->extra_args[i]));
    }
    hq_buf_cstr(out, s->extra_arg_count > 0 ? "\n" : "");
    hq_buf_cstr(out, s->is_pbs && s->is_trial ? "#PBS -h\n" : "");
    hq_buf_byte(out, '\n');
    if (s->is_pbs) {
        start_pbs(s, out);
    } else {
        start_slurm(s, out);
    }
}
