#include "hqd/sched/ready.h"

#include "hqd/sched/class.h"

void
ready_add(struct core *core, struct ready_node *node, uint32_t first, uint32_t count)
{
    if (count == 0) {
        return;
    }
    struct cls *cls = node->cls;
    posset_add(&node->set, first, count);
    if (!hq_heap_has(&node->heap)) {
        hq_heap_set(&cls->nodes, &node->heap, node->job->id.v, 0);
    }
    if (cls->ready == 0) {
        class_activate(core, cls);
    }
    cls->ready += count;
    cls->is_new = true;
    core->is_any_class_new = true;
}

static void
note_removed(struct core *core, struct ready_node *node, uint32_t count)
{
    struct cls *cls = node->cls;
    if (count == 0) {
        return;
    }
    HQ_ASSERT(cls->ready >= count);
    cls->ready -= count;
    if (node->set.size == 0) {
        hq_heap_remove(&cls->nodes, &node->heap);
    }
    if (cls->ready == 0) {
        class_deactivate(core, cls);
    }
}

uint32_t
ready_remove(struct core *core, struct ready_node *node, uint32_t first, uint32_t count)
{
    uint32_t removed = posset_remove(&node->set, first, count);
    note_removed(core, node, removed);
    return removed;
}

void
ready_clear(struct core *core, struct ready_node *node)
{
    uint32_t removed = node->set.size;
    posset_fini(&node->set);
    note_removed(core, node, removed);
}

struct ready_node *
ready_front(const struct cls *cls)
{
    struct hq_heap_node *top = hq_heap_top(&cls->nodes);
    return top == NULL ? NULL : HQ_CONTAINER(top, struct ready_node, heap);
}
