/* The process that owns a stack: starts, watches, stops and reaps everything in it, and ends last.
 *
 *   bv ──fork──▶ A ──unshare(PID)──fork──▶ supervisor (PID 1) ─┬─ postgres, redis, kafka
 *    │     A exits (foreground: waits)       │                 ├─ infra-service migrate (jobs)
 *    └──────────── channel ──────────────────┘                 ├─ auth, order, ...
 *        events out, "stop" in, end of file = lifeline         └─ tasks: forked probes and
 * preparations
 *
 * Invariant: it runs one thread and only forks; all that may block is a task. Messages are packets
 * (SOCK_SEQPACKET): "part\tstate\tms\ttext" out; "stop", "status", "restart\tPART" or "kill\tPART"
 * in (the last two end a service, to start it again). Thread: its own process. */
#ifndef STACK_SUPERVISOR_H
#define STACK_SUPERVISOR_H

#include "stack_world.h"

enum { STACK_PACKET_BYTES = 8192 };

/* Starts the supervisor of world. *ret_channel is the creator's end: events arrive there, closing
 * it ends a stack in the foreground (and any stack that still boots). *ret_middle (written in the
 * foreground only) is a child that ends after the supervisor: reap it. Errors: BV_E_LIMIT, BV_E_IO.
 */
BV_MUST_CHECK int stack_supervisor_start(struct stack_world *world,
                                         int *ret_channel,
                                         pid_t *ret_middle,
                                         struct bv_error *error);

/* Writes stack.json (in describe.c). Errors: BV_E_IO, BV_E_PROTOCOL when a service's --describe is
 * no JSON. */
BV_MUST_CHECK int stack_write_json(const struct stack_world *world,
                                   pid_t supervisor,
                                   const char *isolation,
                                   int64_t boot_ms,
                                   struct bv_error *error);

/* Whether this kernel lets this user have PID namespaces; for doctor. */
bool stack_can_isolate(void);

#endif
