#include "hq/cmd_deploy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/proc.h"
#include "common/siblings.h"

/* One ssh per host, each the parent of a worker there: they stay until their workers end. */

const struct hq_opt worker_deploy_opts[WORKER_DEPLOY_OPTS] = {
    {.name = "show-output",
     .at = offsetof(struct worker_deploy_args, show_output),
     .help = "Shows what the workers print; stands before the host file."},
    {.name = "HOSTFILE",
     .parse = hq_opt_strv,
     .at = offsetof(struct worker_deploy_args, words),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED | HQ_OPT_TRAILING,
     .complete = HQ_COMPLETE_FILE,
     .help = "File with a line host or host:port per worker, followed by options of `hq worker start`."},
};

/* ---- hosts */

static int
read_port(struct deploy_host *h, struct hq_str digits, struct hq_str line, struct hq_err *err)
{
    uint32_t port;

    if (hq_num_u32(digits, &port, NULL) < 0 || port == 0 || port > UINT16_MAX) {
        return hq_err_set(err, -EINVAL, "Cannot parse port from %.*s", HQ_STR_FMT(line));
    }
    h->port = (uint16_t)port;
    return 0;
}

/* host, host:port, [address], [address]:port; a second colon makes all of it an address. */
static int
read_host(struct deploy_host *h, struct hq_str line, struct hq_err *err)
{
    struct hq_str rest = line;
    struct hq_str host;

    *h = (struct deploy_host){.line = line};
    if (line.ptr[0] == '[') {
        rest = hq_str_sub(line, 1, line.len);
        if (!hq_str_split(&rest, ']', &host) || (rest.len > 0 && rest.ptr[0] != ':')) {
            return hq_err_set(err, -EINVAL, "Cannot parse host from %.*s", HQ_STR_FMT(line));
        }
        h->host = host;
        return rest.len == 0 ? 0 : read_port(h, hq_str_sub(rest, 1, rest.len), line, err);
    }
    bool has_port = hq_str_split(&rest, ':', &host);
    h->host = has_port && hq_str_find_byte(rest, ':') >= 0 ? line : host;
    if (h->host.len == 0 || h->host.ptr[0] == '-') { /* a dash: an option to ssh */
        return hq_err_set(err, -EINVAL, "Cannot parse host from %.*s", HQ_STR_FMT(line));
    }
    return has_port && h->host.len < line.len ? read_port(h, rest, line, err) : 0;
}

int
deploy_parse_hosts(struct hq_str text, struct deploy_hosts *ret, struct hq_arena *arena, struct hq_err *err)
{
    size_t cap = 0;

    *ret = (struct deploy_hosts){0};
    while (text.len > 0) {
        struct hq_str line;
        (void)hq_str_split(&text, '\n', &line); /* the last line may lack its end */
        line = hq_str_trim(line);
        if (line.len == 0) {
            continue;
        }
        if (ret->count == DEPLOY_HOSTS_MAX) {
            return hq_err_set(err, -E2BIG, "More than %u hosts", DEPLOY_HOSTS_MAX);
        }
        hq_arena_grow(arena, &ret->v, &cap, ret->count + 1, sizeof(*ret->v));
        int rc = read_host(&ret->v[ret->count], line, err);
        if (rc < 0) {
            return rc;
        }
        ret->count++;
    }
    return ret->count > 0 ? 0 : hq_err_set(err, -ENODATA, "There is no host in it");
}

static int
load_hosts(struct hq_cli *cli, struct hq_str path, struct deploy_hosts *ret, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    const char *name = hq_arena_strz(&cli->arena, path);
    int rc = hq_fs_read(&text, name, DEPLOY_FILE_BYTES_MAX, NULL);

    if (rc < 0) {
        (void)hq_err_set(err, rc, "%s", hq_err_os(rc));
    } else {
        rc = deploy_parse_hosts(hq_arena_str(&cli->arena, hq_buf_view(&text)), ret, &cli->arena, err);
    }
    if (rc < 0 && rc != -EINVAL) { /* a bad line says enough by itself */
        return hq_err_wrap(err, "Cannot load hostfile from %s", name);
    }
    return rc;
}

/* ---- commands */

void
deploy_quote(struct hq_buf *out, struct hq_str word)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=./,:@%";
    bool is_plain = word.len > 0;

    for (size_t i = 0; i < word.len; i++) {
        is_plain = is_plain && word.ptr[i] != '\0' && strchr(plain, word.ptr[i]) != NULL;
    }
    if (is_plain) {
        hq_buf_str(out, word);
        return;
    }
    hq_buf_byte(out, '\'');
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] == '\'') {
            hq_buf_cstr(out, "'\\''");
        } else {
            hq_buf_byte(out, word.ptr[i]);
        }
    }
    hq_buf_byte(out, '\'');
}

