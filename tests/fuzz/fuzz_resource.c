/* Requests of tasks and descriptors of workers: amounts, policies, weights, pools, couplings. */
#include "tests/fuzz/fuzz.h"

#include "common/pool.h"
#include "common/request.h"

static int
try_amount(struct hq_str text, struct hq_err *err)
{
    hq_amount amount = 0;
    hq_amount again = 0;
    enum hq_policy policy = 0;
    enum hq_policy policy_again = 0;
    struct hq_buf out = HQ_BUF_INIT;
    int rc = hq_request_parse_amount(text, &amount, &policy, err);
    if (rc == 0) {
        MUST((unsigned)policy < HQ_POLICIES);
        hq_request_print_amount(amount, policy, &out);
        MUST(hq_request_parse_amount(hq_buf_view(&out), &again, &policy_again, NULL) == 0);
        MUST(again == amount && policy_again == policy);
    }
    hq_buf_fini(&out);
    return rc;
}

/* Entries, one a line, as one variant. */
static int
try_request(struct fuzz *f, struct hq_err *err)
{
    struct hq_request_entry entries[16];
    struct hq_variant v = {.entries = entries, .weight_x10000 = 10000};
    struct hq_request r = {.variants = &v, .variant_count = 1};
    struct hq_request copy;
    struct hq_str line;
    int rc = 0;
    while (rc == 0 && f->text.len > 0 && v.entry_count < HQ_ARRAY_LEN(entries)) {
        (void)hq_str_split(&f->text, '\n', &line);
        rc = hq_request_parse_entry(line, &entries[v.entry_count], &f->arena, err);
        v.entry_count += rc == 0;
    }
    rc = rc < 0 ? rc : hq_variant_sort(&v, err);
    rc = rc < 0 ? rc : hq_request_check(&r, err);
    if (rc == 0) {
        hq_request_copy(&copy, &r, &f->arena);
        MUST(hq_request_eq(&copy, &r) && hq_request_hash(&copy) == hq_request_hash(&r));
    }
    return rc;
}

/* Values that need quotes are shown without: those don't read back. */
static bool
is_plain(const struct hq_pool *p)
{
    bool is_plain = true;
    for (size_t g = 0; g < p->group_count; g++) {
        for (size_t i = 0; i < p->groups[g].count; i++) {
            struct hq_str v = p->groups[g].values[i];
            is_plain = is_plain && v.len > 0;
            for (size_t k = 0; k < v.len; k++) {
                is_plain =
                    is_plain && strchr("abcdefghijklmnopqrstuvwxyz0123456789", v.ptr[k]) != NULL && v.ptr[k] != '\0';
            }
        }
    }
    return is_plain;
}

static void
check_pool(struct fuzz *f, const struct hq_pool *p)
{
    struct hq_buf out = HQ_BUF_INIT;
    struct hq_pool again;
    hq_pool_print_full(p, &out);
    if (is_plain(p)) {
        MUST(hq_pool_parse(&again, p->name, hq_buf_view(&out), false, &f->arena, NULL) == 0);
        MUST(hq_pool_size(&again) == hq_pool_size(p));
    }
    hq_buf_fini(&out);
}

/* Pools, one a line; behind an empty line couplings of them. */
static int
try_pools(struct fuzz *f, struct hq_err *err)
{
    struct hq_pool v[8];
    struct hq_pools pools = {.v = v};
    struct hq_pools copy;
    struct hq_buf out = HQ_BUF_INIT;
    struct hq_str line = HQ_STR("x");
    int rc = 0;
    while (rc == 0 && f->text.len > 0 && pools.count < HQ_ARRAY_LEN(v)) {
        (void)hq_str_split(&f->text, '\n', &line);
        if (line.len == 0) {
            break;
        }
        rc = hq_pool_parse_def(&v[pools.count], line, &f->arena, err);
        pools.count += rc == 0;
    }
    rc = rc < 0 ? rc : hq_pools_sort(&pools, err);
    rc = rc < 0 ? rc : hq_pools_check(&pools, err);
    if (rc == 0) {
        for (size_t i = 0; i < pools.count; i++) {
            check_pool(f, &v[i]);
        }
        rc = f->text.len > 0 ? hq_coupling_parse(&pools, f->text, &f->arena, err) : 0;
        hq_pools_copy(&copy, &pools, &f->arena);
        hq_pools_print_summary(&copy, "; ", " ", &out);
    }
    hq_buf_fini(&out);
    return rc;
}

void
fuzz_one(struct fuzz *f)
{
    struct hq_err err = {0};
    struct hq_pool pool;
    uint64_t weight = 0;
    int rc;
    switch (fuzz_byte(f) % 5) {
    case 0:
        rc = try_amount(f->text, &err);
        break;
    case 1:
        rc = try_request(f, &err);
        break;
    case 2:
        rc = try_pools(f, &err);
        break;
    case 3:
        rc = hq_pool_parse(&pool, HQ_STR("cpus"), f->text, true, &f->arena, &err);
        if (rc == 0) {
            check_pool(f, &pool);
        }
        break;
    default:
        rc = hq_weight_parse(f->text, &weight, &err);
        MUST(rc < 0 || weight > 0);
        break;
    }
    MUST_TELL(rc, err);
}
