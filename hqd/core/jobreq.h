/* jobreq.h - requests about whole jobs: open, close, forget (cancel.h cancels, submit.h submits). */
#ifndef HQ_HQD_CORE_JOBREQ_H
#define HQ_HQD_CORE_JOBREQ_H

#include "hqd/core/state.h"

void jobreq_on_open(struct ctx *ctx, const struct input *in);
void jobreq_on_close(struct ctx *ctx, const struct input *in);
void jobreq_on_forget(struct ctx *ctx, const struct input *in);

#endif
