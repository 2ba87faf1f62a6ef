#include "hq/jobfile.h"

#include "common/limits.h"
#include "common/num.h"

#include <math.h>

/* A float is rounded up to four decimals: 1/3 of a GPU must be enough for a third. */
static int
amount_of_real(double v, hq_amount *ret)
{
    double scaled = ceil(v * (double)HQ_AMOUNT_ONE);
    if (!(scaled >= 0.0) || scaled > (double)HQ_AMOUNT_MAX) {
        return -EINVAL;
    }
    *ret = (hq_amount)scaled;
    return 0;
}

static int
read_entry(struct jobfile_reader *r, const struct doc_item *item, struct hq_request_entry *e)
{
    const struct doc_node *n = item->value;
    struct hq_err why = {0};
    *e = (struct hq_request_entry){.name = item->key, .policy = HQ_POLICY_COMPACT};
    if (!hq_resource_name_ok(item->key)) {
        return jobfile_fail(r, item->key_at, "`%.*s` is no name of a resource", HQ_STR_FMT(item->key));
    }
    if (n->kind == DOC_REAL) {
        if (amount_of_real(n->real, &e->amount) < 0) {
            return jobfile_fail(r, n->at, "invalid amount of a resource");
        }
        if (e->amount == 0) {
            return jobfile_fail(r, n->at, "Zero resources cannot be requested");
        }
        return 0;
    }
    struct hq_str text;
    if (n->kind == DOC_INT) {
        text = hq_str_from(hq_arena_printf(r->arena, "%lld", (long long)n->i));
    } else if (n->kind != DOC_STRING) {
        return jobfile_fail_type(r, n, "a number or a string");
    } else {
        text = n->text;
    }
    if (hq_request_parse_amount(text, &e->amount, &e->policy, &why) < 0) {
        return jobfile_fail(r, n->at, "%s", why.text);
    }
    return 0;
}

static int
read_resources(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    struct hq_variant *v = target;
    if (n->kind != DOC_TABLE) {
        return jobfile_fail_type(r, n, "a map");
    }
    v->entries = hq_arena_array(r->arena, n->count + 1, sizeof *v->entries);
    int rc = 0;
    for (size_t ix = 0; ix < n->count && rc == 0; ix++) {
        rc = read_entry(r, &n->items[ix], &v->entries[v->entry_count++]);
    }
    return rc;
}

static int
read_time_request(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    return jobfile_duration(r, n, &((struct hq_variant *)target)->min_time_ms);
}

static int
read_n_nodes(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    return jobfile_u32(r, n, &((struct hq_variant *)target)->n_nodes);
}

static int
read_weight(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    struct hq_err why = {0};
    struct hq_buf text = HQ_BUF_INIT;
    if (n->kind != DOC_INT && n->kind != DOC_REAL) {
        return jobfile_fail_type(r, n, "f32");
    }
    hq_num_f64_print(&text, n->kind == DOC_INT ? (double)n->i : n->real);
    int rc = 0;
    if (hq_weight_parse(hq_buf_view(&text), &((struct hq_variant *)target)->weight_x10000, &why) < 0) {
        rc = jobfile_fail(r, n->at, "%s", why.text);
    }
    hq_buf_fini(&text);
    return rc;
}

static const struct jobfile_key keys[] = {
    {.name = "n_nodes", .read = read_n_nodes, .older = "nodes"},
    {.name = "time_request", .read = read_time_request},
    {.name = "resources", .read = read_resources},
    {.name = "weight", .read = read_weight},
};
static const struct jobfile_table table = {
    .keys = keys,
    .count = HQ_ARRAY_LEN(keys),
    .unknown = ", expected one of `n_nodes`, `time_request`, `resources`, `weight`",
};

int
jobfile_read_request(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    struct hq_request *req = target;
    struct hq_err why = {0};
    if (n->kind != DOC_ARRAY) {
        return jobfile_fail_type(r, n, "a sequence");
    }
    req->variants = hq_arena_array(r->arena, n->count + 1, sizeof *req->variants);
    for (size_t ix = 0; ix < n->count; ix++) {
        const struct doc_node *item = n->items[ix].value;
        struct hq_variant *v = &req->variants[ix];
        v->weight_x10000 = 10000;
        int rc = jobfile_read_table(r, item, &table, v);
        if (rc < 0) {
            return rc;
        }
        if (hq_variant_sort(v, &why) < 0) {
            return jobfile_fail(r, item->at, "%s", why.text);
        }
    }
    req->variant_count = n->count;
    if (n->count > 0 && hq_request_check(req, &why) < 0) {
        return jobfile_fail(r, n->at, "%s", why.text);
    }
    return 0;
}
