/* main.c - hq-workerd: options, detection, connect, exit status. */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/sdnotify.h"
#include "common/serverdir.h"
#include "common/siblings.h"
#include "common/start_opts.h"
#include "hq-workerd/addresses.h"
#include "hq-workerd/detect.h"
#include "hq-workerd/launcher.h"
#include "hq-workerd/manager.h"
#include "hq-workerd/shell.h"
#include "hq-workerd/taskdir.h"
#include "hq-workerd/wconf.h"

#define HEARTBEAT_MS_MIN 200 /* below, a worker would be lost by a moment's delay */
#define LAUNCHERS_MAX_AUTO 16u

extern char **environ;

struct workerd { /* everything that lives as long as the process */
    struct hq_start start;
    struct hq_arena arena;
    struct hq_settings settings;
    struct wconf conf;
    struct manager_info manager;
    struct hq_pools pools;
    struct hq_access access;
    struct hq_buf instance;
    struct hq_buf server_dir;
    struct hq_owner owner;
    struct ev_loop *loop;
    struct wshell *shell;
    struct link_worker self;
    char *temporary; /* directory that we made and remove */
    int listen_fd;
    struct hq_str addresses[ADDRESSES_MAX];
    int signal_fd;
    sigset_t task_mask;
    struct rlimit task_nofile;
    bool is_nofile_raised;
    uint32_t fds_max;
    hq_wall_ms started_ms;
    const char *gpu_families[3];
};

/* ---- resources */

static int
add_pool(struct workerd *w, const struct hq_pool *p)
{
    for (size_t i = 0; i < w->pools.count; i++) {
        if (hq_str_eq(w->pools.v[i].name, p->name)) {
            return 0; /* given by hand: never overwritten */
        }
    }
    w->pools.v[w->pools.count++] = *p;
    return 1;
}

static bool
has_pool(const struct workerd *w, const char *name)
{
    for (size_t i = 0; i < w->pools.count; i++) {
        if (hq_str_is(w->pools.v[i].name, name)) {
            return true;
        }
    }
    return false;
}

static int
add_given(struct workerd *w, struct hq_err *err)
{
    const struct hq_worker_start_args *a = w->start.parsed.args;
    bool has_cpus = hq_parsed_given(&w->start.parsed, "cpus");

    w->pools.v = hq_arena_array(&w->arena, a->resources.count + 8, sizeof(*w->pools.v));
    if (has_cpus) {
        w->pools.v[w->pools.count++] = a->cpus;
    }
    for (size_t i = 0; i < a->resources.count; i++) {
        if (has_cpus && hq_str_is(a->resources.v[i].name, "cpus")) {
            return hq_err_set(err, -EINVAL, "Parameters --cpus and --resource cpus=... cannot be combined");
        }
        w->pools.v[w->pools.count++] = a->resources.v[i];
    }
    for (size_t i = 0; i < w->pools.count; i++) {
        if (a->no_hyper_threading && hq_str_is(w->pools.v[i].name, "cpus")) {
            detect_drop_threads(&w->pools.v[i], &w->arena);
        }
    }
    return 0;
}

static void
add_memory(struct workerd *w)
{
    struct hq_pool p = {.name = HQ_STR("mem"), .kind = HQ_POOL_SUM};

    if (w->manager.memory_mb > 0) {
        p.sum = w->manager.memory_mb * HQ_AMOUNT_ONE;
        (void)add_pool(w, &p);
    } else if (detect_memory(&p, &w->arena)) {
        (void)add_pool(w, &p);
    }
}

static void
add_detected(struct workerd *w, uint32_t detect, bool one_per_core)
{
    struct hq_pool p, gpus[DETECT_GPU_POOLS];

    if ((detect & HQ_DETECT_CPUS) != 0 && !has_pool(w, "cpus")) {
        detect_cpus(&p, one_per_core, &w->arena);
        (void)add_pool(w, &p);
    }
    size_t count = detect_gpus(gpus, detect, environ, &w->arena);
    for (size_t i = 0; i < count; i++) {
        (void)add_pool(w, &gpus[i]);
    }
    if ((detect & HQ_DETECT_MEM) != 0 && !has_pool(w, "mem")) {
        add_memory(w);
    }
}

