#include "hq-workerd/stepd/pmix_info.h"

#include <pmix.h>
#include <pmix_server.h>
#include <stdlib.h>

#include "common/mem.h"

void
pmix_list_fini(struct pmix_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        PMIX_INFO_DESTRUCT(&l->v[i]);
    }
    free(l->v);
    *l = (struct pmix_list){0};
}

void
pmix_list_add(struct pmix_list *l, const char *key, const void *value, pmix_data_type_t type)
{
    hq_xgrow(&l->v, &l->cap, l->count + 1, sizeof(*l->v));
    PMIX_INFO_CONSTRUCT(&l->v[l->count]);
    (void)PMIX_INFO_LOAD(&l->v[l->count], key, value, type); /* fails without memory only: the key is missing then */
    l->count++;
}

int
pmix_info_error(struct hq_err *err, const char *what, pmix_status_t status)
{
    return hq_err_set(err, status == PMIX_ERR_NOMEM ? -ENOMEM : -EIO, "%s: PMIx says %s", what,
                      PMIx_Error_string(status));
}

static void
list_u32(struct pmix_list *l, const char *key, uint32_t value)
{
    pmix_list_add(l, key, &value, PMIX_UINT32);
}

static void
list_u16(struct pmix_list *l, const char *key, uint32_t value)
{
    uint16_t v = (uint16_t)HQ_MIN(value, UINT16_MAX);

    pmix_list_add(l, key, &v, PMIX_UINT16);
}

static void
list_rank(struct pmix_list *l, const char *key, uint32_t value)
{
    pmix_rank_t v = value;

    pmix_list_add(l, key, &v, PMIX_PROC_RANK);
}

/* "n1,n2" and "0,1;2,3": the library packs both in its own form. */
static int
info_maps(struct pmix_list *l, const struct pmix_host_conf *conf, const uint32_t *first, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf nodes = HQ_BUF_INIT, procs = HQ_BUF_INIT;
    char *regex = NULL;

    for (uint32_t n = 0; n < conf->node_count; n++) {
        hq_buf_printf(&nodes, "%s%s", n > 0 ? "," : "", conf->hosts[n]);
        for (uint32_t r = 0; r < conf->ranks[n]; r++) {
            hq_buf_printf(&procs, "%s%u", r > 0 ? "," : n > 0 ? ";" : "", first[n] + r);
        }
    }
    pmix_status_t status = PMIx_generate_regex(nodes.ptr, &regex);
    if (status == PMIX_SUCCESS) {
        pmix_list_add(l, PMIX_NODE_MAP, regex, PMIX_REGEX);
        free(regex);
        status = PMIx_generate_ppn(procs.ptr, &regex);
    }
    if (status == PMIX_SUCCESS) {
        pmix_list_add(l, PMIX_PROC_MAP, regex, PMIX_REGEX);
        free(regex);
    }
    return status == PMIX_SUCCESS ? 0 : pmix_info_error(err, "Cannot describe the nodes", status);
}

/* All or nothing: the library guesses none of a rank's keys once it was told one. */
static void
info_rank(struct pmix_list *l, const struct pmix_host_conf *conf, uint32_t node, uint32_t rank, uint32_t local)
{
    struct pmix_list one = {0};

    list_rank(&one, PMIX_RANK, rank);
    list_rank(&one, PMIX_GLOBAL_RANK, rank);
    list_u32(&one, PMIX_APPNUM, 0);
    list_u32(&one, PMIX_NODEID, node);
    pmix_list_add(&one, PMIX_HOSTNAME, conf->hosts[node], PMIX_STRING);
    list_u16(&one, PMIX_LOCAL_RANK, local);
    list_u16(&one, PMIX_NODE_RANK, local);
    pmix_data_array_t array = {.type = PMIX_INFO, .size = one.count, .array = one.v};
    pmix_list_add(l, PMIX_PROC_DATA, &array, PMIX_DATA_ARRAY);
    pmix_list_fini(&one);
}

int
pmix_info_job(struct pmix_list *ret, const struct pmix_host_conf *conf, const uint32_t *first, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf peers = HQ_BUF_INIT;
    uint32_t self = conf->node_index, last = conf->node_count - 1, total = first[last] + conf->ranks[last];
    bool yes = true;

    int rc = info_maps(ret, conf, first, err);
    if (rc < 0) {
        return rc;
    }
    for (uint32_t r = 0; r < conf->ranks[self]; r++) {
        hq_buf_printf(&peers, "%s%u", r > 0 ? "," : "", first[self] + r);
    }
    list_u32(ret, PMIX_JOB_SIZE, total);
    list_u32(ret, PMIX_UNIV_SIZE, total);
    list_u32(ret, PMIX_MAX_PROCS, total);
    list_u32(ret, PMIX_NUM_NODES, conf->node_count);
    list_u32(ret, PMIX_JOB_NUM_APPS, 1);
    list_u32(ret, PMIX_NODEID, self);
    list_u32(ret, PMIX_LOCAL_SIZE, conf->ranks[self]);
    list_u32(ret, PMIX_NODE_SIZE, conf->ranks[self]);
    pmix_list_add(ret, PMIX_LOCAL_PEERS, peers.ptr, PMIX_STRING);
    list_rank(ret, PMIX_LOCALLDR, first[self]);
    pmix_list_add(ret, PMIX_JOBID, conf->nspace, PMIX_STRING);
    pmix_list_add(ret, PMIX_TMPDIR, conf->dir, PMIX_STRING);
    pmix_list_add(ret, PMIX_NSDIR, conf->dir, PMIX_STRING);
    pmix_list_add(ret, PMIX_TDIR_RMCLEAN, &yes, PMIX_BOOL); /* the directory is ours to remove */
    for (uint32_t n = 0; n < conf->node_count; n++) {
        for (uint32_t r = 0; r < conf->ranks[n]; r++) {
            info_rank(ret, conf, n, first[n] + r, r);
        }
    }
    return 0;
}
