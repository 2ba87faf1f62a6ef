/* exact.c - the same problem as an integer program, by GLPK. */
#include "tests/sim/quality/mix.h"

#include "common/mem.h"

#include <glpk.h>
#include <stdlib.h>

struct rows { /* entries of the matrix; GLPK counts from 1 */
    int *row;
    int *column;
    double *value;
    int count;
};

struct bound {
    double best; /* of the open nodes */
};

static void
add_entry(struct rows *r, int row, int column, double value)
{
    r->count++;
    r->row[r->count] = row;
    r->column[r->count] = column;
    r->value[r->count] = value;
}

static void
on_node(glp_tree *tree, void *info)
{
    struct bound *b = info;
    int node = glp_ios_best_node(tree);
    if (node != 0) {
        b->best = glp_ios_node_bound(tree, node);
    }
}

/* Rows: first one for each class, then one for each worker and resource. */
static glp_prob *
build(const struct mix *m, int32_t priority, bool is_above_full)
{
    glp_prob *lp = glp_create_prob();
    int most = (int)(m->worker_count * m->class_count * MIX_VARIANTS_MAX) * (int)(MIX_RES + 1) + 1;
    struct rows rows = {.row = hq_xcalloc((size_t)most, sizeof(int)),
                        .column = hq_xcalloc((size_t)most, sizeof(int)),
                        .value = hq_xcalloc((size_t)most, sizeof(double))};
    glp_set_obj_dir(lp, GLP_MAX);
    glp_add_rows(lp, (int)(m->class_count + m->worker_count * MIX_RES));
    for (uint32_t c = 0; c < m->class_count; c++) {
        bool is_full = is_above_full && m->classes[c].priority > priority;
        glp_set_row_bnds(lp, (int)c + 1, is_full ? GLP_FX : GLP_UP, m->classes[c].count, m->classes[c].count);
    }
    for (uint32_t w = 0; w < m->worker_count; w++) {
        int first_row = (int)(m->class_count + w * MIX_RES) + 1;
        for (uint32_t r = 0; r < MIX_RES; r++) {
            glp_set_row_bnds(lp, first_row + (int)r, GLP_UP, 0, (double)m->workers[w].free[r] / 10000);
        }
        for (uint32_t c = 0; c < m->class_count; c++) {
            for (uint32_t v = 0; m->classes[c].priority >= priority && v < m->classes[c].variant_count; v++) {
                const struct mix_variant *k = &m->classes[c].variants[v];
                uint32_t n = HQ_MIN(m->classes[c].count, mix_fit(m, w, k, m->workers[w].free));
                if (n == 0) {
                    continue;
                }
                int column = glp_add_cols(lp, 1);
                glp_set_col_kind(lp, column, GLP_IV);
                glp_set_col_bnds(lp, column, GLP_DB, 0, n);
                glp_set_obj_coef(lp, column, m->classes[c].priority == priority ? mix_value(m, w, k) : 0);
                add_entry(&rows, (int)c + 1, column, 1);
                for (uint32_t r = 0; r < MIX_RES; r++) {
                    if (k->amount[r] != 0) {
                        add_entry(&rows, first_row + (int)r, column, (double)mix_amount(m, w, k, r) / 10000);
                    }
                }
            }
        }
    }
    glp_load_matrix(lp, rows.count, rows.row, rows.column, rows.value);
    free(rows.row);
    free(rows.column);
    free(rows.value);
    return lp;
}

bool
mix_solve_exact(const struct mix *m, int32_t priority, bool is_above_full, int limit_ms, double *ret_value)
{
    (void)glp_term_out(GLP_OFF);
    glp_prob *lp = build(m, priority, is_above_full);
    struct bound bound = {0};
    bool is_exact = true;
    *ret_value = -1; /* what is above can't all be placed */
    glp_smcp simplex;
    glp_init_smcp(&simplex);
    simplex.msg_lev = GLP_MSG_OFF;
    if (glp_get_num_cols(lp) == 0) {
        *ret_value = 0;
    } else if (glp_simplex(lp, &simplex) == 0 && glp_get_status(lp) == GLP_OPT) {
        bound.best = glp_get_obj_val(lp);
        glp_iocp options;
        glp_init_iocp(&options);
        options.msg_lev = GLP_MSG_OFF;
        options.tm_lim = limit_ms;
        options.mip_gap = 1e-4;
        options.mir_cuts = GLP_ON;
        options.gmi_cuts = GLP_ON;
        options.cov_cuts = GLP_ON;
        options.cb_func = on_node;
        options.cb_info = &bound;
        is_exact = glp_intopt(lp, &options) == 0;
        if (is_exact && glp_mip_status(lp) == GLP_OPT) {
            *ret_value = glp_mip_obj_val(lp);
        } else if (!is_exact || glp_mip_status(lp) == GLP_FEAS) {
            *ret_value = HQ_MAX(bound.best, glp_mip_obj_val(lp));
            is_exact = false;
        }
    }
    glp_delete_prob(lp);
    return is_exact;
}
