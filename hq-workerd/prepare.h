/* prepare.h - argv, envp, paths and cpu set of a task, ready before its process exists.
 *
 * Purpose    an image holds what all tasks of a body and variant share (most of the environment, argv, places where the
 *            program may be); a scratch, one per launcher thread, adds the few texts of one task without allocating once
 *            it has grown to its size.
 * Ownership  images belong to their body (body->extra); what prepare_task returns points into image, grant and scratch
 *            and is valid until the scratch is used again.
 * Threads    images are made on the loop's thread before their first task is queued; prepare_task runs on any one thread
 *            per scratch.
 * Errors     -ENOMEM; -EINVAL with the text of a task that can't be started ("Pinning failed, ...").
 */
#ifndef HQ_WORKERD_PREPARE_H
#define HQ_WORKERD_PREPARE_H

#include "common/err.h"
#include "common/placeholder.h"
#include "hq-workerd/child.h"
#include "hq-workerd/core/lane.h"
#include "hq-workerd/grant.h"

struct prepare_conf { /* of the worker; everything is borrowed for its whole life */
    char *const *envp;        /* the worker's environment */
    const char *hq_path;      /* value of HQ; NULL = none found */
    const char *key_socket;   /* path of the socket for task notify */
    const char *stepd_path;   /* hq-stepd; NULL = not beside us */
};

struct image { /* constant per body and variant */
    const struct body *body;
    uint32_t variant;
    char **argv;            /* NULL-terminated */
    char **sh_argv;         /* "/bin/sh", NULL (the script), argv[1], ...: copied when a text file has no #! line */
    size_t argc;
    const char **paths;     /* candidates, NULL-terminated */
    char **envs;            /* not NULL-terminated */
    size_t env_count;
    const char *server_uid;
    char *const_cwd;        /* resolved working directory; NULL when it differs from task to task */
    char *stream_dir;       /* resolved; NULL = nothing is streamed */
    bool keeps_omp_threads; /* the user set these */
    bool keeps_omp_places;
    bool keeps_omp_bind;
    bool is_multi_node;     /* the task's directory has node files */
    uint32_t mpi_files;     /* prepare_mpi.c */
};

struct image_set { /* body->extra */
    struct hq_arena arena;
    size_t count;
    struct image *v[]; /* by variant; NULL until used */
};

/* The image of body and variant; made at the first call. */
HQ_MUST_CHECK int prepare_image(const struct image **ret, struct body *body, uint32_t variant,
                                const struct prepare_conf *conf, const char *server_uid);

struct scratch {
    char **envp;
    size_t envp_cap;
    char *text;
    size_t text_cap;
    struct hq_buf cwd, out, err; /* resolved paths */
};
void scratch_fini(struct scratch *s);

struct prepare_task { /* in */
    const struct lane_task *task;
    const struct image *image;
    const struct grant *grant;    /* NULL for multi-node tasks */
    const char *secret;           /* second part of HQ_ACCESS_KEY */
    const char *task_dir;         /* NULL = none */
};
struct prepared { /* out */
    const char *cwd;
    const char *out_path; /* NULL = none */
    const char *err_path;
    const char *rank_out_path; /* one file for each rank: RANK is left in; hq-stepd opens them */
    const char *rank_err_path;
    char **envp;
    const cpu_set_t *cpus;
    size_t cpus_bytes;
};
/* Resolves the paths; before the task directory exists. */
void prepare_paths(const struct prepare_task *t, struct scratch *s, struct prepared *ret);
HQ_MUST_CHECK int prepare_env(const struct prepare_task *t, const struct prepare_conf *conf, struct scratch *s,
                              struct prepared *ret, struct hq_err *err);
/* Appends "Cannot execute \"<args>\": <system text>" with the hints of the specification. */
void prepare_exec_error(struct hq_buf *out, const struct image *image, const char *cwd, int error);

#endif
