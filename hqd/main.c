/* main.c - hqd: options, resume or start, run, exit status. */
#include <ev.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/seal.h"
#include "common/sdnotify.h"
#include "common/start_opts.h"
#include "hqd/conf.h"
#include "hqd/instance.h"
#include "hqd/replay.h"
#include "hqd/shell.h"

#define BRIDGE_ITEMS_MAX 4096u
#define LOCK_TRIES 20u
#define LOCK_PAUSE_MS 50
#define MALLOC_MMAP_BYTES (256 * 1024) /* larger blocks are mapped one by one: what an arena keeps stays below */
#define MALLOC_TRIM_BYTES (1024 * 1024)

extern char **environ;

struct hqd { /* everything that lives as long as the process */
    struct hq_start start;
    struct hq_arena arena;
    struct hq_settings settings;
    struct hqd_conf conf;
    struct instance instance;
    struct ev_loop *loop;
    struct hq_bridge *bridge;
    struct core *core;
    struct replay_result replay;
    struct journal *journal;
    struct shell *shell;
    unsigned char incarnation[16];
    hq_wall_ms started_ms;
    char *host;
};

static void
raise_fd_limit(void)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
        lim.rlim_cur = lim.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &lim) < 0) {
            hq_log_warn("The limit of open files could not be raised: %s", hq_err_os(errno));
        }
    }
}

static void
warn_unprotected(const struct instance *in)
{
    static const char *const frame = "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!";
    const struct {
        bool is_open;
        const char *who;
    } sides[] = {{!in->access.worker.has_key, "worker"}, {!in->access.client.has_key, "client"}};
    for (size_t i = 0; i < HQ_ARRAY_LEN(sides); i++) {
        if (sides[i].is_open) {
            hq_log_warn("%s", frame);
            hq_log_warn("Server is started with unprotected %s connections", sides[i].who);
            hq_log_warn("Anyone can connect as a %s", sides[i].who);
            hq_log_warn("%s", frame);
        }
    }
}

static int
make_core(struct hqd *h, struct hq_err *err)
{
    uint64_t seed;
    randombytes_buf(&seed, sizeof seed);
    struct core_conf conf = {.idle_timeout_ms = h->conf.idle_timeout_ms,
                             .peer_gone_ms = h->conf.peer_gone_ms,
                             .return_grace_ms = h->conf.return_grace_ms,
                             .stop_grace_ms = h->conf.stop_grace_ms,
                             .seed = seed};
    return core_create(&h->core, &conf, err);
}

/* A hqd that was killed while it started hq-allocd leaves a child that holds the lock until it executes: a moment. */
static int
lock_journal(const char *path, struct hq_err *err)
{
    int fd = journal_lock(path, err);
    for (uint32_t tries = 0; fd == -EBUSY && tries < LOCK_TRIES; tries++) {
        (void)poll(NULL, 0, LOCK_PAUSE_MS);
        fd = journal_lock(path, err);
    }
    return fd;
}

/* Reads the journal of this start, if there is one. What is torn is told here and cut by journal_create. */
static int
load_journal(struct hqd *h, const char *path, struct hq_err *err)
{
    bool is_there = false;
    int rc = replay_probe(path, &is_there, err);
    if (rc < 0 || !is_there) {
        return rc;
    }
    hq_log_info("Loading journal ...");
    int fd = lock_journal(path, err);
    if (fd < 0) {
        return fd;
    }
    rc = replay_run(h->core, path, &h->replay, err);
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    h->replay.resume.fd = fd;
    if (h->replay.is_torn) {
        hq_log_warn("Journal contains not fully written data; they will be removed from the log");
    }
    return 0;
}

/* The instance that died has a journal with an orderly end after all: it is not resumed. With a journal of its own the
 * state is not wanted either. */
static int
forget_candidate(struct hqd *h, struct hq_err *err)
{
    if (h->conf.journal != NULL) {
        return 0;
    }
    if (h->replay.is_there) {
        (void)close(h->replay.resume.fd);
    }
    replay_result_fini(&h->replay);
    core_destroy(h->core);
    h->core = NULL;
    return make_core(h, err);
}

static int
open_state(struct hqd *h, struct hq_err *err)
{
    const char *path = instance_journal(&h->instance, &h->conf);
    bool resume = false;
    int rc = make_core(h, err);
    if (rc == 0 && path != NULL) {
        rc = load_journal(h, path, err);
    }
    if (rc == 0 && h->instance.has_candidate) {
        resume = h->replay.is_there && !core_is_ended(h->core);
        rc = resume ? 0 : forget_candidate(h, err);
    }
    if (rc < 0) {
        return rc;
    }
    if (resume) {
        hq_log_info("Resuming the instance that ended without a stop in '%s'", h->instance.dir);
    }
    return instance_begin(&h->instance, resume, &h->conf, core_server_uid(h->core), err);
}

