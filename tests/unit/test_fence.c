/* test_fence.c - fences over simulated nodes: everybody gets everything, in any order of arrival; what it costs; bad peers.
 *
 * The network of the cost test: each node sends one message after the other at LINK_BYTES_PER_US, a link takes LINK_US, a
 * node handles one message at a time. With one argument the program only prints that cost (for the table of figures). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/rng.h"
#include "hq-workerd/stepd/fence.h"

#define LINK_US 1000.0
#define LINK_BYTES_PER_US 1250.0 /* 10 Gbit/s */
#define HANDLE_US 20.0           /* a message: two sockets, decoding */
#define COPY_BYTES_PER_US 2000.0

struct flight { /* a message on its way */
    double at_us;
    uint64_t number; /* ties: in the order sent */
    uint32_t from, to;
    struct fence_effect *effect; /* shared by its messages; the net owns it */
    struct fence_part *parts;
    size_t part_count;
    bool has_more;
    size_t bytes;
};

struct net {
    struct fences **nodes;
    uint32_t count;
    double *sends_until_us, *handles_until_us;
    struct flight *v;
    size_t flying, cap;
    uint64_t sent, bytes;
    size_t cut; /* data of one message */
    struct fence_effect **effects;
    size_t effect_count, effect_cap;
    struct hq_rng *rng; /* random delays instead of the cost model */
    void (*on_done)(void *ctx, uint32_t node, const struct fence_effect *done, double now_us);
    void *ctx;
};

static void
net_init(struct net *n, uint32_t count, size_t cut)
{
    *n = (struct net){.count = count, .cut = cut};
    n->nodes = hq_xcalloc(count, sizeof(*n->nodes));
    n->sends_until_us = hq_xcalloc(count, sizeof(double));
    n->handles_until_us = hq_xcalloc(count, sizeof(double));
    for (uint32_t i = 0; i < count; i++) {
        n->nodes[i] = fence_create(i);
    }
}

static void
net_fini(struct net *n)
{
    for (uint32_t i = 0; i < n->count; i++) {
        assert_int_equal(0, fence_open_count(n->nodes[i]));
        fence_destroy(n->nodes[i]);
    }
    for (size_t i = 0; i < n->effect_count; i++) {
        hq_buf_fini(&n->effects[i]->records);
        hq_buf_fini(&n->effects[i]->data);
        free(n->effects[i]);
    }
    free(n->effects);
    free(n->nodes);
    free(n->sends_until_us);
    free(n->handles_until_us);
    free(n->v);
}

static void
net_send_one(struct net *n, uint32_t from, uint32_t to, struct fence_effect *e, const struct fence_part *parts,
             size_t count, bool has_more, double now_us)
{
    struct flight f = {.number = n->sent++, .from = from, .to = to, .effect = e, .part_count = count,
                       .has_more = has_more, .bytes = 64};

    f.parts = hq_xcalloc(count + 1, sizeof(*parts));
    for (size_t i = 0; i < count; i++) {
        f.parts[i] = parts[i];
        f.bytes += parts[i].data.len + 12;
    }
    n->bytes += f.bytes;
    double begin = now_us > n->sends_until_us[from] ? now_us : n->sends_until_us[from];
    n->sends_until_us[from] = begin + (double)f.bytes / LINK_BYTES_PER_US;
    f.at_us = n->sends_until_us[from] + LINK_US;
    if (n->rng != NULL) { /* one link keeps its order */
        f.at_us = now_us + 1 + (double)hq_rng_below(n->rng, 1000);
        for (size_t i = 0; i < n->flying; i++) {
            if (n->v[i].from == from && n->v[i].to == to && n->v[i].at_us > f.at_us) {
                f.at_us = n->v[i].at_us;
            }
        }
    }
    hq_xgrow(&n->v, &n->cap, n->flying + 1, sizeof(*n->v));
    n->v[n->flying++] = f;
}

static void
net_take(struct net *n, uint32_t node, struct fence_fx *fx, double now_us)
{
    for (size_t i = 0; i < fx->count; i++) {
        struct fence_effect *e = hq_xmemdup(&fx->v[i], sizeof(*e));
        hq_xgrow(&n->effects, &n->effect_cap, n->effect_count + 1, sizeof(*n->effects));
        n->effects[n->effect_count++] = e;
        if (e->kind == FENCE_DONE) {
            n->on_done(n->ctx, node, e, now_us);
            continue;
        }
        struct fence_cursor at = {0};
        bool has_more = true;
        while (has_more) {
            struct fence_part parts[64];
            size_t count = fence_cut(&e->records, &at, n->cut, parts, HQ_ARRAY_LEN(parts), &has_more);
            for (uint32_t k = 0; k < e->to_count; k++) {
                net_send_one(n, node, e->to[k], e, parts, count, has_more, now_us);
            }
        }
    }
    free(fx->v);
    *fx = (struct fence_fx){0};
}

