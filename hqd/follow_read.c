#include "hqd/follow_read.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/mem.h"
#include "hqd/convert.h"
#include "hqd/egress.h"
#include "hqd/shell_impl.h"

#define STRIP_BYTES (400u << 10) /* larger records travel without what no follower shows */

struct taken { /* a record in `out` */
    uint64_t seq;
    size_t end;
};
struct page {
    struct journal_read rd; /* first: the journal gives it back */
    struct shell *s;
    uint64_t handle;
    struct taken *taken;
    size_t taken_count;
    size_t taken_cap;
};

static void
add_varint(struct hq_buf *out, uint64_t v)
{
    for (; v >= 0x80u; v >>= 7) {
        hq_buf_byte(out, (char)(v | 0x80u));
    }
    hq_buf_byte(out, (char)v);
}

static size_t
varint_bytes(uint64_t v)
{
    size_t n = 1;
    for (; v >= 0x80u; v >>= 7) {
        n++;
    }
    return n;
}

/* FollowAnswer.records: a Record whose seq is put in front of its packed body; protobuf does not care for the order. */
static void
add_record(struct hq_buf *out, uint64_t seq, struct hq_str body)
{
    size_t seq_bytes = seq == 0 ? 0 : 1 + varint_bytes(seq);
    hq_buf_byte(out, (1 << 3) | 2);
    add_varint(out, seq_bytes + body.len);
    if (seq != 0) {
        hq_buf_byte(out, (1 << 3) | 0);
        add_varint(out, seq);
    }
    hq_buf_str(out, body);
}

static void
strip_part(Hq__SubmitPartStored *p)
{
    if (p == NULL) {
        return;
    }
    p->entries = NULL;
    p->stdin.len = 0;
    for (size_t i = 0; i < p->n_descs; i++) {
        p->descs[i]->n_args = 0;
        p->descs[i]->n_env = 0;
    }
    if (p->graph != NULL) { /* its ids are counted by readers */
        p->graph->n_desc = p->graph->n_dep_count = p->graph->n_deps = 0;
    }
}

static bool
add_stripped(struct hq_buf *out, uint64_t seq, struct hq_str body)
{
    struct hq_arena arena;
    hq_arena_init(&arena, 0);
    ProtobufCMessage *base = NULL;
    bool is_done = false;
    if (hq_wire_unpack(body, &hq__record__descriptor, &arena, &base, NULL) == 0) {
        Hq__Record *m = (Hq__Record *)(void *)base;
        if (m->body_case == HQ__RECORD__BODY_JOB_SUBMITTED) {
            strip_part(m->job_submitted->part);
        } else if (m->body_case == HQ__RECORD__BODY_SUBMIT_PART) {
            strip_part(m->submit_part);
        }
        struct hq_buf packed = HQ_BUF_INIT;
        if (hq_wire_pack_bare(&packed, base, HQ_PAGE_BYTES, NULL) == 0) {
            add_record(out, seq, hq_buf_view(&packed));
            is_done = true;
        }
        hq_buf_fini(&packed);
    }
    hq_arena_fini(&arena);
    return is_done;
}

static void
take_thr(struct journal_read *rd, uint64_t seq, struct hq_str body)
{
    struct page *p = (struct page *)rd;
    if (body.len <= STRIP_BYTES) {
        add_record(&rd->out, seq, body);
    } else if (!add_stripped(&rd->out, seq, body)) {
        return; /* a follower goes on behind it */
    }
    hq_xgrow(&p->taken, &p->taken_cap, p->taken_count + 1, sizeof p->taken[0]);
    p->taken[p->taken_count++] = (struct taken){.seq = seq, .end = rd->out.len};
}

/* Events up to the end of this page that this peer has not seen. */
static void
add_events(struct page *p, struct peer *peer, uint64_t until_seq, struct hq_buf *out)
{
    struct follow *f = &p->s->follow;
    uint64_t oldest = f->event_next > FOLLOW_EVENTS_MAX ? f->event_next - FOLLOW_EVENTS_MAX : 1;
    peer->event_next = HQ_MAX(peer->event_next, oldest);
    while (peer->event_next < f->event_next) {
        const struct follow_event *e = &f->events[peer->event_next % FOLLOW_EVENTS_MAX];
        if (e->after_seq >= until_seq) {
            break;
        }
        add_record(out, 0, hq_buf_view(&e->body));
        peer->event_next++;
    }
}

static void
page_done(struct journal_read *rd)
{
    struct page *p = (struct page *)rd;
    struct shell *s = p->s;
    s->reads_out--;
    const struct request *r = request_find(&s->peers, p->handle);
    if (r != NULL && rd->rc < 0) {
        hq_log_error("Records could not be read for a follower: %s", rd->err.text);
        shell_refuse(s, p->handle, rd->rc, rd->err.text);
    } else if (r != NULL) {
        struct hq_buf records = HQ_BUF_INIT;
        size_t from = 0;
        for (size_t i = 0; i < p->taken_count && p->taken[i].end <= rd->out.len; i++) {
            add_events(p, r->peer, p->taken[i].seq, &records);
            hq_buf_add(&records, rd->out.ptr + from, p->taken[i].end - from);
            from = p->taken[i].end;
        }
        if (!rd->has_more) { /* events behind the last record; what comes behind later ones waits for them */
            add_events(p, r->peer, rd->last_seq + 1, &records);
        }
        Hq__FollowAnswer m;
        hq__follow_answer__init(&m);
        m.last_seq = rd->last_seq;
        m.hqd_incarnation = conv_bytes(s->conf.identity.incarnation);
        m.has_more = rd->has_more;
        m.is_stopping = s->is_stopping && !rd->has_more && rd->last_seq >= core_newest_seq(s->core);
        r->peer->polled_ms = m.is_stopping ? 0 : hq_clock_ms();
        struct hq_buf bytes = HQ_BUF_INIT;
        egress_pack(&bytes, HQ__MESSAGE_TYPE__TYPE_FOLLOW_ANSWER, r->request_id, &m.base);
        hq_buf_str(&bytes, hq_buf_view(&records));
        shell_answer_now(s, p->handle, hq_buf_view(&bytes));
        hq_buf_fini(&bytes);
        hq_buf_fini(&records);
    }
    hq_buf_fini(&rd->out);
    free(p->taken);
    free(p);
}

void
follow_read_start(struct shell *s, uint64_t handle, uint64_t after_seq)
{
    struct page *p = hq_xalloc(sizeof *p);
    p->s = s;
    p->handle = handle;
    p->rd.after_seq = after_seq;
    p->rd.until_seq = HQ_MAX(after_seq, s->committed_seq);
    p->rd.bytes_max = HQ_PAGE_BYTES;
    p->rd.take_thr = take_thr;
    p->rd.done = page_done;
    s->reads_out++;
    journal_read_start(s->journal, &p->rd);
}
