/* test_prepare.c - environment, paths and program places of a task; resource variables; texts of failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/mem.h"
#include "hq-workerd/prepare.h"

struct fixture {
    struct body *body;
    struct hq_request_entry entries[2];
    struct hq_variant variants[2];
    struct batch *batch;
    struct scratch scratch;
    struct prepare_conf conf;
    const struct image *image;
    struct grant *grant;
    struct lane_task task;
};

static char *const worker_env[] = {"HOME=/home/u", "PATH=/usr/bin:/bin", "OMP_NUM_THREADS=77", "HQ_ENTRY=outer", "HQ_TASK_ID=9",
                                   "HQ_RESOURCE_VALUES_cpus=5", "NOTIFY_SOCKET=/run/x", "CUDA_VISIBLE_DEVICES=9",
                                   "HQ_MINE=kept", "ROCR_VISIBLE_DEVICES=8", NULL};

static void
fixture_init(struct fixture *f, const char *program)
{
    *f = (struct fixture){.conf = {.envp = worker_env, .hq_path = "/opt/hq/hq", .key_socket = "/tmp/hq-lc-x"}};
    f->body = body_create(7, 0);
    f->body->args = hq_arena_array(&f->body->arena, 3, sizeof(*f->body->args));
    f->body->args[0] = hq_str_from(program);
    f->body->args[1] = HQ_STR("a b");
    f->body->args[2] = HQ_STR("%{TASK_ID}");
    f->body->arg_count = 3;
    f->body->submit_dir = HQ_STR("/home/u/work");
    f->body->out.kind = f->body->err.kind = BODY_STDIO_NONE;
    f->entries[0] = (struct hq_request_entry){.name = HQ_STR("cpus"), .amount = 20000};
    f->entries[1] = (struct hq_request_entry){.name = HQ_STR("gpus/nvidia"), .amount = 10000};
    f->variants[0] = (struct hq_variant){.entries = f->entries, .entry_count = 1, .weight_x10000 = 10000};
    f->variants[1] = (struct hq_variant){.entries = f->entries, .entry_count = 2, .weight_x10000 = 10000};
    f->body->request = (struct hq_request){.variants = f->variants, .variant_count = 1};
}

static void
fixture_set_env(struct fixture *f, const char *key, const char *value)
{
    struct body_env *env = hq_arena_array(&f->body->arena, f->body->env_count + 1, sizeof(*env));

    if (f->body->env_count > 0) {
        memcpy(env, f->body->env, f->body->env_count * sizeof(*env));
    }
    env[f->body->env_count++] = (struct body_env){.key = hq_str_from(key), .value = hq_str_from(value)};
    f->body->env = env;
}

/* Makes batch, image and grant, and prepares task `id`. */
static int
fixture_prepare(struct fixture *f, uint32_t id, uint32_t variant, const char *task_dir, struct prepared *ret,
                struct hq_err *err)
{
    struct hq_str cpus[] = {HQ_STR("1"), HQ_STR("0")}, gpus[] = {HQ_STR("GPU-a")};
    struct grant_values values[] = {
        {.name = HQ_STR("cpus"), .amount = 20000, .values = cpus, .count = 2},
        {.name = HQ_STR("gpus/nvidia"), .amount = 10000, .values = gpus, .count = 1},
    };

    f->batch = batch_create(f->body);
    f->batch->instance = 3;
    f->batch->variant = variant;
    f->task = (struct lane_task){.batch = f->batch, .task_id = id};
    assert_int_equal(0, prepare_image(&f->image, f->body, variant, &f->conf, "uid123"));
    if (f->grant == NULL) {
        assert_int_equal(0, grant_create(&f->grant, values, variant == 0 ? 1 : 2));
    }
    struct prepare_task t = {
        .task = &f->task, .image = f->image, .grant = f->grant, .secret = "hq0-1-abc", .task_dir = task_dir};
    prepare_paths(&t, &f->scratch, ret);
    return prepare_env(&t, &f->conf, &f->scratch, ret, err);
}

static void
fixture_fini(struct fixture *f)
{
    batch_unref(f->batch);
    body_unref(f->body);
    grant_free(f->grant);
    scratch_fini(&f->scratch);
}

