/* submit_mpi.h - ranks of a task as the user gives them: words, rules, message. For options and job files.
 *
 * Purpose    what may stand together (options without --mpi, %{RANK}, --pin, shapes) is said in one place.
 * Ownership  messages lie in the arena.
 * Threads    pure.
 * Errors     -EINVAL with the sentence for the user.
 */
#ifndef HQ_HQ_SUBMIT_MPI_H
#define HQ_HQ_SUBMIT_MPI_H

#include "common/mpi.h"

#include "proto/common.pb-c.h"

struct submit_input;

/* "pmix", "pmi1", "any" */
HQ_MUST_CHECK int submit_parse_wire_up(struct hq_str word, enum hq_mpi_wire_up *ret, struct hq_err *err);
/* Options of ranks without --mpi, and what does not go with it. */
HQ_MUST_CHECK int submit_mpi_check(const struct submit_input *in, struct hq_err *err);
/* %{RANK} is known to --mpi tasks alone. `what` names the place: "stdout path". */
HQ_MUST_CHECK int submit_mpi_check_path(const struct hq_mpi *m, struct hq_str path, const char *what,
                                        struct hq_err *err);
/* Cpus of a single node when the user names none. */
hq_amount submit_mpi_cpus(const struct hq_mpi *m);
Hq__Mpi *submit_mpi_wire(const struct hq_mpi *m, struct hq_arena *arena); /* NULL: one process */

#endif
