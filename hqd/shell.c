#include "hqd/shell_impl.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/sdnotify.h"
#include "hqd/egress.h"

#define HANG_UP_WAIT_MS 1000 /* for peers to take their last answers */

struct core_now
shell_now(const struct shell *s)
{
    return (struct core_now){
        .mono_ms = hq_clock_ms(), .wall_ms = hq_clock_wall_ms(), .committed_seq = s->committed_seq};
}

/* ---- requests */

static void
drop_peer(struct shell *s, enum peer_door door, const struct hq_net_peer *net, const char *why)
{
    uint32_t dropped;
    if (hq_ratelimit_pass(&s->bad_peer_log, hq_clock_ms(), &dropped)) {
        hq_log_warn("Peer dropped: %s peer=%s more=%u", why, net->addr, dropped);
    }
    if (door == PEER_CLIENTS) {
        net_client_on_gone(s, net->id);
    } else {
        net_turn_on_gone(s, net->id);
    }
    hq_net_kick(s->net[door], net->id);
}

bool
shell_receive(struct shell *s, enum peer_door door, const struct hq_net_peer *net, const struct hq_net_req *req,
              struct hq_str payload, struct ingress_msg *ret, struct peer **ret_peer, uint64_t *ret_handle)
{
    hq_arena_reset(&s->in_arena);
    hq_arena_reset(&s->conv_arena);
    struct hq_err err = {0};
    int rc = ingress_open(door, payload, &s->in_arena, ret, &err);
    if (rc == -EPROTO) {
        drop_peer(s, door, net, err.text);
        return false;
    }
    if (rc < 0) { /* told, so that an old client knows why */
        hq_buf_clear(&s->answer_bytes);
        egress_error(&s->answer_bytes, ret->head.request_id, err.code, hq_str_from(err.text));
        (void)hq_net_answer(s->net[door], req, hq_buf_view(&s->answer_bytes)); /* a peer that has gone is fine */
        return false;
    }
    *ret_peer = peers_get(&s->peers, door, net);
    *ret_handle =
        request_open(&s->peers, *ret_peer, req, ret->head.request_id, ret->row->input == INPUT_TURN);
    return true;
}

static void
on_bad_peer(void *shell, const char *addr, const char *why)
{
    struct shell *s = shell;
    uint32_t dropped;
    if (hq_ratelimit_pass(&s->bad_peer_log, hq_clock_ms(), &dropped)) {
        hq_log_warn("Peer dropped: %s peer=%s more=%u", why, addr, dropped);
    }
}

/* ---- end of a turn */

static void
arm(struct ev_loop *loop, ev_timer *t, hq_ms at_ms)
{
    if (at_ms == INT64_MAX) {
        ev_timer_stop(loop, t);
        return;
    }
    hq_ms wait_ms = HQ_MAX(at_ms - hq_clock_ms(), (hq_ms)0);
    double wait_s = (double)HQ_MIN(wait_ms, (hq_ms)86400000) / 1e3;
    ev_now_update(loop);
    ev_timer_stop(loop, t);
    ev_timer_set(t, wait_s, 0.);
    ev_timer_start(loop, t);
}

/* What waits for time or for the journal's marks. */
static void
progress(struct shell *s)
{
    hq_ms now_ms = hq_clock_ms();
    outbox_release(&s->outbox, s->written_seq, s->committed_seq, now_ms);
    if (s->outbox.late_count > 0) {
        uint32_t dropped;
        if (hq_ratelimit_pass(&s->late_log, now_ms, &dropped)) {
            hq_log_warn("The journal is slow: answered with what is not on disk yet answers=%llu",
                        (unsigned long long)s->outbox.late_count);
        }
        s->outbox.late_count = 0;
    }
    hq_ms next_ms = follow_progress(s, now_ms);
    next_ms = HQ_MIN(next_ms, alloc_turn_progress(s, now_ms));
    next_ms = HQ_MIN(next_ms, supervise_progress(&s->supervise, now_ms));
    next_ms = HQ_MIN(next_ms, publish_flush(&s->publish, s->committed_seq, now_ms));
    next_ms = HQ_MIN(next_ms, outbox_next_ms(&s->outbox));
    if (s->is_stopping) {
        next_ms = HQ_MIN(next_ms, s->stop_until_ms);
    }
    arm(s->loop, &s->wait_timer, next_ms);
}

