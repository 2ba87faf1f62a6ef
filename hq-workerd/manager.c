/* manager.c - Slurm and PBS as seen from inside an allocation. */
#include "hq-workerd/manager.h"

#include <jansson.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/num.h"
#include "common/proc.h"

#define TOOL_OUTPUT_BYTES_MAX ((size_t)1 << 20)

static const char *
env_get(char *const *envp, const char *name)
{
    size_t len = strlen(name);

    for (; *envp != NULL; envp++) {
        if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=') {
            return *envp + len + 1;
        }
    }
    return NULL;
}

/* "[D-]HH:MM:SS", "MM:SS" or seconds. */
static int
parse_clock(struct hq_str text, int64_t *ret_ms, struct hq_err *err)
{
    struct hq_str rest = text, part;
    uint64_t days = 0, seconds = 0, value = 0;
    bool has_days = hq_str_find_byte(text, '-') > 0;

    if (has_days) {
        (void)hq_str_split(&rest, '-', &part);
        if (hq_num_u64(part, &days, NULL) < 0 || days > 100000) {
            return hq_err_set(err, -EINVAL, "%.*s is no time", HQ_STR_FMT(text));
        }
    }
    for (bool more = true; more;) {
        more = hq_str_split(&rest, ':', &part);
        if (hq_num_u64(part, &value, NULL) < 0 || value > 1000000000 || seconds > 1000000000) {
            return hq_err_set(err, -EINVAL, "%.*s is no time", HQ_STR_FMT(text));
        }
        seconds = seconds * 60 + value;
    }
    *ret_ms = (int64_t)(days * 86400 + seconds) * 1000;
    return 0;
}

static bool
find_word(struct hq_str text, struct hq_str key, struct hq_str *ret)
{
    ptrdiff_t at = hq_str_find(text, key);

    if (at < 0) {
        return false;
    }
    size_t end = (size_t)at + key.len;
    while (end < text.len && text.ptr[end] != ' ' && text.ptr[end] != '\n' && text.ptr[end] != '\t') {
        end++;
    }
    *ret = hq_str_sub(text, (size_t)at + key.len, end);
    return true;
}

int
manager_parse_slurm(struct hq_str text, int64_t *ret_left_ms, struct hq_err *err)
{
    struct hq_str limit, run;
    int64_t limit_ms, run_ms;

    if (!find_word(text, HQ_STR("TimeLimit="), &limit) || !find_word(text, HQ_STR("RunTime="), &run)) {
        return hq_err_set(err, -EINVAL, "TimeLimit or RunTime are missing in the output of scontrol");
    }
    int rc = parse_clock(limit, &limit_ms, err);
    rc = rc < 0 ? rc : parse_clock(run, &run_ms, err);
    if (rc == 0) {
        *ret_left_ms = HQ_MAX(limit_ms - run_ms, (int64_t)1000); /* 0 would mean no limit */
    }
    return rc;
}

static int
parse_walltime(const json_t *job, const char *list, bool needed, int64_t *ret_ms, struct hq_err *err)
{
    const json_t *v = json_object_get(json_object_get(job, list), "walltime");

    *ret_ms = 0;
    if (json_is_integer(v)) {
        *ret_ms = (int64_t)HQ_MIN(json_integer_value(v), (json_int_t)INT64_MAX / 1000) * 1000;
        return 0;
    }
    if (!json_is_string(v)) {
        return needed ? hq_err_set(err, -EINVAL, "%s.walltime is missing in the output of qstat", list) : 0;
    }
    return parse_clock(hq_str_from(json_string_value(v)), ret_ms, err);
}

int
manager_parse_pbs(struct hq_str text, struct hq_str job_id, int64_t *ret_left_ms, struct hq_err *err)
{
    json_error_t where;
    int64_t limit_ms = 0, used_ms = 0;
    json_t *root = json_loadb(text.ptr == NULL ? "" : text.ptr, text.len, 0, &where);
    int rc = 0;

    if (root == NULL) {
        return hq_err_set(err, -EINVAL, "The output of qstat is no JSON: %s", where.text);
    }
    char *id = hq_str_dupz(job_id);
    const json_t *job = json_object_get(json_object_get(root, "Jobs"), id);
    if (job == NULL) {
        rc = hq_err_set(err, -EINVAL, "Job %s is missing in the output of qstat", id);
    }
    rc = rc < 0 ? rc : parse_walltime(job, "Resource_List", true, &limit_ms, err);
    rc = rc < 0 ? rc : parse_walltime(job, "resources_used", false, &used_ms, err);
    if (rc == 0) {
        *ret_left_ms = HQ_MAX(limit_ms - used_ms, (int64_t)1000);
    }
    free(id);
    json_decref(root);
    return rc;
}