/* Known names turn on the readings, whoever gave them. */
static void
watch_gpus(struct workerd *w)
{
    static const struct {
        const char *pool, *word, *family;
    } known[] = {{"gpus/nvidia", "nvidia", "Nvidia"}, {"gpus/amd", "amd", "Amd"}};
    const struct hq_worker_start_args *a = w->start.parsed.args;
    size_t families = 0;

    for (size_t i = 0; i < HQ_ARRAY_LEN(known); i++) {
        if (has_pool(w, known[i].pool)) {
            w->gpu_families[families++] = known[i].family;
        }
        for (size_t k = 0; k < a->resources.count; k++) {
            if (hq_str_is(a->resources.v[k].name, known[i].pool)) {
                hq_log_info("Observing %s GPU usage because of manually passed resource `%s`", known[i].word, known[i].pool);
            }
        }
    }
}

static int
make_pools(struct workerd *w, struct hq_err *err)
{
    const struct hq_worker_start_args *a = w->start.parsed.args;
    int rc = add_given(w, err);

    if (rc == 0 && (a->detect & HQ_DETECT_CPUS) == 0 && !has_pool(w, "cpus")) {
        return hq_err_set(err, -EINVAL,
                          "You have to specify --cpus explicitly when opting out of CPU automatic detection");
    }
    if (rc == 0) {
        add_detected(w, a->detect, a->no_hyper_threading);
        rc = hq_pools_sort(&w->pools, err);
    }
    rc = rc < 0 ? rc : hq_pools_check(&w->pools, err);
    if (rc == 0 && a->coupling.len > 0) {
        rc = hq_coupling_parse(&w->pools, a->coupling, &w->arena, err);
    }
    if (rc == 0) {
        watch_gpus(w);
    }
    return rc;
}

/* ---- hwdetect */

static int
run_hwdetect(int argc, char **argv)
{
    struct workerd w = {0};
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    struct hq_err err = {0};
    int status = hq_start_parse(&w.start, "hq worker hwdetect", hq_hwdetect_opts, HQ_HWDETECT_OPTS,
                                sizeof(struct hq_hwdetect_args), argc, argv, environ);

    if (status >= 0) {
        return status;
    }
    const struct hq_hwdetect_args *a = w.start.parsed.args;
    hq_arena_init(&w.arena, 0);
    w.pools.v = hq_arena_array(&w.arena, 8, sizeof(*w.pools.v));
    status = 0;
    if (manager_detect(&w.manager, HQ_MANAGER_DETECT, environ, &w.arena, &err) < 0) {
        status = hq_start_failed(&w.start, &err);
    } else {
        add_detected(&w, HQ_DETECT_ALL, a->no_hyper_threading);
        if (w.start.out.mode == HQ_OUT_JSON) {
            struct hq_json j;
            hq_json_begin_document(&j, &w.start.out);
            hq_pools_json(&w.pools, &j);
            hq_json_end_document(&j, &w.start.out);
        } else if (w.start.out.mode == HQ_OUT_CLI) {
            hq_pools_print_summary(&w.pools, "\n", ": ", &text);
            hq_out_line(&w.start.out, "Summary:\n%s\n\nFull Description:", text.ptr);
            for (size_t i = 0; i < w.pools.count; i++) {
                hq_buf_clear(&text);
                hq_pool_print_full(&w.pools.v[i], &text);
                hq_out_line(&w.start.out, "%.*s: %s", HQ_STR_FMT(w.pools.v[i].name), text.ptr);
            }
        }
    }
    if (hq_out_finish(&w.start.out) < 0 && status == 0) {
        status = 1;
    }
    hq_arena_fini(&w.arena);
    hq_start_fini(&w.start);
    return status;
}

/* ---- the process */

/* Ours goes up to the hard limit; tasks get what they would have had without us. */
static void
raise_fd_limit(struct workerd *w)
{
    struct rlimit lim;

    w->fds_max = 1024;
    if (getrlimit(RLIMIT_NOFILE, &lim) < 0) {
        return;
    }
    w->task_nofile = lim;
    if (lim.rlim_cur < lim.rlim_max) {
        lim.rlim_cur = lim.rlim_max;
        w->is_nofile_raised = setrlimit(RLIMIT_NOFILE, &lim) == 0;
    }
    if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
        w->fds_max = (uint32_t)HQ_MIN(lim.rlim_cur, (rlim_t)1 << 20);
    }
}

