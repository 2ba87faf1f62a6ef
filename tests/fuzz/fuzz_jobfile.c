/* A job definition file of any bytes, as TOML or (first byte odd) as YAML. What is accepted must be ready to submit. */
#include "hq/jobfile.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static void
check_tree(const struct doc_node *n, size_t depth)
{
    MUST(depth <= DOC_DEPTH_MAX + 1);
    for (size_t i = 0; n->kind >= DOC_ARRAY && i < n->count; i++) {
        check_tree(n->items[i].value, depth + 1);
    }
}

static void
check_file(struct jobfile *f, struct hq_err *err)
{
    MUST(f->task_count > 0);
    for (size_t i = 0; i < f->task_count; i++) {
        const struct jobfile_task *t = &f->tasks[i];
        struct hq_err why = {0};
        MUST(t->command_count > 0 && t->time_limit_ms >= 0);
        MUST(t->request.variant_count > 0 && hq_request_check(&t->request, &why) == 0);
    }
    if (f->is_array) {
        MUST(f->tasks[0].has_ids || f->tasks[0].has_entries);
        return;
    }
    if (jobfile_check_graph(f, NULL, err) < 0) {
        MUST(err->text[0] != '\0');
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct hq_arena arena;
    struct hq_err err = {0};
    struct doc doc = {0};
    struct jobfile file = {0};
    hq_arena_init(&arena, 0);
    struct hq_str text = hq_str_make((const char *)data + 1, size - 1);
    int rc = (data[0] & 1) != 0 ? doc_parse_yaml(&doc, text, &arena, &err) : doc_parse_toml(&doc, text, &arena, &err);
    if (rc == 0) {
        check_tree(doc.root, 0);
        rc = jobfile_read(&file, &doc, &arena, &err);
    }
    if (rc == 0) {
        check_file(&file, &err);
    } else {
        MUST(err.text[0] != '\0');
    }
    jobfile_fini(&file);
    hq_arena_fini(&arena);
    return 0;
}
