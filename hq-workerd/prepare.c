/* prepare.c - the environment is built once per body; a task adds five or six pointers to it. */
#include "hq-workerd/prepare.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"
#include "hq-workerd/prepare_mpi.h"

#define PREPARE_ENVS_PER_TASK 12u /* job-independent variables below, with room for the terminator */
#define PREPARE_NUM_BYTES 48u     /* "HQ_INSTANCE_ID=4294967295" and its NUL */

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

static void
image_fill(struct hq_buf *out, const struct image *im, struct hq_str text, struct hq_str base, struct hq_str task,
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
static struct hq_str
image_cwd_text(const struct image *im)
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
        if ((hq_placeholder_bits(image_cwd_text(im)) & per_task) == 0) {
            HQ_AUTO(hq_buf_fini) struct hq_buf cwd = HQ_BUF_INIT;
            image_fill(&cwd, im, image_cwd_text(im), body->submit_dir, HQ_STR_NULL, HQ_STR_NULL, HQ_STR_NULL);
            im->const_cwd = hq_arena_strz(&set->arena, hq_buf_view(&cwd));
        }
        if (body->out.kind == BODY_STDIO_STREAM || body->err.kind == BODY_STDIO_STREAM) {
            HQ_AUTO(hq_buf_fini) struct hq_buf dir = HQ_BUF_INIT;
            image_fill(&dir, im, body->stream_dir, body->submit_dir, HQ_STR_NULL, HQ_STR_NULL, HQ_STR_NULL);
            im->stream_dir = hq_arena_strz(&set->arena, hq_buf_view(&dir));
        }
        set->v[variant] = im;
    }
    *ret = set->v[variant];
    return 0;
}

void
scratch_fini(struct scratch *s)
{
    free(s->envp);
    free(s->text);
    hq_buf_fini(&s->cwd);
    hq_buf_fini(&s->out);
    hq_buf_fini(&s->err);
    *s = (struct scratch){0};
}

static const char *
prepare_stdio(const struct body_stdio *stdio, struct hq_str default_path, const struct image *im, struct hq_buf *buf,
              struct hq_str task, struct hq_str instance, struct hq_str cwd)
{
    if (stdio->kind != BODY_STDIO_FILE) {
        return NULL;
    }
    hq_buf_clear(buf);
    image_fill(buf, im, stdio->path.len > 0 ? stdio->path : default_path, cwd, task, instance, cwd);
    return buf->ptr;
}

static void
prepare_rank_path(const struct body *b, const struct body_stdio *stdio, const char **path, const char **rank_path)
{
    if (b->mpi.is_on && (hq_placeholder_bits(stdio->path) & HQ_PH_BIT(HQ_PH_RANK)) != 0) {
        *rank_path = *path;
        *path = NULL;
    }
}

void
prepare_paths(const struct prepare_task *t, struct scratch *s, struct prepared *ret)
{
    const struct image *im = t->image;
    const struct body *b = im->body;
    char task_text[16], instance_text[16];
    struct hq_str task, instance, cwd;

    *ret = (struct prepared){.cwd = im->const_cwd};
    if (im->const_cwd != NULL && b->out.kind != BODY_STDIO_FILE && b->err.kind != BODY_STDIO_FILE) {
        return;
    }
    (void)snprintf(task_text, sizeof task_text, "%u", t->task->task_id);
    (void)snprintf(instance_text, sizeof instance_text, "%u", t->task->batch->instance);
    task = hq_str_from(task_text);
    instance = hq_str_from(instance_text);
    if (ret->cwd == NULL) {
        hq_buf_clear(&s->cwd);
        image_fill(&s->cwd, im, image_cwd_text(im), b->submit_dir, task, instance, HQ_STR_NULL);
        ret->cwd = s->cwd.ptr;
    }
    cwd = hq_str_from(ret->cwd);
    ret->out_path = prepare_stdio(&b->out, HQ_STR("%{CWD}/job-%{JOB_ID}/%{TASK_ID}.stdout"), im, &s->out, task,
                                  instance, cwd);
    ret->err_path = prepare_stdio(&b->err, HQ_STR("%{CWD}/job-%{JOB_ID}/%{TASK_ID}.stderr"), im, &s->err, task,
                                  instance, cwd);
    prepare_rank_path(b, &b->out, &ret->out_path, &ret->rank_out_path);
    prepare_rank_path(b, &b->err, &ret->err_path, &ret->rank_err_path);
}

static char *
text_put(char **at, const char *name, struct hq_str value)
{
    char *begin = *at;
    size_t name_len = strlen(name);

    memcpy(*at, name, name_len);
    *at += name_len;
    if (value.len > 0) {
        memcpy(*at, value.ptr, value.len);
    }
    *at += value.len;
    *(*at)++ = '\0';
    return begin;
}

static char *
text_put_num(char **at, const char *name, uint32_t value)
{
    char num[16];
    int len = snprintf(num, sizeof num, "%u", value);

    return text_put(at, name, hq_str_make(num, (size_t)len));
}

/* Pointers that a grant adds, by what the user has set and asked for. */
static size_t
prepare_grant(const struct prepare_task *t, char **envp, struct prepared *ret)
{
    const struct image *im = t->image;
    const struct grant *g = t->grant;
    size_t count = g->env_count;
    static char close_bind[] = "OMP_PROC_BIND=close"; /* lint: allow file-scope: never written, envp just isn't const */

    memcpy(envp, g->envs, g->env_count * sizeof(*envp));
    if (g->omp_threads != NULL && !im->keeps_omp_threads) {
        memcpy(&envp[count++], &g->omp_threads, sizeof(*envp));
    }
    if (im->body->pin == BODY_PIN_OMP) {
        if (!im->keeps_omp_places) {
            memcpy(&envp[count++], &g->omp_places, sizeof(*envp));
        }
        if (!im->keeps_omp_bind) {
            envp[count++] = close_bind;
        }
    } else if (im->body->pin == BODY_PIN_TASKSET) {
        ret->cpus = g->cpus;
        ret->cpus_bytes = g->cpus_bytes;
    }
    return count;
}

