#include "rest_actor.h"

#include "bv/http_call.h"
#include <stdlib.h>

enum { FIELDS_MAX = BV_PAIRS_MAX + 8 };

struct rest {
    struct bv_http_caller *caller; /* owned */
    const char *target;            /* arena */
    struct bv_bytes identity;      /* arena */
};

enum { OPEN_TARGET, OPEN_AS };
static const struct bv_arg open_args[] = {
    {"target",   "at", BV_ARG_TARGET,   BV_REQUIRED, "gateway, a service, or \"http://host:port\""},
    {"identity", "as", BV_ARG_IDENTITY, BV_OPTIONAL, "who asks; nobody when it is left out"       },
};

static void rest_close(struct bv_actor *actor)
{
    struct rest *rest = actor->state;
    if (!rest)
        return;
    bv_http_caller_close(&rest->caller);
    free(rest);
    actor->state = NULL;
}

static int rest_open(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct rest *rest = actor->state = calloc(1, sizeof *rest);
    if (!rest)
        return BV_E_NOMEM;
    rest->target = bv_arena_text(actor->lab->arena, call->values[OPEN_TARGET].text);
    rest->identity = call->values[OPEN_AS].present
                         ? bv_arena_copy(actor->lab->arena, call->values[OPEN_AS].text)
                         : BV_BYTES("nobody");
    if (!rest->target || !rest->identity.data)
        return BV_E_NOMEM;
    BV_TRY(bv_http_caller_open(&rest->caller));
    const char *token = NULL; /* log in now, so that a refusal shows at the declaration */
    return actor->lab->ops->token(actor->lab, rest->identity, &token, error);
}

enum { VERB_PATH, VERB_KEY, VERB_HEADER, VERB_AS, VERB_NOTHING };
static const struct bv_arg verb_args[] = {
    {"path",     NULL,       BV_ARG_TEXT,     BV_REQUIRED, "path and query"                         },
    {"key",      "with key", BV_ARG_TEXT,     BV_OPTIONAL, "Idempotency-Key, sent in double quotes" },
    {"header",   "header",   BV_ARG_PAIR,     BV_OPTIONAL, "one more request header"                },
    {"identity", "as",       BV_ARG_IDENTITY, BV_OPTIONAL, "for this request only"                  },
    {"nothing",
     "expecting nothing",    BV_ARG_FLAG,
     BV_OPTIONAL,                                          "an answer with a body is a failed check"},
};

struct fields {
    struct bv_http_field list[FIELDS_MAX];
    size_t count;
};

static void add(struct fields *fields, const char *name, struct bv_bytes value)
{
    if (fields->count < FIELDS_MAX)
        fields->list[fields->count++] = (struct bv_http_field){name, value};
}

static struct bv_bytes media_type_of(const struct bv_call *call)
{
    if (!call->doc.data)
        return BV_BYTES_NONE;
    if (!call->doc_media_type.size || bv_bytes_equal(call->doc_media_type, BV_BYTES("json")))
        return BV_BYTES("application/json");
    if (bv_bytes_equal(call->doc_media_type, BV_BYTES("form")))
        return BV_BYTES("application/x-www-form-urlencoded");
    return call->doc_media_type;
}

