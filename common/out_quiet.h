/* out_quiet.h - bare lines of the quiet mode.
 *
 * Purpose    the few line forms that quiet mode has; everything else prints nothing there.
 */
#ifndef HQ_COMMON_OUT_QUIET_H
#define HQ_COMMON_OUT_QUIET_H

#include "common/out.h"

void hq_quiet_id(struct hq_out *o, uint32_t id);                               /* "7" */
void hq_quiet_id_state(struct hq_out *o, uint32_t id, const char *state_word); /* "7 RUNNING" */
void hq_quiet_count(struct hq_out *o, const char *state_word, uint64_t count); /* "RUNNING 3" */
void hq_quiet_text(struct hq_out *o, struct hq_str s);                         /* the text and a newline */

#endif
