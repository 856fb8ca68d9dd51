/* What the stack says to its servers in their own protocols, with their own client libraries. A
 * file of its own, lib/bv-servers.so, loaded when the first server is asked: a program that starts
 * no stack does not start with three client libraries. Thread: a task or main; all block until
 * their deadline (bv_now_ms clock). */
#ifndef STACK_SERVER_CLIENTS_H
#define STACK_SERVER_CLIENTS_H

#include "stack_table.h"

struct stack_clients {
    /* 0 when the server answers: SELECT 1, PING, Metadata with a broker. Errors: BV_E_TIMEOUT,
     * BV_E_UNAVAILABLE with its words. */
    int (*postgres)(uint16_t port, int64_t deadline_ms, struct bv_error *error);
    int (*redis)(uint16_t port, int64_t deadline_ms, struct bv_error *error);
    int (*kafka)(uint16_t port, int64_t deadline_ms, struct bv_error *error);
    /* Creates the topics that are missing and waits until every partition has a leader. Errors: as
     * above; BV_E_LIMIT for more than 32 topics. */
    int (*kafka_topics)(uint16_t port,
                        const struct stack_topic *list,
                        size_t count,
                        int64_t deadline_ms,
                        struct bv_error *error);
};
extern const struct stack_clients bv_stack_clients; /* inside the loaded file */

/* Loads it at the first call. NULL with error set (BV_E_NOT_FOUND): the file is not there. */
const struct stack_clients *stack_clients(struct bv_error *error);

#endif