/* Runs the tool, LC_ALL=C; its standard output on success. */
static int
run_tool(char *const *argv, char *const *envp, struct hq_buf *ret, struct hq_arena *arena, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf errors = HQ_BUF_INIT;
    size_t count = 0, kept = 0;
    int status = 0;

    while (envp[count] != NULL) {
        count++;
    }
    char **env = hq_arena_array(arena, count + 2, sizeof(*env));
    for (size_t i = 0; i < count; i++) {
        if (strncmp(envp[i], "LC_ALL=", 7) != 0) {
            env[kept++] = envp[i];
        }
    }
    env[kept] = hq_arena_strz(arena, HQ_STR("LC_ALL=C"));
    struct hq_proc_conf conf = {.path = argv[0], .argv = argv, .envp = env};
    int rc = hq_proc_run(&conf, HQ_STR_NULL, ret, &errors, TOOL_OUTPUT_BYTES_MAX, MANAGER_TOOL_MS_MAX, &status, err);
    if (rc == 0 && status != 0) {
        HQ_AUTO(hq_buf_fini) struct hq_buf how = HQ_BUF_INIT;
        hq_proc_describe(&how, status);
        struct hq_str said = hq_str_trim(hq_buf_view(&errors));
        rc = hq_err_set(err, -EIO, "%s ended with %s: %.*s", argv[0], how.ptr, HQ_STR_FMT(said));
    }
    return rc;
}

static void
detect_slurm(struct manager_info *ret, const char *job_id, char *const *envp, struct hq_arena *arena)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    char *argv[] = {hq_arena_strz(arena, HQ_STR("scontrol")), hq_arena_strz(arena, HQ_STR("show")),
                    hq_arena_strz(arena, HQ_STR("job")), hq_arena_strz(arena, hq_str_from(job_id)), NULL};
    struct hq_err err = {0};
    const char *memory = env_get(envp, "SLURM_MEM_PER_NODE");

    int rc = run_tool(argv, envp, &text, arena, &err);
    if (rc == 0) {
        rc = manager_parse_slurm(hq_buf_view(&text), &ret->time_left_ms, &err);
    }
    if (rc < 0) {
        hq_log_warn("Cannot get remaining worker timelimit from Slurm: %s", err.text);
    }
    if (memory != NULL && hq_num_u64(hq_str_from(memory), &ret->memory_mb, NULL) < 0) {
        ret->memory_mb = 0; /* "4G" and the like: total memory is taken */
    }
    ret->manager = HQ_MANAGER_SLURM;
    ret->job_id = hq_arena_str(arena, hq_str_from(job_id));
    hq_log_info("SLURM environment detected");
}

static void
detect_pbs(struct manager_info *ret, const char *job_id, char *const *envp, struct hq_arena *arena)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    char *argv[] = {hq_arena_strz(arena, HQ_STR("qstat")), hq_arena_strz(arena, HQ_STR("-f")),
                    hq_arena_strz(arena, hq_str_from(job_id)), hq_arena_strz(arena, HQ_STR("-F")),
                    hq_arena_strz(arena, HQ_STR("json")), NULL};
    struct hq_err err = {0};

    int rc = run_tool(argv, envp, &text, arena, &err);
    if (rc == 0) {
        rc = manager_parse_pbs(hq_buf_view(&text), hq_str_from(job_id), &ret->time_left_ms, &err);
    }
    if (rc < 0) {
        hq_log_warn("Cannot get remaining worker timelimit from PBS: %s", err.text);
    }
    ret->manager = HQ_MANAGER_PBS;
    ret->job_id = hq_arena_str(arena, hq_str_from(job_id));
    hq_log_info("PBS environment detected");
}

int
manager_detect(struct manager_info *ret, enum hq_manager_choice choice, char *const *envp, struct hq_arena *arena,
               struct hq_err *err)
{
    const char *pbs = env_get(envp, "PBS_ENVIRONMENT"), *pbs_id = env_get(envp, "PBS_JOBID");
    const char *slurm_id = env_get(envp, "SLURM_JOB_ID");

    *ret = (struct manager_info){.manager = HQ_MANAGER_NONE};
    if (slurm_id == NULL) {
        slurm_id = env_get(envp, "SLURM_JOBID");
    }
    if (choice == HQ_MANAGER_PBS && pbs == NULL) {
        return hq_err_set(err, -EINVAL, "PBS_ENVIRONMENT not found. The process is not running under PBS");
    }
    if (choice == HQ_MANAGER_PBS && pbs_id == NULL) {
        return hq_err_set(err, -EINVAL, "PBS_JOBID not found. The process is not running under PBS");
    }
    if (choice == HQ_MANAGER_SLURM && slurm_id == NULL) {
        return hq_err_set(err, -EINVAL, "SLURM_JOB_ID/SLURM_JOBID not found. The process is not running under SLURM");
    }
    if (choice != HQ_MANAGER_NONE && choice != HQ_MANAGER_SLURM && pbs != NULL && pbs_id != NULL) {
        detect_pbs(ret, pbs_id, envp, arena);
    } else if (choice != HQ_MANAGER_NONE && choice != HQ_MANAGER_PBS && slurm_id != NULL) {
        detect_slurm(ret, slurm_id, envp, arena);
    }
    return 0;
}
