/* What a protocol of the lab is: one `const struct bv_protocol` with its tables of arguments, verbs
 * and probes, one folder each. The grammar of feature files, `bv scenario --steps`, `--check` and
 * the editor's completion come from these tables alone.
 *
 *   actor NAME is PROTOCOL open-arguments          -> protocol->open
 *   NAME VERB arguments  [doc string] [table]      -> verb->run
 *   NAME PROBE [argument] OP VALUE                 -> probe->read on the actor's current message
 *   within 5s NAME receives ...                    -> the runner waits on the recording; probes
 * filter
 *
 * Invariants: arguments are parsed by their rows before open or run is called; a protocol appends
 * to the recording the moment something is sent or arrives, from whichever thread; it never sleeps,
 * prints or decides a verdict by itself; it reads time from lab->env only. Thread: scenario thread,
 * unless stated; a protocol's own threads touch its own state and the recording only. */
#ifndef BV_PROTOCOL_H
#define BV_PROTOCOL_H

#include "bv/recording.h"

/* ---- arguments
 * --------------------------------------------------------------------------------------------------------------
 */

/* X(name, word for --steps) */
#define BV_ARG_LIST(X)                                                                             \
    X(BV_ARG_TEXT, "TEXT")         /* "in quotes" or one bare word; ${variables} are replaced */   \
    X(BV_ARG_INT, "NUMBER")        /* decimal */                                                   \
    X(BV_ARG_DURATION, "DURATION") /* 250ms, 5s, 2m: value->number in milliseconds */              \
    X(BV_ARG_FLAG, "")             /* the words alone */                                           \
    X(BV_ARG_TARGET, "TARGET")     /* gateway, a service of the stack, or a base URL */            \
    X(BV_ARG_IDENTITY, "IDENTITY") /* nobody, customer, other-customer, staff, admin, lab,         \
                                      partner, new customer, token TEXT */                         \
    X(BV_ARG_PAIR, "NAME VALUE")   /* two texts; may be repeated up to BV_PAIRS_MAX times */       \
    X(BV_ARG_EVENT, "EVENT")       /* an event type, must be in contracts/events */
enum bv_arg_type {
#define BV_X_(name, word) name,
    BV_ARG_LIST(BV_X_)
#undef BV_X_
};
enum bv_presence { BV_OPTIONAL, BV_REQUIRED };

/* Positional rows (words NULL) come first and in order; rows with words may stand in any order
 * after them. */
struct bv_arg {
    const char *name;  /* for errors: "path" */
    const char *words; /* what introduces it: "path", "with key", "times"; NULL: positional */
    enum bv_arg_type type;
    enum bv_presence presence;
    const char *help;
};
#define BV_ARGS_MAX 12
#define BV_PAIRS_MAX 8

struct bv_pair {
    struct bv_bytes name;
    struct bv_bytes value;
};
struct bv_value {
    bool present;
    struct bv_bytes
        text;       /* NUL-terminated; TEXT, TARGET, IDENTITY ("new customer" keeps both words) */
    int64_t number; /* INT; DURATION in milliseconds */
    struct bv_pair pairs[BV_PAIRS_MAX]; /* PAIR */
    size_t pair_count;
};
struct bv_cells { /* a data table */
    size_t rows;
    size_t columns;
    const struct bv_bytes *cells; /* rows * columns, row by row, variables replaced */
};
/* One call of open or of a verb. Everything is borrowed for the call. */
struct bv_call {
    struct bv_value values[BV_ARGS_MAX]; /* one per row of the argument table, same index */
    struct bv_bytes doc;                 /* doc string, variables replaced; data NULL: none */
    struct bv_bytes doc_media_type;      /* "json" of """json, empty: none */
    struct bv_cells table;               /* rows 0: none */
    int64_t deadline_mono_us;            /* when a verb that waits must give up */
};

/* ---- the lab, as a protocol sees it
 * ----------------------------------------------------------------------------------------- */

struct bv_actor;
struct bv_lab;
/* Services of the runner. Implemented by harness/runner, and by a short fake in the protocols'
 * tests. */
