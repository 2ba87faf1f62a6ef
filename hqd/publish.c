#include "hqd/publish.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/wire.h"
#include "hqd/convert.h"

#include "proto/note.pb-c.h"

#define GAP_MS (1000 / PUBLISH_PER_S)

void
publish_init(struct publish *p, struct hq_net_pub *pub, struct hq_str incarnation, uint64_t seed)
{
    *p = (struct publish){.pub = pub, .incarnation = incarnation};
    hq_map_init(&p->by_key, seed);
    TAILQ_INIT(&p->marked);
    TAILQ_INIT(&p->quiet);
}

static void
free_all(struct topics *list)
{
    struct topic *t;
    while ((t = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, t, link);
        free(t);
    }
}

void
publish_fini(struct publish *p)
{
    free_all(&p->marked);
    free_all(&p->quiet);
    hq_map_fini(&p->by_key);
    hq_buf_fini(&p->scratch);
}

void
publish_mark(struct publish *p, const struct note *note, uint64_t after_seq)
{
    uint64_t key = hq_map_key2((uint32_t)note->topic + 1, note->topic == NOTE_JOB ? note->job.v : 0);
    struct topic *t = hq_map_get_ptr(&p->by_key, key);
    if (t == NULL) {
        t = hq_xalloc(sizeof *t);
        t->key = key;
        t->sent_ms = INT64_MIN / 2;
        hq_map_set_ptr(&p->by_key, key, t);
        TAILQ_INSERT_TAIL(&p->marked, t, link);
    } else if (!t->is_marked) {
        TAILQ_REMOVE(&p->quiet, t, link);
        TAILQ_INSERT_TAIL(&p->marked, t, link);
    }
    t->is_marked = true;
    t->after_seq = after_seq;
}

static void
send_note(struct publish *p, const struct topic *t, uint64_t committed_seq)
{
    char name[32];
    uint32_t kind = (uint32_t)(t->key >> 32) - 1;
    if (kind == NOTE_JOB) {
        (void)snprintf(name, sizeof name, "job/%" PRIu32, (uint32_t)t->key);
    } else {
        (void)snprintf(name, sizeof name, "%s", kind == NOTE_WORKER ? "worker" : "server");
    }
    Hq__Note m;
    hq__note__init(&m);
    m.hqd_incarnation = conv_bytes(p->incarnation);
    m.newest_record = committed_seq;
    m.topic = conv_bytes(hq_str_from(name));
    hq_buf_clear(&p->scratch);
    if (hq_wire_pack(&p->scratch, HQ__MESSAGE_TYPE__TYPE_NOTE, 0, &m.base, NULL) == 0) {
        hq_net_pub_send(p->pub, hq_buf_view(&p->scratch));
    }
}

hq_ms
publish_flush(struct publish *p, uint64_t committed_seq, hq_ms now_ms)
{
    hq_ms next_ms = INT64_MAX;
    struct topic *next;
    for (struct topic *t = TAILQ_FIRST(&p->marked); t != NULL; t = next) {
        next = TAILQ_NEXT(t, link);
        if (t->after_seq > committed_seq) {
            continue; /* its commit will come here again */
        }
        if (t->sent_ms + GAP_MS > now_ms) {
            next_ms = HQ_MIN(next_ms, t->sent_ms + GAP_MS);
            continue;
        }
        if (p->pub != NULL) {
            send_note(p, t, committed_seq);
        }
        t->is_marked = false;
        t->sent_ms = now_ms;
        TAILQ_REMOVE(&p->marked, t, link);
        TAILQ_INSERT_TAIL(&p->quiet, t, link);
    }
    struct topic *old;
    while ((old = TAILQ_FIRST(&p->quiet)) != NULL && old->sent_ms + GAP_MS <= now_ms - 1000) {
        TAILQ_REMOVE(&p->quiet, old, link);
        (void)hq_map_del(&p->by_key, old->key);
        free(old);
    }
    return next_ms;
}