/* The only value of a variable; NULL when it is not set. */
static const char *
value_of(const struct prepared *p, const char *name)
{
    const char *found = NULL;
    size_t len = strlen(name);

    for (char **e = p->envp; *e != NULL; e++) {
        if (strncmp(*e, name, len) == 0 && (*e)[len] == '=') {
            if (found != NULL) {
                fail_msg("%s is set twice", name);
            }
            found = *e + len + 1;
        }
    }
    return found;
}

static void
expect_env(const struct prepared *p, const char *name, const char *value)
{
    const char *found = value_of(p, name);

    if ((found == NULL) != (value == NULL) || (value != NULL && strcmp(found, value) != 0)) {
        fail_msg("%s is %s instead of %s", name, found == NULL ? "not set" : found, value == NULL ? "not set" : value);
    }
}

static void
test_environment(void **state)
{
    static const struct {
        const char *name, *value;
    } rows[] = {
        {"HOME", "/home/u"}, {"HQ_MINE", "kept"}, {"NOTIFY_SOCKET", NULL}, {"HQ_ENTRY", NULL}, {"HQ_JOB_ID", "7"},
        {"HQ_TASK_ID", "4294967295"}, {"HQ_INSTANCE_ID", "3"}, {"HQ_SUBMIT_DIR", "/home/u/work"}, {"HQ", "/opt/hq/hq"},
        {"HQ_ACCESS_KEY", "/tmp/hq-lc-x:hq0-1-abc"}, {"HQ_CPUS", "1,0"}, {"HQ_RESOURCE_REQUEST_cpus", "2 compact"},
        {"HQ_RESOURCE_VALUES_cpus", "1,0"}, {"HQ_RESOURCE_cpus", "1,0"}, {"OMP_NUM_THREADS", "2"},
        {"HQ_RESOURCE_VARIANT", NULL}, {"HQ_TASK_DIR", NULL}, {"HQ_PIN", NULL}, {"CUDA_VISIBLE_DEVICES", "9"},
        {"ROCR_VISIBLE_DEVICES", "8"}, {"USER", "own"}, {"PATH", "/usr/bin:/bin"},
    };
    struct fixture f;
    struct prepared p;
    struct hq_err err = {0};

    (void)state;
    fixture_init(&f, "prog");
    fixture_set_env(&f, "USER", "own");
    fixture_set_env(&f, "HQ_JOB_ID", "99"); /* ours win */
    fixture_set_env(&f, "HQ_CPUS", "99");
    assert_int_equal(0, fixture_prepare(&f, UINT32_MAX, 0, NULL, &p, &err));
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        expect_env(&p, rows[i].name, rows[i].value);
    }
    assert_null(p.cpus);
    fixture_fini(&f);
}

static void
test_variants_gpus_and_task_dir(void **state)
{
    struct fixture f;
    struct prepared p;
    struct hq_err err = {0};

    (void)state;
    fixture_init(&f, "prog");
    f.body->request.variant_count = 2;
    fixture_set_env(&f, "CUDA_VISIBLE_DEVICES", "user"); /* the granted ones override it */
    fixture_set_env(&f, "OMP_NUM_THREADS", "5");
    assert_int_equal(0, fixture_prepare(&f, 1, 1, "/wd/tABC", &p, &err));
    expect_env(&p, "HQ_RESOURCE_VARIANT", "1");
    expect_env(&p, "CUDA_VISIBLE_DEVICES", "GPU-a");
    expect_env(&p, "CUDA_DEVICE_ORDER", "PCI_BUS_ID");
    expect_env(&p, "HQ_RESOURCE_REQUEST_gpus_nvidia", "1 compact");
    expect_env(&p, "HQ_RESOURCE_VALUES_gpus_nvidia", "GPU-a");
    expect_env(&p, "HQ_RESOURCE_gpus/nvidia", "GPU-a");
    expect_env(&p, "OMP_NUM_THREADS", "5");
    expect_env(&p, "HQ_TASK_DIR", "/wd/tABC");
    expect_env(&p, "HQ_ERROR_FILENAME", "/wd/tABC/hq-error");
    expect_env(&p, "HQ_NODE_FILE", NULL);
    fixture_fini(&f);
}

