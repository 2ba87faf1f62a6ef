/* daemon_exec.h - hq becomes one of the daemons.
 *
 * Purpose    `hq server start ARGS` is `hqd ARGS`: same pid, same terminal, arguments checked before.
 * Errors     only returns when the program can't be started.
 */
#ifndef HQ_HQ_DAEMON_EXEC_H
#define HQ_HQ_DAEMON_EXEC_H

#include "hq/commands.h"

/* Executes the program `name` beside our own executable with our arguments, without the words that named the command
 * and with `first` in front (NULL = nothing). */
int daemon_exec(struct hq_cli *cli, const struct hq_parsed *p, const char *name, const char *first, struct hq_err *err);

#endif
