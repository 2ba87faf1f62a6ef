#include "hq/submit_mpi.h"

#include "common/placeholder.h"
#include "hq/submit_build.h"

int
submit_parse_wire_up(struct hq_str word, enum hq_mpi_wire_up *ret, struct hq_err *err)
{
    static const struct {
        const char *word;
        enum hq_mpi_wire_up wire_up;
    } rows[] = {{"any", HQ_MPI_ANY}, {"pmix", HQ_MPI_PMIX}, {"pmi1", HQ_MPI_PMI1}};
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(rows); ix++) {
        if (hq_str_is(word, rows[ix].word)) {
            *ret = rows[ix].wire_up;
            return 0;
        }
    }
    return hq_err_set(err, -EINVAL, "unknown way to start ranks");
}

int
submit_mpi_check_path(const struct hq_mpi *m, struct hq_str path, const char *what, struct hq_err *err)
{
    if (!m->is_on && (hq_placeholder_bits(path) & HQ_PH_BIT(HQ_PH_RANK)) != 0) {
        return hq_err_set(err, -EINVAL, "The placeholder `%%{RANK}` in the %s needs an MPI task.", what);
    }
    return 0;
}

int
submit_mpi_check(const struct submit_input *in, struct hq_err *err)
{
    static const char *const with_mpi[] = {"ranks-per-node", "ranks", "cpus-per-rank", "oversubscribe", "tag-output"};
    const struct submit_args *a = in->args;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(with_mpi) && !a->mpi.is_on; ix++) {
        if (submit_args_given(in->given, with_mpi[ix])) {
            return hq_err_set(err, -EINVAL, "--%s has a meaning with --mpi only", with_mpi[ix]);
        }
    }
    if (a->mpi.is_on && a->pin != SUBMIT_PIN_NONE) {
        return hq_err_set(err, -EINVAL, "--pin and --mpi cannot be combined: ranks are always bound");
    }
    int rc = submit_mpi_check_path(&a->mpi, a->to_stdout.path, "stdout path", err);
    return rc == 0 ? submit_mpi_check_path(&a->mpi, a->to_stderr.path, "stderr path", err) : rc;
}

hq_amount
submit_mpi_cpus(const struct hq_mpi *m)
{
    return m->is_on ? HQ_MAX(hq_mpi_cpus(m, 1), 1u) * HQ_AMOUNT_ONE : HQ_AMOUNT_ONE;
}

Hq__Mpi *
submit_mpi_wire(const struct hq_mpi *m, struct hq_arena *arena)
{
    if (!m->is_on) {
        return NULL;
    }
    Hq__Mpi *w = hq_arena_alloc(arena, sizeof *w);
    hq__mpi__init(w);
    w->ranks_per_node = m->ranks_per_node;
    w->ranks = m->ranks;
    w->cpus_per_rank = m->cpus_per_rank;
    w->oversubscribe = m->oversubscribe;
    w->tag_output = m->tag_output;
    w->wire_up = (Hq__MpiWireUp)m->wire_up;
    return w;
}
_Static_assert((int)HQ_MPI_PMIX == HQ__MPI_WIRE_UP__MPI_WIRE_UP_PMIX &&
                   (int)HQ_MPI_PMI1 == HQ__MPI_WIRE_UP__MPI_WIRE_UP_PMI1,
               "ways to start have the numbers of the wire");
