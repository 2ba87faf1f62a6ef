/* link_pack.c - Register and Turn into bytes. */
#include "hq-workerd/link_msg.h"

#include <stdlib.h>

#include "common/mem.h"
#include "common/wire.h"
#include "hq-workerd/msg_bytes.h"

#include "proto/common.pb-c.h"
#include "proto/turn.pb-c.h"

static ProtobufCBinaryData
msg_id(const unsigned char id[LINK_ID_BYTES])
{
    return msg_bytes(hq_str_make((const char *)id, LINK_ID_BYTES));
}

void
link_held_list_fini(struct link_held_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        hq_ranges_fini(&l->v[i].ids);
        free(l->v[i].started_ms);
    }
    free(l->v);
    *l = (struct link_held_list){0};
}

/* ---- packing */

static Hq__Ranges *
pack_triplets(struct hq_arena *arena, uint32_t *v, size_t len)
{
    Hq__Ranges *m = hq_arena_alloc(arena, sizeof(*m));

    hq__ranges__init(m);
    m->packed = v;
    m->n_packed = len;
    return m;
}

_Static_assert(sizeof(struct hq_range) == 3 * sizeof(uint32_t), "ranges travel as triplets");

static Hq__Ranges *
pack_ranges(struct hq_arena *arena, const struct hq_ranges *r)
{
    uint32_t *v = hq_arena_array(arena, r->count * 3, sizeof(*v));

    if (r->count > 0) {
        memcpy(v, r->v, r->count * sizeof(*r->v));
    }
    return pack_triplets(arena, v, r->count * 3);
}

static Hq__Pool *
pack_pool(struct hq_arena *arena, const struct hq_pool *p)
{
    Hq__Pool *m = hq_arena_alloc(arena, sizeof(*m));

    hq__pool__init(m);
    m->name = msg_bytes(p->name);
    m->kind = (Hq__PoolKind)p->kind;
    m->sum = p->sum;
    m->range_first = p->range_first;
    m->range_last = p->range_last;
    if (p->kind == HQ_POOL_LIST || p->kind == HQ_POOL_GROUPS) {
        m->n_groups = p->group_count;
        m->groups = hq_arena_array(arena, p->group_count, sizeof(*m->groups));
        for (size_t g = 0; g < p->group_count; g++) {
            Hq__PoolGroup *group = hq_arena_alloc(arena, sizeof(*group));
            hq__pool_group__init(group);
            group->n_values = p->groups[g].count;
            group->values = hq_arena_array(arena, group->n_values, sizeof(*group->values));
            for (size_t i = 0; i < group->n_values; i++) {
                group->values[i] = msg_bytes(p->groups[g].values[i]);
            }
            m->groups[g] = group;
        }
    }
    return m;
}

static Hq__Pools *
pack_pools(struct hq_arena *arena, const struct hq_pools *p)
{
    Hq__Pools *m = hq_arena_alloc(arena, sizeof(*m));

    hq__pools__init(m);
    m->n_pools = p->count;
    m->pools = hq_arena_array(arena, p->count, sizeof(*m->pools));
    for (size_t i = 0; i < p->count; i++) {
        m->pools[i] = pack_pool(arena, &p->v[i]);
    }
    m->n_couplings = p->coupling_count;
    m->couplings = hq_arena_array(arena, p->coupling_count, sizeof(*m->couplings));
    for (size_t i = 0; i < p->coupling_count; i++) {
        const struct hq_coupling *c = &p->couplings[i];
        Hq__Coupling *out = hq_arena_alloc(arena, sizeof(*out));
        hq__coupling__init(out);
        out->resource1 = c->resource1_ix;
        out->group1 = c->group1_ix;
        out->resource2 = c->resource2_ix;
        out->group2 = c->group2_ix;
        out->weight = c->weight;
        m->couplings[i] = out;
    }
    return m;
}