/* Signals are read from an fd; all threads inherit the mask, tasks get the one we came with. Job control signals keep
 * their effect: Ctrl-Z stops us, fg goes on. */
static int
take_signals(struct workerd *w, struct hq_err *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    w->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    sigaddset(&set, SIGPIPE); /* a write to who is gone gives an error */
    if (w->signal_fd < 0 || sigprocmask(SIG_BLOCK, &set, &w->task_mask) < 0) {
        return hq_err_sys(err, -errno, "Cannot take signals");
    }
    return 0;
}

static int
make_work_dir(struct workerd *w, struct hq_err *err)
{
    const char *tmp = getenv("TMPDIR");

    if (w->conf.work_dir != NULL) {
        w->self.work_dir = hq_str_from(w->conf.work_dir);
    } else {
        char *path = hq_arena_printf(&w->arena, "%s/hq-workerXXXXXX", tmp == NULL || tmp[0] == '\0' ? "/tmp" : tmp);
        if (mkdtemp(path) == NULL) {
            return hq_err_set(err, -errno, "%s", hq_err_os(errno));
        }
        w->temporary = path;
        w->self.work_dir = hq_str_from(hq_arena_printf(&w->arena, "%s/work", path));
    }
    return hq_fs_mkdirs(w->self.work_dir.ptr, 0777, err);
}

static int
bind_any(int family, struct sockaddr_storage *sa)
{
    const int off = 0;
    socklen_t len = sizeof(*sa);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    *sa = (struct sockaddr_storage){.ss_family = (sa_family_t)family};
    if (fd >= 0 && (family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0) &&
        bind(fd, (const struct sockaddr *)sa, len) == 0 && listen(fd, SOMAXCONN) == 0 &&
        getsockname(fd, (struct sockaddr *)sa, &len) == 0) {
        return fd;
    }
    int rc = -errno;
    hq_fs_closep(&fd);
    return rc;
}

/* Where other nodes of a task call (peer.h), by either version of the protocol. */
static int
listen_somewhere(struct workerd *w, struct hq_err *err)
{
    struct sockaddr_storage sa;
    int fd = bind_any(AF_INET6, &sa);

    if (fd < 0) {
        fd = bind_any(AF_INET, &sa);
    }
    if (fd < 0) {
        return hq_err_sys(err, fd, "Cannot bind a port");
    }
    w->listen_fd = fd;
    unsigned port = ntohs(sa.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&sa)->sin6_port
                                                   : ((const struct sockaddr_in *)&sa)->sin_port);
    w->self.listen_address = hq_str_from(hq_arena_printf(&w->arena, "%.*s:%u", HQ_STR_FMT(w->self.hostname), port));
    w->self.addresses = w->addresses;
    w->self.address_count = addresses_find(w->addresses, &w->arena);
    hq_log_info("Listening on port %u", port);
    return 0;
}

static int
take_hostname(struct workerd *w, struct hq_err *err)
{
    const struct hq_worker_start_args *a = w->start.parsed.args;
    char name[256] = {0};

    if (hq_parsed_given(&w->start.parsed, "hostname")) {
        w->self.hostname = a->hostname;
        return a->hostname.len > 0 ? 0 : hq_err_set(err, -EINVAL, "The provided hostname is empty");
    }
    if (gethostname(name, sizeof name - 1) < 0) {
        return hq_err_sys(err, -errno, "Cannot read the host name");
    }
    w->self.hostname = hq_arena_str(&w->arena, hq_str_from(name));
    return 0;
}

