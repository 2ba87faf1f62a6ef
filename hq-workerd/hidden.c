/* hidden.c - life time of what a hidden run is started with. */
#include "hq-workerd/hidden.h"

#include <stdlib.h>

#include "common/fs.h"
#include "common/mem.h"

struct hidden *
hidden_create(void)
{
    struct hidden *h = hq_try_alloc(sizeof(*h));

    if (h != NULL) {
        h->fds[0] = h->fds[1] = h->fds[2] = -1;
    }
    return h;
}

void
hidden_close(struct hidden *h)
{
    for (size_t i = 0; i < HQ_ARRAY_LEN(h->fds); i++) {
        hq_fs_closep(&h->fds[i]);
    }
}

void
hidden_destroy(void *hidden)
{
    if (hidden != NULL) {
        hidden_close(hidden);
        free(hidden);
    }
}
