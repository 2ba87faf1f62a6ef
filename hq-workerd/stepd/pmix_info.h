/* pmix_info.h - what a PMIx server tells its ranks about the job, as a list of pmix_info_t.
 *
 * Purpose    builds the keys of PMIx_server_register_nspace: job, map of nodes and ranks, each rank.
 * Ownership  struct pmix_list owns its items until pmix_list_fini.
 * Errors     negative errno.
 */
#ifndef HQ_STEPD_PMIX_INFO_H
#define HQ_STEPD_PMIX_INFO_H

#include "common/err.h"
#include "hq-workerd/stepd/pmix_host.h"

#include <pmix_common.h>

struct pmix_list {
    pmix_info_t *v;
    size_t count, cap;
};
void pmix_list_fini(struct pmix_list *l); /* also the cleanup form */
void pmix_list_add(struct pmix_list *l, const char *key, const void *value, pmix_data_type_t type); /* copies */

/* `first_rank`, by node: rank number of its first one. */
HQ_MUST_CHECK int pmix_info_job(struct pmix_list *ret, const struct pmix_host_conf *conf, const uint32_t *first_rank,
                                struct hq_err *err);
int pmix_info_error(struct hq_err *err, const char *what, pmix_status_t status); /* returns a negative errno */

#endif
