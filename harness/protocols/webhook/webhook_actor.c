#include "webhook_actor.h"

#include "listener.h"
#include "bv/probe.h"
#include "bv/webhook.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { PORT_TRIES = 20, TOLERANCE_S = 300, SECRET_BYTES = 128 };

/* How it misbehaves; all zero: polite. Resets come before wrong statuses, each until its count is
 * used up. */
struct misbehaviour {
    int64_t resets; /* deliveries still to reset */
    int64_t fails;  /* deliveries still to refuse */
    int fail_status;
    int64_t delay_ms; /* before every answer */
};

struct webhook {
    struct bv_actor *actor;
    struct listener *listener; /* owned */
    const char *path;          /* arena */
    pthread_mutex_t lock;      /* guards what follows */
    struct misbehaviour misbehaviour;
    char secret[SECRET_BYTES]; /* "": not known */
};

enum { OPEN_PATH };
static const struct bv_arg open_args[] = {
    {"path",
     "listening at", BV_ARG_TEXT,
     BV_REQUIRED, "path of its address, for example \"/hook\""},
};

static struct bv_bytes field(const struct listener_request *request, const char *name)
{
    for (size_t i = 0; i < request->field_count; i++)
        if (bv_bytes_equal_nocase(bv_bytes_of(request->fields[i].name), bv_bytes_of(name)))
            return request->fields[i].value;
    return BV_BYTES_NONE;
}

/* Called with the lock held. */
static enum bv_signature signature_of(const struct webhook *webhook,
                                      const struct listener_request *request)
{
    struct bv_bytes signature = field(request, "webhook-signature");
    if (!signature.size)
        return BV_UNSIGNED;
    if (!webhook->secret[0])
        return BV_SIGNED_UNKNOWN;
    int rc = bv_webhook_verify(bv_bytes_of(webhook->secret),
                               field(request, "webhook-id"),
                               field(request, "webhook-timestamp"),
                               signature,
                               request->body,
                               bv_wall_us(webhook->actor->lab->env) / 1000000,
                               TOLERANCE_S,
                               NULL);
    return rc == 0 ? BV_SIGNED_WELL : BV_SIGNED_BADLY;
}

static struct listener_answer next_answer(struct misbehaviour *misbehaviour)
{
    struct listener_answer answer = {204, misbehaviour->delay_ms};
    if (misbehaviour->resets > 0) {
        misbehaviour->resets--;
        answer.status = 0;
    } else if (misbehaviour->fails > 0) {
        misbehaviour->fails--;
        answer.status = misbehaviour->fail_status;
    }
    return answer;
}

static struct listener_answer on_delivery(void *argument, const struct listener_request *request)
{
    struct webhook *webhook = argument;
    size_t path = strlen(webhook->path);
    if (!bv_bytes_starts(request->target, bv_bytes_of(webhook->path)) ||
        (request->target.size > path && request->target.data[path] != '?')) {
        (void)bv_actor_note(webhook->actor,
                            "%s %.*s: not its path",
                            request->method,
                            (int)(request->target.size < 100 ? request->target.size : 100),
                            request->target.data);
        return (struct listener_answer){404, 0};
    }
    pthread_mutex_lock(&webhook->lock);
    struct listener_answer answer = next_answer(&webhook->misbehaviour);
    enum bv_signature signature = signature_of(webhook, request);
    pthread_mutex_unlock(&webhook->lock);

