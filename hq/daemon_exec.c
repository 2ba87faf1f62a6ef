#include "hq/daemon_exec.h"

#include "common/siblings.h"

#include <unistd.h>

static bool
is_command_word(const struct hq_parsed *p, int ix)
{
    for (size_t k = 0; k < p->word_count; k++) {
        if (p->word_ix[k] == ix) {
            return true;
        }
    }
    return false;
}

int
daemon_exec(struct hq_cli *cli, const struct hq_parsed *p, const char *name, const char *first, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    int rc = hq_sibling_path(&path, name, err);
    if (rc < 0) {
        return rc;
    }
    char **argv = hq_arena_array(&cli->arena, (size_t)cli->argc + 2, sizeof *argv);
    size_t count = 0;
    argv[count++] = hq_arena_strz(&cli->arena, hq_str_from(name));
    if (first != NULL) {
        argv[count++] = hq_arena_strz(&cli->arena, hq_str_from(first));
    }
    for (int ix = 1; ix < cli->argc; ix++) {
        if (!is_command_word(p, ix)) {
            argv[count++] = cli->argv[ix];
        }
    }
    hq_out_flush(&cli->out);
    (void)execve(path.ptr, argv, cli->envp); /* returns only on failure */
    return hq_err_sys(err, -errno, "Cannot start %s", path.ptr);
}