static void
reload(void *ctx)
{
    struct hqd *h = ctx;
    struct hqd_conf fresh;
    struct hq_settings settings;
    struct hq_err err = {0};
    if (conf_load(&fresh, &settings, &h->start, environ, &h->arena, &err) < 0) {
        hq_log_error("Configuration was not reloaded: %s", err.text);
        return;
    }
    h->conf.idle_timeout_ms = fresh.idle_timeout_ms; /* for the next start; ports, files and keys stay as they are */
    hq_log_info("Configuration was reloaded: it holds from the next start on");
}

/* Keys between nodes are derived from what this start of the server keeps for good, so that a hqd that resumes hands out
 * the ones that nodes have already. It takes both secrets: who has but one can't make the keys of others. */
static void
make_step_key(const struct hq_access *access, unsigned char key[STEP_KEY_BYTES])
{
    unsigned char text[2 * HQ_SECRET_BYTES];
    if (!access->client.has_key || !access->worker.has_key) {
        randombytes_buf(key, STEP_KEY_BYTES);
        return;
    }
    static const char name[] = "nodes of a task";
    _Static_assert(sizeof name <= HQ_SECRET_BYTES, "fits");
    memset(text, 0, sizeof text);
    memcpy(text, name, sizeof name);
    memcpy(text + HQ_SECRET_BYTES, access->worker.key, HQ_SECRET_BYTES);
    hq_seal_derive(key, access->client.key, hq_str_make((const char *)text, sizeof text));
    sodium_memzero(text, sizeof text);
}

static int
open_shell(struct hqd *h, struct hq_err *err)
{
    const struct hq_server_start_args *args = h->start.parsed.args;
    struct instance *in = &h->instance;
    h->host = hq_xstrdup(in->owner.host);
    h->started_ms = hq_clock_wall_ms();
    randombytes_buf(h->incarnation, sizeof h->incarnation);
    struct shell_conf conf = {
        .loop = h->loop,
        .bridge = h->bridge,
        .core = h->core,
        .identity = {.server_uid = hq_str_from(in->access.server_uid),
                     .incarnation = hq_str_make((const char *)h->incarnation, sizeof h->incarnation),
                     .version = HQ_STR(HQ_VERSION),
                     .boot_id = hq_str_from(in->owner.boot_id),
                     .host = hq_str_from(h->host),
                     .pid = (uint32_t)getpid()},
        .client_host = in->access.client.host,
        .worker_host = in->access.worker.host,
        .client_port = in->access.client.port,
        .worker_port = in->access.worker.port,
        .is_port_soft = in->is_resumed,
        .client_key = in->access.client.has_key ? in->access.client.key : NULL,
        .worker_key = in->access.worker.has_key ? in->access.worker.key : NULL,
        .ipc_path = in->ipc_path,
        .allocd_dir = h->conf.runs_allocd ? in->dir : NULL,
        .journal_shown = args->journal.len > 0 ? hq_arena_strz(&h->arena, args->journal) : h->conf.journal,
        .started_ms = h->started_ms,
        .has_terminal = isatty(STDIN_FILENO) == 1,
        .reload = reload,
        .ctx = h,
    };
    make_step_key(&in->access, conf.identity.step_key);
    return shell_create(&h->shell, &conf, err);
}

static void
on_progress(void *ctx)
{
    struct hqd *h = ctx;
    shell_on_journal(h->shell);
}

static int
check_owner_thr(void *ctx, struct hq_err *err)
{
    struct hqd *h = ctx;
    return instance_check_owner_thr(&h->instance, err);
}

static int
open_journal(struct hqd *h, struct hq_err *err)
{
    struct journal_conf conf = {.bridge = h->bridge,
                                .path = h->instance.journal_path,
                                .ctx = h,
                                .on_progress = on_progress,
                                .check_owner_thr = check_owner_thr,
                                .resume = h->replay.is_there ? &h->replay.resume : NULL};
    int rc = journal_create(&h->journal, &conf, err);
    if (rc == 0) {
        h->replay.resume.index = (struct journal_index){0}; /* it has moved */
    }
    return rc;
}

static void
print_table(struct hqd *h)
{
    const struct instance *in = &h->instance;
    const struct hq_server_start_args *args = h->start.parsed.args;
    struct hq_server_view v = {
        .server_dir = hq_str_from(in->server_dir),
        .server_uid = hq_str_from(in->access.server_uid),
        .client_host = hq_str_from(in->access.client.host),
        .client_port = in->access.client.port,
        .worker_host = hq_str_from(in->access.worker.host),
        .worker_port = in->access.worker.port,
        .version = HQ_STR(HQ_VERSION),
        .pid = (int32_t)getpid(),
        .started_at_ms = h->started_ms,
        .journal_path = args->journal.len > 0 ? args->journal : hq_str_from(h->conf.journal),
    };
    hq_server_view_print(&v, true, &h->start.out);
    if (hq_out_finish(&h->start.out) < 0) {
        hq_log_warn("The server table could not be printed");
    }
}

