/* settings.h - YAML against setting tables: built-in < file < environment < flag.
 *
 * Purpose    one table row = name, type, bounds, default and help of a setting; errors name file and line.
 * Ownership  texts lie in the arena given; the table is static const; `conf` is the caller's struct.
 * Errors     -EINVAL "<file>:<line>: ..." unknown key, key given twice, wrong type, out of bounds, no YAML.
 * Limits     HQ_SETTINGS_BYTES_MAX, HQ_SETTINGS_MAX rows. A file is one flat mapping of names to scalars.
 */
#ifndef HQ_COMMON_SETTINGS_H
#define HQ_COMMON_SETTINGS_H

#include "common/arena.h"
#include "common/err.h"
#include "common/str.h"

#define HQ_SETTINGS_MAX 128u

enum hq_setting_kind {         /* target at `at` */
    HQ_SET_MS = 0,             /* int64_t ms: durations as on the command line; a bare number is seconds */
    HQ_SET_BOOL,               /* bool: true | false | yes | no | on | off */
    HQ_SET_INT,                /* int64_t */
    HQ_SET_BYTES,              /* int64_t: "64MiB" */
    HQ_SET_STR,                /* const char * */
    HQ_SET_PATH,               /* const char *: absolute */
    HQ_SET_WORD,               /* int: index in `words` */
};

struct hq_setting {
    const char *name;          /* key in files: "heartbeat" */
    enum hq_setting_kind kind;
    size_t at;                 /* offsetof in the struct of the program */
    const char *def;           /* as it would stand in a file; NULL = zero / NULL */
    int64_t min, max;          /* of numbers; both 0 = no bounds */
    const char *const *words;  /* HQ_SET_WORD, NULL-terminated */
    const char *env;           /* environment variable, NULL = none */
    const char *help;          /* one sentence for manual and --print-config */
};

enum hq_setting_origin {
    HQ_FROM_BUILT_IN = 0,
    HQ_FROM_FILE,
    HQ_FROM_ENV,
    HQ_FROM_FLAG,
};

struct hq_settings {
    const struct hq_setting *rows;
    size_t count;
    void *conf;
    struct hq_arena *arena;
    uint8_t origins[HQ_SETTINGS_MAX]; /* enum hq_setting_origin per row */
};

/* Puts the defaults into conf. A default that its own row refuses is our mistake: asserts. */
void hq_settings_init(struct hq_settings *s, const struct hq_setting *rows, size_t count, void *conf,
                      struct hq_arena *arena);
/* Pure: the text of a file called `name`. Rows that a higher origin set are checked but kept. */
HQ_MUST_CHECK int hq_settings_text(struct hq_settings *s, const char *name, struct hq_str text, struct hq_err *err);
HQ_MUST_CHECK int hq_settings_file(struct hq_settings *s, const char *path, struct hq_err *err);
HQ_MUST_CHECK int hq_settings_env(struct hq_settings *s, char *const *envp, struct hq_err *err);
/* A flag that is no option of its own: --set name=value. */
HQ_MUST_CHECK int hq_settings_flag(struct hq_settings *s, struct hq_str name, struct hq_str value, struct hq_err *err);
/* --print-config: a valid file, each line with its origin as a comment. */
void hq_settings_print(const struct hq_settings *s, struct hq_buf *out);
/* All rows with help, default and bounds, commented out: an example file and the manual's table. */
void hq_settings_print_example(const struct hq_setting *rows, size_t count, struct hq_buf *out);

#endif