static void
describe_self(struct workerd *w)
{
    const struct hq_worker_start_args *a = w->start.parsed.args;
    struct link_worker *s = &w->self;
    bool has_group = w->conf.group != NULL || hq_parsed_given(&w->start.parsed, "group");

    s->group = w->conf.group != NULL                     ? hq_str_from(w->conf.group)
               : has_group                               ? a->group
               : w->manager.manager != HQ_MANAGER_NONE   ? w->manager.job_id
                                                         : HQ_STR("default");
    s->manager = (int)w->manager.manager;
    s->manager_job_id = w->manager.job_id;
    s->manager_time_limit_ms = w->manager.time_left_ms;
    s->manager_memory_mb = w->manager.memory_mb;
    s->heartbeat_ms = w->conf.heartbeat_ms;
    s->idle_timeout_ms = w->conf.idle_timeout_ms;
    s->is_idle_timeout_set = w->conf.is_idle_timeout_set;
    s->time_limit_ms = w->conf.time_limit_ms > 0 ? w->conf.time_limit_ms : w->manager.time_left_ms;
    s->overview_ms = w->conf.overview_ms;
    s->retract_check_ms = w->conf.retract_check_ms;
    s->min_utilization_x10000 = a->min_utilization_x10000;
    s->on_server_lost = (enum hq_on_server_lost)w->conf.on_server_lost;
    s->pid = (uint32_t)getpid();
    s->pools = &w->pools;
    s->gpu_families = w->gpu_families;
    s->started_ms = w->started_ms;
    randombytes_buf(s->incarnation, sizeof s->incarnation);
    if (hq_owner_self(&w->owner, NULL) == 0) {
        s->boot_id = hq_str_from(w->owner.boot_id);
    }
}

static int
load_access(struct workerd *w, struct hq_err *err)
{
    const struct hq_str given = w->start.globals.server_dir;
    bool is_default;
    int rc = hq_serverdir_path(&w->server_dir, given.len > 0 ? hq_arena_strz(&w->arena, given) : NULL, &is_default, err);

    rc = rc < 0 ? rc : hq_serverdir_load_worker(&w->access, &w->instance, w->server_dir.ptr, err);
    if (rc == 0) {
        hq_log_info("Connecting to: %s:%u", w->access.worker.host, w->access.worker.port);
    }
    return rc;
}

static void
on_registered(void *ctx, uint32_t worker_id)
{
    struct workerd *w = ctx;
    const struct link_worker *s = &w->self;
    struct hq_worker_view v = {.worker_id = worker_id,
                               .state = HQ_WORKER_RUNNING,
                               .hostname = s->hostname,
                               .started_at_ms = s->started_ms,
                               .listen_address = s->listen_address,
                               .work_dir = s->work_dir,
                               .heartbeat_ms = s->heartbeat_ms,
                               .idle_timeout_ms = s->idle_timeout_ms,
                               .overview_ms = s->overview_ms,
                               .time_limit_ms = s->time_limit_ms,
                               .min_utilization_x10000 = s->min_utilization_x10000,
                               .on_server_lost = s->on_server_lost,
                               .pools = s->pools,
                               .pid = (int32_t)s->pid,
                               .group = s->group,
                               .manager = s->manager,
                               .manager_job_id = s->manager_job_id};

    hq_worker_view_print_start(&v, &w->start.out);
    w->start.out.has_document = true;
    hq_out_flush(&w->start.out);
    (void)hq_sdnotify("READY=1"); /* nobody may listen */
}

static uint32_t
launcher_threads(const struct workerd *w)
{
    cpu_set_t set;

    if (w->conf.launcher_threads > 0) {
        return (uint32_t)w->conf.launcher_threads;
    }
    int cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 2;
    return HQ_MIN(HQ_MAX((uint32_t)cpus, 1u), LAUNCHERS_MAX_AUTO);
}

/* Before the loop: looking a name up may take its time. */
static void
log_candidates(const struct hq_access_side *server)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;

    if (!server->has_key) {
        hq_log_warn("No worker key: Unauthenticated and unencrypted connection to server");
    }
    if (hq_net_addresses(server->host, server->port, &text) < 0) {
        hq_buf_printf(&text, "%s:%u", server->host, server->port);
    }
    hq_log_info("Connecting to server (candidate addresses = [%s])", text.ptr);
}

