/* hidden.h - the launch path's part of a run that hqd hears nothing of.
 *
 * Ownership  belongs to its batch, which frees it (batch->drop_hidden) and closes the descriptors.
 * Threads    constant while the batch is queued; read by launcher threads.
 */
#ifndef HQ_WORKERD_HIDDEN_H
#define HQ_WORKERD_HIDDEN_H

#include "hq-workerd/run.h"

struct hidden {
    int fds[3];                    /* become stdin, stdout, stderr; -1 = /dev/null */
    char secret[RUN_SECRET_BYTES]; /* of HQ_ACCESS_KEY; "" = one of its own, which ends with the run */
};

HQ_MUST_CHECK struct hidden *hidden_create(void); /* no descriptors, no secret; NULL without memory */
void hidden_close(struct hidden *h);              /* the descriptors */
void hidden_destroy(void *hidden);                /* NULL is fine */

#endif
