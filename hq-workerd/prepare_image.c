/* prepare_image.c - what all tasks of a body and variant share: argv, most of the environment, places of the program. */
#include "hq-workerd/prepare_impl.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "hq-workerd/prepare_mpi.h"

/* Ours in every task, or of one task only: never inherited from an outer task or a service manager. */
static const char *const own_names[] = {
    "HQ_JOB_ID",     "HQ_TASK_ID",        "HQ_INSTANCE_ID", "HQ_SUBMIT_DIR",       "HQ_ENTRY",    "HQ",
    "HQ_ACCESS_KEY", "HQ_TASK_DIR",       "HQ_CPUS",        "HQ_RESOURCE_VARIANT", "HQ_PIN",      "HQ_ERROR_FILENAME",
    "HQ_NUM_NODES",  "HQ_NODE_FILE",      "HQ_HOST_FILE",   "NOTIFY_SOCKET",       "WATCHDOG_PID", "WATCHDOG_USEC",
};

static bool
name_is(struct hq_str env, struct hq_str name)
{
    return env.len > name.len && env.ptr[name.len] == '=' && memcmp(env.ptr, name.ptr, name.len) == 0;
}

/* Is a variable of worker or user replaced by one of ours? */
static bool
env_is_ours(const struct hq_variant *v, struct hq_str env, bool from_worker)
{
    for (size_t i = 0; i < HQ_ARRAY_LEN(own_names); i++) {
        bool is_host = strncmp(own_names[i], "HQ", 2) != 0;
        if ((from_worker || !is_host) && name_is(env, hq_str_from(own_names[i]))) {
            return true;
        }
    }
    if (hq_str_starts(env, HQ_STR("HQ_RESOURCE_")) && from_worker) {
        return true;
    }
    for (size_t i = 0; i < v->entry_count && v->n_nodes == 0; i++) {
        struct hq_str name = v->entries[i].name;
        if ((hq_str_is(name, "gpus/nvidia") &&
             (name_is(env, HQ_STR("CUDA_VISIBLE_DEVICES")) || name_is(env, HQ_STR("CUDA_DEVICE_ORDER")))) ||
            (hq_str_is(name, "gpus/amd") && name_is(env, HQ_STR("ROCR_VISIBLE_DEVICES")))) {
            return true;
        }
        if (hq_str_starts(env, HQ_STR("HQ_RESOURCE_"))) {
            HQ_AUTO(hq_buf_fini) struct hq_buf plain = HQ_BUF_INIT;
            grant_print_name(&plain, name);
            struct hq_str rest = hq_str_sub(env, sizeof "HQ_RESOURCE_" - 1, env.len);
            if (name_is(rest, hq_buf_view(&plain)) || name_is(rest, name) ||
                (hq_str_starts(rest, HQ_STR("VALUES_")) && name_is(hq_str_sub(rest, 7, rest.len), hq_buf_view(&plain))) ||
                (hq_str_starts(rest, HQ_STR("REQUEST_")) && name_is(hq_str_sub(rest, 8, rest.len), hq_buf_view(&plain)))) {
                return true;
            }
        }
    }
    return false;
}

/* Variables for OpenMP that prepare_grant sets, unless the user did. */
static bool
env_is_omp(const struct body *b, const struct hq_variant *v, struct hq_str env)
{
    if (name_is(env, HQ_STR("OMP_PLACES")) || name_is(env, HQ_STR("OMP_PROC_BIND"))) {
        return b->pin == BODY_PIN_OMP;
    }
    if (name_is(env, HQ_STR("OMP_NUM_THREADS")) && b->mpi.is_on) {
        return true; /* hq-stepd sets it for each rank */
    }
    if (!name_is(env, HQ_STR("OMP_NUM_THREADS")) || v->n_nodes > 0) {
        return false;
    }
    for (size_t i = 0; i < v->entry_count; i++) {
        if (hq_str_is(v->entries[i].name, "cpus")) {
            return v->entries[i].amount % HQ_AMOUNT_ONE == 0;
        }
    }
    return false;
}

static bool
user_has(const struct body *b, struct hq_str env)
{
    for (size_t i = 0; i < b->env_count; i++) {
        if (name_is(env, b->env[i].key)) {
            return true;
        }
    }
    return false;
}

static bool
user_sets(const struct body *b, const char *key)
{
    for (size_t i = 0; i < b->env_count; i++) {
        if (hq_str_is(b->env[i].key, key)) {
            return true;
        }
    }
    return false;
}

static void
image_add_env(struct image *im, char *text)
{
    im->envs[im->env_count++] = text;
}

