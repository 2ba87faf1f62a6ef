/* slurm.h - Slurm: command lines and pure parsers of what sbatch, squeue and scancel say.
 *
 * Purpose    batch_slurm of batch.h. One `squeue --me` tells of all our jobs: those known, those that a cut-off sbatch
 *            left behind (found by the path of their script), those that should not be there any more.
 * Errors     as batch.h.
 */
#ifndef HQ_HQ_ALLOCD_SLURM_H
#define HQ_HQ_ALLOCD_SLURM_H

#include "hq-allocd/batch.h"

enum batch_state slurm_state(struct hq_str word);
/* One line of squeue in our format; false: not one of ours. */
bool slurm_row(struct hq_str line, struct batch_row *ret);

#endif
