/* shell.h - hqd's loop: everything that touches the world, in the order that keeps promises.
 *
 * Purpose    one turn: drain what arrived -> inputs to the core -> one scheduling pass -> records to the journal ->
 *            release what the journal's marks allow. Timers, signals, orderly end.
 * Ownership  borrows core, journal, loop and bridge from main; owns sockets, peers and what waits for answers.
 * Threads    loop thread; nng's threads and the journal's only hand over by bridge.
 * Units      ms.
 * Limits     limits.h.
 */
#ifndef HQ_HQD_SHELL_H
#define HQ_HQD_SHELL_H

#include "common/bridge.h"
#include "common/net.h"
#include "hqd/core/core.h"
#include "hqd/journal.h"

struct shell;

struct shell_conf {
    struct ev_loop *loop;
    struct hq_bridge *bridge;
    struct core *core;
    struct core_identity identity;   /* its strings outlive the shell */
    const char *client_host;         /* as in the access file */
    const char *worker_host;
    uint16_t client_port;            /* wanted; 0 = any */
    uint16_t worker_port;
    bool is_port_soft;               /* take any port when the wanted one is not free (resume) */
    const unsigned char *client_key; /* NULL = plain frames */
    const unsigned char *worker_key;
    const char *ipc_path;            /* NULL = no local socket */
    const char *allocd_dir;          /* instance directory for hq-allocd; NULL = it is run by somebody else */
    const char *journal_shown;       /* as given by the user; NULL = not given */
    hq_wall_ms started_ms;
    bool has_terminal;               /* SIGHUP ends the process instead of reloading */
    /* SIGHUP without a terminal. */
    void (*reload)(void *ctx);
    void *ctx;
};

/* Opens the sockets. "Cannot create HQ server socket" with its cause. */
HQ_MUST_CHECK int shell_create(struct shell **ret, const struct shell_conf *conf, struct hq_err *err);
void shell_destroy(struct shell *s); /* NULL is fine */
uint16_t shell_client_port(const struct shell *s);
uint16_t shell_worker_port(const struct shell *s);

/* Gives the shell its journal; progress of it must call shell_on_journal. Then resumes the core. */
void shell_start(struct shell *s, struct journal *journal);
void shell_on_journal(void *shell);

enum shell_end {
    SHELL_END_ORDERLY = 0, /* told to stop: everything is on disk */
    SHELL_END_HANGUP = 1,  /* terminal closed: the next start resumes */
    SHELL_END_LOST = 2,    /* another hqd has taken over */
    SHELL_END_FAILED = 3,  /* the end could not be written to the journal */
};
/* Runs until the end; closes sockets so that last answers leave. */
enum shell_end shell_run(struct shell *s, struct hq_err *err);

#endif
