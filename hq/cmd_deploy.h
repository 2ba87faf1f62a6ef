/* cmd_deploy.h - `hq worker deploy-ssh`: workers on a list of hosts, started by ssh.
 *
 * Ownership  hosts borrow the text they were read from.
 * Errors     as commands.h; deploy_parse_hosts: -EINVAL a bad line, -ENODATA no host at all, -E2BIG.
 * Limits     DEPLOY_HOSTS_MAX hosts (a descriptor each), DEPLOY_FILE_BYTES_MAX.
 */
#ifndef HQ_HQ_CMD_DEPLOY_H
#define HQ_HQ_CMD_DEPLOY_H

#include "hq/commands.h"

#define DEPLOY_HOSTS_MAX 4096u
#define DEPLOY_FILE_BYTES_MAX ((size_t)1 << 20)

struct worker_deploy_args {
    bool show_output;
    struct hq_strv words; /* host file, then options of worker start */
};
#define WORKER_DEPLOY_OPTS 2
extern const struct hq_opt worker_deploy_opts[WORKER_DEPLOY_OPTS];
int cmd_worker_deploy_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);

/* ---- for tests */
struct deploy_host {
    struct hq_str line; /* as written, for log lines */
    struct hq_str host;
    uint16_t port; /* 0 = ssh's own choice */
};
struct deploy_hosts {
    struct deploy_host *v;
    size_t count;
};
HQ_MUST_CHECK int deploy_parse_hosts(struct hq_str text, struct deploy_hosts *ret, struct hq_arena *arena,
                                     struct hq_err *err);
/* One word for a POSIX shell. */
void deploy_quote(struct hq_buf *out, struct hq_str word);

#endif