static void
test_entry(void **state)
{
    struct fixture f;
    struct prepared p;
    struct hq_err err = {0};

    (void)state;
    fixture_init(&f, "prog");
    assert_int_equal(0, fixture_prepare(&f, 1, 0, NULL, &p, &err));
    struct hq_str entries[] = {HQ_STR("two words")};
    f.batch->entries = entries;
    f.task.entry = entries[0];
    struct prepare_task t = {.task = &f.task, .image = f.image, .grant = f.grant, .secret = "s"};
    assert_int_equal(0, prepare_env(&t, &f.conf, &f.scratch, &p, &err));
    expect_env(&p, "HQ_ENTRY", "two words");
    f.task.entry = HQ_STR_NULL; /* an empty line is an entry, too */
    assert_int_equal(0, prepare_env(&t, &f.conf, &f.scratch, &p, &err));
    expect_env(&p, "HQ_ENTRY", "");
    f.batch->entries = NULL;
    fixture_fini(&f);
}

static void
test_pin(void **state)
{
    static const struct {
        enum body_pin pin;
        const char *word, *places, *bind;
        bool user_sets;
    } rows[] = {
        {BODY_PIN_TASKSET, "taskset", NULL, NULL, false},
        {BODY_PIN_OMP, "omp", "{1,0}", "close", false},
        {BODY_PIN_OMP, "omp", "cores", "close", true},
    };

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        struct fixture f;
        struct prepared p;
        struct hq_err err = {0};
        fixture_init(&f, "prog");
        f.body->pin = rows[i].pin;
        if (rows[i].user_sets) {
            fixture_set_env(&f, "OMP_PLACES", "cores");
        }
        assert_int_equal(0, fixture_prepare(&f, 1, 0, NULL, &p, &err));
        expect_env(&p, "HQ_PIN", rows[i].word);
        expect_env(&p, "OMP_PLACES", rows[i].places);
        expect_env(&p, "OMP_PROC_BIND", rows[i].bind);
        assert_int_equal(rows[i].pin == BODY_PIN_TASKSET, p.cpus != NULL);
        if (p.cpus != NULL) {
            assert_int_equal(2, CPU_COUNT_S(p.cpus_bytes, p.cpus));
            assert_true(CPU_ISSET_S(1, p.cpus_bytes, p.cpus));
        }
        fixture_fini(&f);
    }
    struct fixture f;
    struct prepared p;
    struct hq_err err = {0};
    fixture_init(&f, "prog");
    f.body->pin = BODY_PIN_OMP;
    assert_int_equal(0, grant_create(&f.grant, NULL, 0));
    assert_int_equal(-EINVAL, fixture_prepare(&f, 1, 0, NULL, &p, &err));
    assert_string_equal("Pinning failed, no CPU ids allocated for task", err.text);
    fixture_fini(&f);
}

static void
test_paths(void **state)
{
    static const struct {
        const char *cwd, *out, *want_cwd, *want_out;
        bool is_const;
    } rows[] = {
        {"", "", "/home/u/work", "/home/u/work/job-7/5.stdout", true},
        {"sub", "", "/home/u/work/sub", "/home/u/work/sub/job-7/5.stdout", true},
        {"/abs/%{JOB_ID}", "o", "/abs/7", "/abs/7/o", true},
        {"w-%{TASK_ID}", "%{CWD}/o-%{INSTANCE_ID}", "/home/u/work/w-5", "/home/u/work/w-5/o-3", false},
        {"%{SUBMIT_DIR}/x", "/tmp/%{SERVER_UID}.%{NOPE}", "/home/u/work/x", "/tmp/uid123.%{NOPE}", true},
        {"", "50%-%{TASK_ID}", "/home/u/work", "/home/u/work/50%-5", true},
    };

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        struct fixture f;
        struct prepared p;
        struct hq_err err = {0};
        fixture_init(&f, "prog");
        f.body->cwd = hq_str_from(rows[i].cwd);
        f.body->out = (struct body_stdio){.kind = BODY_STDIO_FILE, .path = hq_str_from(rows[i].out)};
        assert_int_equal(0, fixture_prepare(&f, 5, 0, NULL, &p, &err));
        assert_string_equal(rows[i].want_cwd, p.cwd);
        assert_string_equal(rows[i].want_out, p.out_path);
        assert_null(p.err_path);
        assert_int_equal(rows[i].is_const, f.image->const_cwd != NULL);
        fixture_fini(&f);
    }
}

