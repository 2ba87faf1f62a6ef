/* main.c - hq-allocd: options, then the loop. hqd runs it when a queue exists; a site may run it as a service. */
#include <signal.h>
#include <sodium.h>

#include "common/log.h"
#include "common/serverdir.h"
#include "common/start_opts.h"
#include "hq-allocd/shell.h"

extern char **environ;

int
main(int argc, char **argv)
{
    struct hq_start start;
    struct hq_err err = {0};
    int status = hq_start_parse(&start, "hq-allocd", NULL, 0, 0, argc, argv, environ);
    if (status >= 0) {
        return status;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    HQ_AUTO(hq_buf_fini) struct hq_buf dir = HQ_BUF_INIT;
    bool is_default;
    const struct hq_str given = start.globals.server_dir;
    int rc = sodium_init() < 0 ? hq_err_set(&err, -EIO, "libsodium could not be initialised") : 0;
    if (rc == 0) {
        rc = hq_serverdir_path(&dir, given.len > 0 ? hq_arena_strz(&start.arena, given) : NULL, &is_default, &err);
    }
    if (rc == 0) {
        status = shell_main(&(struct shell_args){.server_dir = dir.ptr, .envp = environ});
    } else {
        status = hq_start_failed(&start, &err);
    }
    hq_start_fini(&start);
    return status;
}
