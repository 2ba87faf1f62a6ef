/* host.h - one step on this node: from the worker's StepStart to the end of all ranks.
 *
 * Purpose    `hq-stepd ranks ARGS...`. Says hello to hq-workerd, gets the shape of the step, opens PMIx and PMI-1, waits
 *            until all nodes have (Up, Go), starts the ranks, carries fences and output, and ends all ranks on all nodes
 *            when one fails. The root's exit status is the first failed rank's.
 * Threads    the caller's; runs a loop of its own until the end.
 * Errors     of the step: exit status and text in $HQ_ERROR_FILENAME, or on stderr without that.
 * Limits     HOST_GRACE_MS between SIGTERM and SIGKILL (HOST_INT_GRACE_MS after the SIGINT of a cancel), HOST_SWEEP_MS for what ranks left behind, HOST_HELLO_MS until the
 *            worker answers, HOST_END_MS for the other nodes' ends once the step is to end.
 */
#ifndef HQ_STEPD_HOST_H
#define HQ_STEPD_HOST_H

#define HOST_GRACE_MS 400
#define HOST_INT_GRACE_MS 800 /* after SIGINT: the worker gives us a second */
#define HOST_SWEEP_MS 1000
#define HOST_FORGET_MS 1000 /* for libpmix to remove what ranks left behind */
#define HOST_HELLO_MS 30000
#define HOST_END_MS 1500
#define HOST_CLOSED_MS 300 /* a rank that closed its PMI socket is about to end, or is broken */

/* `argv` is the ranks' program. Comes back only when it cannot even begin. */
int host_run(char *const *argv);

#endif