void
shell_arm_wait_timer(struct shell *s)
{
    s->is_dirty = true; /* the end of this turn arms it */
}

void
shell_begin_stop(struct shell *s)
{
    if (!s->is_stopping) {
        hq_log_info("Stopping server");
        (void)hq_sdnotify("STOPPING=1"); /* nobody may listen */
        s->is_stopping = true;
        s->stop_until_ms = hq_clock_ms() + STOP_WAIT_MS;
    }
}

static void
end(struct shell *s, enum shell_end how)
{
    if (!s->is_ending) {
        s->end = how;
        s->is_ending = true;
        ev_break(s->loop, EVBREAK_ALL);
    }
}

/* An orderly end is over when everything is on disk and all answers have left. */
static void
check_stop(struct shell *s)
{
    hq_ms now_ms = hq_clock_ms();
    bool is_late = now_ms >= s->stop_until_ms;
    bool is_on_disk = s->committed_seq >= journal_appended_seq(s->journal);
    hq_ms back_ms = is_on_disk ? follow_stop(s, now_ms) : 0;
    bool is_told = is_on_disk && back_ms == 0 && outbox_is_empty(&s->outbox) && s->reads_out == 0;
    if (is_told || is_late) {
        end(s, is_on_disk ? SHELL_END_ORDERLY : SHELL_END_FAILED);
    } else if (back_ms != 0) {
        arm(s->loop, &s->wait_timer, back_ms);
    }
}

static void
on_turn_end(struct ev_loop *loop, ev_prepare *w, int revents)
{
    struct shell *s = w->data;
    (void)loop;
    (void)revents;
    if (!s->is_dirty) {
        return;
    }
    s->is_dirty = false;
    s->alloc_turn.is_look_due = true;
    struct core_now now = shell_now(s);
    effects_clear(&s->fx);
    core_schedule(s->core, &now, &s->fx);
    shell_carry_out(s);
    journal_submit(s->journal, s->wants_commit, !STAILQ_EMPTY(&s->outbox.written));
    s->wants_commit = false;
    progress(s);
    arm(s->loop, &s->core_timer, core_next_timer(s->core));
    if (s->is_stopping) {
        check_stop(s);
    }
}

void
shell_on_journal(void *shell)
{
    struct shell *s = shell;
    struct hq_err why = {0};
    s->written_seq = journal_written_seq(s->journal);
    uint64_t committed_seq = journal_committed_seq(s->journal);
    s->follow.is_look_due = s->follow.is_look_due || committed_seq > s->committed_seq;
    s->committed_seq = committed_seq;
    if (journal_lost(s->journal, NULL)) { /* main tells why */
        end(s, SHELL_END_LOST);
        return;
    }
    bool is_failing = journal_failing(s->journal, &why);
    if (is_failing && !s->was_failing) {
        hq_log_error("%s; changes are refused until it can be written again", why.text);
    } else if (!is_failing && s->was_failing) {
        hq_log_info("Journal is written again");
    }
    s->was_failing = is_failing;
    texts_progress(s);
    s->is_dirty = true; /* receipts of turns may leave; the end of this turn releases the rest */
}

static void
on_core_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct shell *s = w->data;
    (void)loop;
    (void)revents;
    struct input in = {.kind = INPUT_TIMER};
    shell_step(s, &in);
}

static void
on_wait_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct shell *s = w->data;
    (void)loop;
    (void)revents;
    s->is_dirty = true;
}

static void
on_watchdog(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop;
    (void)w;
    (void)revents;
    (void)hq_sdnotify("WATCHDOG=1"); /* the next one may get through */
}

