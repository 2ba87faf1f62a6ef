/* answers.h - an answer made by hand for the printers of hq, and where their text is collected.
 *
 * Purpose    the printers are compared to the byte without a server.
 * Ownership  sink_check frees what sink_init made; a struct info owns all it points to and must not be copied.
 */
#ifndef HQ_TESTS_UNIT_ANSWERS_H
#define HQ_TESTS_UNIT_ANSWERS_H

#include "hq/desc_print.h"
#include "hq/job_fetch.h"

struct sink {
    struct hq_out out;
    struct hq_arena arena;
};
void sink_init(struct sink *s, enum hq_out_mode mode, bool with_color);
/* Compares all that was printed and ends the sink. */
void sink_check(struct sink *s, const char *want);

/* Bytes of a text that lives long enough. */
ProtobufCBinaryData bytes_of(const char *s);

struct info { /* an array 1-10:3,20 of five tasks, two of them failed */
    Hq__JobDetailAnswer answer;
    Hq__JobInfo job;
    Hq__JobCounts counts;
    Hq__SubmitInfo submit;
    Hq__SubmitInfo *submits[1];
    Hq__Ranges ids;
    uint32_t packed[6];
    Hq__TaskDesc desc;
    Hq__TaskDesc *descs[1];
    ProtobufCBinaryData args[2];
    Hq__EnvVar env[2];
    Hq__EnvVar *envs[2];
    Hq__Request request;
    Hq__Variant variant;
    Hq__Variant *variants[1];
    Hq__RequestEntry entry;
    Hq__RequestEntry *entries[1];
    Hq__FailedTask failed;
    Hq__FailedTask *faileds[1];
    ProtobufCBinaryData hosts[2];
    struct job_detail detail;
};
void info_init(struct info *i);

#endif
