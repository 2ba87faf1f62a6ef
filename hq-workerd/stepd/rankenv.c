#include "hq-workerd/stepd/rankenv.h"

#define OWN_MAX 24u

/* Of an outer launcher: hq-workerd itself may run under srun or mpirun. */
static const char *const foreign[] = {
    "PMI_", "PMI2_", "PMIX_", "OMPI_COMM_WORLD_", "OMPI_UNIVERSE_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", "HYDI_",
    "HQ_RANK=", "HQ_LOCAL_RANK=", "HQ_NUM_RANKS=", "HQ_LOCAL_RANKS=",
};

static bool
is_foreign(const char *env)
{
    for (size_t i = 0; i < HQ_ARRAY_LEN(foreign); i++) {
        if (strncmp(env, foreign[i], strlen(foreign[i])) == 0) {
            return strncmp(env, "PMIX_MCA_", 9) != 0; /* parameters, set by users */
        }
    }
    return false;
}

struct vector {
    char **v;
    size_t count;
    struct hq_arena *arena;
};

static bool
has_name(const struct vector *out, const char *env)
{
    const char *end = strchr(env, '=');
    size_t len = end == NULL ? strlen(env) : (size_t)(end - env) + 1;

    for (size_t i = 0; i < out->count; i++) {
        if (strncmp(out->v[i], env, len) == 0) {
            return true;
        }
    }
    return false;
}

static bool
has_prefix(const struct vector *out, const char *prefix)
{
    for (size_t i = 0; i < out->count; i++) {
        if (strncmp(out->v[i], prefix, strlen(prefix)) == 0) {
            return true;
        }
    }
    return false;
}

static void
add_default(struct vector *out, char *env)
{
    if (!has_name(out, env)) {
        out->v[out->count++] = env;
    }
}

static void
add_u32(struct vector *out, const char *name, uint32_t value)
{
    out->v[out->count++] = hq_arena_printf(out->arena, "%s=%u", name, value);
}

static void
add_literal(struct vector *out, const char *text)
{
    add_default(out, hq_arena_strz(out->arena, hq_str_from(text)));
}

static size_t
count_of(char *const *v)
{
    size_t n = 0;

    while (v != NULL && v[n] != NULL) {
        n++;
    }
    return n;
}

char **
rankenv_make(const struct rankenv *e, struct hq_arena *arena)
{
    size_t base_count = count_of(e->base), pmix_count = count_of(e->pmix);
    struct vector out = {
        .v = hq_arena_array(arena, base_count + pmix_count + OWN_MAX, sizeof(char *)),
        .arena = arena,
    };

    for (size_t i = 0; i < base_count; i++) {
        if (!is_foreign(e->base[i])) {
            out.v[out.count++] = e->base[i];
        }
    }
    add_default(&out, hq_arena_printf(arena, "OMP_NUM_THREADS=%u", e->threads));
    for (size_t i = 0; i < pmix_count; i++) {
        add_default(&out, e->pmix[i]);
    }
    if (e->pmix != NULL) {
        /* Open MPI 4.1 starts N worlds of one rank unless it is kept from guessing who launched it, and binds ranks again. */
        add_literal(&out, "OMPI_MCA_schizo=^orte,slurm");
        add_literal(&out, "OMPI_MCA_hwloc_base_binding_policy=none");
        add_literal(&out, "OMPI_MCA_orte_externally_bound=1");
        if (e->is_shared) {
            add_literal(&out, "OMPI_MCA_mpi_yield_when_idle=1");
        }
    }
    if (e->topology_path != NULL && !has_prefix(&out, "HWLOC_")) {
        add_default(&out, hq_arena_printf(arena, "HWLOC_XMLFILE=%s", e->topology_path));
        add_literal(&out, "HWLOC_THISSYSTEM=1"); /* it is this machine: binding works */
        add_literal(&out, "HWLOC_THISSYSTEM_ALLOWED_RESOURCES=1");
    }
    if (e->has_pmi1) {
        add_u32(&out, "PMI_FD", (uint32_t)e->pmi_fd);
        add_u32(&out, "PMI_RANK", e->rank);
        add_u32(&out, "PMI_SIZE", e->rank_count);
        add_u32(&out, "MPI_LOCALRANKID", e->local);
        add_u32(&out, "MPI_LOCALNRANKS", e->local_count);
    }
    add_u32(&out, "HQ_RANK", e->rank);
    add_u32(&out, "HQ_NUM_RANKS", e->rank_count);
    add_u32(&out, "HQ_LOCAL_RANK", e->local);
    add_u32(&out, "HQ_LOCAL_RANKS", e->local_count);
    out.v[out.count] = NULL;
    return out.v;
}