static void
on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
    struct shell *s = w->data;
    (void)loop;
    (void)revents;
    if (w->signum == SIGHUP) {
        if (s->conf.has_terminal) {
            hq_log_info("Terminal closed: workers go on, the next start resumes");
            end(s, SHELL_END_HANGUP);
        } else if (s->conf.reload != NULL) {
            s->conf.reload(s->conf.ctx);
        }
        return;
    }
    hq_log_info("Received %s, attempting to stop", w->signum == SIGINT ? "SIGINT" : "SIGTERM");
    struct input in = {.kind = INPUT_SERVER_STOP,
                       .from = {.handle = request_open_own(&s->peers), .uid = s->peers.owner_uid}};
    if (alloc_turn_hold_stop(s, &in.from)) {
        return;
    }
    shell_step(s, &in);
}

/* ---- create */

static int
open_door(struct shell *s, enum peer_door door, struct hq_err *err)
{
    bool is_client = door == PEER_CLIENTS;
    struct hq_net_server_conf conf = {
        .loop = s->loop,
        .role = is_client ? HQ_ROLE_CLIENT : HQ_ROLE_WORKER,
        .host = "0.0.0.0",
        .port = is_client ? s->conf.client_port : s->conf.worker_port,
        .ipc_path = is_client ? s->conf.ipc_path : NULL,
        .secret = is_client ? s->conf.client_key : s->conf.worker_key,
        .ipc_uid = (uint32_t)getuid(),
        .ctx = s,
        .on_request = is_client ? net_client_on_request : net_turn_on_request,
        .on_peer_gone = is_client ? net_client_on_gone : net_turn_on_gone,
        .on_bad_peer = on_bad_peer,
    };
    int rc = hq_net_server_create(&s->net[door], &conf, err);
    if (rc == -EADDRINUSE && s->conf.is_port_soft && conf.port != 0) {
        hq_log_warn("Port %u is taken: another one is used", conf.port);
        conf.port = 0;
        rc = hq_net_server_create(&s->net[door], &conf, err);
    }
    if (rc < 0) {
        (void)hq_err_set(err, rc, "%s", hq_err_os(rc));
        return hq_err_wrap(err, "Cannot create HQ server socket");
    }
    return 0;
}

/* Notes are hints: a hqd that can't publish works, its clients poll. */
static void
open_publisher(struct shell *s)
{
    struct sockaddr_un sun;
    struct hq_err err = {0};
    const char *path = s->conf.ipc_path;
    if (path != NULL && path[0] != '@' && strlen(path) + 3 <= sizeof sun.sun_path) {
        struct hq_buf b = HQ_BUF_INIT;
        hq_buf_printf(&b, "%s.n", path);
        s->note_ipc = hq_buf_take(&b);
        (void)unlink(s->note_ipc); /* of an instance that died */
    }
    randombytes_buf(s->note_key, sizeof s->note_key);
    const unsigned char *key = s->conf.client_key == NULL ? NULL : s->note_key;
    if (hq_net_pub_create(&s->pub, s->loop, "0.0.0.0", s->note_ipc, key, &err) < 0) {
        hq_log_warn("Notes can't be published: %s", err.text);
        s->pub = NULL;
    }
}

static void
init_watchers(struct shell *s)
{
    ev_prepare_init(&s->turn_end, on_turn_end);
    ev_init(&s->core_timer, on_core_timer);
    ev_init(&s->wait_timer, on_wait_timer);
    ev_init(&s->watchdog, on_watchdog);
    ev_signal_init(&s->sigint, on_signal, SIGINT);
    ev_signal_init(&s->sigterm, on_signal, SIGTERM);
    ev_signal_init(&s->sighup, on_signal, SIGHUP);
    s->turn_end.data = s->core_timer.data = s->wait_timer.data = s->watchdog.data = s;
    s->sigint.data = s->sigterm.data = s->sighup.data = s;
}