static Hq__WorkerConfig *
pack_config(struct hq_arena *arena, const struct link_worker *w)
{
    static const Hq__Manager managers[] = {[HQ_MANAGER_DETECT] = HQ__MANAGER__MANAGER_NONE,
                                           [HQ_MANAGER_NONE] = HQ__MANAGER__MANAGER_NONE,
                                           [HQ_MANAGER_PBS] = HQ__MANAGER__MANAGER_PBS,
                                           [HQ_MANAGER_SLURM] = HQ__MANAGER__MANAGER_SLURM};
    Hq__WorkerConfig *m = hq_arena_alloc(arena, sizeof(*m));
    size_t families = 0;

    hq__worker_config__init(m);
    m->hostname = msg_bytes(w->hostname);
    m->group = msg_bytes(w->group);
    m->work_dir = msg_bytes(w->work_dir);
    m->listen_address = msg_bytes(w->listen_address);
    m->heartbeat_ms = (uint64_t)w->heartbeat_ms;
    m->idle_timeout_ms = (uint64_t)w->idle_timeout_ms;
    m->is_idle_timeout_set = w->is_idle_timeout_set;
    m->time_limit_ms = (uint64_t)w->time_limit_ms;
    m->overview_ms = (uint64_t)w->overview_ms;
    m->retract_check_ms = (uint64_t)w->retract_check_ms;
    m->min_utilization = w->min_utilization_x10000;
    m->on_server_lost = (Hq__OnServerLost)w->on_server_lost;
    m->manager = managers[w->manager];
    m->manager_job_id = msg_bytes(w->manager_job_id);
    m->manager_time_limit_ms = (uint64_t)w->manager_time_limit_ms;
    m->manager_memory_mb = w->manager_memory_mb;
    m->pid = w->pid;
    m->host_boot_id = msg_bytes(w->boot_id);
    m->pools = pack_pools(arena, w->pools);
    while (w->gpu_families != NULL && w->gpu_families[families] != NULL) {
        families++;
    }
    m->n_gpu_families = families;
    m->gpu_families = hq_arena_array(arena, families, sizeof(*m->gpu_families));
    for (size_t i = 0; i < families; i++) {
        m->gpu_families[i] = msg_bytes(hq_str_from(w->gpu_families[i]));
    }
    m->n_addresses = w->address_count;
    m->addresses = hq_arena_array(arena, w->address_count, sizeof(*m->addresses));
    for (size_t i = 0; i < w->address_count; i++) {
        m->addresses[i] = msg_bytes(w->addresses[i]);
    }
    return m;
}

static Hq__HeldTasks *
pack_held(struct hq_arena *arena, const struct link_held *h)
{
    Hq__HeldTasks *m = hq_arena_alloc(arena, sizeof(*m));
    uint64_t count = hq_ranges_size(&h->ids);

    hq__held_tasks__init(m);
    m->job = h->job_id;
    m->instance = h->instance;
    m->variant = h->variant;
    m->is_running = h->is_running;
    m->ids = pack_ranges(arena, &h->ids);
    if (h->is_running) {
        Hq__TaskTimes *t = hq_arena_alloc(arena, sizeof(*t));
        hq__task_times__init(t);
        t->base_ms = (uint64_t)h->started_ms[0];
        t->n_started = (size_t)count;
        t->started = hq_arena_array(arena, t->n_started, sizeof(*t->started));
        for (size_t i = 1; i < count; i++) {
            t->started[i] = h->started_ms[i] - h->started_ms[i - 1];
        }
        m->times = t;
    }
    return m;
}

int
link_pack_register(struct hq_buf *out, uint64_t request_id, const struct link_worker *w, uint32_t worker_id,
                   uint64_t next_turn_seq, const struct link_held_list *held, struct hq_err *err)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    Hq__Register m = HQ__REGISTER__INIT;

    hq_arena_init(&arena, 0);
    m.incarnation = msg_id(w->incarnation);
    m.worker_id = worker_id;
    m.config = pack_config(&arena, w);
    m.next_turn_seq = next_turn_seq;
    m.started_ms = (uint64_t)w->started_ms;
    m.n_held = worker_id == 0 ? 0 : held->count;
    m.held = hq_arena_array(&arena, m.n_held, sizeof(*m.held));
    for (size_t i = 0; i < m.n_held; i++) {
        m.held[i] = pack_held(&arena, &held->v[i]);
    }
    return hq_wire_pack(out, HQ__MESSAGE_TYPE__TYPE_REGISTER, request_id, &m.base, err);
}

static Hq__TaskTimes *
pack_times(struct hq_arena *arena, const struct turn_group *g)
{
    Hq__TaskTimes *t = hq_arena_alloc(arena, sizeof(*t));

    hq__task_times__init(t);
    t->base_ms = (uint64_t)g->base_ms;
    t->n_started = g->count;
    t->started = g->started;
    t->n_duration_ms = g->duration_ms == NULL ? 0 : g->count;
    t->duration_ms = g->duration_ms;
    return t;
}

static void
pack_groups(Hq__Turn *m, const struct turn_news *news, struct hq_arena *arena)
{
    m->n_started = news->started_count;
    m->started = hq_arena_array(arena, m->n_started, sizeof(*m->started));
    for (size_t i = 0; i < m->n_started; i++) {
        const struct turn_group *g = &news->started[i];
        Hq__TasksStarted *s = hq_arena_alloc(arena, sizeof(*s));
        hq__tasks_started__init(s);
        s->job = g->job_id;
        s->instance = g->instance;
        s->variant = g->variant;
        s->ids = pack_triplets(arena, g->ranges, g->range_len);
        s->times = pack_times(arena, g);
        m->started[i] = s;
    }
    m->n_finished = news->finished_count;
    m->finished = hq_arena_array(arena, m->n_finished, sizeof(*m->finished));
    for (size_t i = 0; i < m->n_finished; i++) {
        const struct turn_group *g = &news->finished[i];
        Hq__TasksFinished *f = hq_arena_alloc(arena, sizeof(*f));
        hq__tasks_finished__init(f);
        f->job = g->job_id;
        f->instance = g->instance;
        f->variant = g->variant;
        f->ids = pack_triplets(arena, g->ranges, g->range_len);
        f->times = pack_times(arena, g);
        m->finished[i] = f;
    }
}

