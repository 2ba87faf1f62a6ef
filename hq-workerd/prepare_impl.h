/* prepare_impl.h - shared by prepare.c (one task) and prepare_image.c (what tasks of a body share). */
#ifndef HQ_WORKERD_PREPARE_IMPL_H
#define HQ_WORKERD_PREPARE_IMPL_H

#include "hq-workerd/prepare.h"

/* Appends `text` with its placeholders filled in; a relative result stands in `base`. Empty ones of the last three are
 * not known yet. */
void prepare_fill(struct hq_buf *out, const struct image *im, struct hq_str text, struct hq_str base, struct hq_str task,
                  struct hq_str instance, struct hq_str cwd);
struct hq_str prepare_cwd_text(const struct image *im); /* of the working directory, as it was given */

#endif
