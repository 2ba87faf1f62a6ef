/* alloc_print.h - queues and allocations in the output modes (spec section "Automatic allocation").
 *
 * Purpose    printing only: answers go in, text comes out.
 * Ownership  pages borrow the answers.
 */
#ifndef HQ_HQ_ALLOC_PRINT_H
#define HQ_HQ_ALLOC_PRINT_H

#include "hq/commands.h"

#include "proto/alloc.pb-c.h"

struct alloc_pages {
    const Hq__AllocListAnswer *first;
    Hq__AllocationInfo **allocs; /* of the only queue, all pages */
    size_t count;
    size_t cap;
};

void alloc_print_list(const struct alloc_pages *w, struct hq_cli *cli);
void alloc_print_info(const struct alloc_pages *w, struct hq_cli *cli);
const char *alloc_state_word(const Hq__AllocationInfo *a); /* "queued": JSON and filters */

#endif
