/* Turns of workers that say anything, against the real core: honest ones, late ones, lies, repetitions, turns out of order,
 * between submits, cancels, losses and restarts. After each step all invariants hold; at the end the journal gives the same
 * state. A step is a byte and what it takes; see steps below. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>

#include "hqd/core/invariant.h"
#include "tests/unit/build.h"

#define STEPS_MAX 48u
#define JOBS_MAX 6u
#define WORKERS_MAX 12u
#define PARTS_MAX 6u

struct play {
    struct fuzz *f;
    struct rig rig;
    uint32_t jobs;
    uint32_t workers;
};

static void
check(const struct play *p)
{
    struct hq_buf why = HQ_BUF_INIT;

    if (!invariant_check(p->rig.core, &why)) {
        (void)fprintf(stderr, "%s\n", why.ptr);
        abort();
    }
    hq_buf_fini(&why);
}

/* Mostly one that exists. */
static uint32_t
any_worker(struct play *p)
{
    return fuzz_byte(p->f) % (p->workers + 1) + 1;
}

/* "finish 2@1-5#1": small numbers, so that many are true. */
static void
add_part(struct play *p, struct hq_buf *text)
{
    static const char *const verbs[] = {"start", "finish", "fail", "return", "reject", "no-time", "node-lost", "finish"};
    uint8_t what = fuzz_byte(p->f), where = fuzz_byte(p->f), which = fuzz_byte(p->f);
    uint32_t job = (where & 7) % (p->jobs + 2), first = which & 15, last = first + (which >> 4);

    if (what >= 250) {
        hq_buf_cstr(text, what & 1 ? "leave" : "unsettled");
        return;
    }
    hq_buf_printf(text, "%s %u@%u-%u#%u", verbs[what & 7], job, first, last, (where >> 3) & 3);
}

static void
take_turn(struct play *p)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    uint32_t worker = any_worker(p);
    uint8_t how = fuzz_byte(p->f);

    hq_buf_cstr(&text, "");
    for (uint32_t i = 0; i < how % PARTS_MAX; i++) {
        if (i > 0) {
            hq_buf_byte(&text, ' ');
        }
        add_part(p, &text);
    }
    if (how >= 128 && how < 160) { /* again, too early, or far ahead */
        rig_turn_seq(&p->rig, worker, p->rig.turn_seq[worker] + how % 4, text.ptr);
    } else {
        rig_turn(&p->rig, worker, text.ptr);
    }
}

static void
submit(struct play *p)
{
    uint8_t how = fuzz_byte(p->f);

    if (p->jobs < JOBS_MAX) {
        p->jobs++;
        rig_array(&p->rig, &(struct rig_job){.count = how % 12 + 1u,
                                             .cpus = how & 16 ? 2 : 1,
                                             .request = how & 32 ? rig_nodes(&p->rig, 2) : NULL,
                                             .priority = how >> 6,
                                             .crash_limit = how & 1 ? 2 : 0});
    }
}

static void
one_step(struct play *p)
{
    char ids[16];
    uint8_t what = fuzz_byte(p->f);

    switch (what % 16) {
    case 0:
        submit(p);
        break;
    case 1:
        if (p->workers < WORKERS_MAX) {
            p->workers++;
            rig_worker(&p->rig, what & 16 ? "cpus=4" : "cpus=2", NULL);
        }
        break;
    case 2:
        rig_wait(&p->rig, fuzz_byte(p->f) * 40);
        break;
    case 3:
        rig_gone(&p->rig, any_worker(p));
        break;
    case 4:
        (void)snprintf(ids, sizeof ids, "%u", fuzz_byte(p->f) % (p->jobs + 1) + 1);
        rig_cancel(&p->rig, ids, "no more");
        break;
    case 5:
        (void)snprintf(ids, sizeof ids, "%u", fuzz_byte(p->f) % (p->jobs + 1) + 1);
        rig_forget(&p->rig, ids);
        break;
    case 6:
        rig_stop_worker(&p->rig, any_worker(p));
        break;
    case 7:
        rig_step(&p->rig, &(struct input){.kind = INPUT_NONSENSE, .u.peer.worker = {any_worker(p)}});
        break;
    case 8:
        if (what == 8) { /* seldom: it costs most */
            rig_restart(&p->rig, what & 16 ? "same boot" : "another boot");
        }
        break;
    case 9:
    case 10:
        rig_schedule(&p->rig);
        break;
    default:
        take_turn(p);
        rig_schedule(&p->rig);
        break;
    }
}

void
fuzz_one(struct fuzz *f)
{
    struct play p = {.f = f};

    rig_init(&p.rig);
    for (p.workers = 0; p.workers < 2; p.workers++) { /* else most of each input would be spent on this */
        rig_worker(&p.rig, "cpus=4", NULL);
        rig_turn(&p.rig, p.workers + 1, "");
    }
    for (p.jobs = 0; p.jobs < 2; p.jobs++) {
        rig_array(&p.rig, &(struct rig_job){.count = 6});
    }
    rig_schedule(&p.rig);
    check(&p);
    for (uint32_t i = 0; i < STEPS_MAX && f->text.len > 0; i++) {
        one_step(&p);
        rig_clear(&p.rig);
        check(&p);
    }
    rig_check_replay(&p.rig);
    rig_fini(&p.rig);
}