    struct bv_arena *arena = NULL;
    const struct bv_json *body = NULL;
    char summary[200] = "delivery";
    struct bv_message message = {.direction = BV_RECEIVED,
                                 .status = answer.status ? answer.status : BV_NO_NUMBER,
                                 .sequence = BV_NO_NUMBER,
                                 .fields = request->fields,
                                 .field_count = request->field_count,
                                 .media_type = field(request, "content-type"),
                                 .body = request->body,
                                 .signature = signature};
    if (bv_arena_open((size_t)8 << 20, &arena) == 0 &&
        bv_json_parse(arena, request->body, &body, NULL) == 0) {
        message.type = bv_json_string(bv_json_get(body, "type"));
        message.key = bv_json_string(bv_json_pointer(body, BV_BYTES("/data/orderId")));
        message.sequence =
            bv_json_int(bv_json_pointer(body, BV_BYTES("/data/version")), BV_NO_NUMBER);
    }
    if (answer.status)
        snprintf(summary,
                 sizeof summary,
                 "%.*s -> %d",
                 (int)(message.type.size < 100 ? message.type.size : 100),
                 message.type.size ? message.type.data : "",
                 answer.status);
    else
        snprintf(summary,
                 sizeof summary,
                 "%.*s -> reset",
                 (int)(message.type.size < 100 ? message.type.size : 100),
                 message.type.size ? message.type.data : "");
    message.summary = bv_bytes_of(summary);
    (void)bv_actor_record(
        webhook->actor, &message, NULL); /* a full recording is remembered there */
    bv_arena_close(&arena);
    return answer;
}

static void webhook_close(struct bv_actor *actor)
{
    struct webhook *webhook = actor->state;
    if (!webhook)
        return;
    listener_close(&webhook->listener);
    pthread_mutex_destroy(&webhook->lock);
    free(webhook);
    actor->state = NULL;
}

static int webhook_open(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct webhook *webhook = actor->state = calloc(1, sizeof *webhook);
    if (!webhook)
        return BV_E_NOMEM;
    webhook->actor = actor;
    pthread_mutex_init(&webhook->lock, NULL);
    webhook->path = bv_arena_text(actor->lab->arena, call->values[OPEN_PATH].text);
    if (!webhook->path)
        return BV_E_NOMEM;
    if (webhook->path[0] != '/')
        return bv_fail(error, BV_E_INVALID, "path \"%.80s\" does not begin with /", webhook->path);
    uint16_t port = 0;
    int rc = BV_E_EXISTS;
    for (int i = 0; rc == BV_E_EXISTS && i < PORT_TRIES; i++) {
        BV_TRY(bv_port_pick(NULL, 0, &port, error));
        rc = listener_open(actor->lab->env,
                           port,
                           on_delivery,
                           webhook,
                           &webhook->listener,
                           i + 1 < PORT_TRIES ? NULL : error);
    }
    if (rc < 0)
        return bv_fail(error, rc, "no listener on loopback");
    const char *url =
        bv_arena_format(actor->lab->arena, "http://127.0.0.1:%u%s", port, webhook->path);
    return url ? actor->lab->ops->set_variable(actor->lab, actor, "url", bv_bytes_of(url))
               : BV_E_NOMEM;
}

enum { COUNT_COUNT, COUNT_TIMES, COUNT_STATUS };
static const struct bv_arg fail_args[] = {
    {"count",  NULL,    BV_ARG_INT,  BV_REQUIRED, "how many deliveries"  },
    {"times",  "times", BV_ARG_FLAG, BV_OPTIONAL, "for the reader"       },
    {"status", "with",  BV_ARG_INT,  BV_OPTIONAL, "status, 500 otherwise"},
};
static const struct bv_arg reset_args[] = {
    {"count", NULL,    BV_ARG_INT,  BV_REQUIRED, "how many deliveries"},
    {"times", "times", BV_ARG_FLAG, BV_OPTIONAL, "for the reader"     },
};
static const struct bv_arg delay_args[] = {
    {"delay", "after", BV_ARG_DURATION, BV_REQUIRED, "pause before every answer from now on"},
};
static const struct bv_arg secret_args[] = {
    {"secret", NULL, BV_ARG_TEXT, BV_REQUIRED, "whsec_..., from the subscription"},
};

static int webhook_fails(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct webhook *webhook = actor->state;
    int64_t count = call->values[COUNT_COUNT].number;
    int64_t status = call->values[COUNT_STATUS].present ? call->values[COUNT_STATUS].number : 500;
    if (count < 0 || count > 1000000 || status < 200 || status > 599)
        return bv_fail(error, BV_E_INVALID, "count is 0..1000000 and status 200..599");
    pthread_mutex_lock(&webhook->lock);
    webhook->misbehaviour.fails = count;
    webhook->misbehaviour.fail_status = (int)status;
    pthread_mutex_unlock(&webhook->lock);
    return bv_actor_note(
        actor, "the next %lld deliveries are answered %lld", (long long)count, (long long)status);
}