static int
run_shell(struct workerd *w, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf hq_path = HQ_BUF_INIT, stepd_path = HQ_BUF_INIT;
    const char *tmp = getenv("TMPDIR");
    bool has_hq = hq_sibling_path(&hq_path, "hq", NULL) == 0;
    bool has_stepd = hq_sibling_path(&stepd_path, "hq-stepd", NULL) == 0;
    struct wshell_conf conf = {.loop = w->loop,
                               .worker = w->self,
                               .server_dir = w->server_dir.ptr,
                               .access = &w->access,
                               .tmp_dir = tmp == NULL || tmp[0] == '\0' ? "/tmp" : tmp,
                               .hq_path = has_hq ? hq_path.ptr : NULL,
                               .stepd_path = has_stepd ? stepd_path.ptr : NULL,
                               .listen_fd = w->listen_fd,
                               .envp = environ,
                               .task_mask = &w->task_mask,
                               .task_nofile = w->is_nofile_raised ? &w->task_nofile : NULL,
                               .fds_max = w->fds_max,
                               .launcher_threads = launcher_threads(w),
                               .signal_fd = w->signal_fd,
                               .ctx = w,
                               .on_registered = on_registered};

    log_candidates(&w->access.worker);
    int rc = wshell_create(&w->shell, &conf, err);
    return rc < 0 ? 1 : wshell_run(w->shell, err);
}

static int
begin(struct workerd *w, struct hq_err *err)
{
    const struct hq_worker_start_args *a = w->start.parsed.args;

    hq_log_info("HyperQueue %s", HQ_VERSION);
    if (w->conf.heartbeat_ms < HEARTBEAT_MS_MIN) {
        return hq_err_set(err, -EINVAL, "The heartbeat must be at least %dms", HEARTBEAT_MS_MIN);
    }
    int rc = take_hostname(w, err);
    rc = rc < 0 ? rc : manager_detect(&w->manager, (enum hq_manager_choice)a->manager, environ, &w->arena, err);
    rc = rc < 0 ? rc : make_pools(w, err);
    if (rc < 0) {
        return rc;
    }
    hq_log_info("Starting hyperqueue worker");
    rc = make_work_dir(w, err);
    rc = rc < 0 ? rc : load_access(w, err);
    rc = rc < 0 ? rc : listen_somewhere(w, err);
    if (rc < 0) {
        return rc;
    }
    describe_self(w);
    raise_fd_limit(w);
    rc = take_signals(w, err);
    w->loop = rc < 0 ? NULL : ev_loop_new(EVFLAG_AUTO); /* not the default loop: that one takes SIGCHLD */
    return rc == 0 && w->loop == NULL ? hq_err_set(err, -EIO, "The event loop could not be made") : rc;
}

static void
end(struct workerd *w)
{
    wshell_destroy(w->shell);
    if (w->loop != NULL) {
        ev_loop_destroy(w->loop);
    }
    if (w->temporary != NULL) {
        taskdir_remove(w->temporary);
    }
    hq_fs_closep(&w->listen_fd);
    hq_fs_closep(&w->signal_fd);
    hq_access_fini(&w->access);
    hq_buf_fini(&w->instance);
    hq_buf_fini(&w->server_dir);
    hq_arena_fini(&w->arena);
    hq_start_fini(&w->start);
}

int
main(int argc, char **argv)
{
    struct workerd w = {.listen_fd = -1, .signal_fd = -1, .started_ms = hq_clock_wall_ms()};
    struct hq_err err = {0};

    if (sodium_init() < 0) {
        return 1;
    }
    if (argc > 1 && strcmp(argv[1], "hwdetect") == 0) {
        return run_hwdetect(argc - 1, argv + 1);
    }
    int status = hq_start_parse(&w.start, "hq worker start", hq_worker_start_opts, HQ_WORKER_START_OPTS,
                                sizeof(struct hq_worker_start_args), argc, argv, environ);
    if (status >= 0) {
        return status;
    }
    hq_arena_init(&w.arena, 0);
    const struct hq_worker_start_args *a = w.start.parsed.args;
    int rc = wconf_load(&w.conf, &w.settings, &w.start, environ, &w.arena, &err);
    if (rc == 0 && a->print_config) {
        HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
        hq_settings_print(&w.settings, &text);
        hq_out_str(&w.start.out, hq_buf_view(&text));
        w.start.out.has_document = true;
        status = hq_out_finish(&w.start.out) < 0;
    } else {
        rc = rc < 0 ? rc : begin(&w, &err);
        status = rc < 0 ? 1 : run_shell(&w, &err);
        if (status != 0) {
            status = hq_start_failed(&w.start, &err);
        }
        if (hq_out_finish(&w.start.out) < 0) {
            hq_log_warn("The worker table could not be printed");
        }
    }
    end(&w);
    return status;
}
