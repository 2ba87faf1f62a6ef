/* shell.h - the worker's loop: carries out what agent, lifetime and link decide.
 *
 * Purpose    owns every part with identity (launcher, link, sockets, timers) and runs until the worker ends.
 * Ownership  borrows what is in the configuration for its whole life.
 * Threads    loop thread (the main thread: orphans come to it).
 * Units      ms.
 * Errors     shell_run: the text that the user reads when the exit status is 1.
 */
#ifndef HQ_WORKERD_SHELL_H
#define HQ_WORKERD_SHELL_H

#include "common/access.h"
#include "hq-workerd/link_msg.h"
#include "hq-workerd/run.h"

struct ev_loop;
struct wshell;

struct wshell_conf {
    struct ev_loop *loop;
    struct link_worker worker;
    const char *server_dir;
    const struct hq_access *access;
    const char *tmp_dir;
    const char *hq_path;            /* NULL = not beside us */
    const char *stepd_path;         /* the same */
    int listen_fd;                  /* where other nodes call */
    char *const *envp;
    const sigset_t *task_mask;
    const struct rlimit *task_nofile; /* NULL = as ours */
    uint32_t fds_max;               /* our own limit */
    uint32_t launcher_threads;
    int signal_fd;                  /* SIGINT, SIGTERM */
    void *ctx;
    void (*on_registered)(void *ctx, uint32_t worker_id); /* the first time */
};

HQ_MUST_CHECK int wshell_create(struct wshell **ret, const struct wshell_conf *conf, struct hq_err *err);
/* Until the end; the exit status. With 1 the reason is in err. */
int wshell_run(struct wshell *s, struct hq_err *err);
void wshell_destroy(struct wshell *s); /* NULL is fine */

#endif