static void
pack_singles(Hq__Turn *m, const struct turn_news *news, struct hq_arena *arena)
{
    m->n_failed = news->failed_count;
    m->failed = hq_arena_array(arena, m->n_failed, sizeof(*m->failed));
    for (size_t i = 0; i < m->n_failed; i++) {
        const struct turn_failed *in = &news->failed[i];
        Hq__TaskFailed *f = hq_arena_alloc(arena, sizeof(*f));
        hq__task_failed__init(f);
        f->job = in->task.job_id;
        f->task = in->task.task_id;
        f->instance = in->task.instance;
        f->variant = in->task.variant;
        f->started_ms = (uint64_t)in->task.started_ms;
        f->ended_ms = (uint64_t)in->task.ended_ms;
        f->error = msg_bytes(in->error);
        m->failed[i] = f;
    }
    m->n_returned = news->returned_count;
    m->returned = hq_arena_array(arena, m->n_returned, sizeof(*m->returned));
    for (size_t i = 0; i < m->n_returned; i++) {
        const struct turn_returned *in = &news->returned[i];
        Hq__TasksReturned *r = hq_arena_alloc(arena, sizeof(*r));
        hq__tasks_returned__init(r);
        r->job = in->job_id;
        r->instance = in->instance;
        r->variant = in->variant;
        r->reason = (Hq__ReturnReason)in->reason;
        r->ids = pack_triplets(arena, in->ranges, in->range_len);
        m->returned[i] = r;
    }
    m->n_notifies = news->notify_count;
    m->notifies = hq_arena_array(arena, m->n_notifies, sizeof(*m->notifies));
    for (size_t i = 0; i < m->n_notifies; i++) {
        Hq__Notify *n = hq_arena_alloc(arena, sizeof(*n));
        hq__notify__init(n);
        n->job = news->notifies[i].job_id;
        n->task = news->notifies[i].task_id;
        n->message = msg_bytes(news->notifies[i].message);
        m->notifies[i] = n;
    }
}

static Hq__Overview *
pack_overview(const struct link_overview *o, struct hq_arena *arena)
{
    Hq__Overview *m = hq_arena_alloc(arena, sizeof(*m));

    hq__overview__init(m);
    m->at_ms = (uint64_t)o->at_ms;
    m->n_cpu_percent = o->cpu_count;
    m->cpu_percent = hq_arena_array(arena, o->cpu_count, sizeof(*m->cpu_percent));
    if (o->cpu_count > 0) {
        memcpy(m->cpu_percent, o->cpu_percent, o->cpu_count * sizeof(*m->cpu_percent));
    }
    m->memory_total = o->memory_total;
    m->memory_free = o->memory_free;
    m->n_network = HQ_ARRAY_LEN(o->network);
    m->network = hq_arena_array(arena, m->n_network, sizeof(*m->network));
    memcpy(m->network, o->network, sizeof o->network);
    m->n_gpus = o->gpu_count;
    m->gpus = hq_arena_array(arena, m->n_gpus, sizeof(*m->gpus));
    for (size_t i = 0; i < m->n_gpus; i++) {
        Hq__GpuLoad *g = hq_arena_alloc(arena, sizeof(*g));
        hq__gpu_load__init(g);
        g->family = hq_arena_strz(arena, hq_str_from(o->gpus[i].family));
        g->id = msg_bytes(o->gpus[i].id);
        g->processor_percent = o->gpus[i].processor_percent;
        g->memory_percent = o->gpus[i].memory_percent;
        m->gpus[i] = g;
    }
    return m;
}

static void
pack_append(struct hq_buf *out, const ProtobufCMessage *m)
{
    size_t size = protobuf_c_message_get_packed_size(m);

    hq_buf_reserve(out, size + 1);
    (void)protobuf_c_message_pack(m, (uint8_t *)out->ptr + out->len);
    out->len += size;
    out->ptr[out->len] = '\0';
}

void
link_pack_news(struct hq_buf *out, const struct turn_news *news, const struct link_overview *overview,
               struct hq_arena *arena)
{
    Hq__Turn m = HQ__TURN__INIT;

    pack_groups(&m, news, arena);
    pack_singles(&m, news, arena);
    if (overview != NULL) {
        m.overview = pack_overview(overview, arena);
    }
    pack_append(out, &m.base);
}

int
link_pack_turn(struct hq_buf *out, uint64_t request_id, const struct link_turn_head *head, struct hq_str news,
               struct hq_err *err)
{
    Hq__Turn m = HQ__TURN__INIT;

    m.worker_id = head->worker_id;
    m.hqd_incarnation = msg_id(head->hqd_incarnation);
    m.turn_seq = head->turn_seq;
    m.ack_command_seq = head->ack_command_seq;
    m.leaving = (Hq__WorkerLostReason)head->leaving;
    m.round_trip_us = head->round_trip_us;
    m.is_unsettled = head->is_unsettled;
    int rc = hq_wire_pack(out, HQ__MESSAGE_TYPE__TYPE_TURN, request_id, &m.base, err);
    if (rc == 0) { /* two encodings one behind the other are the encoding of both together */
        hq_buf_str(out, news);
    }
    return rc;
}
