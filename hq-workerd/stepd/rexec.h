/* rexec.h - `hq-stepd rexec`: a command on another node of the task, for mpirun in place of ssh or rsh.
 *
 * Purpose    passes the command through our hq-workerd to the one of the node named; stdin, stdout, stderr and the exit
 *            status come and go as with rsh. The worker there ends it with the task.
 * Threads    the caller's; runs a loop of its own until the end.
 * Errors     exit status 255 with a sentence on stderr, as ssh; else the command's.
 * Limits     REXEC_QUEUE_BYTES wait for the worker; beyond, stdin is not read.
 */
#ifndef HQ_STEPD_REXEC_H
#define HQ_STEPD_REXEC_H

#define REXEC_QUEUE_BYTES ((size_t)1 << 20)
#define REXEC_EXIT_ERROR 255

/* [options of rsh or ssh] HOST COMMAND...: options are passed over; words of the command are joined by blanks. */
int rexec_run(char *const *args);

#endif
