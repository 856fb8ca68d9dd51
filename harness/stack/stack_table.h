/* The static tables of the stack: servers, services, topics, variables; and which of them a wish
 * needs. Adding a server is one row here and one `struct stack_ops` in servers.c. Thread: any
 * (constant data). */
#ifndef STACK_TABLE_H
#define STACK_TABLE_H

#include "stack.h"

struct stack_unit;
struct stack_world;
struct stack_command;

/* How one kind of process is brought up. All run in the supervisor or a forked task of it. */
struct stack_ops {
    /* Before anything else of the stack is ready: data folder, description. Runs in a task as the
     * supervisor's user; may be NULL. */
    int (*prepare)(const struct stack_world *world,
                   const struct stack_unit *unit,
                   struct bv_error *error);
    /* Whether prepare will first build a template, which takes seconds: people are told. May be
     * NULL. */
    bool (*cold)(const struct stack_world *world);
    /* Fills the command line and environment; all gates are ready. */
    int (*command)(const struct stack_world *world,
                   const struct stack_unit *unit,
                   struct stack_command *ret_command,
                   struct bv_error *error);
    /* Blocks until the process serves or deadline_ms passes; runs in a task. NULL: ready when it
     * exits with 0 (a job). */
    int (*ready)(const struct stack_world *world,
                 const struct stack_unit *unit,
                 int64_t deadline_ms,
                 struct bv_error *error);
};

enum { STACK_GATES_MAX = 5, STACK_PEERS_MAX = 5, STACK_PORTS = 2 };

enum stack_source {             /* where the value of a variable comes from */
                    STACK_TEXT, /* of, as it is */
                    STACK_PG,   /* database `of` on the stack's PostgreSQL; "postgres" is the
                                   administrative one */
                    STACK_REDIS,
                    STACK_KAFKA,
                    STACK_URL,       /* http://127.0.0.1:port of service `of` */
                    STACK_GRPC_ADDR, /* host:port of service `of` */
                    STACK_HTTP_PORT, /* of the service itself */
                    STACK_GRPC_PORT,
                    STACK_SECRET, /* random per stack, the same wherever `of` appears */
                    STACK_LOG_LEVEL,
                    STACK_OTLP
};
struct stack_variable {
    const char *key;
    enum stack_source source;
    const char *of;
};

struct stack_row {
    const char *name;
    enum bv_stack_kind kind;
    const char *gates[STACK_GATES_MAX]; /* servers that must be ready before it starts */
    const char *peers[STACK_PEERS_MAX]; /* services it will call: part of the stack, started at the
                                           same time */
    const char *database;               /* database and migrations folder, NULL: none */
    uint16_t
        fixed[STACK_PORTS]; /* --fixed-ports: main port, and gRPC or controller port (0: none) */
    int memory_mb;
    int disk_mb;
    int stop_signal;
    int stop_ms; /* then SIGKILL */
    const struct stack_variable *variables;
    size_t variable_count;
    const struct stack_ops *ops;
};

extern const struct stack_row stack_rows[];
extern const size_t stack_row_count;
extern const struct stack_row stack_database_row;            /* shape of every migrations job */
extern const struct stack_variable stack_common_variables[]; /* of every service */
extern const size_t stack_common_variable_count;

struct stack_topic {
    const char *name;
    int partitions;
};
extern const struct stack_topic stack_topics[];
extern const size_t stack_topic_count;

const struct stack_row *stack_row_find(const char *name); /* NULL when unknown */

#endif
