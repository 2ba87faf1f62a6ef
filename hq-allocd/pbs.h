/* pbs.h - PBS: command lines and pure parsers of what qsub, qstat, qselect and qdel say (OpenPBS 23 and relatives).
 *
 * Purpose    batch_pbs of batch.h. Several ids need `qstat -E` (else only the first job comes back); a job whose id is
 *            not known is found by name with qselect, then told by its submit arguments.
 * Errors     as batch.h.
 */
#ifndef HQ_HQ_ALLOCD_PBS_H
#define HQ_HQ_ALLOCD_PBS_H

#include "hq-allocd/batch.h"

/* "Tue Nov 24 22:00:03 2026", local time of the server; 0 = none. */
hq_wall_ms pbs_time(struct hq_str text, int32_t utc_offset_s);

#endif
