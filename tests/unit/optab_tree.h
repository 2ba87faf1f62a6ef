/* optab_tree.h - a small command tree with one row of each kind, for the tests of option tables. */
#ifndef HQ_TESTS_UNIT_OPTAB_TREE_H
#define HQ_TESTS_UNIT_OPTAB_TREE_H

#include "common/optab.h"

struct optab_globals {
    struct hq_str dir;
    int mode;
    bool debug;
};
struct optab_submit {
    struct hq_str name;
    struct hq_ranges array;
    uint32_t nodes;
    int32_t priority;
    struct hq_str cpus;
    int pin;
    bool wait;
    bool progress;
    struct hq_strv env;
    int64_t limit_ms;
    uint32_t weight;
    struct hq_str stream;
    struct hq_strv command;
};
#define OPTAB_SUBMIT_OPTS 15
extern const struct hq_opt optab_submit_opts[OPTAB_SUBMIT_OPTS];
struct optab_list {
    bool all;
    uint32_t filter;
    bool verbose;
};
extern const struct hq_command optab_root;

struct optab_run { /* of one command line */
    struct hq_arena arena;
    struct optab_globals globals;
    struct hq_parsed parsed;
    struct hq_buf text;
    struct hq_buf hints;
    enum hq_optab_end end;
    char line[256];
    char *argv[32];
    int argc;
};

struct hq_optab optab_tree(struct optab_run *r, char *const *envp);
/* Words are separated by blanks; '' is the empty word. */
void optab_run(struct optab_run *r, const char *line, char *const *envp);
void optab_run_fini(struct optab_run *r);

#define OPTAB_MORE "\nFor more information, try '--help'.\n"

#endif
