/* A stack: real servers, migrations and services as supervised processes on loopback ports, in a
 * run folder of their own. One supervisor process per stack owns them all. It is PID 1 of its own
 * PID namespace where the kernel allows that (otherwise a subreaper whose children die with it), so
 * that killing it, by whatever means, ends every process of the stack. Invariant: a process of the
 * stack never outlives the supervisor; a foreground stack never outlives the process that started
 * it. Calls block: never on a loop thread. Thread: the main thread of a program, before it starts
 * threads of its own. */
#ifndef BV_STACK_H
#define BV_STACK_H

#include "bv/json.h"
#include <sys/types.h>

enum bv_stack_kind {
    BV_STACK_SERVER,   /* postgres, redis, kafka */
    BV_STACK_DATABASE, /* migrations of one database: runs to its end */
    BV_STACK_SERVICE   /* one of the platform's services */
};
enum bv_stack_life {
    BV_STACK_FOREGROUND, /* ends with the process that started it, however that ends */
    BV_STACK_DETACHED    /* stays until bv_stack_stop */
};
enum bv_stack_durability {
    BV_STACK_EPHEMERAL, /* PostgreSQL without fsync (synchronous_commit stays on): survives crashes
                           of processes, not of the machine */
    BV_STACK_DURABLE    /* fsync and full_page_writes on, for durability tests and benchmarks */
};
enum bv_stack_ports {
    BV_STACK_PORTS_RANDOM, /* free ones between 10000 and 32767, chosen again when a server loses
                              the race */
    BV_STACK_PORTS_FIXED   /* the constants that `bv help up` prints */
};

enum bv_stack_restart {
    BV_STACK_RESTART_NEVER, /* a service that ends stays ended */
    BV_STACK_RESTART_ENDED  /* it is started again at once, with the same ports and environment;
                               given up after twenty ends in a row before it was ready */
};

/* What happened to one part while the stack boots or stops. */
struct bv_stack_event {
    const char *part;  /* "postgres", "order", "auth-db"; "" for the stack as a whole */
    const char *state; /* "preparing", "starting", "ready", "failed", "ended", "stopped", "retry" */
    int64_t ms;        /* since bv_stack_up */
    const char *text;  /* detail, "" when none */
};

#define BV_STACK_NAME_MAX 24 /* bytes; letters, digits and '-' */
#define BV_STACK_UNITS_MAX 32
struct bv_stack_spec {
    const char *name;          /* NULL: "default" when detached, a unique one in the foreground */
    const char *const *wanted; /* servers and services; what they need comes with them */
    size_t wanted_count;       /* 0: everything */
    enum bv_stack_life life;
    enum bv_stack_durability durability;
    enum bv_stack_ports ports;
    enum bv_stack_restart restart;
    const char *bin_dir; /* programs of the services; NULL: folder of the running program */
    const char
        *migrations; /* NULL: platform/deploy/migrations of the checkout, see bv_stack_migrations */
    const char *otlp_url;  /* trace collector for the services, NULL: none */
    const char *log_level; /* of the services, NULL: "info" */
    const char *settings;  /* options of services beyond what the stack sets, or instead of it:
                              "order.BV_SWEEP_AGE=1s,all.BV_ACCESS_LOG=0"; NULL: none */
    int64_t boot_ms_max;   /* 0: 120000, enough to build the templates once */
    void (*progress)(void *argument, const struct bv_stack_event *event); /* may be NULL */
    void *progress_argument;
    const volatile int
        *cancel; /* becomes nonzero (signal handler): bv_stack_up stops and fails; may be NULL */
};

struct bv_stack;

/* Boots a stack and returns when every part is ready.
 * Effect:    run folder, supervisor, processes. On failure everything is stopped again; logs of a
 * failed boot stay, the error names the folder. Ranges:    see struct bv_stack_spec. Ownership:
 * spec is borrowed for the call; *ret_stack is ended by bv_stack_down (foreground) or
 * bv_stack_close. Outcomes:  none. Errors:    BV_E_INVALID (unknown part, with the nearest known
 * one; bad name), BV_E_EXISTS (a stack of that name runs), BV_E_NOT_FOUND (a program is missing:
 * what to install or build), BV_E_UNAVAILABLE (a part failed: which, why, its log), BV_E_TIMEOUT,
 * BV_E_CANCELLED, BV_E_IO. Thread:    main, before other threads exist; blocks for seconds. Source:
 * pid_namespaces(7), prctl(2) PR_SET_CHILD_SUBREAPER.
 */