/* Variables of the request, the same for all tasks of the variant. */
static void
image_add_request(struct image *im, const struct hq_variant *v, struct hq_arena *arena)
{
    if (v->n_nodes > 0) {
        return;
    }
    for (size_t i = 0; i < v->entry_count; i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        hq_buf_cstr(&b, "HQ_RESOURCE_REQUEST_");
        grant_print_name(&b, v->entries[i].name);
        hq_buf_byte(&b, '=');
        hq_request_print_amount(v->entries[i].amount, v->entries[i].policy, &b);
        image_add_env(im, hq_arena_strz(arena, hq_buf_view(&b)));
        if (hq_str_is(v->entries[i].name, "gpus/nvidia")) {
            image_add_env(im, hq_arena_strz(arena, HQ_STR("CUDA_DEVICE_ORDER=PCI_BUS_ID")));
        }
    }
    if (im->body->request.variant_count > 1) {
        image_add_env(im, hq_arena_printf(arena, "HQ_RESOURCE_VARIANT=%u", im->variant));
    }
}

static void
image_build_env(struct image *im, const struct prepare_conf *conf, struct hq_arena *arena)
{
    const struct body *b = im->body;
    const struct hq_variant *v = &b->request.variants[im->variant];
    size_t count = 0;

    while (conf->envp[count] != NULL) {
        count++;
    }
    im->envs = hq_arena_array(arena, count + b->env_count + 2 * v->entry_count + 8 + PREPARE_MPI_ENVS,
                              sizeof(*im->envs));
    for (size_t i = 0; i < count; i++) {
        struct hq_str env = hq_str_from(conf->envp[i]);
        if (!env_is_ours(v, env, true) && !env_is_omp(b, v, env) && !user_has(b, env)) {
            image_add_env(im, hq_arena_strz(arena, env));
        }
    }
    for (size_t i = 0; i < b->env_count; i++) {
        char *text = hq_arena_printf(arena, "%.*s=%.*s", HQ_STR_FMT(b->env[i].key), HQ_STR_FMT(b->env[i].value));
        if (!env_is_ours(v, hq_str_from(text), false)) {
            image_add_env(im, text);
        }
    }
    image_add_env(im, hq_arena_printf(arena, "HQ_JOB_ID=%u", b->job_id));
    image_add_env(im, hq_arena_printf(arena, "HQ_SUBMIT_DIR=%.*s", HQ_STR_FMT(b->submit_dir)));
    if (conf->hq_path != NULL) {
        image_add_env(im, hq_arena_printf(arena, "HQ=%s", conf->hq_path));
    }
    if (b->pin != BODY_PIN_NONE) {
        image_add_env(im, hq_arena_strz(arena, b->pin == BODY_PIN_OMP ? HQ_STR("HQ_PIN=omp") : HQ_STR("HQ_PIN=taskset")));
    }
    image_add_request(im, v, arena);
    prepare_mpi_env(im, conf, arena);
    im->keeps_omp_threads = user_sets(b, "OMP_NUM_THREADS") || b->mpi.is_on;
    im->keeps_omp_places = user_sets(b, "OMP_PLACES");
    im->keeps_omp_bind = user_sets(b, "OMP_PROC_BIND");
}

static struct hq_str
image_path_variable(const struct image *im)
{
    for (size_t i = 0; i < im->env_count; i++) {
        if (strncmp(im->envs[i], "PATH=", 5) == 0) {
            return hq_str_from(im->envs[i] + 5);
        }
    }
    return HQ_STR("/bin:/usr/bin"); /* what the C library searches without the variable */
}

/* A name with a slash is one place; else each directory of the task's PATH, an empty one being the working directory. */
static void
image_build_paths(struct image *im, struct hq_arena *arena)
{
    struct hq_str name = im->body->args[0], rest = image_path_variable(im), dir;
    size_t count = 0, max = 2;

    for (size_t i = 0; i < rest.len; i++) {
        max += rest.ptr[i] == ':';
    }
    im->paths = hq_arena_array(arena, max + 1, sizeof(*im->paths));
    if (hq_str_find_byte(name, '/') >= 0) {
        im->paths[0] = im->argv[0];
        return;
    }
    if (name.len == 0 || rest.len == 0) {
        return; /* no candidate at all: not found */
    }
    for (bool more = true; more;) {
        more = hq_str_split(&rest, ':', &dir);
        im->paths[count++] = dir.len == 0 ? hq_arena_printf(arena, "./%s", im->argv[0])
                                          : hq_arena_printf(arena, "%.*s/%s", HQ_STR_FMT(dir), im->argv[0]);
    }
}