/* The shell there takes the words apart again. */
static int
make_command(struct hq_buf *ret, const struct hq_str *words, size_t count, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf self = HQ_BUF_INIT;
    int rc = hq_sibling_path(&self, "hq", err);

    if (rc < 0) {
        return rc;
    }
    deploy_quote(ret, hq_buf_view(&self));
    hq_buf_cstr(ret, " worker start");
    for (size_t i = 0; i < count; i++) {
        hq_buf_byte(ret, ' ');
        deploy_quote(ret, words[i]);
    }
    return 0;
}

/* The options as the worker will read them: 0, or the exit status of a text that has been printed. */
static int
check_options(struct hq_cli *cli, const struct hq_str *words, size_t count)
{
    static const struct hq_command start = {.name = "start",
                                            .help = "Starts a worker.",
                                            .opts = hq_worker_start_opts,
                                            .opt_count = HQ_WORKER_START_OPTS,
                                            .args_bytes = sizeof(struct hq_worker_start_args)};
    struct hq_global_args globals = {0};
    struct hq_optab tab = *cli->tab;
    struct hq_parsed parsed;
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf hints = HQ_BUF_INIT;
    char **argv = hq_arena_array(&cli->arena, count + 2, sizeof(*argv));

    argv[0] = hq_arena_strz(&cli->arena, HQ_STR("start"));
    for (size_t i = 0; i < count; i++) {
        argv[i + 1] = hq_arena_strz(&cli->arena, words[i]);
    }
    tab.global_args = &globals;
    enum hq_optab_end end =
        hq_optab_parse_command(&tab, &start, "hq worker start", (int)count + 1, argv, &parsed, &text, &hints);
    if (end == HQ_OPTAB_RUN) {
        return 0;
    }
    (void)!hq_fs_write_all(end == HQ_OPTAB_INFO ? STDOUT_FILENO : STDERR_FILENO, text.ptr, text.len); /* nobody left to tell */
    return end == HQ_OPTAB_INFO ? -1 : 2;
}

/* ---- processes */

static volatile sig_atomic_t was_interrupted; /* lint: allow file-scope: a handler has no other way to say it */

static void
on_interrupt(int sig)
{
    (void)sig;
    was_interrupted = 1;
}

struct deploy {
    struct hq_cli *cli;
    struct deploy_hosts hosts;
    struct hq_proc *procs;
    const char *command;
    int null_fd;
    bool show_output;
    size_t running;
    bool has_failed;
};

static int
start_one(struct deploy *d, size_t ix, struct hq_err *err)
{
    struct hq_arena *arena = &d->cli->arena;
    const struct deploy_host *h = &d->hosts.v[ix];
    struct hq_proc_fd fds[] = {{.from = d->null_fd, .to = 0}, {.from = d->null_fd, .to = 1}, {.from = d->null_fd, .to = 2}};
    char *argv[9];
    size_t n = 0;

    argv[n++] = hq_arena_strz(arena, HQ_STR("ssh"));
    argv[n++] = hq_arena_strz(arena, h->host);
    argv[n++] = hq_arena_strz(arena, HQ_STR("-t"));
    argv[n++] = hq_arena_strz(arena, HQ_STR("-t"));
    if (h->port != 0) {
        argv[n++] = hq_arena_strz(arena, HQ_STR("-p"));
        argv[n++] = hq_arena_printf(arena, "%u", h->port);
    }
    argv[n++] = hq_arena_strz(arena, HQ_STR("--"));
    argv[n++] = hq_arena_strz(arena, hq_str_from(d->command));
    argv[n] = NULL;
    struct hq_proc_conf conf = {.path = "ssh",
                                .argv = argv,
                                .envp = d->cli->envp,
                                .fds = fds,
                                .fd_count = d->show_output ? 1 : HQ_ARRAY_LEN(fds),
                                .death_signal = SIGTERM};
    int rc = hq_proc_start(&d->procs[ix], &conf, err);
    if (rc == -ENOENT) {
        return hq_err_set(err, rc, "Cannot find `ssh` binary. Make sure that OpenSSH is installed.");
    }
    return rc;
}

