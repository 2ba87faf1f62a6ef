/* The example file of hq-workerd's settings is what its table says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/fs.h"
#include "hq-workerd/wconf.h"

#define EXAMPLE "systemd/hq-workerd.yaml"

static void
test_example_is_the_table(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf want = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf got = HQ_BUF_INIT;
    hq_buf_cstr(&want, "# Settings of hq-workerd (hq-workerd --config FILE). Every key with its default; hq-workerd --print-config "
                       "shows what holds.\n\n");
    hq_settings_print_example(wconf_settings, WCONF_SETTINGS, &want);
    if (getenv("HQ_WRITE_EXAMPLE") != NULL) { /* after a change of the table */
        assert_int_equal(hq_fs_replace(EXAMPLE, hq_buf_view(&want), 0644, NULL), 0);
    }
    assert_int_equal(hq_fs_read(&got, EXAMPLE, 100000, NULL), 0);
    assert_true(hq_str_eq(hq_buf_view(&want), hq_buf_view(&got)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_is_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
