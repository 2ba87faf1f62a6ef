/* main.c - hq, the command line: parse by the tables, run one command, print, end.
 *
 * The whole process has a budget of two milliseconds: nothing is set up that the command does not need, and the end is
 * _exit, because everything that must be written has been written by then. */
#include "common/log.h"
#include "hq/commands.h"

#include <signal.h>
#include <unistd.h>

extern char **environ;

static void
write_text(int fd, const struct hq_buf *text)
{
    struct hq_out o;
    hq_out_init(&o, HQ_OUT_CLI, false, fd);
    hq_out_str(&o, hq_buf_view(text));
    hq_out_flush(&o);
}

static void
log_hints(const struct hq_buf *hints)
{
    struct hq_str rest = hq_buf_view(hints);
    struct hq_str line;
    while (rest.len > 0) {
        (void)hq_str_split(&rest, '\n', &line); /* each ends with a newline */
        hq_log_info("%.*s", HQ_STR_FMT(line));
    }
}

static int
run(struct hq_cli *cli, const struct hq_parsed *parsed)
{
    struct hq_err err = {0};
    int rc = parsed->cmd->run(cli, parsed, &err);
    if (rc < 0) {
        hq_out_error(&cli->out, STDERR_FILENO, err.text);
        return 1;
    }
    int write_rc = hq_out_finish(&cli->out);
    if (write_rc < 0) {
        hq_log_error("Cannot write to standard output: %s", hq_err_os(write_rc));
        return 1;
    }
    return rc;
}

int
main(int argc, char **argv)
{
    struct hq_cli cli = {.argc = argc, .argv = argv, .envp = environ, .is_stderr_tty = isatty(STDERR_FILENO)};
    struct hq_buf text = HQ_BUF_INIT;
    struct hq_buf hints = HQ_BUF_INIT;
    struct hq_parsed parsed;
    (void)signal(SIGPIPE, SIG_DFL); /* `hq job list | head -1` ends silently, whoever started it */
    hq_arena_init(&cli.arena, 0);
    bool is_stdout_tty = isatty(STDOUT_FILENO);
    struct hq_color_env env = {.no_color = hq_optab_env(environ, "NO_COLOR"),
                               .term = hq_optab_env(environ, "TERM"),
                               .clicolor = hq_optab_env(environ, "CLICOLOR")};
    struct hq_optab tab = {.root = &commands_root,
                           .globals = hq_global_opts,
                           .global_count = HQ_GLOBAL_OPTS,
                           .global_args = &cli.globals,
                           .version = "hyperqueue " HQ_VERSION,
                           .envp = environ,
                           .color_out = hq_out_want_color(HQ_COLORS_AUTO, is_stdout_tty, &env),
                           .color_err = hq_out_want_color(HQ_COLORS_AUTO, cli.is_stderr_tty, &env),
                           .arena = &cli.arena};
    enum hq_optab_end end = hq_optab_parse(&tab, argc, argv, &parsed, &text, &hints);
    if (end != HQ_OPTAB_RUN) {
        write_text(end == HQ_OPTAB_INFO ? STDOUT_FILENO : STDERR_FILENO, &text);
        _exit(end == HQ_OPTAB_INFO ? 0 : 2);
    }
    cli.tab = &tab;
    hq_log_start(cli.globals.is_debug);
    log_hints(&hints);
    bool with_color = hq_out_want_color((enum hq_color_choice)cli.globals.colors, is_stdout_tty, &env);
    hq_out_init(&cli.out, (enum hq_out_mode)cli.globals.output_mode, with_color, STDOUT_FILENO);
    _exit(run(&cli, &parsed));
}