static int
start_all(struct deploy *d, struct hq_err *err)
{
    for (size_t i = 0; i < d->hosts.count && was_interrupted == 0; i++) {
        int rc = start_one(d, i, err);
        if (rc == -ENOENT) {
            return rc;
        }
        if (rc < 0) {
            hq_log_error("Worker at `%.*s` has ended with an error: %s", HQ_STR_FMT(d->hosts.v[i].line), err->text);
            d->has_failed = true;
            continue;
        }
        d->running++;
        hq_log_info("Started worker process at `%.*s`", HQ_STR_FMT(d->hosts.v[i].line));
    }
    return 0;
}

static void
take_ends(struct deploy *d)
{
    for (size_t i = 0; i < d->hosts.count; i++) {
        const struct deploy_host *h = &d->hosts.v[i];
        HQ_AUTO(hq_buf_fini) struct hq_buf how = HQ_BUF_INIT;
        int status = 0;
        if (d->procs[i].pidfd < 0 || hq_proc_reap(&d->procs[i], &status) == -EAGAIN) {
            continue;
        }
        hq_proc_fini(&d->procs[i]);
        d->running--;
        if (status == 0) {
            hq_log_info("Worker at `%.*s` has ended successfully", HQ_STR_FMT(h->line));
        } else {
            hq_proc_describe(&how, status);
            hq_log_error("Worker at `%.*s` has ended with an error: %s", HQ_STR_FMT(h->line), how.ptr);
            d->has_failed = true;
        }
    }
}

static void
kill_all(struct deploy *d)
{
    for (size_t i = 0; i < d->hosts.count; i++) {
        if (d->procs[i].pidfd >= 0) {
            (void)hq_proc_kill(&d->procs[i], SIGTERM); /* one that has just ended is fine */
        }
    }
}

/* Until all have ended. `unblocked` lets the signal in while we sleep, and only then: none is missed. */
static void
wait_all(struct deploy *d, const sigset_t *unblocked)
{
    struct pollfd *pfds = hq_arena_array(&d->cli->arena, d->hosts.count, sizeof(*pfds));
    bool is_closing = false;

    while (d->running > 0) {
        for (size_t i = 0; i < d->hosts.count; i++) {
            pfds[i] = (struct pollfd){.fd = d->procs[i].pidfd, .events = POLLIN}; /* negative ones are skipped */
        }
        (void)ppoll(pfds, d->hosts.count, NULL, unblocked); /* whatever it says, we look */
        if (was_interrupted != 0 && !is_closing) {
            static const char note[] = "SIGINT received, closing workers\n";
            (void)!hq_fs_write_all(STDERR_FILENO, note, sizeof note - 1); /* a remark */
            is_closing = true;
            kill_all(d);
        }
        take_ends(d);
    }
}

static int
run(struct deploy *d, struct hq_err *err)
{
    struct sigaction sa = {.sa_handler = on_interrupt};
    sigset_t blocked, before;

    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    if (sigaction(SIGINT, &sa, NULL) < 0 || sigprocmask(SIG_BLOCK, &blocked, &before) < 0) {
        return hq_err_sys(err, -errno, "Cannot take signals");
    }
    int rc = start_all(d, err);
    if (rc < 0) {
        kill_all(d);
    }
    wait_all(d, &before);
    if (rc == 0) {
        hq_log_info("All workers have finished");
    }
    return rc < 0 || !d->has_failed ? rc : hq_err_set(err, -EIO, "Some workers have ended with an error");
}

int
cmd_worker_deploy_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct worker_deploy_args *args = p->args;
    const struct hq_str *words = args->words.v + 1;
    size_t count = args->words.count - 1;
    HQ_AUTO(hq_buf_fini) struct hq_buf command = HQ_BUF_INIT;
    struct deploy d = {.cli = cli, .show_output = args->show_output};

    if (count > 0 && hq_str_is(words[0], "--")) {
        words++;
        count--;
    }
    int rc = check_options(cli, words, count);
    if (rc != 0) {
        return rc < 0 ? 0 : rc;
    }
    rc = load_hosts(cli, args->words.v[0], &d.hosts, err);
    rc = rc < 0 ? rc : make_command(&command, words, count, err);
    if (rc < 0) {
        return rc;
    }
    HQ_AUTO(hq_fs_closep) int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0) {
        return hq_err_sys(err, -errno, "Cannot open /dev/null");
    }
    d.null_fd = null_fd;
    d.command = command.ptr;
    d.procs = hq_arena_array(&cli->arena, d.hosts.count, sizeof(*d.procs));
    for (size_t i = 0; i < d.hosts.count; i++) {
        d.procs[i] = HQ_PROC_INIT;
    }
    return run(&d, err);
}
