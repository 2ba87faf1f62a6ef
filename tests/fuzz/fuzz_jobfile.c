/* A job definition file of any bytes, as TOML or (first byte odd) as YAML. What is accepted must be ready to submit. */
#include "tests/fuzz/fuzz.h"

#include "hq/jobfile.h"

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

void
fuzz_one(struct fuzz *f)
{
    struct hq_err err = {0};
    struct doc doc = {0};
    struct jobfile file = {0};
    bool is_yaml = (fuzz_byte(f) & 1) != 0;
    int rc = is_yaml ? doc_parse_yaml(&doc, f->text, &f->arena, &err) : doc_parse_toml(&doc, f->text, &f->arena, &err);
    if (rc == 0) {
        check_tree(doc.root, 0);
        rc = jobfile_read(&file, &doc, "x.toml", &f->arena, &err);
    }
    if (rc == 0) {
        check_file(&file, &err);
    } else {
        MUST(err.text[0] != '\0');
    }
    jobfile_fini(&file);
}