/* What goes out besides the body. The texts live in the scenario's arena. */
static int request_fields(struct bv_actor *actor,
                          const struct bv_call *call,
                          struct fields *fields,
                          struct bv_error *error)
{
    struct rest *rest = actor->state;
    struct bv_arena *arena = actor->lab->arena;
    const struct bv_value *as = &call->values[VERB_AS];
    const char *token = NULL;
    int rc =
        actor->lab->ops->token(actor->lab, as->present ? as->text : rest->identity, &token, error);
    if (rc != 0)
        return rc;
    if (token)
        add(fields, "authorization", bv_bytes_of(bv_arena_format(arena, "Bearer %s", token)));
    struct bv_bytes media_type = media_type_of(call);
    if (media_type.size)
        add(fields, "content-type", media_type);
    if (call->values[VERB_KEY].present)
        add(fields,
            "idempotency-key",
            bv_bytes_of(bv_arena_format(arena, "\"%.*s\"", BV_ARG(call->values[VERB_KEY].text))));
    for (size_t i = 0; i < call->values[VERB_HEADER].pair_count; i++) {
        const struct bv_pair *pair = &call->values[VERB_HEADER].pairs[i];
        add(fields, bv_arena_text(arena, pair->name), pair->value);
    }
    return bv_arena_failed(arena) ? BV_E_NOMEM : 0;
}

static void record_answer(struct bv_actor *actor,
                          const struct bv_message *request,
                          uint64_t request_id,
                          const struct bv_http_answer *answer)
{
    struct bv_arena *arena = actor->lab->arena;
    struct bv_message message = {
        .direction = BV_RECEIVED,
        .summary = bv_bytes_of(bv_arena_format(
            arena, "%.*s -> %lld", BV_ARG(request->type), (long long)answer->status)),
        .type = request->type,
        .key = request->key,
        .status = answer->status,
        .sequence = BV_NO_NUMBER,
        .answers = request_id,
        .fields = answer->fields,
        .field_count = answer->field_count,
        .media_type = answer->media_type,
        .body = answer->body,
        .trace = request->trace,
        .mono_us = bv_mono_us(actor->lab->env),
    };
    message.latency_us = message.mono_us - request->mono_us;
    uint64_t id = 0;
    if (bv_actor_record(actor, &message, &id) == 0)
        actor->current = bv_recording_at(actor->lab->recording, id);
}

/* The platform's refusals to talk at all are red, not the lab's fault. */
static int verdict(int rc)
{
    return rc == BV_E_UNAVAILABLE || rc == BV_E_TIMEOUT || rc == BV_E_CLOSED ||
                   rc == BV_E_PROTOCOL || rc == BV_E_TOO_LARGE
               ? BV_MISMATCH
               : rc;
}

static bool interrupted(void *argument)
{
    return bv_recording_interrupted(argument);
}

static int exchange(struct bv_actor *actor,
                    const struct bv_call *call,
                    const char *method,
                    struct bv_error *error)
{
    struct rest *rest = actor->state;
    struct bv_lab *lab = actor->lab;
    char traceparent[BV_TRACEPARENT_SIZE];
    struct fields fields = {0};
    int rc = request_fields(actor, call, &fields, error);
    if (rc != 0)
        return rc;
    char *path = bv_arena_text(lab->arena, call->values[VERB_PATH].text);
    if (!path)
        return BV_E_NOMEM;
    if (path[0] != '/')
        return bv_fail(error, BV_E_INVALID, "path \"%.100s\" does not begin with /", path);
    const char *base = NULL;
    rc = lab->ops->resolve(lab, rest->target, method, path, &base, error);
    if (rc != 0)
        return rc;
    struct bv_trace trace = bv_actor_trace(actor, traceparent);
    add(&fields, "traceparent", bv_bytes_of(traceparent));
    add(&fields, "correlation-id", bv_bytes_of(lab->run));
    struct bv_message request = {
        .direction = BV_SENT,
        .type = bv_bytes_of(bv_arena_format(lab->arena, "%s %s", method, path)),
        .key = call->values[VERB_KEY].text,
        .status = BV_NO_NUMBER,
        .sequence = BV_NO_NUMBER,
        .fields = fields.list,
        .field_count = fields.count,
        .media_type = media_type_of(call),
        .body = call->doc,
        .trace = trace,
        .mono_us = bv_mono_us(lab->env),
    };
    request.summary = request.type;
    uint64_t id = 0;
    BV_TRY(bv_actor_record(actor, &request, &id));
    struct bv_http_call http = {
        .method = method,
        .url = bv_arena_format(lab->arena, "%s%s", base, path),
        .fields = fields.list,
        .field_count = fields.count,
        .body = call->doc,
        .timeout_ms = bv_actor_left_ms(actor, call),
        .cancelled = interrupted,
        .cancelled_argument = lab->recording,
    };
    if (!http.url)
        return BV_E_NOMEM;
    struct bv_http_answer answer;
    rc = bv_http_call(rest->caller, &http, lab->arena, &answer, error);
    if (rc < 0) {
        (void)bv_actor_note(actor, "%s", error->text);
        return verdict(rc);
    }
    record_answer(actor, &request, id, &answer);
    if (call->values[VERB_NOTHING].present && answer.body.size) {
        (void)bv_fail(error, BV_E_PROTOCOL, "the answer has a body of %zu bytes", answer.body.size);
        return BV_MISMATCH;
    }
    return 0;
}

