/* treekill.c - a list of kills under way, and the sweep of orphans. */
#include "hq-workerd/treekill.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/num.h"

#define RETRY_MS 10                    /* the process is not there yet */
#define CHILDREN_BYTES_MAX 65536u      /* of one look: about 9,000 orphans; the rest has its turn at the next */
#define ENVIRON_BYTES_MAX ((size_t)4 << 20)

struct kill {
    struct launcher_run run;
    hq_ms next_ms;
    bool was_asked; /* SIGINT was sent */
};

struct treekill {
    struct launcher *launcher;
    struct hq_str key_socket;
    treekill_is_alive_fn is_alive; /* NULL = only runs have secrets */
    void *ctx;
    int children_fd; /* /proc/self/task/TID/children of the main thread; -1 = the kernel has none */
    struct kill *kills;
    size_t count, cap;
    hq_ms sweep_at_ms; /* INT64_MAX = none */
};

int
treekill_create(struct treekill **ret, struct launcher *l, const char *key_socket, struct hq_err *err)
{
    char path[64];
    struct treekill *t = hq_try_alloc(sizeof(*t));

    if (t == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot watch process trees");
    }
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
        hq_log_warn("Processes that leave their task can't be followed: %s", hq_err_os(errno));
    }
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    t->children_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (t->children_fd < 0) {
        hq_log_warn("Processes that leave their task can't be found: %s", hq_err_os(errno));
    }
    t->launcher = l;
    t->key_socket = hq_str_from(key_socket);
    t->sweep_at_ms = INT64_MAX;
    *ret = t;
    return 0;
}

void
treekill_destroy(struct treekill *t)
{
    if (t == NULL) {
        return;
    }
    hq_fs_closep(&t->children_fd);
    free(t->kills);
    free(t);
}

void
treekill_set_alive(struct treekill *t, treekill_is_alive_fn fn, void *ctx)
{
    t->is_alive = fn;
    t->ctx = ctx;
}

/* One step of a kill; false when it is over. */
static bool
kill_step(struct treekill *t, struct kill *k, hq_ms now_ms)
{
    int rc = launcher_signal(t->launcher, k->run, k->was_asked ? SIGKILL : SIGINT);

    if (rc == -EAGAIN) {
        k->next_ms = now_ms + RETRY_MS;
        return true;
    }
    bool go_on = rc == 0 && !k->was_asked;
    k->was_asked = true;
    k->next_ms = now_ms + TREEKILL_GRACE_MS;
    return go_on;
}

void
treekill_start(struct treekill *t, struct launcher_run run, hq_ms now_ms)
{
    struct kill k = {.run = run};

    for (size_t i = 0; i < t->count; i++) {
        if (t->kills[i].run.serial == run.serial) {
            return;
        }
    }
    if (hq_try_grow(&t->kills, &t->cap, t->count + 1, sizeof(*t->kills)) < 0) {
        (void)launcher_signal(t->launcher, run, SIGKILL); /* it has ended, or will at its own pace */
        return;
    }
    if (kill_step(t, &k, now_ms)) {
        t->kills[t->count++] = k;
    }
}

void
treekill_on_ended(struct treekill *t, hq_ms now_ms)
{
    if (t->children_fd >= 0 && t->sweep_at_ms == INT64_MAX) {
        t->sweep_at_ms = now_ms + TREEKILL_SWEEP_MS;
    }
}

/* The secret of the task that process `pid` belongs to, by its environment. False: it says nothing. */
static bool
orphan_secret(const struct treekill *t, pid_t pid, struct hq_buf *environment, struct hq_str *ret)
{
    static const char name[] = "HQ_ACCESS_KEY=";
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%d/environ", pid);
    hq_buf_clear(environment);
    if (hq_fs_read(environment, path, ENVIRON_BYTES_MAX, NULL) < 0) {
        return false;
    }
    struct hq_str rest = hq_buf_view(environment), var;
    for (bool more = true; more;) {
        more = hq_str_split(&rest, '\0', &var);
        if (!hq_str_starts(var, hq_str_make(name, sizeof name - 1))) {
            continue;
        }
        var = hq_str_sub(var, sizeof name - 1, var.len);
        if (!hq_str_starts(var, t->key_socket) || var.len <= t->key_socket.len || var.ptr[t->key_socket.len] != ':') {
            return false; /* of another worker */
        }
        *ret = hq_str_sub(var, t->key_socket.len + 1, var.len);
        return true;
    }
    return false;
}

static bool
secret_is_alive(const struct treekill *t, struct hq_str secret)
{
    uint32_t job, task;

    return launcher_check_secret(t->launcher, secret, &job, &task) ||
           (t->is_alive != NULL && t->is_alive(t->ctx, secret));
}

static void
sweep_one(const struct treekill *t, pid_t pid, bool all, struct hq_buf *environment)
{
    struct hq_str secret;
    bool is_known = orphan_secret(t, pid, environment, &secret);

    /* Who hides the key is spared while any task runs: it may belong to that one. */
    bool is_alive = is_known ? secret_is_alive(t, secret) : launcher_running(t->launcher) > 0;
    if (all || !is_alive) {
        (void)kill(pid, SIGKILL); /* ours and not reaped: the number is nobody else's */
    }
}

static void
reap_orphans(void)
{
    siginfo_t info = {0};

    /* Of this thread only: tasks are children of the launcher threads, who wait for them. */
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WNOTHREAD) == 0 && info.si_pid != 0) {
        info.si_pid = 0;
    }
}

/* True when somebody was there. */
static bool
sweep(const struct treekill *t, bool all)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf environment = HQ_BUF_INIT;
    HQ_AUTO(hq_mem_freep) char *list = NULL;

    reap_orphans();
    if (t->children_fd < 0 || (list = hq_try_alloc(CHILDREN_BYTES_MAX)) == NULL) {
        return false;
    }
    ssize_t len = pread(t->children_fd, list, CHILDREN_BYTES_MAX - 1, 0);
    if (len <= 0) {
        return false;
    }
    struct hq_str rest = hq_str_make(list, (size_t)len), word;
    for (bool more = true; more;) {
        uint32_t pid;
        more = hq_str_split(&rest, ' ', &word);
        if (hq_num_u32(hq_str_trim(word), &pid, NULL) == 0 && pid > 1 && pid <= INT32_MAX) {
            sweep_one(t, (pid_t)pid, all, &environment);
        }
    }
    reap_orphans();
    return true;
}

void
treekill_on_time(struct treekill *t, hq_ms now_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < t->count; i++) {
        struct kill *k = &t->kills[i];
        if (k->next_ms > now_ms || kill_step(t, k, now_ms)) {
            t->kills[kept++] = *k;
        }
    }
    t->count = kept;
    if (now_ms >= t->sweep_at_ms) {
        /* Whoever was just killed may leave orphans of its own, and those of running tasks may outlive them. */
        t->sweep_at_ms = sweep(t, false) ? now_ms + TREEKILL_SWEEP_MS : INT64_MAX;
    }
}

hq_ms
treekill_next_ms(const struct treekill *t)
{
    hq_ms next = t->sweep_at_ms;

    for (size_t i = 0; i < t->count; i++) {
        next = HQ_MIN(next, t->kills[i].next_ms);
    }
    return next;
}

void
treekill_all_orphans(struct treekill *t)
{
    for (int i = 0; i < 64 && sweep(t, true); i++) { /* each round ends one generation */
    }
}