static void
test_program_places(void **state)
{
    static const struct {
        const char *program, *path, *want;
    } rows[] = {
        {"prog", NULL, "/usr/bin/prog /bin/prog "},
        {"./prog", NULL, "./prog "},
        {"/bin/x", "/own", "/bin/x "},
        {"prog", "/own", "/own/prog "},
        {"prog", "/own::/b", "/own/prog ./prog /b/prog "},
        {"prog", "", ""},
        {"", NULL, ""},
    };

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        struct fixture f;
        struct prepared p;
        struct hq_err err = {0};
        struct hq_buf text = HQ_BUF_INIT;
        fixture_init(&f, rows[i].program);
        if (rows[i].path != NULL) {
            fixture_set_env(&f, "PATH", rows[i].path);
        }
        assert_int_equal(0, fixture_prepare(&f, 5, 0, NULL, &p, &err));
        hq_buf_cstr(&text, "");
        for (const char **c = f.image->paths; *c != NULL; c++) {
            hq_buf_printf(&text, "%s ", *c);
        }
        assert_string_equal(rows[i].want, text.len == 0 ? "" : text.ptr);
        assert_string_equal("a b", f.image->argv[1]); /* no placeholders in arguments */
        assert_string_equal("%{TASK_ID}", f.image->argv[2]);
        assert_null(f.image->argv[3]);
        hq_buf_fini(&text);
        fixture_fini(&f);
    }
}

static void
test_exec_errors(void **state)
{
    static const struct {
        const char *program;
        int error;
        const char *text;
    } rows[] = {
        {"nosuch", ENOENT,
         "Cannot execute \"nosuch a b %{TASK_ID}\": No such file or directory (os error 2)\n"
         "The program that you have tried to execute (`nosuch`) was not found."},
        {"null", ENOENT,
         "Cannot execute \"null a b %{TASK_ID}\": No such file or directory (os error 2)\n"
         "The program that you have tried to execute (`null`) was not found.\n"
         "The file `/dev/null` exists, maybe you have meant `./null` instead?"},
        {"./x.sh", EACCES,
         "Cannot execute \"./x.sh a b %{TASK_ID}\": Permission denied (os error 13)\n"
         "The script that you have tried to execute (`./x.sh`) is not executable.\n"
         "Try making it executable or add a shebang line to it."},
        {"./x", EACCES, "Cannot execute \"./x a b %{TASK_ID}\": Permission denied (os error 13)"},
    };

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        struct fixture f;
        struct prepared p;
        struct hq_err err = {0};
        struct hq_buf text = HQ_BUF_INIT;
        fixture_init(&f, rows[i].program);
        assert_int_equal(0, fixture_prepare(&f, 5, 0, NULL, &p, &err));
        prepare_exec_error(&text, f.image, "/dev", rows[i].error);
        assert_string_equal(rows[i].text, text.ptr);
        hq_buf_fini(&text);
        fixture_fini(&f);
    }
}

/* --mpi: hq-stepd is the program; files for each rank are its business. */
static void
test_ranks(void **state)
{
    struct fixture f;
    struct hq_err err = {0};
    struct prepared p;

    (void)state;
    fixture_init(&f, "prog");
    f.conf.stepd_path = "/opt/hq/hq-stepd";
    f.body->mpi.is_on = true;
    f.body->out = (struct body_stdio){.kind = BODY_STDIO_FILE, .path = HQ_STR("o.%{TASK_ID}.%{RANK}")};
    f.body->err = (struct body_stdio){.kind = BODY_STDIO_FILE, .path = HQ_STR("e.%{INSTANCE_ID}")};
    assert_int_equal(0, fixture_prepare(&f, 4, 0, "/wd/t", &p, &err));
    const char *const argv[] = {"/opt/hq/hq-stepd", "ranks", "prog", "a b", "%{TASK_ID}"};
    for (size_t i = 0; i < HQ_ARRAY_LEN(argv); i++) {
        assert_string_equal(argv[i], f.image->argv[i]);
    }
    assert_null(f.image->argv[HQ_ARRAY_LEN(argv)]);
    assert_string_equal("/opt/hq/hq-stepd", f.image->paths[0]);
    assert_null(f.image->paths[1]);
    assert_null(p.out_path);
    assert_string_equal("/home/u/work/o.4.%{RANK}", p.rank_out_path);
    assert_string_equal("/home/u/work/e.3", p.err_path);
    assert_null(p.rank_err_path);
    assert_null(value_of(&p, "OMP_NUM_THREADS")); /* of a rank, not of the task */
    assert_null(value_of(&p, "OMPI_MCA_plm_rsh_agent"));
    fixture_fini(&f);
}