int
shell_create(struct shell **ret, const struct shell_conf *conf, struct hq_err *err)
{
    struct shell *s = hq_xalloc(sizeof *s);
    s->conf = *conf;
    s->loop = conf->loop;
    s->core = conf->core;
    uint64_t seed;
    randombytes_buf(&seed, sizeof seed);
    peers_init(&s->peers, seed, (uint32_t)getuid());
    outbox_init(&s->outbox, shell_send, shell_on_late, s);
    follow_init(&s->follow);
    alloc_turn_init(&s->alloc_turn);
    supervise_init(&s->supervise, s, conf->allocd_dir);
    effects_init(&s->fx);
    hq_arena_init(&s->in_arena, INGRESS_ARENA_BYTES_MAX);
    hq_arena_init(&s->conv_arena, 0);
    STAILQ_INIT(&s->texts_waiting);
    s->bad_peer_log = (struct hq_ratelimit){.burst = 5, .period_ms = 10000};
    s->late_log = (struct hq_ratelimit){.burst = 1, .period_ms = 10000};
    init_watchers(s);
    int rc = open_door(s, PEER_CLIENTS, err);
    if (rc == 0) {
        rc = open_door(s, PEER_WORKERS, err);
    }
    if (rc == 0) {
        open_publisher(s);
        publish_init(&s->publish, s->pub, conf->identity.incarnation, seed);
        *ret = s;
        return 0;
    }
    publish_init(&s->publish, NULL, conf->identity.incarnation, seed);
    shell_destroy(s);
    return rc;
}

void
shell_destroy(struct shell *s)
{
    if (s == NULL) {
        return;
    }
    ev_prepare_stop(s->loop, &s->turn_end);
    ev_timer_stop(s->loop, &s->core_timer);
    ev_timer_stop(s->loop, &s->wait_timer);
    ev_timer_stop(s->loop, &s->watchdog);
    ev_signal_stop(s->loop, &s->sigint);
    ev_signal_stop(s->loop, &s->sigterm);
    ev_signal_stop(s->loop, &s->sighup);
    hq_net_server_destroy(s->net[PEER_CLIENTS], HANG_UP_WAIT_MS);
    hq_net_server_destroy(s->net[PEER_WORKERS], HANG_UP_WAIT_MS);
    hq_net_pub_destroy(s->pub);
    if (s->note_ipc != NULL) {
        (void)unlink(s->note_ipc);
    }
    supervise_fini(&s->supervise);
    alloc_turn_fini(&s->alloc_turn);
    follow_fini(&s->follow);
    publish_fini(&s->publish);
    outbox_fini(&s->outbox);
    peers_fini(&s->peers);
    effects_fini(&s->fx);
    hq_arena_fini(&s->in_arena);
    hq_arena_fini(&s->conv_arena);
    hq_buf_fini(&s->record_bytes);
    hq_buf_fini(&s->answer_bytes);
    free(s->note_ipc);
    free(s);
}

uint16_t
shell_client_port(const struct shell *s)
{
    return hq_net_server_port(s->net[PEER_CLIENTS]);
}

uint16_t
shell_worker_port(const struct shell *s)
{
    return hq_net_server_port(s->net[PEER_WORKERS]);
}

void
shell_start(struct shell *s, struct journal *journal)
{
    s->journal = journal;
    s->written_seq = journal_written_seq(journal);
    s->committed_seq = journal_committed_seq(journal);
    struct core_now now = shell_now(s);
    effects_clear(&s->fx);
    core_resume(s->core, &s->conf.identity, &now, &s->fx);
    shell_carry_out(s);
    s->is_dirty = true;
    s->wants_commit = true;
    ev_prepare_start(s->loop, &s->turn_end);
    ev_signal_start(s->loop, &s->sigint);
    ev_signal_start(s->loop, &s->sigterm);
    struct sigaction hup;
    if (sigaction(SIGHUP, NULL, &hup) < 0 || hup.sa_handler != SIG_IGN) { /* nohup means: not this one */
        ev_signal_start(s->loop, &s->sighup);
    }
    hq_ms watchdog_ms = hq_sdnotify_watchdog_ms();
    if (watchdog_ms > 0) {
        ev_timer_set(&s->watchdog, (double)watchdog_ms / 1e3, (double)watchdog_ms / 1e3);
        ev_timer_start(s->loop, &s->watchdog);
    }
}

enum shell_end
shell_run(struct shell *s, struct hq_err *err)
{
    while (!s->is_ending) {
        ev_run(s->loop, 0);
    }
    if (s->end == SHELL_END_LOST) {
        (void)journal_lost(s->journal, err);
        return s->end;
    }
    if (journal_finish(s->journal, STOP_WAIT_MS, err) < 0) {
        s->end = SHELL_END_FAILED;
    }
    return s->end;
}
