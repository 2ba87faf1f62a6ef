/* prepare_mpi.c - hq-stepd as the program, or mpirun told to go through it. */
#include "hq-workerd/prepare_mpi.h"

#include <string.h>

#include "hq-workerd/taskdir.h"

void
prepare_mpi_argv(struct image *im, const struct prepare_conf *conf, struct hq_arena *arena)
{
    const struct body *b = im->body;
    size_t n = 0;

    im->argv = hq_arena_array(arena, b->arg_count + 3, sizeof(*im->argv));
    im->argv[n++] = hq_arena_strz(arena, hq_str_from(conf->stepd_path == NULL ? "hq-stepd" : conf->stepd_path));
    im->argv[n++] = hq_arena_strz(arena, HQ_STR("ranks"));
    for (size_t i = 0; i < b->arg_count; i++) {
        im->argv[n++] = hq_arena_strz(arena, b->args[i]);
    }
    im->argc = n;
    im->sh_argv = im->argv; /* it is no script */
    im->paths = hq_arena_array(arena, 2, sizeof(*im->paths));
    im->paths[0] = im->argv[0];
}

static bool
image_has(const struct image *im, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < im->env_count; i++) {
        if (strncmp(im->envs[i], name, len) == 0 && im->envs[i][len] == '=') {
            return true;
        }
    }
    return false;
}

static void
add_unless_set(struct image *im, struct hq_arena *arena, const char *name, const char *value)
{
    if (!image_has(im, name)) {
        im->envs[im->env_count++] = hq_arena_printf(arena, "%s=%s", name, value);
    }
}

/* By bit of image->mpi_files: where each library looks for the nodes. */
static const struct {
    const char *name, *file;
} node_files[] = {
    {"OMPI_MCA_orte_default_hostfile", TASKDIR_NODE_NAME}, /* Open MPI up to 4 */
    {"PRTE_MCA_prte_default_hostfile", TASKDIR_NODE_NAME}, /* Open MPI 5 */
    {"HYDRA_HOST_FILE", TASKDIR_HOST_NAME},                /* MPICH */
    {"I_MPI_HYDRA_HOST_FILE", TASKDIR_HOST_NAME},          /* Intel MPI */
};
_Static_assert(HQ_ARRAY_LEN(node_files) == PREPARE_MPI_FILES, "room for each");

/* Inside an allocation Open MPI would take all nodes of that, and start on them by srun or tm. */
static const struct {
    const char *job_id, *not_ompi, *not_prte;
} batch_systems[] = {
    {"SLURM_JOB_ID", "^slurm", "^slurm"},
    {"PBS_JOBID", "^tm", "^pbs"},
};
static const struct {
    const char *launcher, *exec;
} hydras[] = {
    {"HYDRA_LAUNCHER", "HYDRA_LAUNCHER_EXEC"},
    {"I_MPI_HYDRA_BOOTSTRAP", "I_MPI_HYDRA_BOOTSTRAP_EXEC"},
};

void
prepare_mpi_env(struct image *im, const struct prepare_conf *conf, struct hq_arena *arena)
{
    if (conf->stepd_path == NULL || im->body->mpi.is_on || !im->is_multi_node) {
        return;
    }
    const char *agent = hq_arena_printf(arena, "%s rexec", conf->stepd_path);
    add_unless_set(im, arena, "OMPI_MCA_plm_rsh_agent", agent);
    add_unless_set(im, arena, "OMPI_MCA_plm_rsh_no_tree_spawn", "1"); /* only the root has the task's socket */
    add_unless_set(im, arena, "PRTE_MCA_plm_ssh_agent", agent);
    add_unless_set(im, arena, "PRTE_MCA_plm_ssh_no_tree_spawn", "1");
    /* Who asks for N nodes wants ranks on all of them; Open MPI would fill the first one first. Hydra goes round anyway. */
    add_unless_set(im, arena, "OMPI_MCA_rmaps_base_mapping_policy", "node");
    add_unless_set(im, arena, "PRTE_MCA_rmaps_default_mapping_policy", "node");
    for (size_t i = 0; i < HQ_ARRAY_LEN(batch_systems); i++) {
        if (image_has(im, batch_systems[i].job_id)) {
            add_unless_set(im, arena, "OMPI_MCA_plm", "rsh");
            add_unless_set(im, arena, "OMPI_MCA_ras", batch_systems[i].not_ompi);
            add_unless_set(im, arena, "PRTE_MCA_plm", "ssh");
            add_unless_set(im, arena, "PRTE_MCA_ras", batch_systems[i].not_prte);
        }
    }
    /* Hydra takes one word for its launcher: called without a verb that it knows, hq-stepd does what rexec does. */
    for (size_t i = 0; i < HQ_ARRAY_LEN(hydras); i++) {
        if (!image_has(im, hydras[i].launcher) && !image_has(im, hydras[i].exec)) {
            add_unless_set(im, arena, hydras[i].launcher, "rsh");
            add_unless_set(im, arena, hydras[i].exec, conf->stepd_path);
        }
    }
    for (size_t i = 0; i < HQ_ARRAY_LEN(node_files); i++) {
        if (!image_has(im, node_files[i].name)) {
            im->mpi_files |= 1u << i;
        }
    }
}

static char *
put(char *at, const char *text)
{
    size_t len = strlen(text);

    memcpy(at, text, len + 1);
    return at + len;
}

size_t
prepare_mpi_files(const struct image *im, const char *task_dir, char **envp, char **at)
{
    size_t n = 0;

    for (size_t i = 0; i < HQ_ARRAY_LEN(node_files); i++) {
        if ((im->mpi_files & 1u << i) == 0) {
            continue;
        }
        envp[n++] = *at;
        *at = put(put(put(put(put(*at, node_files[i].name), "="), task_dir), "/"), node_files[i].file) + 1;
    }
    return n;
}
