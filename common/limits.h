/* limits.h - every bound of the suite: value, reason, fate of what exceeds it. */
#ifndef HQ_COMMON_LIMITS_H
#define HQ_COMMON_LIMITS_H

/* Wire. A message over it is refused by the sender; a peer that announces one is dropped. */
#define HQ_MSG_BYTES_MAX (1u << 20)         /* payload of one message, sealed or not; larger things go in parts or pages */
#define HQ_FRAME_BYTES_MAX (HQ_MSG_BYTES_MAX + 4096u) /* with header, seal and routing; nng's RECVMAXSZ */
#define HQ_PAGE_BYTES 700000u               /* an answer's page is closed at this size: room for the last row */
#define HQ_UPLOAD_BYTES_MAX (1u << 30)      /* all parts of one submit; refused beyond */
#define HQ_UPLOADS_PER_PEER_MAX 4u          /* unfinished uploads of one session; the oldest is dropped */
#define HQ_INFLIGHT_PER_PEER_MAX 32u        /* nng drops more than 64 queued replies per peer; a peer with more is kicked */
#define HQ_SESSIONS_MAX 65536u              /* sealed sessions; beyond, the oldest one never used goes */
#define HQ_HANDSHAKE_MS_MAX 10000           /* a session that carried no message by then is dropped */

#define HQ_NET_GREETING_MAX 1024u           /* connections that have not even greeted; beyond, the oldest is closed */
#define HQ_NET_SPARE_FDS 64u                /* never given to peers: files of our own must open whoever knocks */
#define HQ_NET_STRANGERS_MAX 512u           /* connections without a valid message yet; beyond, the oldest is closed */
#define HQ_NET_STRIKES_MAX 4u               /* bad frames of one connection; it is closed */
#define HQ_NET_ORPHAN_MS_MAX 30000          /* a session without a connection is forgotten; its peer opens a new one */
#define HQ_NET_RECEIVES 64u                 /* messages between nng and the loop; beyond, peers wait */
#define HQ_NET_RECV_QUEUE 64                /* messages inside nng before that; beyond, peers wait */
#define HQ_NET_SEND_QUEUE 8192              /* nng's maximum; beyond, answers wait for a timer */
#define HQ_NET_CALLS_MAX 8u                 /* calls out of one client; beyond, -EBUSY */
#define HQ_NET_NOTE_QUEUE 1024              /* notes kept for one reader; beyond, the oldest is lost (8 kB each reader) */
#define HQ_NET_READERS_MAX 4096u            /* local readers of notes; beyond, refused: they ask instead */
#define HQ_NET_READERS_TCP_MAX 256u         /* the same on TCP, where anybody may connect and nobody shows a key */
#define HQ_NET_NOTE_BYTES_MAX 4096u         /* one note; they are hints of some 50 bytes */

/* Values from users. Refused with a text beyond. */
#define HQ_RANGES_MAX (1u << 20)            /* ranges in one set */
#define HQ_VARIANTS_MAX 32u                 /* variants of a request (spec/workers.md 6.4) */
#define HQ_RESOURCES_MAX 64u                /* resources of a worker or a variant */
#define HQ_POOL_VALUES_MAX (1u << 16)       /* values of one pool */
#define HQ_POOL_GROUPS_MAX 256u             /* coupling names groups by 0-255 */
#define HQ_COUPLINGS_MAX 1024u              /* pairs in one --coupling: compared with each other */
#define HQ_TASKS_PER_SUBMIT_MAX (1u << 28)  /* ids of one submit */
#define HQ_ARGS_BYTES_MAX (512u << 10)      /* argv and env of one body: must fit a message */
#define HQ_ENTRY_BYTES_MAX (512u << 10)     /* one line or JSON element: must fit a message (an exec takes 128 KiB) */
#define HQ_PART_BYTES 800000u               /* a part of a submit takes no more entries beyond this size */
#define HQ_DEPS_PER_TASK_MAX 150000u        /* dependencies of one task: its row of a graph must fit a part */
#define HQ_STDIN_BYTES_MAX (64u << 20)      /* --stdin data of one submit, goes up in parts */
#define HQ_NAME_BYTES_MAX 65536u            /* job name, group, host name */
#define HQ_REASON_BYTES_MAX 200u            /* cancel reason (spec/cli.md 3.6) */
#define HQ_ERROR_TEXT_BYTES_MAX 2304u       /* error text of a task: 2048 plus the note that it was cut */
#define HQ_NOTIFY_BYTES_MAX 1024u           /* task notify */
#define HQ_CRASH_LIMIT_MAX 65535u

/* Multi-node tasks (proto/step.proto). */
#define HQ_ADDRESSES_MAX 16u                /* of a worker; hqd keeps the first ones */
#define HQ_STEP_NODES_MAX 1024u             /* of one task */
#define HQ_STEP_RANKS_MAX (1u << 16)        /* of one task */
#define HQ_STEP_FANOUT 8u                   /* children of a node in the tree that fences and output follow */
#define HQ_STEP_MSG_BYTES_MAX HQ_MSG_BYTES_MAX /* one frame; longer fences go in several */
#define HQ_STEP_FENCE_BYTES_MAX (256u << 20) /* all contributions to one fence; beyond, the task fails */
#define HQ_STEP_SIGNATURE_BYTES 40u         /* of a fence: 32 of the process set, 8 of its counter */

/* Files. Refused beyond. */
#define HQ_ACCESS_BYTES_MAX 65536u
#define HQ_SETTINGS_BYTES_MAX (1u << 20)
#define HQ_RECORD_BYTES_MAX (4u << 20)      /* one journal record */
#define JOURNAL_PENDING_BYTES_MAX (64u << 20) /* records that wait for a slow disk; changes are refused beyond */
#define HQ_RECORD_SEGMENTS_MAX 1000u        /* files of one journal (each failed disk write adds one); then changes are refused until a prune */

/* hq-workerd. What waits for hqd, and what one turn carries (below HQ_MSG_BYTES_MAX even if nothing packs well). */
#define HQ_REPORT_EVENTS_MAX (1u << 20)        /* events of tasks; beyond, no launches until hqd is back */
#define HQ_REPORT_TEXT_BYTES_MAX (32u << 20)   /* error texts among them; the same */
#define HQ_REPORT_NOTIFIES_MAX 4096u           /* task notify; more are dropped: they are hints */
#define HQ_TURN_EVENTS_MAX 4096u               /* starts, and ends, of one turn; the rest goes into the next */
#define HQ_TURN_TEXT_BYTES_MAX (256u << 10)
#define HQ_TURN_RETURNS_MAX 1024u
#define HQ_TURN_NOTIFIES_MAX 128u
#define HQ_UNACKED_TURNS_MAX 256u              /* turns kept until they are in hqd's journal; beyond, events wait */
#define HQ_SLOTS_MAX 65536u                    /* tasks that run at once on one worker; more wait */
#define HQ_LANES_MAX 4096u                     /* different requests waiting on one worker; more are given back */

#endif