struct bv_lab_ops {
    /* Variable of the running stack ("BV_KAFKA_BROKERS"), NULL when there is none. Lives as long as
     * the lab. */
    const char *(*stack_variable)(struct bv_lab *lab, const char *name);
    /* Base URL ("http://127.0.0.1:14001") that serves method and path at target, which may be such
     * a URL itself and then must live as long as the lab uses it; "gateway" looks it up in the
     * services' route tables. method and path may be NULL when the target is a service.
     * BV_MISMATCH: no service has such a route. Text lives as long as the lab. */
    int (*resolve)(struct bv_lab *lab,
                   const char *target,
                   const char *method,
                   const char *path,
                   const char **ret_url,
                   struct bv_error *error);
    /* "host:port" of target's gRPC server. */
    int (*grpc_address)(struct bv_lab *lab,
                        const char *target,
                        const char **ret_address,
                        struct bv_error *error);
    /* Bearer token of an identity, cached per run; *ret_token is NULL for "nobody". BV_MISMATCH:
     * auth refused. Lives as long as the lab. */
    int (*token)(struct bv_lab *lab,
                 struct bv_bytes identity,
                 const char **ret_token,
                 struct bv_error *error);
    /* Sets ${ACTOR.name}, for names listed in protocol->variables. value is copied. */
    int (*set_variable)(struct bv_lab *lab,
                        struct bv_actor *actor,
                        const char *name,
                        struct bv_bytes value);
};
struct bv_lab {
    const struct bv_lab_ops *ops;
    const struct bv_env *env;
    struct bv_recording *recording;
    struct bv_arena *arena; /* of the scenario; scenario thread only */
    const char *run;        /* what ${run} is: unique per run and scenario */
    const char *contracts;  /* folder of contracts/ */
    struct bv_trace trace;  /* of the step that runs: what is sent is a child of it */
    int64_t timeout_ms;     /* of one request or connect where the step says nothing */
};

struct bv_actor {
    const char *name;
    const struct bv_protocol *protocol;
    struct bv_lab *lab;
    void *state;                      /* of the protocol */
    uint64_t opened;                  /* newest id when it was declared */
    uint64_t cursor;                  /* what `receives` has consumed */
    const struct bv_message *current; /* what probes read; set by verbs that get an answer and by
                                         `receives`; NULL: none yet */
};

/* Appends message with the actor's name and protocol filled in. Thread: any. */
int bv_actor_record(struct bv_actor *actor, const struct bv_message *message, uint64_t *ret_id);
int bv_actor_note(struct bv_actor *actor, const char *format, ...) BV_PRINTF(2, 3);
/* Waits for the next received message of this actor after cursor and makes it current, without
 * moving the cursor of `receives`. For verbs that ask and wait for the answer. Outcomes:
 * BV_NOT_YET. Thread: scenario. */
BV_MUST_CHECK int bv_actor_await(struct bv_actor *actor,
                                 uint64_t after,
                                 int64_t deadline_mono_us,
                                 const struct bv_message **ret_message);
/* Milliseconds that one request of call may take: to the call's deadline, at most the lab's
 * timeout, at least 1. Thread: scenario. */
int64_t bv_actor_left_ms(const struct bv_actor *actor, const struct bv_call *call);
/* Whether the peer of a connected socket has ended it since it was last used. Thread: any. */
bool bv_peer_gone(int fd);
/* A child of the step's trace for one message, and its traceparent. Thread: scenario. */
struct bv_trace bv_actor_trace(struct bv_actor *actor, char ret_traceparent[BV_TRACEPARENT_SIZE]);

/* Whether a target is the base URL of a server outside the stack: "http://" or "https://", then
 * anything that does not end with '/'. */
bool bv_is_base_url(struct bv_bytes target);

/* ---- verbs
 * ------------------------------------------------------------------------------------------------------------------
 */

enum bv_takes {
    BV_TAKES_NOTHING,
    BV_TAKES_DOC = 1,
    BV_TAKES_TABLE = 2,
    BV_NEEDS_DOC = 5,
    BV_NEEDS_TABLE = 10,
    BV_ASKS = 16 /* it changes nothing and sets actor->current to the answer: may stand before
                    "until", and is then run again and again. It gives up at call->deadline */
};               /* may be or-ed */

struct bv_verb {
    const char *name; /* one or more words: "posts", "is cut" */
    const struct bv_arg *args;
    size_t arg_count;
    int takes; /* enum bv_takes */
    /* Outcomes: BV_MISMATCH: the platform refused or did not answer, error says how (red). Errors:
     * the lab's own faults (exit 2). */
    int (*run)(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error);
    const char *help;
};

/* ---- probes
 * -----------------------------------------------------------------------------------------------------------------
 */

