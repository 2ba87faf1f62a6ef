#include "hq/cmd_doc.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/siblings.h"

/* Address of the manual, for programs that were copied without it: make DOC_URL=https://... */
#ifndef HQ_DOC_URL
#define HQ_DOC_URL ""
#endif

#define WORDS "job", "taskarray", "resources", "worker", "autoalloc", "python-api", "cheatsheet", "changelog", "faq"
#define ALIASES "jobs", "tasks", "workers", "pbs", "slurm", "python"
static const char *const topic_words[] = {WORDS, NULL, ALIASES, NULL};

struct topic {
    const char *page;
    const char *section; /* of the page, for the address; NULL = all of it */
};
/* In the order of the words, then of the aliases. */
static const struct topic topics[] = {
    {"cli.md", "hq-job"},    {"cli.md", "hq-submit"},  {"cli.md", "hq-submit"},       {"cli.md", "hq-worker"},
    {"cli.md", "hq-alloc"},  {"python.md", NULL},      {"cli.md", NULL},              {"CHANGELOG.md", NULL},
    {"compatibility.md", NULL}, {"cli.md", "hq-job"},  {"cli.md", "hq-task"},         {"cli.md", "hq-worker"},
    {"cli.md", "hq-alloc"},  {"cli.md", "hq-alloc"},   {"python.md", NULL},
};
_Static_assert(HQ_ARRAY_LEN(topics) + 2 == HQ_ARRAY_LEN(topic_words), "a page for each word");
static const struct topic start_page = {"README.md", NULL};

const struct hq_opt doc_opts[DOC_OPTS] = {
    {.name = "TOPIC",
     .parse = hq_opt_word,
     .at = offsetof(struct doc_args, topic),
     .values = topic_words,
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_MORE_WORDS,
     .help = "Subject; the first page unless given."},
    {.name = "open", .at = offsetof(struct doc_args, open), .help = "Opens the page instead of printing where it is."},
};

/* Installed beside the programs, or those of the sources they were built from. */
static bool
find_page(const char *page, struct hq_buf *ret)
{
    static const char *const places[] = {"../share/doc/hq/", "../../docs/", "../../"};
    HQ_AUTO(hq_buf_fini) struct hq_buf self = HQ_BUF_INIT;

    if (hq_sibling_path(&self, "hq", NULL) < 0) {
        return false;
    }
    self.len -= strlen("hq");
    for (size_t i = 0; i < HQ_ARRAY_LEN(places); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
        hq_buf_printf(&path, "%.*s%s%s", (int)self.len, self.ptr, places[i], page);
        HQ_AUTO(hq_mem_freep) char *real = realpath(path.ptr, NULL);
        if (real != NULL && access(real, R_OK) == 0) {
            hq_buf_cstr(ret, real);
            return true;
        }
    }
    return false;
}

static int
open_page(struct hq_cli *cli, const char *where, struct hq_err *err)
{
    char *argv[] = {hq_arena_strz(&cli->arena, HQ_STR("xdg-open")), hq_arena_strz(&cli->arena, hq_str_from(where)), NULL};

    (void)execvp(argv[0], argv); /* returns only on failure */
    return hq_err_set(err, -errno, "Cannot start xdg-open: %s", hq_err_os(errno));
}

int
cmd_doc_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct doc_args *args = p->args;
    const struct topic *t = hq_parsed_given(p, "TOPIC") ? &topics[args->topic] : &start_page;
    HQ_AUTO(hq_buf_fini) struct hq_buf where = HQ_BUF_INIT;

    if (!find_page(t->page, &where)) {
        if (HQ_DOC_URL[0] == '\0') {
            return hq_err_set(err, -ENOENT, "The page %s is not installed with this program", t->page);
        }
        hq_buf_printf(&where, "%s/%s%s%s", HQ_DOC_URL, t->page, t->section == NULL ? "" : "#",
                      t->section == NULL ? "" : t->section);
    }
    if (args->open) {
        return open_page(cli, where.ptr, err);
    }
    hq_out_line(&cli->out, "%s", where.ptr);
    cli->out.has_document = true; /* the line is all, in every mode */
    return 0;
}
