#include "webhook_actor.h"

#include "listener.h"
#include "bv/expression.h"
#include "bv/config.h"
#include "bv/probe.h"
#include "bv/webhook.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { PORT_TRIES = 20, TOLERANCE_S = 300, SECRET_BYTES = 128 };

enum { TURNS_MAX = 64, DELIVERIES_MAX = 1000000 };
/* What is done with one delivery. */
struct turn {
    struct listener_answer answer;
    bool unread;
    char word[32]; /* for people */
};

/* How it misbehaves; all zero: polite. Turns come first, then resets, then wrong statuses, each
 * until its count is used up. */
struct misbehaviour {
    struct turn turns[TURNS_MAX];
    size_t turn_count;
    size_t next_turn;
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
     BV_REQUIRED, "how the path of its address begins, for example \"/hook\""},
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

/* Called with the lock held. word: what is done, for people; empty: the status says it. */
static struct listener_answer next_answer(struct misbehaviour *misbehaviour, char word[32])
{
    struct listener_answer answer = {.status = 204, .delay_ms = misbehaviour->delay_ms};
    word[0] = '\0';
    if (misbehaviour->next_turn < misbehaviour->turn_count) {
        const struct turn *turn = &misbehaviour->turns[misbehaviour->next_turn++];
        memcpy(word, turn->word, sizeof turn->word);
        return turn->answer;
    }
    if (misbehaviour->resets > 0) {
        misbehaviour->resets--;
        answer.status = 0;
    } else if (misbehaviour->fails > 0) {
        misbehaviour->fails--;
        answer.status = misbehaviour->fail_status;
    }
    return answer;
}

