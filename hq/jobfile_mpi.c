/* Ranks in job files: the keys are the options of hq submit, with underscores. */
#include "hq/jobfile.h"
#include "hq/submit_mpi.h"

#define MPI(target) (&((struct jobfile_task *)(target))->mpi)

/* true, false, or what is offered to the ranks */
int
jobfile_read_mpi(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    if (n->kind == DOC_STRING) {
        MPI(target)->is_on = true;
        return submit_parse_wire_up(n->text, &MPI(target)->wire_up, NULL) == 0
                   ? 0
                   : jobfile_fail(r, n->at, "unknown variant `%.*s`, expected one of `any`, `pmix`, `pmi1`",
                                  HQ_STR_FMT(n->text));
    }
    if (n->kind != DOC_BOOL) {
        return jobfile_fail_type(r, n, "a boolean or a string");
    }
    return jobfile_bool(r, n, &MPI(target)->is_on);
}

static int
read_count(struct jobfile_reader *r, const struct doc_node *n, uint32_t *ret)
{
    int rc = jobfile_u32(r, n, ret);
    return rc == 0 && *ret == 0 ? jobfile_fail(r, n->at, "must be at least 1") : rc;
}

int
jobfile_read_ranks_per_node(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    return read_count(r, n, &MPI(target)->ranks_per_node);
}

int
jobfile_read_ranks(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    return read_count(r, n, &MPI(target)->ranks);
}

int
jobfile_read_cpus_per_rank(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    return read_count(r, n, &MPI(target)->cpus_per_rank);
}

int
jobfile_read_oversubscribe(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    return jobfile_bool(r, n, &MPI(target)->oversubscribe);
}

int
jobfile_read_tag_output(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    return jobfile_bool(r, n, &MPI(target)->tag_output);
}

/* A key that means nothing without `mpi`; NULL = none is there. */
static const char *
stray_key(const struct hq_mpi *m)
{
    return m->ranks_per_node > 0  ? "ranks_per_node"
           : m->ranks > 0         ? "ranks"
           : m->cpus_per_rank > 0 ? "cpus_per_rank"
           : m->oversubscribe     ? "oversubscribe"
           : m->tag_output        ? "tag_output"
                                  : NULL;
}

int
jobfile_check_mpi(struct jobfile_reader *r, const struct doc_node *n, struct jobfile_task *t)
{
    struct hq_err why = {0};
    const char *stray = t->mpi.is_on ? NULL : stray_key(&t->mpi);
    if (stray != NULL) {
        return jobfile_fail(r, n->at, "`%s` has a meaning with `mpi` only", stray);
    }
    if (t->mpi.is_on && t->pin != SUBMIT_PIN_NONE) {
        return jobfile_fail(r, n->at, "`pin` and `mpi` cannot be combined: ranks are always bound");
    }
    int rc = submit_mpi_check_path(&t->mpi, t->to_stdout.path, "stdout path", &why);
    rc = rc < 0 ? rc : submit_mpi_check_path(&t->mpi, t->to_stderr.path, "stderr path", &why);
    for (size_t ix = 0; rc == 0 && ix < t->request.variant_count; ix++) {
        rc = hq_mpi_check(&t->mpi, &t->request.variants[ix], &why);
    }
    return rc < 0 ? jobfile_fail(r, n->at, "%s", why.text) : 0;
}