#define METHOD(name, method)                                                                       \
    static int name(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)    \
    {                                                                                              \
        return exchange(actor, call, method, error);                                               \
    }
METHOD(rest_get, "GET")
METHOD(rest_head, "HEAD")
METHOD(rest_post, "POST")
METHOD(rest_put, "PUT")
METHOD(rest_patch, "PATCH")
METHOD(rest_delete, "DELETE")

static const struct bv_verb verbs[] = {
    {"gets",    verb_args, BV_COUNT(verb_args), BV_ASKS,      rest_get,    "GET and wait for the answer" },
    {"heads",   verb_args, BV_COUNT(verb_args), BV_ASKS,      rest_head,   "HEAD and wait for the answer"},
    {"posts",   verb_args, BV_COUNT(verb_args), BV_TAKES_DOC, rest_post,   "POST the doc string"         },
    {"puts",    verb_args, BV_COUNT(verb_args), BV_TAKES_DOC, rest_put,    "PUT the doc string"          },
    {"patches",
     verb_args,            BV_COUNT(verb_args),
     BV_TAKES_DOC,                                            rest_patch,
     "PATCH with the doc string"                                                                         },
    {"deletes",
     verb_args,            BV_COUNT(verb_args),
     BV_TAKES_DOC,                                            rest_delete,
     "DELETE and wait for the answer"                                                                    },
};

static int rest_check(struct bv_check *check, struct bv_error *error)
{
    const struct bv_bytes path = check->call->values[VERB_PATH].text;
    if (!check->verb || !path.data || (path.size && path.data[0] == '/'))
        return 0;
    return BV_CHECK_FAIL(check,
                         BV_CHECK_ARGUMENT,
                         VERB_PATH,
                         error,
                         "path \"%.60s\" does not begin with /",
                         path.data);
}

static const struct bv_probe probes[] = {
    {"status",  BV_PROBE_PLAIN, bv_probe_status,  "status of the last answer"          },
    {"header",  BV_PROBE_NAME,  bv_probe_header,  "response header"                    },
    {"json",    BV_PROBE_PATH,  bv_probe_json,    "value in the body"                  },
    {"body",    BV_PROBE_PLAIN, bv_probe_body,    "the body as text"                   },
    {"type",    BV_PROBE_PLAIN, bv_probe_type,    "method and path"                    },
    {"latency", BV_PROBE_PLAIN, bv_probe_latency, "milliseconds from request to answer"},
    {"count",   BV_PROBE_PLAIN, bv_probe_count,   "answers so far"                     },
};

const struct bv_protocol bv_protocol_rest = {
    .name = "rest",
    .summary = "requests over HTTP",
    .open_args = open_args,
    .open_arg_count = BV_COUNT(open_args),
    .open = rest_open,
    .close = rest_close,
    .verbs = verbs,
    .verb_count = BV_COUNT(verbs),
    .probes = probes,
    .probe_count = BV_COUNT(probes),
    .check = rest_check,
};
