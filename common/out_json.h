/* out_json.h - streaming JSON writer: no tree in memory, keys checked to be sorted, shortest floats.
 *
 * Purpose    documents of the json mode (pretty) and journal lines (compact).
 * Ownership  writes into the caller's buffer; keeps views of keys only until the next key of the same object.
 * Units      times in ms since the epoch, durations in ms, printed as seconds.
 * Errors     wrong nesting, a missing key and unsorted keys are our own mistakes: HQ_ASSERT.
 * Limits     HQ_JSON_DEPTH_MAX levels.
 */
#ifndef HQ_COMMON_OUT_JSON_H
#define HQ_COMMON_OUT_JSON_H

#include "common/id.h"
#include "common/out.h"
#include "common/str.h"

#define HQ_JSON_DEPTH_MAX 24u

struct hq_json_level {
    bool is_object;
    bool is_sorted; /* keys must come in ascending order */
    bool has_items;
    bool has_key; /* a key waits for its value */
    struct hq_str last_key;
    char number_key[24]; /* storage for hq_json_key_u64 */
};
struct hq_json {
    struct hq_buf *out;
    bool is_pretty;
    size_t depth;
    struct hq_json_level level[HQ_JSON_DEPTH_MAX];
};

void hq_json_init(struct hq_json *j, struct hq_buf *out, bool is_pretty);
/* Pretty document of a command on stdout; hq_json_end_document adds the newline and marks the document as printed. */
void hq_json_begin_document(struct hq_json *j, struct hq_out *out);
void hq_json_end_document(struct hq_json *j, struct hq_out *out);

void hq_json_object(struct hq_json *j);          /* keys ascending bytewise */
void hq_json_object_unsorted(struct hq_json *j); /* access files only */
void hq_json_object_end(struct hq_json *j);
void hq_json_array(struct hq_json *j);
void hq_json_array_end(struct hq_json *j);
void hq_json_key(struct hq_json *j, const char *key);       /* must outlive the object's next key */
void hq_json_key_str(struct hq_json *j, struct hq_str key); /* the same */
void hq_json_key_u64(struct hq_json *j, uint64_t key);      /* sorted as text: "10" before "2" */

void hq_json_null(struct hq_json *j);
void hq_json_bool(struct hq_json *j, bool v);
void hq_json_u64(struct hq_json *j, uint64_t v);
void hq_json_i64(struct hq_json *j, int64_t v);
void hq_json_f64(struct hq_json *j, double v);        /* shortest that reads back; "8.0"; not finite: null */
void hq_json_str(struct hq_json *j, struct hq_str v); /* invalid UTF-8 becomes U+FFFD */
void hq_json_strz(struct hq_json *j, const char *v);  /* NULL: null */
void hq_json_seconds(struct hq_json *j, int64_t ms);  /* 8.0, 0.5 */
void hq_json_span(struct hq_json *j, int64_t ms);     /* {"nanos":N,"secs":N} of raw structures */
void hq_json_time(struct hq_json *j, hq_wall_ms at);          /* RFC 3339; pretty: nine digits, else 0 or 3 */

/* key and value in one call */
void hq_json_put_str(struct hq_json *j, const char *key, struct hq_str v);
void hq_json_put_strz(struct hq_json *j, const char *key, const char *v); /* NULL: null */
void hq_json_put_u64(struct hq_json *j, const char *key, uint64_t v);
void hq_json_put_i64(struct hq_json *j, const char *key, int64_t v);
void hq_json_put_bool(struct hq_json *j, const char *key, bool v);
void hq_json_put_null(struct hq_json *j, const char *key);
void hq_json_put_seconds(struct hq_json *j, const char *key, int64_t ms);
void hq_json_put_time(struct hq_json *j, const char *key, hq_wall_ms at); /* 0: null */

/* JSON text of one string, quotes included. */
void hq_json_quote(struct hq_buf *b, struct hq_str s);

#endif
