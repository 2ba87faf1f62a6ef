/* report_data.h - the numbers of the report's page, as JSON in its script.
 *
 * Purpose    each function writes "const NAME = ...;" lines; the names are known to scripts that read pages.
 * Ownership  nothing is kept.
 * Threads    pure.
 */
#ifndef HQ_HQ_REPORT_DATA_H
#define HQ_HQ_REPORT_DATA_H

#include "hq/report.h"

void report_put_seconds(struct hq_buf *out, double ms);
void report_data_curves(const struct report *r, struct hq_buf *out);
void report_data_classes(const struct report *r, struct hq_buf *out);
void report_data_workers(const struct report *r, struct hq_buf *out);
void report_data_runs(const struct report *r, struct hq_buf *out);

#endif