static void
image_build_argv(struct image *im, struct hq_arena *arena)
{
    const struct body *b = im->body;

    im->argc = b->arg_count;
    im->argv = hq_arena_array(arena, im->argc + 1, sizeof(*im->argv));
    im->sh_argv = hq_arena_array(arena, im->argc + 2, sizeof(*im->sh_argv));
    for (size_t i = 0; i < im->argc; i++) {
        im->argv[i] = hq_arena_strz(arena, b->args[i]);
        im->sh_argv[i + 1] = i == 0 ? NULL : im->argv[i];
    }
    im->sh_argv[0] = hq_arena_strz(arena, HQ_STR("/bin/sh"));
}

void
prepare_fill(struct hq_buf *out, const struct image *im, struct hq_str text, struct hq_str base, struct hq_str task,
           struct hq_str instance, struct hq_str cwd)
{
    struct hq_placeholders p = {0};
    char job[16];

    (void)snprintf(job, sizeof job, "%u", im->body->job_id);
    hq_placeholders_set(&p, HQ_PH_JOB_ID, hq_str_from(job));
    hq_placeholders_set(&p, HQ_PH_SUBMIT_DIR, im->body->submit_dir);
    hq_placeholders_set(&p, HQ_PH_SERVER_UID, hq_str_from(im->server_uid));
    if (task.len > 0) {
        hq_placeholders_set(&p, HQ_PH_TASK_ID, task);
        hq_placeholders_set(&p, HQ_PH_INSTANCE_ID, instance);
    }
    if (cwd.len > 0) {
        hq_placeholders_set(&p, HQ_PH_CWD, cwd);
    }
    hq_placeholder_fill_path(out, text, base, &p);
}

/* A placeholder by default, not the directory itself: its name may look like one. */
struct hq_str
prepare_cwd_text(const struct image *im)
{
    return im->body->cwd.len > 0 ? im->body->cwd : HQ_STR("%{SUBMIT_DIR}");
}

static void
image_drop(void *extra)
{
    struct image_set *set = extra;

    hq_arena_fini(&set->arena);
    free(set);
}

int
prepare_image(const struct image **ret, struct body *body, uint32_t variant, const struct prepare_conf *conf,
              const char *server_uid)
{
    struct image_set *set = body->extra;

    HQ_ASSERT(variant < body->request.variant_count);
    if (set == NULL) {
        set = hq_try_alloc(sizeof(*set) + body->request.variant_count * sizeof(set->v[0]));
        if (set == NULL) {
            return -ENOMEM;
        }
        hq_arena_init(&set->arena, 0);
        set->count = body->request.variant_count;
        body->extra = set;
        body->drop_extra = image_drop;
    }
    if (set->v[variant] == NULL) {
        struct image *im = hq_arena_alloc(&set->arena, sizeof(*im));
        im->body = body;
        im->variant = variant;
        im->server_uid = hq_arena_strz(&set->arena, hq_str_from(server_uid));
        im->is_multi_node = body->request.variants[variant].n_nodes > 0 && !body->is_remote;
        image_build_env(im, conf, &set->arena);
        if (body->mpi.is_on) {
            prepare_mpi_argv(im, conf, &set->arena);
        } else {
            image_build_argv(im, &set->arena);
            image_build_paths(im, &set->arena);
        }
        const uint32_t per_task = HQ_PH_BIT(HQ_PH_TASK_ID) | HQ_PH_BIT(HQ_PH_INSTANCE_ID);
        if ((hq_placeholder_bits(prepare_cwd_text(im)) & per_task) == 0) {
            HQ_AUTO(hq_buf_fini) struct hq_buf cwd = HQ_BUF_INIT;
            prepare_fill(&cwd, im, prepare_cwd_text(im), body->submit_dir, HQ_STR_NULL, HQ_STR_NULL, HQ_STR_NULL);
            im->const_cwd = hq_arena_strz(&set->arena, hq_buf_view(&cwd));
        }
        if (body->out.kind == BODY_STDIO_STREAM || body->err.kind == BODY_STDIO_STREAM) {
            HQ_AUTO(hq_buf_fini) struct hq_buf dir = HQ_BUF_INIT;
            prepare_fill(&dir, im, body->stream_dir, body->submit_dir, HQ_STR_NULL, HQ_STR_NULL, HQ_STR_NULL);
            im->stream_dir = hq_arena_strz(&set->arena, hq_buf_view(&dir));
        }
        set->v[variant] = im;
    }
    *ret = set->v[variant];
    return 0;
}