BV_MUST_CHECK int
bv_stack_up(const struct bv_stack_spec *spec, struct bv_stack **ret_stack, struct bv_error *error);

/* Stops the stack (services, then servers, each with a deadline, then SIGKILL), removes its folder
 * and closes *stack. NULL is fine. Errors: BV_E_TIMEOUT when the supervisor did not end. *stack is
 * NULL afterwards in any case. */
int bv_stack_down(struct bv_stack **stack, struct bv_error *error);

/* Forgets a stack without stopping it; one in the foreground ends itself. */
void bv_stack_close(struct bv_stack **stack);

/* Attaches to a running stack. Errors: BV_E_NOT_FOUND when none of that name (NULL: "default")
 * runs. */
BV_MUST_CHECK int
bv_stack_open(const char *name, struct bv_stack **ret_stack, struct bv_error *error);

/* Stops the stack of that name, from any process of its user, and cleans up what a killed
 * supervisor left. Outcomes: BV_STACK_ABSENT when there is nothing. Errors: BV_E_TIMEOUT, BV_E_IO.
 */
#define BV_STACK_ABSENT 1
BV_MUST_CHECK int bv_stack_stop(const char *name,
                                void (*progress)(void *argument,
                                                 const struct bv_stack_event *event),
                                void *argument,
                                struct bv_error *error);

/* Asks the supervisor for the state of every part (fields state and ended). Errors:
 * BV_E_UNAVAILABLE when the supervisor is gone. */
BV_MUST_CHECK int bv_stack_refresh(struct bv_stack *stack, struct bv_error *error);

/* Ends a service (SIGTERM, so it drains; or SIGKILL) and starts it again with the same ports and
 * environment; waits until it is ready or timeout_ms has passed. Errors: BV_E_NOT_FOUND (no such
 * service, with the nearest known one), BV_E_TIMEOUT, BV_E_UNAVAILABLE when the supervisor is gone.
 */
enum bv_stack_end { BV_STACK_DRAIN, BV_STACK_KILL };
BV_MUST_CHECK int bv_stack_restart(struct bv_stack *stack,
                                   const char *service,
                                   enum bv_stack_end end,
                                   int64_t timeout_ms,
                                   struct bv_error *error);

/* 0 while every part still runs; BV_E_UNAVAILABLE names the first that ended and how. Does not
 * block. */
BV_MUST_CHECK int bv_stack_check(struct bv_stack *stack, struct bv_error *error);

/* ---- lookups; all results are borrowed from the stack ---- */

struct bv_stack_part {
    const char *name;
    enum bv_stack_kind kind;
    const char
        *url; /* "http://127.0.0.1:14001", "postgresql://...", "redis://..."; host:port for kafka */
    const char *grpc_addr; /* "host:port", "" when it serves no gRPC */
    const char *log;       /* path */
    const char *env_file;  /* path (mode 0600), "" for servers */
    const char *state;     /* "ready", or "ended" as of the last bv_stack_refresh */
    const char *ended;     /* how it ended, "" while it runs */
    int port;              /* 0: none */
    int pid;               /* as users see it, as of the last bv_stack_refresh */
    int64_t ready_ms;      /* since bv_stack_up */
    const struct bv_json
        *describe; /* what the service says of itself (--describe), NULL for servers */
};
size_t bv_stack_count(const struct bv_stack *stack);
const struct bv_stack_part *bv_stack_at(const struct bv_stack *stack, size_t index);
const struct bv_stack_part *bv_stack_find(const struct bv_stack *stack,
                                          const char *name); /* NULL when absent */
/* The service whose route table (from --describe) has this method and path best (literal segments
 * before parameters; a query is ignored): what `gateway` means until a gateway stands in front.
 * NULL when none has it. */
const struct bv_stack_part *
bv_stack_route(const struct bv_stack *stack, const char *method, const char *path);

/* Value of a variable of the stack (the lines of env/stack.env), NULL when there is none:
 *   BV_TEST_PG_URL BV_TEST_REDIS_URL BV_TEST_KAFKA_BROKERS   the servers, as integration tests want
 * them BV_PG_URL BV_REDIS_URL BV_KAFKA_BROKERS                  the same BV_<SERVICE>_URL,
 * BV_<SERVICE>_ADDR, BV_<SERVICE>_PG_URL of each service (upper case): base URL, gRPC host:port,
 * its database BV_ISSUER BV_DEMO_PASSWORD BV_DEMO_CLIENT_SECRET         of auth BV_STACK_NAME
 * BV_STACK_RUN BV_STACK_JSON                 this stack */
