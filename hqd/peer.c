#include "hqd/peer.h"

#include <stdlib.h>

#include "common/mem.h"

void
peers_init(struct peers *ps, uint64_t seed, uint32_t owner_uid)
{
    *ps = (struct peers){.owner_uid = owner_uid};
    for (size_t i = 0; i < PEER_DOORS; i++) {
        hq_map_init(&ps->by_id[i], seed + i);
    }
    hq_map_init(&ps->by_worker, seed + PEER_DOORS);
    LIST_INIT(&ps->free_slots);
}

static void
release(struct peers *ps, struct request *r)
{
    if (r->peer != NULL) {
        LIST_REMOVE(r, link);
    }
    r->peer = NULL;
    r->generation++;
    LIST_INSERT_HEAD(&ps->free_slots, r, link);
}

static void
drop_requests(struct peers *ps, struct peer *p)
{
    struct request *r;
    while ((r = LIST_FIRST(&p->requests)) != NULL) {
        release(ps, r);
    }
}

bool
peer_pop_answer(struct peer *p, struct hq_buf *ret)
{
    struct peer_answer *a = STAILQ_FIRST(&p->undelivered);
    if (a == NULL) {
        return false;
    }
    STAILQ_REMOVE_HEAD(&p->undelivered, link);
    *ret = a->bytes;
    free(a);
    return true;
}

void
peer_drop_answers(struct peer *p)
{
    struct hq_buf bytes;
    while (peer_pop_answer(p, &bytes)) {
        hq_buf_fini(&bytes);
    }
}

static void
peer_free(struct peer *p)
{
    peer_drop_answers(p);
    uploads_fini(&p->uploads);
    free(p);
}

void
peers_fini(struct peers *ps)
{
    for (size_t i = 0; i < PEER_DOORS; i++) {
        uint64_t key;
        uint64_t value;
        for (size_t it = 0; hq_map_next(&ps->by_id[i], &it, &key, &value);) {
            peer_free((struct peer *)(uintptr_t)value);
        }
        hq_map_fini(&ps->by_id[i]);
    }
    hq_map_fini(&ps->by_worker);
    for (size_t i = 0; i < ps->slot_count; i++) {
        free(ps->slots[i]);
    }
    free(ps->slots);
    *ps = (struct peers){0};
}

struct peer *
peers_find(const struct peers *ps, enum peer_door door, uint64_t id)
{
    return hq_map_get_ptr(&ps->by_id[door], id);
}

struct peer *
peers_get(struct peers *ps, enum peer_door door, const struct hq_net_peer *net)
{
    struct peer *p = peers_find(ps, door, net->id);
    if (p == NULL) {
        p = hq_xalloc(sizeof *p);
        p->door = door;
        LIST_INIT(&p->requests);
        STAILQ_INIT(&p->undelivered);
        hq_map_set_ptr(&ps->by_id[door], net->id, p);
    }
    p->net = *net; /* a session that comes back may do so from another address */
    p->is_connected = true;
    return p;
}

void
peers_gone(struct peers *ps, enum peer_door door, uint64_t id, uint32_t *ret_worker)
{
    *ret_worker = 0;
    struct peer *p = peers_find(ps, door, id);
    if (p == NULL) {
        return;
    }
    drop_requests(ps, p);
    peer_drop_answers(p); /* what a worker did not get, it is told again when it registers */
    p->is_connected = false;
    if (p->worker != 0) {
        *ret_worker = p->worker;
        return;
    }
    (void)hq_map_del(&ps->by_id[door], id);
    peer_free(p);
}

void
peers_set_worker(struct peers *ps, struct peer *p, uint32_t worker)
{
    if (p->worker == worker) {
        return;
    }
    struct peer *old = peers_of_worker(ps, worker);
    if (p->worker != 0) {
        (void)hq_map_del(&ps->by_worker, p->worker);
    }
    if (old != NULL) {
        /* The worker speaks through a new session: the old one is nobody's. */
        old->worker = 0;
        if (!old->is_connected) {
            (void)hq_map_del(&ps->by_id[old->door], old->net.id);
            peer_free(old);
        }
    }
    p->worker = worker;
    hq_map_set_ptr(&ps->by_worker, worker, p);
}

struct peer *
peers_of_worker(const struct peers *ps, uint32_t worker)
{
    return hq_map_get_ptr(&ps->by_worker, worker);
}

void
peers_forget_worker(struct peers *ps, uint32_t worker)
{
    struct peer *p = peers_of_worker(ps, worker);
    if (p == NULL) {
        return;
    }
    (void)hq_map_del(&ps->by_worker, worker);
    p->worker = 0;
    if (!p->is_connected) {
        (void)hq_map_del(&ps->by_id[p->door], p->net.id);
        peer_free(p);
    }
}

uint32_t
peer_uid(const struct peers *ps, const struct peer *p)
{
    return p->net.is_local ? p->net.uid : ps->owner_uid;
}

static struct request *
take_slot(struct peers *ps)
{
    struct request *r = LIST_FIRST(&ps->free_slots);
    if (r != NULL) {
        LIST_REMOVE(r, link);
        return r;
    }
    hq_xgrow(&ps->slots, &ps->slot_cap, ps->slot_count + 1, sizeof ps->slots[0]);
    r = hq_xalloc(sizeof *r);
    r->slot = (uint32_t)ps->slot_count;
    r->generation = 1;
    ps->slots[ps->slot_count++] = r;
    return r;
}

uint64_t
request_open(struct peers *ps, struct peer *p, const struct hq_net_req *route, uint64_t request_id, bool is_turn)
{
    struct request *r = take_slot(ps);
    r->peer = p;
    r->route = *route;
    r->request_id = request_id;
    r->is_turn = is_turn;
    r->is_spent = false;
    LIST_INSERT_HEAD(&p->requests, r, link);
    return hq_map_key2(r->generation, r->slot);
}

uint64_t
request_open_own(struct peers *ps)
{
    struct request *r = take_slot(ps);
    uint64_t handle = hq_map_key2(r->generation, r->slot);
    release(ps, r); /* whatever is answered finds nobody */
    return handle;
}

const struct request *
request_find(const struct peers *ps, uint64_t handle)
{
    uint32_t slot = (uint32_t)handle;
    uint32_t generation = (uint32_t)(handle >> 32);
    if (slot >= ps->slot_count) {
        return NULL;
    }
    const struct request *r = ps->slots[slot];
    return r->peer != NULL && r->generation == generation ? r : NULL;
}

bool
request_close(struct peers *ps, uint64_t handle, struct request *ret)
{
    const struct request *found = request_find(ps, handle);
    if (found == NULL) {
        return false;
    }
    *ret = *found;
    release(ps, ps->slots[(uint32_t)handle]);
    return true;
}

void
request_spend(struct peers *ps, uint64_t handle)
{
    HQ_ASSERT(request_find(ps, handle) != NULL);
    ps->slots[(uint32_t)handle]->is_spent = true;
}

bool
peer_take_route(struct peer *p, struct request *ret)
{
    struct request *oldest = NULL;
    struct request *r;
    LIST_FOREACH (r, &p->requests, link) { /* newest first */
        oldest = r->is_turn && !r->is_spent ? r : oldest;
    }
    if (oldest == NULL) {
        return false;
    }
    oldest->is_spent = true;
    *ret = *oldest;
    return true;
}

void
peer_keep_answer(struct peer *p, struct hq_str bytes)
{
    struct peer_answer *a = hq_xalloc(sizeof *a);
    hq_buf_str(&a->bytes, bytes);
    STAILQ_INSERT_TAIL(&p->undelivered, a, link);
}
