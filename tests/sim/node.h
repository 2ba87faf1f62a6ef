/* node.h - a simulated worker: speaks turns, runs tasks in virtual time, dies and comes back.
 *
 * Purpose    the worker's half of the protocol as proto/turn.proto describes it, with a process that ends tasks after a
 *            length that follows from their ids.
 */
#ifndef HQ_TESTS_SIM_NODE_H
#define HQ_TESTS_SIM_NODE_H

#include "tests/sim/world.h"

/* A new worker process; it registers by itself. */
struct node *node_add(struct world *w, uint32_t cpus, const char *group);
void node_destroy(struct node *n);
void node_on_reply(struct node *n, uint64_t turn_seq, struct reply *r);
/* number: which registration is answered. */
void node_on_registered(struct node *n, uint64_t number, const struct reply *r);
/* The process dies; hqd sees the connection close, or with a dead host nothing at all. */
void node_kill(struct world *w, struct node *n, bool is_seen);
/* Its connection breaks for a while: messages are lost, tasks go on. */
void node_cut(struct world *w, struct node *n, hq_ms for_ms);
bool node_is_member(const struct node *n); /* works for a task of another one */
bool node_is_alive(const struct node *n);
uint32_t node_worker(const struct node *n);
uint32_t node_cpus(const struct node *n);
void node_free_event(struct world_event *e); /* an event that will not run any more */
/* How long a task takes and whether it fails, from its ids. */
hq_ms node_task_ms(const struct world *w, uint32_t job, uint32_t task);
bool node_task_fails(const struct world *w, uint32_t job, uint32_t task);
void node_print(const struct node *n, struct hq_buf *out);

#endif
