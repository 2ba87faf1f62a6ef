/* prepare.c - the environment is built once per body; a task adds five or six pointers to it. */
#include "hq-workerd/prepare_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"
#include "hq-workerd/prepare_mpi.h"

#define PREPARE_ENVS_PER_TASK 12u /* job-independent variables below, with room for the terminator */
#define PREPARE_NUM_BYTES 48u     /* "HQ_INSTANCE_ID=4294967295" and its NUL */

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
    prepare_fill(buf, im, stdio->path.len > 0 ? stdio->path : default_path, cwd, task, instance, cwd);
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
        prepare_fill(&s->cwd, im, prepare_cwd_text(im), b->submit_dir, task, instance, HQ_STR_NULL);
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