static void
net_begin(struct net *n, uint32_t node, const unsigned char *hash, const uint32_t *members, size_t count,
          struct hq_str data, uint64_t token, double now_us)
{
    struct fence_fx fx = {0};

    assert_int_equal(0, fence_begin(n->nodes[node], hash, members, count, data, token, &fx, NULL));
    net_take(n, node, &fx, now_us);
}

/* Delivers the next message; false when none flies. */
static bool
net_step(struct net *n, double *now_us)
{
    size_t first = 0;

    if (n->flying == 0) {
        return false;
    }
    for (size_t i = 1; i < n->flying; i++) {
        if (n->v[i].at_us < n->v[first].at_us ||
            (n->v[i].at_us <= n->v[first].at_us && n->v[i].number < n->v[first].number)) {
            first = i;
        }
    }
    struct flight f = n->v[first];
    n->v[first] = n->v[--n->flying];
    double begin = f.at_us > n->handles_until_us[f.to] ? f.at_us : n->handles_until_us[f.to];
    double end = n->rng != NULL ? f.at_us : begin + HANDLE_US + (double)f.bytes / COPY_BYTES_PER_US;
    n->handles_until_us[f.to] = end;
    *now_us = end;
    const void *signature = f.effect->signature;
    struct fence_message msg = {
        .from = f.from,
        .signature = hq_str_make(signature, HQ_STEP_SIGNATURE_BYTES),
        .is_down = f.effect->is_down,
        .has_more = f.has_more,
        .parts = f.parts,
        .part_count = f.part_count,
    };
    struct fence_fx fx = {0};
    struct hq_err err = {0};
    if (fence_on_message(n->nodes[f.to], &msg, &fx, &err) < 0) {
        fail_msg("node %u: %s", f.to, err.text);
    }
    net_take(n, f.to, &fx, end);
    free(f.parts);
    return true;
}

/* ---- cost */

struct cost {
    uint32_t done;
    double last_us;
    size_t want_bytes;
};

static void
cost_on_done(void *ctx, uint32_t node, const struct fence_effect *done, double now_us)
{
    struct cost *c = ctx;

    (void)node;
    assert_int_equal(c->want_bytes, done->data.len);
    c->done++;
    c->last_us = now_us > c->last_us ? now_us : c->last_us;
}

static double
cost_ms(uint32_t count, size_t bytes, uint64_t *ret_messages)
{
    struct net n;
    struct cost c = {.want_bytes = bytes * count};
    uint32_t *members = hq_xcalloc(count, sizeof(*members));
    char *data = hq_xalloc(bytes + 1);
    unsigned char hash[FENCE_HASH_BYTES] = "all";
    double now = 0;

    net_init(&n, count, HQ_STEP_MSG_BYTES_MAX - 4096);
    n.on_done = cost_on_done;
    n.ctx = &c;
    memset(data, 'k', bytes);
    for (uint32_t i = 0; i < count; i++) {
        members[i] = i;
    }
    for (uint32_t i = 0; i < count; i++) {
        net_begin(&n, i, hash, members, count, hq_str_make(data, bytes), i, 0);
    }
    while (net_step(&n, &now)) {
    }
    assert_int_equal(count, c.done);
    *ret_messages = n.sent;
    net_fini(&n);
    free(members);
    free(data);
    return c.last_us / 1000;
}

static void
test_cost(void **state)
{
    static const uint32_t counts[] = {2, 9, 10, 73, 74, 256, 512};

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(counts); i++) {
        uint64_t messages;
        double ms = cost_ms(counts[i], 1024, &messages);
        (void)printf("fence: %u nodes, 1024 bytes each, 1 ms links: %.1f ms, %llu messages\n", counts[i], ms,
                     (unsigned long long)messages);
        assert_true(ms < 25);
    }
}

/* ---- contents, in any order */

#define ROUNDS 3u
#define SETS 3u

struct world {
    uint32_t count;
    uint32_t members[SETS][512];
    size_t member_count[SETS];
    uint32_t begun[SETS][512]; /* rounds that each node has begun */
    uint32_t done[SETS][512];
    struct net net;
    bool *busy; /* per set and node: waits for a fence */
};

/* What a node gives: its number, set and round, now and then much of it. */
static void
contribution(struct hq_buf *out, uint32_t node, uint32_t set, uint32_t round)
{
    hq_buf_printf(out, "<%u.%u.%u:", node, set, round);
    hq_buf_rep(out, (char)('a' + node % 26), node % 5 == 0 ? 3000 : node % 3);
    hq_buf_byte(out, '>');
}

