/* prepare_mpi.h - what tasks of several ranks or nodes are started with.
 *
 * Purpose    --mpi: hq-stepd in the place of the user's program. Plain --nodes: variables by which Open MPI's and MPICH's
 *            mpirun find the nodes of the task and start on them through us, wherever the user has not set them.
 * Ownership  texts lie in the arena, or in the buffer that the caller has made large enough.
 * Threads    image functions on the loop's thread; prepare_mpi_files on launcher threads.
 */
#ifndef HQ_WORKERD_PREPARE_MPI_H
#define HQ_WORKERD_PREPARE_MPI_H

#include "hq-workerd/prepare.h"

#define PREPARE_MPI_ENVS 16u     /* of an image, at most */
#define PREPARE_MPI_FILES 4u     /* of a task, at most */
#define PREPARE_MPI_FILE_BYTES 48u /* name and NUL of one, without the directory */

void prepare_mpi_argv(struct image *im, const struct prepare_conf *conf, struct hq_arena *arena);
/* Behind all other variables of the image. */
void prepare_mpi_env(struct image *im, const struct prepare_conf *conf, struct hq_arena *arena);
/* Variables that name the node files in the task's directory; texts from *at on. */
size_t prepare_mpi_files(const struct image *im, const char *task_dir, char **envp, char **at);

#endif
