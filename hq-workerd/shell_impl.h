/* shell_impl.h - state shared by shell.c (life, timers, end), shell_effects.c (agent), shell_link.c (hqd) and shell_step.c
 * (tasks of several nodes). */
#ifndef HQ_WORKERD_SHELL_IMPL_H
#define HQ_WORKERD_SHELL_IMPL_H

#include <ev.h>

#include "hq-workerd/core/agent.h"
#include "hq-workerd/core/lifetime.h"
#include "hq-workerd/launcher.h"
#include "hq-workerd/link.h"
#include "hq-workerd/measure.h"
#include "hq-workerd/shell.h"
#include "hq-workerd/stdin.h"
#include "hq-workerd/step.h"
#include "hq-workerd/tasksock.h"
#include "hq-workerd/treekill.h"

struct wshell {
    struct wshell_conf conf;
    struct agent *agent;
    struct report *report;
    struct launcher *launcher;
    struct link *link;
    struct lifetime lifetime;
    struct treekill *treekill;
    struct tasksock *tasksock;
    struct measure *measure;
    struct stdin_store *stdin_store;
    struct steps *steps;
    uint32_t *cpus; /* of this node, os indices */
    size_t cpu_count;
    struct run_conf run_conf;
    char *server_uid;
    ev_io launcher_ready;
    ev_io signal_ready;
    ev_timer poll;  /* looks at the launcher again without being woken */
    ev_timer tick;  /* the next thing that is due */
    ev_timer watchdog;
    hq_ms retract_check_at_ms;
    hq_ms overview_at_ms; /* INT64_MAX = none */
    int64_t overview_ms;
    uint64_t ended_count;  /* in the present window */
    hq_ms rate_since_ms;
    uint64_t rate_per_s;   /* tasks that end */
    enum lifetime_end end;
    hq_ms end_by_ms;
    bool is_connected;
    bool has_left;       /* while ending: hqd knows, or does not listen */
    bool is_first_time;  /* not registered yet */
    struct hq_err refusal;
    int exit_status;
};

/* Carries out all effects, then sets timers and tells link. */
void wshell_after(struct wshell *s);
void wshell_do_effects(struct wshell *s);
/* Puts what the launcher has told so far into agent and report; effects follow in the next turn of the loop. */
void wshell_take_events(struct wshell *s);
/* shell_step.c: tasks of several nodes or ranks */
HQ_MUST_CHECK int wshell_make_steps(struct wshell *s, struct hq_err *err);
HQ_MUST_CHECK int wshell_do_join(struct wshell *s, struct link_command *c, struct hq_err *err);
void wshell_on_frames(void *ctx, int fd, struct hq_str bytes);
extern const struct link_calls wshell_link_calls; /* ctx is to be set */
/* hqd has commands, or ends: shell_link.c. */
void wshell_begin_end(struct wshell *s, enum lifetime_end why);

#endif
