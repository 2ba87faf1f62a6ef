/* The text of batch scripts, as sites know it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hq-allocd/script.h"

#define S(text)                                                                                                        \
    {                                                                                                                  \
        .ptr = text, .len = sizeof(text) - 1                                                                           \
    }
static const struct hq_str args[] = {S("--cpus"),       S("\"4\""), S("--on-server-lost"), S("\"finish-running\""),
                                     S("--time-limit"), S("\"1h\"")};
static const struct hq_str extra[] = {S("--partition=p1"), S("-A"), S("x")};

static struct script
base(void)
{
    return (struct script){.queue = 2,
                           .number = 1,
                           .nodes = 1,
                           .time_limit_ms = 3600000,
                           .idle_timeout_ms = 300000,
                           .dir = HQ_STR("/h/.hq-server/001/autoalloc/2/001"),
                           .server_dir = HQ_STR("/h/.hq-server/001"),
                           .hq = HQ_STR("/opt/hq/hq"),
                           .worker_args = args,
                           .worker_arg_count = HQ_ARRAY_LEN(args)};
}

static void
check(const struct script *s, const char *want)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    script_text(s, &out);
    assert_string_equal(out.ptr, want);
}

#define SLURM_WORKER                                                                                                   \
    "worker start --idle-timeout \"5m\" --manager \"slurm\" --server-dir \"/h/.hq-server/001\" --cpus \"4\" "          \
    "--on-server-lost \"finish-running\" --time-limit \"1h\""
#define PBS_WORKER                                                                                                     \
    "worker start --idle-timeout \"5m\" --manager \"pbs\" --server-dir \"/h/.hq-server/001\" --cpus \"4\" "            \
    "--on-server-lost \"finish-running\" --time-limit \"1h\""

static void
test_pbs(void **state)
{
    (void)state;
    struct script s = base();
    s.is_pbs = true;
    check(&s, "#!/bin/bash\n#PBS -l select=1\n#PBS -N hq-2-1\n#PBS -o /h/.hq-server/001/autoalloc/2/001/stdout\n"
              "#PBS -e /h/.hq-server/001/autoalloc/2/001/stderr\n#PBS -l walltime=01:00:00\n\n/opt/hq/hq " PBS_WORKER);
    s.is_trial = true;
    s.nodes = 4;
    s.name = HQ_STR("big");
    s.time_limit_ms = 100 * 3600000 + 61999;
    s.extra_args = extra;
    s.extra_arg_count = 3;
    check(&s, "#!/bin/bash\n#PBS -l select=4\n#PBS -N big-1\n#PBS -o /h/.hq-server/001/autoalloc/2/001/stdout\n"
              "#PBS -e /h/.hq-server/001/autoalloc/2/001/stderr\n#PBS -l walltime=100:01:01\n#PBS --partition=p1 -A x\n"
              "#PBS -h\n\npbsdsh -- bash -l -c '/opt/hq/hq " PBS_WORKER "'");
}

static void
test_slurm(void **state)
{
    (void)state;
    struct script s = base();
    s.extra_args = extra;
    s.extra_arg_count = 3;
#define HEAD(nodes)                                                                                                    \
    "#!/bin/bash\n#SBATCH --nodes=" nodes                                                                              \
    "\n#SBATCH --job-name=hq-2-1\n#SBATCH --output=/h/.hq-server/001/autoalloc/2/001/stdout\n"                         \
    "#SBATCH --error=/h/.hq-server/001/autoalloc/2/001/stderr\n#SBATCH --time=01:00:00\n"                              \
    "#SBATCH --partition=p1 -A x\n\n"
    check(&s, HEAD("1") "/opt/hq/hq " SLURM_WORKER);
    s.nodes = 3;
    check(&s, HEAD("3") "srun --overlap --ntasks=3 --nodes=3 /opt/hq/hq " SLURM_WORKER);
    s.rust_log = HQ_STR("hq=debug");
    check(&s, HEAD("3") "RUST_LOG=hq=debug srun --overlap --ntasks=3 --nodes=3 /opt/hq/hq " SLURM_WORKER);
    s.start_cmd = HQ_STR("module load 'x'");
    s.stop_cmd = HQ_STR("echo bye");
    s.wrap_cmd = HQ_STR("numactl -i all");
    check(&s, HEAD("3") "RUST_LOG=hq=debug srun --overlap --ntasks=3 --nodes=3 bash -c 'module load '\\''x'\\'' && "
                        "numactl -i all /opt/hq/hq " SLURM_WORKER "; echo bye'");
    s.nodes = 1;
    check(&s, HEAD("1") "module load 'x' && RUST_LOG=hq=debug numactl -i all /opt/hq/hq " SLURM_WORKER "; echo bye");
}

static void
test_quoting(void **state)
{
    (void)state;
    struct script s = base();
    s.worker_arg_count = 0;
    s.dir = HQ_STR("/h/a b%j/001");
    s.server_dir = HQ_STR("/h/a \"b\" $x");
    s.hq = HQ_STR("/opt/my hq/hq's");
    check(&s, "#!/bin/bash\n#SBATCH --nodes=1\n#SBATCH --job-name=hq-2-1\n#SBATCH --output=\"/h/a b%%j/001/stdout\"\n"
              "#SBATCH --error=\"/h/a b%%j/001/stderr\"\n#SBATCH --time=01:00:00\n\n'/opt/my hq/hq'\\''s' worker start "
              "--idle-timeout \"5m\" --manager \"slurm\" --server-dir \"/h/a \\\"b\\\" \\$x\"");
}

static void
check_dir(bool is_pbs, struct hq_str dir, const char *want)
{
    struct script s = base();
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    s.is_pbs = is_pbs;
    s.dir = dir;
    assert_true(script_dir_ok(dir));
    script_text(&s, &out);
    if (hq_str_find(hq_buf_view(&out), hq_str_from(want)) < 0) {
        fail_msg("no %s in\n%s", want, out.ptr);
    }
}

static void
test_directories(void **state)
{
    (void)state;
    check_dir(false, HQ_STR("/o'dd \"d$H"), "--output=\"/o'dd \"'\"'\"d$H/stdout\"\n");
    check_dir(true, HQ_STR("/o'dd \"d$H"), "-o \"/o'dd \"'\"'\"d$H/stdout\"\n");
    check_dir(false, HQ_STR("/a\\b%j"), "--error=\"/a\\\\\\\\b%j/stderr\"\n");
    check_dir(true, HQ_STR("/a\\b%j"), "-e \"/a\\b%j/stderr\"\n");
    check_dir(false, HQ_STR("/a#\tb"), "--output=\"/a#\tb/stdout\"\n");
    assert_false(script_dir_ok(HQ_STR("/a\n#SBATCH --nodes=9")));
    assert_false(script_dir_ok(HQ_STR("/a\r")));
    assert_true(script_dir_ok(HQ_STR("/\xc3\xa9")));
}

static void
test_names(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    script_dir(HQ_STR("/s"), HQ_STR_NULL, 3, 7, &out);
    hq_buf_byte(&out, ' ');
    script_dir(HQ_STR("/s"), HQ_STR("mine"), 3, 1000, &out);
    assert_string_equal(out.ptr, "/s/autoalloc/3/007 /s/autoalloc/3-mine/1000");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pbs), cmocka_unit_test(test_slurm),
                                       cmocka_unit_test(test_quoting), cmocka_unit_test(test_directories), cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
