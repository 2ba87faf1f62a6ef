/* resume.h - after a replay: half-done things are finished, known workers get time to come back. */
#ifndef HQ_HQD_CORE_RESUME_H
#define HQ_HQD_CORE_RESUME_H

#include "hqd/core/state.h"

/* core_resume() is the facade; here: is everybody back (or given up) after a crash of the host? */
bool resume_is_quiet(struct core *core, const struct core_now *now);

#endif