enum bv_fact_type { BV_FACT_ABSENT, BV_FACT_TEXT, BV_FACT_INT, BV_FACT_JSON };
/* What a probe read. */
struct bv_fact {
    enum bv_fact_type type;
    struct bv_bytes text;       /* TEXT */
    int64_t number;             /* INT */
    const struct bv_json *json; /* JSON; scalars too */
};
enum bv_probe_argument {
    BV_PROBE_PLAIN,
    BV_PROBE_NAME /* a text: field name, path */,
    BV_PROBE_PATH /* JSONPath, checked before the run */
};
struct bv_probe {
    const char *name;
    enum bv_probe_argument argument;
    /* Reads one message (never NULL). Effect: writes *ret_fact, ABSENT when there is nothing.
     * Errors: BV_E_INVALID for a bad argument. */
    int (*read)(const struct bv_actor *actor,
                const struct bv_message *message,
                struct bv_bytes argument,
                struct bv_arena *arena,
                struct bv_fact *ret_fact,
                struct bv_error *error);
    const char *help;
};
/* The common readers; a protocol lists those that make sense for it, under the common names, beside
 * its own. */
typedef int bv_probe_read(const struct bv_actor *actor,
                          const struct bv_message *message,
                          struct bv_bytes argument,
                          struct bv_arena *arena,
                          struct bv_fact *ret_fact,
                          struct bv_error *error);
bv_probe_read bv_probe_status; /* "status":   message->status */
bv_probe_read bv_probe_header; /* "header":   NAME: first field of that name, case-insensitive */
bv_probe_read
    bv_probe_json; /* "json":     PATH: value in the body, see bv/expression.h for the paths */
bv_probe_read bv_probe_body;     /* "body":     text of the body */
bv_probe_read bv_probe_type;     /* "type" */
bv_probe_read bv_probe_key;      /* "key" */
bv_probe_read bv_probe_sequence; /* "sequence" */
bv_probe_read bv_probe_signed;   /* "signed":   "yes", "no" or "badly" */
bv_probe_read bv_probe_summary;  /* "summary" */
bv_probe_read bv_probe_latency;  /* "latency":  milliseconds from request to answer */
bv_probe_read bv_probe_count; /* "count":    messages that the actor has received so far, whatever
                                 the current one is */

/* ---- what can be told before anything runs
 * -------------------------------------------------------------------------------------------------
 */

enum bv_check_place { BV_CHECK_STEP, BV_CHECK_ARGUMENT, BV_CHECK_CELL, BV_CHECK_DOC };
/* A declaration or a verb as the story has it. What holds a variable is not known yet: an argument
 * is present with text.data NULL and number BV_NO_NUMBER, a cell has data NULL; in the doc string
 * each variable stands as 0. */
struct bv_check {
    const struct bv_verb *verb; /* NULL: the declaration */
    const struct bv_call *call;
    bool doc_open;          /* the doc string holds variables */
    struct bv_arena *arena; /* for the check */
    /* Set by the check: what the error is about. */
    enum bv_check_place place;
    size_t index; /* of the argument, or of the cell, row by row */
};
/* For the checks of protocols: says what is wrong with an argument or a cell. */
#define BV_CHECK_FAIL(check, where, which, error, ...)                                             \
    ((check)->place = (where),                                                                     \
     (check)->index = (which),                                                                     \
     bv_fail((error), BV_E_INVALID, __VA_ARGS__))

/* ---- a protocol
 * -------------------------------------------------------------------------------------------------------------
 */

struct bv_protocol {
    const char *name; /* "kafka" */
    /* Not NULL: only the name is known so far; loads the rest when a story needs it, and returns
     * it, alive until the process ends. NULL with error set: it could not be loaded. Thread: main.
     */
    const struct bv_protocol *(*load)(const struct bv_protocol *protocol, struct bv_error *error);
    const char *summary; /* one line for --steps */
    const char *needs;   /* server of the stack that it speaks to itself: "kafka", "postgres",
                            "redis"; NULL: none */
    const struct bv_arg *open_args;
    size_t open_arg_count;
    /* Everything that comes from now on is recorded when this returns 0. Outcomes: BV_MISMATCH as
     * in verbs. On any other result than 0 the actor is closed by close, which therefore accepts a
     * NULL or half-built state. */
    int (*open)(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error);
    void (*close)(struct bv_actor *actor); /* ends threads and connections, frees actor->state; may
                                              record until it returns */
    const struct bv_verb *verbs;
    size_t verb_count;
    const struct bv_probe *probes;
    size_t probe_count;
    /* What --check finds beside the tables; NULL: nothing. Errors: BV_E_INVALID. Pure. */
    int (*check)(struct bv_check *check, struct bv_error *error);
    const char *const *variables; /* names that ops->set_variable may set: "url"; NULL: none */
    size_t variable_count;
};

#endif