static void
world_on_done(void *ctx, uint32_t node, const struct fence_effect *done, double now_us)
{
    struct world *w = ctx;
    uint32_t set = (uint32_t)done->token / ROUNDS, round = (uint32_t)done->token % ROUNDS;
    size_t total = 0;

    (void)now_us;
    assert_int_equal(round, w->done[set][node]);
    for (size_t i = 0; i < w->member_count[set]; i++) {
        struct hq_buf part = HQ_BUF_INIT;
        contribution(&part, w->members[set][i], set, round);
        assert_true(hq_str_find(hq_buf_view(&done->data), hq_buf_view(&part)) >= 0);
        total += part.len;
        hq_buf_fini(&part);
    }
    assert_int_equal(total, done->data.len);
    w->done[set][node]++;
}

static void
world_begin(struct world *w, uint32_t set, uint32_t node, double now)
{
    unsigned char hash[FENCE_HASH_BYTES] = {(unsigned char)set};
    struct hq_buf data = HQ_BUF_INIT;
    uint32_t round = w->begun[set][node]++;

    contribution(&data, node, set, round);
    net_begin(&w->net, node, hash, w->members[set], w->member_count[set], hq_buf_view(&data), set * ROUNDS + round, now);
    hq_buf_fini(&data);
}

/* Members that wait in no fence of a set begin the next one at random moments; messages arrive at random times. */
static void
run_world(uint32_t count, uint64_t seed)
{
    struct world *w = hq_xalloc(sizeof(*w));
    struct hq_rng rng;
    double now = 0;
    bool is_open = true;

    hq_rng_init(&rng, seed);
    w->count = count;
    net_init(&w->net, count, 1000);
    w->net.rng = &rng;
    w->net.on_done = world_on_done;
    w->net.ctx = w;
    for (uint32_t s = 0; s < SETS; s++) {
        for (uint32_t i = 0; i < count; i++) {
            if (s == 0 || hq_rng_below(&rng, 3) > 0 || (i == count - 1 && w->member_count[s] == 0)) {
                w->members[s][w->member_count[s]++] = i;
            }
        }
    }
    while (is_open || w->net.flying > 0) {
        is_open = false;
        for (uint32_t s = 0; s < SETS; s++) {
            for (size_t i = 0; i < w->member_count[s]; i++) {
                uint32_t node = w->members[s][i];
                bool waits = w->begun[s][node] > w->done[s][node];
                if (!waits && w->begun[s][node] < ROUNDS && hq_rng_below(&rng, 4) == 0) {
                    world_begin(w, s, node, now);
                }
                is_open = is_open || w->done[s][node] < ROUNDS;
            }
        }
        (void)net_step(&w->net, &now);
    }
    for (uint32_t s = 0; s < SETS; s++) {
        for (size_t i = 0; i < w->member_count[s]; i++) {
            assert_int_equal(ROUNDS, w->done[s][w->members[s][i]]);
        }
    }
    net_fini(&w->net);
    free(w);
}

static void
test_any_order(void **state)
{
    static const uint32_t counts[] = {1, 2, 3, 8, 9, 10, 17, 74, 100};

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(counts); i++) {
        for (uint64_t seed = 1; seed <= 3; seed++) {
            run_world(counts[i], seed * 1000 + counts[i]);
        }
    }
}

/* ---- peers that talk nonsense */

static int
give(struct fences *f, uint32_t from, const char *hash, bool down, bool more, size_t bytes)
{
    unsigned char signature[HQ_STEP_SIGNATURE_BYTES] = {0};
    struct fence_fx fx = {0};
    struct fence_part part = {.node = from};

    (void)snprintf((char *)signature, FENCE_HASH_BYTES, "%s", hash);
    char *data = hq_xalloc(bytes + 1);
    part.data = hq_str_make(data, bytes);
    const void *p = signature;
    struct fence_message msg = {
        .from = from,
        .signature = hq_str_make(p, sizeof signature),
        .is_down = down,
        .has_more = more,
        .parts = &part,
        .part_count = 1,
    };
    int rc = fence_on_message(f, &msg, &fx, NULL);
    free(data);
    fence_fx_fini(&fx);
    return rc;
}

static int
begin(struct fences *f, const char *hash, const uint32_t *members, size_t count)
{
    unsigned char name[FENCE_HASH_BYTES] = {0};
    struct fence_fx fx = {0};

    (void)snprintf((char *)name, sizeof name, "%s", hash);
    int rc = fence_begin(f, name, members, count, HQ_STR("x"), 1, &fx, NULL);
    fence_fx_fini(&fx);
    return rc;
}

