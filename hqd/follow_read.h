/* follow_read.h - one page of records for a follower: read on the journal's thread, joined with events, answered.
 *
 * Ownership  a page owns itself until it is answered.
 * Threads    follow_read_start and the answer on the loop; records are taken on the reading thread.
 * Limits     HQ_PAGE_BYTES a page; a record that no message could hold travels without its entries and arguments.
 */
#ifndef HQ_HQD_FOLLOW_READ_H
#define HQ_HQD_FOLLOW_READ_H

#include <stdint.h>

struct shell;

/* Answers `handle` with the committed records behind after_seq, and with events that came meanwhile. */
void follow_read_start(struct shell *s, uint64_t handle, uint64_t after_seq);

#endif
