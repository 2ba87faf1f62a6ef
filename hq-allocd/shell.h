/* shell.h - hq-allocd's loop: turns with hqd, plans, commands of the batch systems.
 *
 * Purpose    everything that happens makes the next end of a loop turn look at all queues (they are few); what is due
 *            then is begun, and one timer waits for what is due next.
 * Threads    loop thread.
 */
#ifndef HQ_HQ_ALLOCD_SHELL_H
#define HQ_HQ_ALLOCD_SHELL_H

#include "common/err.h"

struct shell_args {
    const char *server_dir; /* absolute */
    char *const *envp;      /* knobs: docs/alloc.md */
};
/* Runs until a signal or until another hq-allocd takes over; the exit status. */
int shell_main(const struct shell_args *args);

#endif