static void
test_mpirun(void **state)
{
    static const struct {
        const char *key, *value; /* what the user sets */
        const char *name, *expect; /* NULL: not set */
    } rows[] = {
        {"X", "y", "OMPI_MCA_plm_rsh_agent", "/opt/hq/hq-stepd rexec"},
        {"X", "y", "OMPI_MCA_orte_default_hostfile", "/wd/t/hq-nodefile"},
        {"X", "y", "PRTE_MCA_prte_default_hostfile", "/wd/t/hq-nodefile"},
        {"X", "y", "HYDRA_HOST_FILE", "/wd/t/hq-hostfile"},
        {"X", "y", "HYDRA_LAUNCHER_EXEC", "/opt/hq/hq-stepd"},
        {"X", "y", "OMPI_MCA_plm", NULL},
        {"X", "y", "HQ_NUM_NODES", "0"},
        {"OMPI_MCA_plm_rsh_agent", "ssh", "OMPI_MCA_plm_rsh_agent", "ssh"},
        {"OMPI_MCA_orte_default_hostfile", "mine", "OMPI_MCA_orte_default_hostfile", "mine"},
        {"HYDRA_HOST_FILE", "mine", "HYDRA_HOST_FILE", "mine"},
        {"HYDRA_LAUNCHER", "ssh", "HYDRA_LAUNCHER_EXEC", NULL},
        {"HYDRA_LAUNCHER_EXEC", "ssh", "HYDRA_LAUNCHER", NULL},
        {"SLURM_JOB_ID", "1", "OMPI_MCA_plm", "rsh"},
        {"SLURM_JOB_ID", "1", "PRTE_MCA_ras", "^slurm"},
        {"PBS_JOBID", "1.pbs", "OMPI_MCA_ras", "^tm"},
        {"PBS_JOBID", "1.pbs", "PRTE_MCA_plm", "ssh"},
        {"X", "y", "I_MPI_HYDRA_BOOTSTRAP_EXEC", "/opt/hq/hq-stepd"},
        {"X", "y", "I_MPI_HYDRA_HOST_FILE", "/wd/t/hq-hostfile"},
        {"I_MPI_HYDRA_BOOTSTRAP", "ssh", "I_MPI_HYDRA_BOOTSTRAP_EXEC", NULL},
    };

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        struct fixture f;
        struct hq_err err = {0};
        struct prepared p;
        fixture_init(&f, "prog");
        f.conf.stepd_path = "/opt/hq/hq-stepd";
        f.variants[0].n_nodes = 2;
        fixture_set_env(&f, rows[i].key, rows[i].value);
        assert_int_equal(0, fixture_prepare(&f, 4, 0, "/wd/t", &p, &err));
        const char *value = value_of(&p, rows[i].name);
        if (rows[i].expect == NULL) {
            assert_null(value);
        } else {
            assert_non_null(value);
            assert_string_equal(rows[i].expect, value);
        }
        fixture_fini(&f);
    }
    for (int row = 0; row < 3; row++) { /* nothing of it: no hq-stepd, one node, a remote command */
        struct fixture f;
        struct hq_err err = {0};
        struct prepared p;
        fixture_init(&f, "prog");
        f.conf.stepd_path = row == 0 ? NULL : "/opt/hq/hq-stepd";
        f.variants[0].n_nodes = row == 1 ? 0 : 2;
        f.body->is_remote = row == 2;
        assert_int_equal(0, fixture_prepare(&f, 4, 0, row == 2 ? NULL : "/wd/t", &p, &err));
        assert_null(value_of(&p, "OMPI_MCA_plm_rsh_agent"));
        assert_null(value_of(&p, "HYDRA_HOST_FILE"));
        fixture_fini(&f);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_environment), cmocka_unit_test(test_variants_gpus_and_task_dir),
        cmocka_unit_test(test_entry),       cmocka_unit_test(test_pin),
        cmocka_unit_test(test_paths),       cmocka_unit_test(test_program_places),
        cmocka_unit_test(test_exec_errors),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_mpirun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