const char *bv_stack_env(const struct bv_stack *stack, const char *variable);
/* All of them as "KEY=value", NULL-terminated. */
const char *const *bv_stack_environ(const struct bv_stack *stack);
const char *bv_stack_service_url(const struct bv_stack *stack,
                                 const char *service); /* NULL when absent */
const char *bv_stack_grpc_addr(const struct bv_stack *stack,
                               const char *service);                      /* NULL when absent */
const char *bv_stack_log(const struct bv_stack *stack, const char *part); /* NULL when absent */
const char *bv_stack_run_folder(const struct bv_stack *stack);
const char *bv_stack_name(const struct bv_stack *stack);
const char *bv_stack_json_path(
    const struct bv_stack *stack); /* stack.json: all of the above, without secrets */
const struct bv_json *bv_stack_json(const struct bv_stack *stack);
int64_t bv_stack_boot_ms(const struct bv_stack *stack);
/* "pid-namespace" or "subreaper": what holds the processes together. */
const char *bv_stack_isolation(const struct bv_stack *stack);

/* Version of a server, "15.20": as its log begins with it, of Kafka the one that is pinned; "" for
 * other parts and when the log does not say. Effect: reads the beginning of part->log. */
enum { BV_STACK_VERSION_BYTES = 32 };
void bv_stack_version(const struct bv_stack_part *part, char ret_version[BV_STACK_VERSION_BYTES]);

/* One part as it is now, for status. */
struct bv_stack_health {
    int64_t rss_bytes;
    int64_t pss_bytes;
    int64_t cpu_ms;
    int processes; /* 0: gone */
    int healthy;   /* 1: it answered its readiness probe just now */
    char text[96]; /* why not, "" when healthy */
};
/* Asks the part itself (SELECT 1, PING, Metadata, GET /readyz); waits at most timeout_ms. */
void bv_stack_probe(const struct bv_stack_part *part,
                    int64_t timeout_ms,
                    struct bv_stack_health *ret_health);
/* Memory of the supervisor and everything below it. */
void bv_stack_usage(const struct bv_stack *stack, struct bv_stack_health *ret_health);

/* ---- what could be started ---- */

struct bv_stack_choice { /* a row of the tables, for help, completion and the runner's checks */
    const char *name;
    enum bv_stack_kind kind;
    int fixed_port;      /* with --fixed-ports */
    int fixed_grpc_port; /* 0: none */
    int memory_mb;       /* rough, resident */
    int disk_mb;         /* rough, in the run folder */
};
size_t bv_stack_choice_count(void);
struct bv_stack_choice bv_stack_choice(size_t index);
/* What the wanted parts need, closed over dependencies: for the announcement before anything
 * starts. Errors: BV_E_INVALID as bv_stack_up. */
struct bv_stack_needs {
    const char *names[BV_STACK_UNITS_MAX]; /* in start order */
    size_t count;
    int memory_mb;
    int disk_mb;
    int ports;
};
BV_MUST_CHECK int bv_stack_resolve(const char *const *wanted,
                                   size_t wanted_count,
                                   struct bv_stack_needs *ret_needs,
                                   struct bv_error *error);

/* Names of the stacks of this user that run, in no order; *ret_names is an array of count strings,
 * all one block freed with free(). */
BV_MUST_CHECK int bv_stack_list(char ***ret_names, size_t *ret_count, struct bv_error *error);
/* Likewise of those that are dead but left their folder: a supervisor was killed, a boot failed.
 * bv_stack_stop removes it. */
BV_MUST_CHECK int bv_stack_dead(char ***ret_names, size_t *ret_count, struct bv_error *error);
/* Folder of the stack of that name (it need not exist) into out. */
BV_MUST_CHECK int bv_stack_folder(const char *name, char *out, size_t size, struct bv_error *error);
/* platform/deploy/migrations: $BV_ROOT, or found upward from the working folder, or where this was
 * built. BV_E_NOT_FOUND otherwise. */
BV_MUST_CHECK int bv_stack_migrations(char *out, size_t size, struct bv_error *error);
/* Folder of the running program. */
BV_MUST_CHECK int bv_stack_bin_dir(char *out, size_t size, struct bv_error *error);

#endif
