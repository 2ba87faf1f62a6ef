/* The machine's topology: found once, then read from a file; what is wrong with the file does no harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/fs.h"
#include "hq-workerd/stepd/topology.h"
#include "tests/unit/tmpdir.h"

struct world {
    char *dir;
    char task_dir[128];
    struct hq_arena arena;
};

static void
world_init(struct world *w)
{
    w->dir = tmpdir_make();
    (void)snprintf(w->task_dir, sizeof(w->task_dir), "%s/t1", w->dir);
    assert_int_equal(mkdir(w->task_dir, 0700), 0);
    hq_arena_init(&w->arena, 0);
}

static void
world_fini(struct world *w)
{
    hq_arena_fini(&w->arena);
    tmpdir_remove(w->dir);
}

/* Number of cpus; *ret_path as topology_open says. */
static int
cpus_of(struct world *w, const char *task_dir, const char **ret_path)
{
    hwloc_topology_t t;
    struct hq_err err = {0};
    const struct topology_conf conf = {.task_dir = task_dir, .own_dir = w->task_dir};
    assert_int_equal(topology_open(&t, ret_path, &conf, &w->arena, &err), 0);
    assert_true(hwloc_topology_is_thissystem(t)); /* else binding does nothing */
    int n = hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_PU);
    assert_true(n > 0);
    assert_int_equal(hwloc_bitmap_weight(hwloc_topology_get_allowed_cpuset(t)), n);
    hwloc_topology_destroy(t);
    return n;
}

static void
found_once(void **state)
{
    (void)state;
    struct world w;
    const char *path;
    const char *again;
    struct stat before;
    struct stat after;
    world_init(&w);
    int n = cpus_of(&w, w.task_dir, &path);
    assert_non_null(path);
    assert_memory_equal(path, w.dir, strlen(w.dir));
    assert_null(strstr(path, "/t1/")); /* beside the tasks: it outlives them */
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(cpus_of(&w, w.task_dir, &again), n);
    assert_string_equal(path, again);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino); /* read, not made anew */
    assert_null(getenv("HWLOC_PLUGINS_BLACKLIST"));
    world_fini(&w);
}

static void
bad_files(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "<topology", "<?xml version=\"1.0\"?><topology version=\"9\"></topology>"};
    struct world w;
    const char *path;
    const char *again;
    world_init(&w);
    int n = cpus_of(&w, w.task_dir, &path);
    for (size_t i = 0; i < HQ_ARRAY_LEN(texts); i++) {
        assert_int_equal(hq_fs_replace(path, hq_str_from(texts[i]), 0644, NULL), 0);
        assert_int_equal(cpus_of(&w, w.task_dir, &again), n);
        struct stat st;
        assert_true(stat(path, &st) == 0 && st.st_size > 500); /* a good one is in its place */
    }
    assert_int_equal(chmod(path, 0666), 0); /* anybody may have written it */
    struct stat before;
    struct stat after;
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(cpus_of(&w, w.task_dir, &again), n);
    assert_true(stat(path, &after) == 0 && after.st_ino != before.st_ino);
    world_fini(&w);
}

static void
places(void **state)
{
    (void)state;
    struct world w;
    const char *path;
    char own[160];
    world_init(&w);
    (void)snprintf(own, sizeof(own), "%s/topology.xml", w.task_dir);
    (void)cpus_of(&w, NULL, &path);
    assert_string_equal(path, own);
    (void)cpus_of(&w, "/proc/t1", &path); /* nobody can write there */
    assert_string_equal(path, own);
    assert_int_equal(unlink(own), 0);
    assert_int_equal(rmdir(w.task_dir), 0);
    (void)cpus_of(&w, NULL, &path);
    assert_null(path);
    world_fini(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(found_once), cmocka_unit_test(bad_files), cmocka_unit_test(places)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