/* Whether the turn that is next is not even to read the request. */
static bool turns_away(void *argument)
{
    struct webhook *webhook = argument;
    struct misbehaviour *misbehaviour = &webhook->misbehaviour;
    pthread_mutex_lock(&webhook->lock);
    const bool unread = misbehaviour->next_turn < misbehaviour->turn_count &&
                        misbehaviour->turns[misbehaviour->next_turn].unread;
    misbehaviour->next_turn += unread;
    pthread_mutex_unlock(&webhook->lock);
    if (unread)
        (void)bv_actor_note(webhook->actor, "a delivery was closed unread");
    return unread;
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
        return (struct listener_answer){.status = 404};
    }
    pthread_mutex_lock(&webhook->lock);
    char word[32];
    struct listener_answer answer = next_answer(&webhook->misbehaviour, word);
    enum bv_signature signature = signature_of(webhook, request);
    pthread_mutex_unlock(&webhook->lock);

    struct bv_arena *arena = NULL;
    const struct bv_json *body = NULL;
    char summary[200] = "delivery";
    struct bv_message message = {.direction = BV_RECEIVED,
                                 .status = answer.status && answer.conduct == LISTENER_ANSWERS
                                               ? answer.status
                                               : BV_NO_NUMBER,
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
    if (!word[0] && answer.status)
        snprintf(word, sizeof word, "%d", answer.status);
    snprintf(summary,
             sizeof summary,
             "%.*s -> %s",
             (int)(message.type.size < 100 ? message.type.size : 100),
             message.type.size ? message.type.data : "",
             word[0] ? word : "reset");
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

/* The path that the story names, and a name that no other listener has: a subscription of an
 * earlier scenario may still be told of everything at the port that is ours now. NULL: out of
 * memory. */
static const char *own_path(struct bv_lab *lab, struct bv_bytes path)
{
    uint8_t random[8];
    char name[2 * sizeof random + 1];
    lab->env->random->fill(lab->env->random, random, sizeof random);
    name[bv_hex_encode(random, sizeof random, name)] = '\0';
    if (path.size > 1 && path.data[path.size - 1] == '/')
        path.size--;
    return bv_arena_format(lab->arena, "%.*s%s%s", BV_ARG(path), path.size > 1 ? "/" : "", name);
}

static int webhook_open(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct webhook *webhook = actor->state = calloc(1, sizeof *webhook);
    if (!webhook)
        return BV_E_NOMEM;
    webhook->actor = actor;
    pthread_mutex_init(&webhook->lock, NULL);
    struct bv_bytes path = call->values[OPEN_PATH].text;
    if (!bv_bytes_starts(path, BV_BYTES("/")))
        return bv_fail(error,
                       BV_E_INVALID,
                       "path \"%.80s\" does not begin with /",
                       bv_arena_text(actor->lab->arena, path));
    webhook->path = own_path(actor->lab, path);
    if (!webhook->path)
        return BV_E_NOMEM;
    uint16_t port = 0;
    int rc = BV_E_EXISTS;
    for (int i = 0; rc == BV_E_EXISTS && i < PORT_TRIES; i++) {
        BV_TRY(bv_port_pick(NULL, 0, &port, error));
        rc = listener_bind(actor->lab->env,
                           port,
                           on_delivery,
                           webhook,
                           &webhook->listener,
                           i + 1 < PORT_TRIES ? NULL : error);
    }
    if (rc == 0) {
        listener_door(webhook->listener, turns_away);
        rc = listener_start(webhook->listener, error);
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
    if (count < 0 || count > DELIVERIES_MAX || status < 200 || status > 599)
        return bv_fail(error, BV_E_INVALID, "count is 0..%d and status 200..599", DELIVERIES_MAX);
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
    if (count < 0 || count > DELIVERIES_MAX)
        return bv_fail(error, BV_E_INVALID, "count is 0..%d", DELIVERIES_MAX);
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

/* ---- one turn per delivery ---- */

static const struct {
    const char *words;
    enum listener_conduct conduct;
    int status; /* 0: reset */
    bool unread;
} conducts[] = {
    {"reset",           LISTENER_ANSWERS,   0,   false},
    {"unread",          LISTENER_CLOSES,    200, true },
    {"silence",         LISTENER_STALLS,    200, false},
    {"close",           LISTENER_CLOSES,    200, false},
    {"half head",       LISTENER_CUTS_HEAD, 200, false},
    {"half body",       LISTENER_CUTS_BODY, 200, false},
    {"long body",       LISTENER_LONG_BODY, 200, false},
    {"garbage",         LISTENER_GARBAGE,   200, false},
    {"drip",            LISTENER_DRIPS,     200, false},
    {"endless body",    LISTENER_HUGE_BODY, 200, false},
    {"endless interim", LISTENER_INTERIM,   200, false},
};

/* Takes the words before and behind separator, trimmed; *ret_behind is empty without it. */
static struct bv_bytes
split_at(struct bv_bytes text, const char *separator, struct bv_bytes *ret_behind)
{
    const size_t size = strlen(separator);
    const char *at = text.size ? memmem(text.data, text.size, separator, size) : NULL;
    *ret_behind = at ? (struct bv_bytes){at + size, text.size - (size_t)(at + size - text.data)}
                     : BV_BYTES_NONE;
    return (struct bv_bytes){text.data, at ? (size_t)(at - text.data) : text.size};
}

static int bad_turn(struct bv_bytes cell, struct bv_error *error)
{
    char word[32];
    const char *known[BV_COUNT(conducts)];
    struct bv_bytes delay;
    const struct bv_bytes words = split_at(cell, " after ", &delay);
    snprintf(word, sizeof word, "%.*s", BV_ARG(words));
    for (size_t i = 0; i < BV_COUNT(conducts); i++)
        known[i] = conducts[i].words;
    const char *near = bv_nearest(word, known, BV_COUNT(conducts));
    if (near && strcmp(near, word) != 0)
        return bv_fail(error, BV_E_INVALID, "\"%s\" is no turn: did you mean \"%s\"?", word, near);
    return bv_fail(
        error,
        BV_E_INVALID,
        "\"%.*s\" is no turn: a status [retry-after N | to URL], reset, unread, silence, "
        "close, half head, half body, long body, garbage, drip, endless body, endless "
        "interim; [after 300ms]",
        (int)(cell.size < 40 ? cell.size : 40),
        cell.data);
}

/* "429 retry-after 1", "307 to http://…", "204". */
static int take_status(struct bv_bytes cell, struct listener_answer *answer)
{
    struct bv_bytes seconds, location;
    int64_t status = 0, number = 0;
    const struct bv_bytes before = split_at(cell, " retry-after ", &seconds);
    const struct bv_bytes digits = split_at(before, " to ", &location);
    BV_TRY(bv_bytes_int64(digits, 200, 599, &status));
    answer->status = (int)status;
    if (seconds.data) {
        BV_TRY(bv_bytes_int64(seconds, 0, 86400, &number));
        snprintf(answer->fields, sizeof answer->fields, "retry-after: %d\r\n", (int)number);
    }
    if (location.data) {
        if (location.size == 0 || location.size > 256)
            return BV_E_INVALID;
        snprintf(answer->fields, sizeof answer->fields, "location: %.*s\r\n", BV_ARG(location));
    }
    return 0;
}

static int take_turn(struct bv_bytes cell, struct turn *turn, struct bv_error *error)
{
    struct bv_bytes delay;
    const struct bv_bytes words = split_at(cell, " after ", &delay);
    if (delay.data && bv_duration_parse(delay, &turn->answer.delay_ms) < 0)
        return bad_turn(cell, error);
    snprintf(turn->word,
             sizeof turn->word,
             "%.*s",
             (int)(words.size < sizeof turn->word ? words.size : sizeof turn->word - 1),
             words.data);
    for (size_t i = 0; i < BV_COUNT(conducts); i++) {
        if (!bv_bytes_equal(words, bv_bytes_of(conducts[i].words)))
            continue;
        turn->answer.conduct = conducts[i].conduct;
        turn->answer.status = conducts[i].status;
        turn->unread = conducts[i].unread;
        return 0;
    }
    return take_status(words, &turn->answer) < 0 ? bad_turn(cell, error) : 0;
}

/* The cells of the table, row by row, one per delivery; what was planned before is forgotten. */
static int
webhook_misbehaves(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct webhook *webhook = actor->state;
    const size_t count = call->table.rows * call->table.columns;
    struct turn *turns = calloc(TURNS_MAX, sizeof *turns);
    int rc = turns ? 0 : BV_E_NOMEM;
    if (rc == 0 && count > TURNS_MAX)
        rc = bv_fail(error, BV_E_LIMIT, "at most %d turns", TURNS_MAX);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = take_turn(call->table.cells[i], &turns[i], error);
    if (rc == 0) {
        pthread_mutex_lock(&webhook->lock);
        memcpy(webhook->misbehaviour.turns, turns, TURNS_MAX * sizeof *turns);
        webhook->misbehaviour.turn_count = count;
        webhook->misbehaviour.next_turn = 0;
        pthread_mutex_unlock(&webhook->lock);
        rc = bv_actor_note(actor, "the next %zu deliveries have their turns", count);
    }
    free(turns);
    return rc;
}

/* ---- before the run ---- */

static int check_turns(struct bv_check *check, struct bv_error *error)
{
    const struct bv_cells *table = &check->call->table;
    for (size_t i = 0; i < table->rows * table->columns; i++) {
        struct turn turn = {0};
        if (i == TURNS_MAX)
            return BV_CHECK_FAIL(check, BV_CHECK_CELL, i, error, "at most %d turns", TURNS_MAX);
        if (table->cells[i].data && take_turn(table->cells[i], &turn, error) < 0) {
            check->place = BV_CHECK_CELL;
            check->index = i;
            return BV_E_INVALID;
        }
    }
    return 0;
}

static bool outside(const struct bv_value *value, int64_t least, int64_t most)
{
    return value->present && value->number != BV_NO_NUMBER &&
           (value->number < least || value->number > most);
}

static int webhook_check(struct bv_check *check, struct bv_error *error)
{
    const struct bv_value *values = check->call->values;
    if (!check->verb) {
        struct bv_bytes path = values[OPEN_PATH].text;
        return path.data && (!path.size || path.data[0] != '/')
                   ? BV_CHECK_FAIL(
                         check, BV_CHECK_ARGUMENT, OPEN_PATH, error, "a path begins with /")
                   : 0;
    }
    if (check->verb->run == webhook_misbehaves)
        return check_turns(check, error);
    bool fails = check->verb->run == webhook_fails;
    if ((fails || check->verb->run == webhook_resets) &&
        outside(&values[COUNT_COUNT], 0, DELIVERIES_MAX))
        return BV_CHECK_FAIL(
            check, BV_CHECK_ARGUMENT, COUNT_COUNT, error, "count is 0..%d", DELIVERIES_MAX);
    if (fails && outside(&values[COUNT_STATUS], 200, 599))
        return BV_CHECK_FAIL(check, BV_CHECK_ARGUMENT, COUNT_STATUS, error, "a status is 200..599");
    return 0;
}

static const struct bv_verb verbs[] = {
    {"secret",
     secret_args,              BV_COUNT(secret_args),
     BV_TAKES_NOTHING,                                                  webhook_secret,
     "check signatures with it from now on"                                                          },
    {"fails",
     fail_args,                BV_COUNT(fail_args),
     BV_TAKES_NOTHING,                                                  webhook_fails,
     "refuse the next deliveries"                                                                    },
    {"resets",
     reset_args,               BV_COUNT(reset_args),
     BV_TAKES_NOTHING,                                                  webhook_resets,
     "cut the next deliveries"                                                                       },
    {"misbehaves",
     NULL,                     0,
     BV_NEEDS_TABLE,                                                    webhook_misbehaves,
     "one cell per delivery: 500, 429 retry-after 1, 307 to URL, reset, unread, silence, close, "
     "half "
     "head, half body, long body, garbage, drip, endless body, endless interim; each may end in "
     "after 300ms"                                                                                   },
    {"answers",    delay_args, BV_COUNT(delay_args),  BV_TAKES_NOTHING, webhook_delays,     "be slow"},
};

static const struct bv_probe probes[] = {
    {"status",   BV_PROBE_PLAIN, bv_probe_status,   "what it answered; absent when it was reset" },
    {"summary",  BV_PROBE_PLAIN, bv_probe_summary,  "type -> what was done with it"              },
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
    .check = webhook_check,
    .variables = variables,
    .variable_count = BV_COUNT(variables),
};