static int
webhook_resets(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct webhook *webhook = actor->state;
    int64_t count = call->values[COUNT_COUNT].number;
    if (count < 0 || count > 1000000)
        return bv_fail(error, BV_E_INVALID, "count is 0..1000000");
    pthread_mutex_lock(&webhook->lock);
    webhook->misbehaviour.resets = count;
    pthread_mutex_unlock(&webhook->lock);
    return bv_actor_note(actor, "the next %lld deliveries are reset", (long long)count);
}

static int
webhook_delays(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    (void)error;
    struct webhook *webhook = actor->state;
    pthread_mutex_lock(&webhook->lock);
    webhook->misbehaviour.delay_ms = call->values[0].number;
    pthread_mutex_unlock(&webhook->lock);
    return bv_actor_note(actor, "answers come %lld ms late", (long long)call->values[0].number);
}

static int
webhook_secret(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct webhook *webhook = actor->state;
    struct bv_bytes secret = call->values[0].text;
    if (!secret.size || secret.size >= SECRET_BYTES)
        return bv_fail(error, BV_E_INVALID, "a secret has 1..%d bytes", SECRET_BYTES - 1);
    pthread_mutex_lock(&webhook->lock);
    memcpy(webhook->secret, secret.data, secret.size);
    webhook->secret[secret.size] = '\0';
    pthread_mutex_unlock(&webhook->lock);
    return 0;
}

static const struct bv_verb verbs[] = {
    {"secret",
     secret_args,           BV_COUNT(secret_args),
     BV_TAKES_NOTHING,                                               webhook_secret,
     "check signatures with it from now on"                                                   },
    {"fails",
     fail_args,             BV_COUNT(fail_args),
     BV_TAKES_NOTHING,                                               webhook_fails,
     "refuse the next deliveries"                                                             },
    {"resets",
     reset_args,            BV_COUNT(reset_args),
     BV_TAKES_NOTHING,                                               webhook_resets,
     "cut the next deliveries"                                                                },
    {"answers", delay_args, BV_COUNT(delay_args),  BV_TAKES_NOTHING, webhook_delays, "be slow"},
};

static const struct bv_probe probes[] = {
    {"status",   BV_PROBE_PLAIN, bv_probe_status,   "what it answered; absent when it was reset" },
    {"signed",   BV_PROBE_PLAIN, bv_probe_signed,   "yes, no, badly, or unknown without a secret"},
    {"type",     BV_PROBE_PLAIN, bv_probe_type,     "$.type"                                     },
    {"key",      BV_PROBE_PLAIN, bv_probe_key,      "$.data.orderId"                             },
    {"sequence", BV_PROBE_PLAIN, bv_probe_sequence, "$.data.version"                             },
    {"header",   BV_PROBE_NAME,  bv_probe_header,   "header of the delivery"                     },
    {"json",     BV_PROBE_PATH,  bv_probe_json,     "value in the body"                          },
    {"body",     BV_PROBE_PLAIN, bv_probe_body,     "the body as text"                           },
    {"count",    BV_PROBE_PLAIN, bv_probe_count,    "deliveries so far, refused ones included"   },
};

static const char *const variables[] = {"url"};

const struct bv_protocol bv_protocol_webhook = {
    .name = "webhook",
    .summary = "a partner's endpoint that can misbehave",
    .open_args = open_args,
    .open_arg_count = BV_COUNT(open_args),
    .open = webhook_open,
    .close = webhook_close,
    .verbs = verbs,
    .verb_count = BV_COUNT(verbs),
    .probes = probes,
    .probe_count = BV_COUNT(probes),
    .variables = variables,
    .variable_count = BV_COUNT(variables),
};
