/* explain_print.h - task explain: where a task could run, and why not elsewhere (spec section "task explain").
 *
 * Purpose    printing only: an answer goes in, text comes out. Items come by worker, then variant.
 * Threads    pure but for `out`.
 */
#ifndef HQ_HQ_EXPLAIN_PRINT_H
#define HQ_HQ_EXPLAIN_PRINT_H

#include "common/out.h"

#include "proto/client.pb-c.h"

void explain_print_table(struct hq_out *out, const Hq__TaskExplainAnswer *a);
void explain_print_json(struct hq_out *out, const Hq__TaskExplainAnswer *a);

#endif