static void
test_bad_peers(void **state)
{
    static const uint32_t three[] = {0, 1, 2};
    struct fences *f = fence_create(0), *child = fence_create(1);
    struct fence_fx fx = {0};

    (void)state;
    struct fence_message nameless = {.from = 1, .signature = HQ_STR("short")};
    assert_int_equal(-EPROTO, fence_on_message(f, &nameless, &fx, NULL));
    assert_int_equal(-EPROTO, give(f, 1, "a", true, false, 1)); /* the end of a fence that nobody began */
    assert_int_equal(0, give(f, 1, "a", false, false, 1));
    assert_int_equal(-EPROTO, give(f, 1, "a", false, false, 1)); /* twice */
    assert_int_equal(0, give(f, 7, "b", false, false, 1));       /* early: who belongs is not known yet */
    assert_int_equal(-EPROTO, begin(f, "b", three, 3));          /* now it is */
    for (uint32_t i = 1; i <= HQ_STEP_FANOUT; i++) {
        assert_int_equal(0, give(f, i, "c", false, true, 1));
    }
    assert_int_equal(-EPROTO, give(f, 30, "c", false, true, 1));
    assert_int_equal(-EINVAL, begin(f, "d", three + 1, 2)); /* we are not in it */
    assert_int_equal(0, begin(f, "e", three, 3));
    assert_int_equal(-EPROTO, give(f, 1, "e", true, false, 1)); /* the root gets no whole */
    assert_int_equal(0, begin(child, "e", three, 3));
    assert_int_equal(-EPROTO, give(child, 2, "e", true, false, 1)); /* not its parent */
    fence_destroy(f);
    fence_destroy(child);
}

static void
test_bounds(void **state)
{
    struct fences *f = fence_create(0);
    char name[16];
    int rc = 0;

    (void)state;
    for (uint64_t sent = 0; rc == 0 && sent <= HQ_STEP_FENCE_BYTES_MAX; sent += 1u << 20) {
        rc = give(f, 1, "big", false, true, 1u << 20);
    }
    assert_int_equal(-EFBIG, rc);
    for (uint32_t i = 1; i < FENCE_OPEN_MAX; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        assert_int_equal(0, give(f, 1, name, false, false, 1));
    }
    assert_int_equal(-ENOBUFS, give(f, 1, "one more", false, false, 1));
    fence_destroy(f);
    f = fence_create(0);
    static const uint32_t self[] = {0};
    for (uint32_t i = 0; i < FENCE_SETS_MAX; i++) {
        (void)snprintf(name, sizeof name, "s%u", i);
        assert_int_equal(0, begin(f, name, self, 1));
    }
    assert_int_equal(-ENOBUFS, begin(f, "one more", self, 1));
    assert_int_equal(0, begin(f, "s7", self, 1)); /* a known one goes on */
    assert_int_equal(0, fence_open_count(f));
    fence_destroy(f);
}

static void
test_cut(void **state)
{
    struct hq_buf records = HQ_BUF_INIT;
    struct fence_part parts[8];
    struct fence_cursor at = {0};
    bool has_more;

    (void)state;
    assert_int_equal(0, fence_cut(&records, &at, 10, parts, 8, &has_more)); /* nothing is one empty message */
    assert_false(has_more);
    uint32_t heads[2][2] = {{3, 5}, {4, 2}};
    hq_buf_add(&records, heads[0], sizeof heads[0]);
    hq_buf_cstr(&records, "abcde");
    hq_buf_add(&records, heads[1], sizeof heads[1]);
    hq_buf_cstr(&records, "fg");
    assert_int_equal(1, fence_cut(&records, &at, 3, parts, 8, &has_more));
    assert_true(has_more);
    assert_int_equal(3, parts[0].node);
    assert_true(hq_str_is(parts[0].data, "abc"));
    assert_int_equal(2, fence_cut(&records, &at, 3, parts, 8, &has_more));
    assert_true(has_more);
    assert_true(hq_str_is(parts[0].data, "de") && hq_str_is(parts[1].data, "f"));
    assert_int_equal(4, parts[1].node);
    assert_int_equal(1, fence_cut(&records, &at, 3, parts, 8, &has_more));
    assert_false(has_more);
    assert_true(hq_str_is(parts[0].data, "g"));
    at = (struct fence_cursor){0};
    assert_int_equal(1, fence_cut(&records, &at, 100, parts, 1, &has_more)); /* room for one part only */
    assert_true(has_more);
    hq_buf_fini(&records);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cost),      cmocka_unit_test(test_any_order), cmocka_unit_test(test_bad_peers),
        cmocka_unit_test(test_bounds),    cmocka_unit_test(test_cut),
    };

    (void)argv;
    if (argc > 1) {
        uint64_t messages;
        (void)printf("%.2f\n", cost_ms(512, 1024, &messages));
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