static int
prepare_reserve(const struct prepare_task *t, const struct prepare_conf *conf, struct scratch *s)
{
    size_t envs = t->image->env_count + PREPARE_ENVS_PER_TASK + PREPARE_MPI_FILES + (t->grant != NULL ? t->grant->env_count + 4 : 0);
    size_t dir_len = t->task_dir == NULL ? 0 : strlen(t->task_dir);
    size_t bytes = 8 * PREPARE_NUM_BYTES + t->task->entry.len + strlen(conf->key_socket) + strlen(t->secret) + 4 * dir_len +
                   PREPARE_MPI_FILES * (dir_len + PREPARE_MPI_FILE_BYTES);
    int rc = hq_try_grow(&s->envp, &s->envp_cap, envs, sizeof(*s->envp));

    return rc < 0 ? rc : hq_try_grow(&s->text, &s->text_cap, bytes, 1);
}

int
prepare_env(const struct prepare_task *t, const struct prepare_conf *conf, struct scratch *s, struct prepared *ret,
            struct hq_err *err)
{
    const struct image *im = t->image;
    const struct batch *b = t->task->batch;
    int rc = prepare_reserve(t, conf, s);

    if (rc < 0) {
        return hq_err_sys(err, rc, "Cannot prepare the task");
    }
    if (im->body->pin != BODY_PIN_NONE && (t->grant == NULL || t->grant->cpu_list == NULL)) {
        return hq_err_set(err, -EINVAL, "Pinning failed, no CPU ids allocated for task");
    }
    if (im->body->pin == BODY_PIN_TASKSET && t->grant->cpus == NULL) {
        return hq_err_set(err, -EINVAL, "Pinning failed, CPU ids are no numbers: %s", t->grant->cpu_list);
    }
    size_t n = im->env_count;
    char *at = s->text;
    memcpy(s->envp, im->envs, n * sizeof(*s->envp));
    if (t->grant != NULL) {
        n += prepare_grant(t, s->envp + n, ret);
    }
    s->envp[n++] = text_put_num(&at, "HQ_TASK_ID=", t->task->task_id);
    s->envp[n++] = text_put_num(&at, "HQ_INSTANCE_ID=", b->instance);
    s->envp[n++] = text_put(&at, "HQ_ACCESS_KEY=", hq_str_from(conf->key_socket));
    at[-1] = ':'; /* the key goes on with the secret */
    (void)text_put(&at, t->secret, HQ_STR_NULL);
    if (b->entries != NULL) {
        s->envp[n++] = text_put(&at, "HQ_ENTRY=", t->task->entry);
    }
    if (t->task_dir != NULL) {
        struct hq_str dir = hq_str_from(t->task_dir);
        s->envp[n++] = text_put(&at, "HQ_TASK_DIR=", dir);
        s->envp[n++] = text_put(&at, "HQ_ERROR_FILENAME=", dir);
        at--;
        (void)text_put(&at, "/hq-error", HQ_STR_NULL);
        if (im->is_multi_node) {
            s->envp[n++] = text_put(&at, "HQ_NODE_FILE=", dir);
            at--;
            (void)text_put(&at, "/hq-nodefile", HQ_STR_NULL);
            s->envp[n++] = text_put(&at, "HQ_HOST_FILE=", dir);
            at--;
            (void)text_put(&at, "/hq-hostfile", HQ_STR_NULL);
            s->envp[n++] = text_put_num(&at, "HQ_NUM_NODES=", (uint32_t)b->host_count);
            n += prepare_mpi_files(im, t->task_dir, s->envp + n, &at);
        }
    }
    s->envp[n] = NULL;
    HQ_ASSERT((size_t)(at - s->text) <= s->text_cap);
    HQ_ASSERT(n < s->envp_cap);
    ret->envp = s->envp;
    return 0;
}

void
prepare_exec_error(struct hq_buf *out, const struct image *image, const char *cwd, int error)
{
    struct hq_str name = image->body->args[0];

    hq_buf_cstr(out, "Cannot execute \"");
    for (size_t i = 0; i < image->body->arg_count; i++) {
        if (i > 0) {
            hq_buf_byte(out, ' ');
        }
        hq_buf_utf8_lossy(out, image->body->args[i]);
    }
    hq_buf_printf(out, "\": %s", hq_err_os(error));
    if (error == ENOENT) {
        hq_buf_printf(out, "\nThe program that you have tried to execute (`%.*s`) was not found.", HQ_STR_FMT(name));
        if (name.len > 0 && hq_str_find_byte(name, '/') < 0) {
            HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
            hq_buf_printf(&path, "%s/%.*s", cwd, HQ_STR_FMT(name));
            if (access(path.ptr, F_OK) == 0) {
                hq_buf_printf(out, "\nThe file `%s` exists, maybe you have meant `./%.*s` instead?", path.ptr,
                              HQ_STR_FMT(name));
            }
        }
    } else if (error == EACCES && hq_str_ends(name, HQ_STR(".sh"))) {
        hq_buf_printf(out,
                      "\nThe script that you have tried to execute (`%.*s`) is not executable.\n"
                      "Try making it executable or add a shebang line to it.",
                      HQ_STR_FMT(name));
    }
}
