/* msg_bytes.h - our strings and protobuf-c's. Private to the files that pack and read messages. */
#ifndef HQ_WORKERD_MSG_BYTES_H
#define HQ_WORKERD_MSG_BYTES_H

#include <protobuf-c/protobuf-c.h>

#include "common/str.h"

static inline struct hq_str
msg_str(ProtobufCBinaryData b)
{
    return hq_str_make((const char *)b.data, b.len);
}

/* protobuf-c has no const; packing does not write. */
static inline ProtobufCBinaryData
msg_bytes(struct hq_str s)
{
    union {
        const char *in;
        uint8_t *out;
    } p = {.in = s.ptr};

    return (ProtobufCBinaryData){.data = p.out, .len = s.len};
}

#endif