static int
find_instance(struct hqd *h, struct hq_err *err)
{
    const struct hq_server_start_args *args = h->start.parsed.args;
    HQ_AUTO(hq_buf_fini) struct hq_buf dir = HQ_BUF_INIT;
    bool is_default;
    const struct hq_str given = h->start.globals.server_dir;
    int rc = hq_serverdir_path(&dir, given.len > 0 ? hq_arena_strz(&h->arena, given) : NULL, &is_default, err);
    if (rc == 0) {
        rc = instance_find(&h->instance, dir.ptr, &h->conf, args->take_over, err);
    }
    return rc;
}

/* Everything up to readiness. */
static int
begin(struct hqd *h, struct hq_err *err)
{
    hq_log_info("HyperQueue %s", HQ_VERSION);
    int rc = find_instance(h, err);
    if (rc < 0) {
        return rc;
    }
    rc = instance_check_given(&h->conf, err);
    if (rc < 0) {
        return rc;
    }
    hq_log_info("No online server found, starting a new server");
    h->loop = ev_loop_new(EVFLAG_AUTO); /* not the default loop: that one takes SIGCHLD, and how hq-allocd ended */
    if (h->loop == NULL) {
        return hq_err_set(err, -EIO, "The event loop could not be made");
    }
    rc = hq_bridge_create(&h->bridge, h->loop, BRIDGE_ITEMS_MAX, NULL, err);
    if (rc == 0) {
        rc = open_state(h, err);
    }
    if (rc == 0) {
        warn_unprotected(&h->instance);
        rc = open_shell(h, err);
    }
    if (rc == 0) {
        rc = open_journal(h, err);
    }
    if (rc < 0) {
        return rc;
    }
    shell_start(h->shell, h->journal);
    rc = instance_publish(&h->instance, shell_client_port(h->shell), shell_worker_port(h->shell), err);
    if (rc == 0 && h->replay.is_there) {
        hq_log_info("State restoration completed");
    }
    return rc;
}

static void
finish(struct hqd *h)
{
    shell_destroy(h->shell);
    journal_destroy(h->journal);
    hq_bridge_destroy(h->bridge);
    core_destroy(h->core);
    replay_result_fini(&h->replay);
    instance_fini(&h->instance);
    if (h->loop != NULL) {
        ev_loop_destroy(h->loop);
    }
    free(h->host);
    hq_arena_fini(&h->arena);
    hq_start_fini(&h->start);
}

static int
run(struct hqd *h)
{
    struct hq_err err = {0};
    print_table(h);
    (void)hq_sdnotify("READY=1"); /* nobody may listen */
    enum shell_end end = shell_run(h->shell, &err);
    switch (end) {
    case SHELL_END_ORDERLY:
        shell_destroy(h->shell);
        h->shell = NULL;
        instance_end(&h->instance);
        return 0;
    case SHELL_END_HANGUP:
        return 0;
    case SHELL_END_FAILED:
    case SHELL_END_LOST:
        hq_log_error("%s", err.text);
        return 1;
    }
    return 1;
}

/* Memory of large requests goes back to the system when they are done: glibc would keep blocks below the largest it has ever
 * seen freed. */
static void
set_malloc(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, MALLOC_MMAP_BYTES); /* another libc may not know it: memory is kept then */
    (void)mallopt(M_TRIM_THRESHOLD, MALLOC_TRIM_BYTES);
}

int
main(int argc, char **argv)
{
    struct hqd h = {.instance = INSTANCE_INIT};
    int status = hq_start_parse(&h.start,
                                "hqd",
                                hq_server_start_opts,
                                HQ_SERVER_START_OPTS,
                                sizeof(struct hq_server_start_args),
                                argc,
                                argv,
                                environ);
    if (status >= 0) {
        return status;
    }
    set_malloc();
    struct hq_err err = {0};
    hq_arena_init(&h.arena, 0);
    const struct hq_server_start_args *args = h.start.parsed.args;
    int rc = conf_load(&h.conf, &h.settings, &h.start, environ, &h.arena, &err);
    if (rc == 0 && args->print_config) {
        HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
        hq_settings_print(&h.settings, &text);
        hq_out_str(&h.start.out, hq_buf_view(&text));
        status = hq_out_finish(&h.start.out) < 0;
        finish(&h);
        return status;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file limit is a failed write, not the end */
    if (rc == 0 && sodium_init() < 0) {
        rc = hq_err_set(&err, -EIO, "libsodium could not be initialised");
    }
    raise_fd_limit();
    if (rc == 0) {
        rc = begin(&h, &err);
    }
    status = rc < 0 ? hq_start_failed(&h.start, &err) : run(&h);
    finish(&h);
    return status;
}
