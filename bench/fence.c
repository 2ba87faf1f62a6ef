/* fence.c - what one fence among N nodes costs: the code of hq-stepd under a virtual clock, one rank a node.
 *
 * usage: fence NODES BYTES LINK_US GBIT   prints "VIRTUAL_MS CPU_MS MESSAGES MEGABYTES"
 *
 * All nodes begin at 0. A message takes LINK_US, and GBIT gigabit a second one after the other out of its sender (0: no
 * such limit). A node works on one message at a time, for as long as this processor really takes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/heap.h"
#include "common/mem.h"
#include "common/num.h"
#include "hq-workerd/stepd/fence.h"

#define PARTS_MAX 1024u
#define DATA_BYTES_MAX (900u << 10) /* of one message */

struct packet {
    struct packet *next; /* of all */
    struct hq_heap_node node;
    uint32_t from, to;
    bool is_down, has_more;
    unsigned char signature[HQ_STEP_SIGNATURE_BYTES];
    struct fence_part *parts;
    size_t part_count, bytes;
    unsigned char *data; /* of all parts */
};

struct net {
    uint32_t node_count;
    int64_t link_ns;
    double gbit;
    struct fences **fences;
    int64_t *busy_ns; /* until then it works */
    int64_t *line_ns; /* until then its line is taken */
    struct hq_heap flying;
    struct packet *all;
    int64_t last_done_ns, cpu_ns;
    uint64_t order, messages, bytes;
    uint32_t done_count;
    size_t want_bytes;
};

static int64_t
now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void
send_packet(struct net *n, uint32_t from, uint32_t to, const struct fence_effect *e, const struct fence_part *parts,
            size_t count, bool has_more)
{
    struct packet *p = hq_xalloc(sizeof(*p));
    *p = (struct packet){.from = from, .to = to, .is_down = e->is_down, .has_more = has_more, .part_count = count};
    p->next = n->all;
    n->all = p;
    memcpy(p->signature, e->signature, sizeof(p->signature));
    for (size_t i = 0; i < count; i++) {
        p->bytes += parts[i].data.len;
    }
    p->parts = hq_xcalloc(count + 1, sizeof(*p->parts));
    p->data = hq_xalloc(p->bytes + 1);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(p->data + at, parts[i].data.ptr, parts[i].data.len);
        p->parts[i] = (struct fence_part){.node = parts[i].node, .data = hq_str_make((char *)p->data + at, parts[i].data.len)};
        at += parts[i].data.len;
    }
    int64_t line = n->gbit > 0 ? (int64_t)((double)p->bytes * 8 / n->gbit) : 0;
    n->line_ns[from] = HQ_MAX(n->line_ns[from], n->busy_ns[from]) + line;
    n->messages++;
    n->bytes += p->bytes;
    hq_heap_set(&n->flying, &p->node, n->line_ns[from] + n->link_ns, n->order++);
}

static void
take_effects(struct net *n, uint32_t node, struct fence_fx *fx)
{
    for (size_t i = 0; i < fx->count; i++) {
        const struct fence_effect *e = &fx->v[i];
        if (e->kind == FENCE_DONE) {
            HQ_ASSERT(e->data.len == n->want_bytes);
            n->done_count++;
            n->last_done_ns = HQ_MAX(n->last_done_ns, n->busy_ns[node]);
            continue;
        }
        struct fence_part parts[PARTS_MAX];
        struct fence_cursor at = {0};
        for (bool has_more = true; has_more;) {
            size_t count = fence_cut(&e->records, &at, DATA_BYTES_MAX, parts, PARTS_MAX, &has_more);
            for (uint32_t k = 0; k < e->to_count; k++) {
                send_packet(n, node, e->to[k], e, parts, count, has_more);
            }
        }
    }
    fence_fx_fini(fx);
}

static void
receive(struct net *n, struct packet *p, int64_t at_ns)
{
    struct fence_message m = {
        .from = p->from,
        .signature = hq_str_make((char *)p->signature, sizeof(p->signature)),
        .is_down = p->is_down,
        .has_more = p->has_more,
        .parts = p->parts,
        .part_count = p->part_count,
    };
    struct fence_fx fx = {0};
    int64_t begin = now_ns();
    int rc = fence_on_message(n->fences[p->to], &m, &fx, NULL);
    int64_t spent = now_ns() - begin;
    HQ_ASSERT(rc == 0);
    n->cpu_ns += spent;
    n->busy_ns[p->to] = HQ_MAX(n->busy_ns[p->to], at_ns) + spent;
    take_effects(n, p->to, &fx);
}

static void
run(struct net *n, size_t bytes)
{
    static const unsigned char hash[FENCE_HASH_BYTES] = {1};
    uint32_t *members = hq_xcalloc(n->node_count, sizeof(*members));
    char *data = hq_xcalloc(bytes + 1, 1);
    for (uint32_t i = 0; i < n->node_count; i++) {
        members[i] = i;
    }
    n->want_bytes = bytes * n->node_count;
    for (uint32_t i = 0; i < n->node_count; i++) {
        struct fence_fx fx = {0};
        int64_t begin = now_ns();
        int rc = fence_begin(n->fences[i], hash, members, n->node_count, hq_str_make(data, bytes), 1, &fx, NULL);
        HQ_ASSERT(rc == 0);
        n->busy_ns[i] = now_ns() - begin;
        n->cpu_ns += n->busy_ns[i];
        take_effects(n, i, &fx);
    }
    for (;;) {
        int64_t at_ns = hq_heap_top_key(&n->flying, -1);
        struct hq_heap_node *first = hq_heap_pop(&n->flying);
        if (first == NULL) {
            break;
        }
        receive(n, HQ_CONTAINER(first, struct packet, node), at_ns);
    }
    HQ_ASSERT(n->done_count == n->node_count);
    free(members);
    free(data);
}

static void
net_init(struct net *n)
{
    n->fences = hq_xcalloc(n->node_count, sizeof(struct fences *));
    n->busy_ns = hq_xcalloc(n->node_count, sizeof(*n->busy_ns));
    n->line_ns = hq_xcalloc(n->node_count, sizeof(*n->line_ns));
    n->flying = HQ_HEAP_INIT;
    for (uint32_t i = 0; i < n->node_count; i++) {
        n->fences[i] = fence_create(i);
    }
}

static void
net_fini(struct net *n)
{
    while (n->all != NULL) {
        struct packet *p = n->all;
        n->all = p->next;
        free(p->parts);
        free(p->data);
        free(p);
    }
    for (uint32_t i = 0; i < n->node_count; i++) {
        fence_destroy(n->fences[i]);
    }
    hq_heap_fini(&n->flying);
    free(n->fences);
    free(n->busy_ns);
    free(n->line_ns);
}

int
main(int argc, char **argv)
{
    uint32_t v[4];
    for (int i = 0; i < 4; i++) {
        if (argc != 5 || hq_num_u32(hq_str_from(argv[i + 1]), &v[i], NULL) < 0) {
            (void)fputs("usage: fence NODES BYTES LINK_US GBIT\n", stderr);
            return 2;
        }
    }
    struct net n = {.node_count = v[0], .link_ns = v[2] * INT64_C(1000), .gbit = v[3]};
    net_init(&n);
    run(&n, v[1]);
    (void)printf("%.3f %.3f %llu %.3f\n", (double)n.last_done_ns / 1e6, (double)n.cpu_ns / 1e6, (unsigned long long)n.messages,
                 (double)n.bytes / 1e6);
    net_fini(&n);
    return 0;
}
