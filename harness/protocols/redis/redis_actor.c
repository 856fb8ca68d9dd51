#include "redis_actor.h"

#include <hiredis/hiredis.h>
#include <sys/time.h>

enum { WORDS_MAX = 32, DEPTH_MAX = 8, HOST_BYTES = 128 };

static void redis_close(struct bv_actor *actor)
{
    redisFree(actor->state);
    actor->state = NULL;
}

/* redis://[user:password@]host:port[/db] */
static int split_url(const char *url, char host[HOST_BYTES], int *ret_port)
{
    const char *begin = strstr(url, "://");
    begin = begin ? begin + 3 : url;
    const char *at = strchr(begin, '@');
    begin = at ? at + 1 : begin;
    size_t size = strcspn(begin, ":/");
    int64_t port = 6379;
    if (!size || size >= HOST_BYTES)
        return BV_E_INVALID;
    memcpy(host, begin, size);
    host[size] = '\0';
    if (begin[size] == ':') {
        struct bv_bytes digits = {begin + size + 1, strcspn(begin + size + 1, "/")};
        BV_TRY(bv_bytes_int64(digits, 1, 65535, &port));
    }
    *ret_port = (int)port;
    return 0;
}

static int redis_open(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    (void)call;
    char host[HOST_BYTES];
    int port = 0;
    const char *url = actor->lab->ops->stack_variable(actor->lab, "BV_REDIS_URL");
    if (!url || split_url(url, host, &port) < 0)
        return bv_fail(error, BV_E_UNAVAILABLE, "the stack has no Redis");
    redisContext *context = actor->state =
        redisConnectWithTimeout(host, port, (struct timeval){5, 0});
    if (!context)
        return BV_E_NOMEM;
    if (context->err) {
        (void)bv_fail(error, BV_E_UNAVAILABLE, "Redis: %s", context->errstr);
        return BV_MISMATCH;
    }
    return 0;
}

/* One command may take ms. A connection that failed, or that Redis ended meanwhile, is made again:
 * a context with an error refuses everything for ever. */
static bool have_time(redisContext *context, int64_t ms)
{
    const struct timeval time = {ms / 1000, ms % 1000 * 1000};
    if (context->err || bv_peer_gone(context->fd)) {
        if (context->timeout)
            *context->timeout = time; /* of connecting */
        if (redisReconnect(context) != REDIS_OK)
            return false;
    }
    return redisSetTimeout(context, time) == REDIS_OK;
}

static void write_reply(struct bv_json_writer *w, const redisReply *reply, int depth)
{
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
        bv_jw_int(w, reply->integer);
        break;
    case REDIS_REPLY_NIL:
        bv_jw_null(w);
        break;
    case REDIS_REPLY_ARRAY:
        bv_jw_array(w);
        for (size_t i = 0; depth && i < reply->elements; i++)
            write_reply(w, reply->element[i], depth - 1);
        bv_jw_end(w);
        break;
    default:
        bv_jw_string(w, (struct bv_bytes){reply->str, reply->len});
    }
}

enum { ASK_COMMAND };
static const struct bv_arg ask_args[] = {
    {"command",
     NULL, BV_ARG_TEXT,
     BV_REQUIRED, "words separated by spaces: \"GET product:default:MUG\""},
};

static int split(struct bv_bytes command,
                 const char *words[WORDS_MAX],
                 size_t sizes[WORDS_MAX],
                 int *ret_count,
                 struct bv_error *error)
{
    int count = 0;
    for (size_t i = 0; i < command.size; i++) {
        if (command.data[i] == ' ')
            continue;
        if (count == WORDS_MAX)
            return bv_fail(error, BV_E_INVALID, "more than %d words", WORDS_MAX);
        words[count] = command.data + i;
        sizes[count] = 0;
        for (; i < command.size && command.data[i] != ' '; i++)
            sizes[count]++;
        count++;
    }
    *ret_count = count;
    return count ? 0 : bv_fail(error, BV_E_INVALID, "there is no command");
}

static bool is_login(const char *word, size_t size)
{
    const struct bv_bytes text = {word, size};
    return bv_bytes_equal_nocase(text, BV_BYTES("auth")) ||
           bv_bytes_equal_nocase(text, BV_BYTES("hello"));
}

static int redis_ask(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct bv_lab *lab = actor->lab;
    struct bv_bytes command = call->values[ASK_COMMAND].text;
    const char *words[WORDS_MAX];
    size_t sizes[WORDS_MAX];
    int count = 0;
    BV_TRY(split(command, words, sizes, &count, error));
    if (is_login(words[0], sizes[0])) /* its words are secrets, whatever they are called */
        command = BV_BYTES("AUTH " BV_REDACTED);
    struct bv_message question = {.direction = BV_SENT,
                                  .summary = command,
                                  .type = BV_BYTES("command"),
                                  .status = BV_NO_NUMBER,
                                  .sequence = BV_NO_NUMBER,
                                  .body = command,
                                  .media_type = BV_BYTES("text/plain"),
                                  .mono_us = bv_mono_us(lab->env)};
    uint64_t id = 0;
    BV_TRY(bv_actor_record(actor, &question, &id));
    redisContext *context = actor->state;
    redisReply *reply = NULL;
    if (have_time(context, bv_actor_left_ms(actor, call)))
        reply = redisCommandArgv(context, count, words, sizes);
    if (!reply) {
        (void)bv_fail(error, BV_E_UNAVAILABLE, "Redis: %s", context->errstr);
        (void)bv_actor_note(actor, "%s", error->text);
        return BV_MISMATCH;
    }
    int rc = reply->type == REDIS_REPLY_ERROR
                 ? bv_fail(error, BV_E_INVALID, "Redis: %.120s", reply->str)
                 : 0;
    /* One member in an object, so that a scalar reply is a JSON body too. */
    struct bv_buf body = {.max = BV_MESSAGE_BODY_MAX};
    struct bv_json_writer w = bv_json_writer(&body);
    bv_jw_object(&w);
    bv_jw_key(&w, "reply");
    write_reply(&w, reply, DEPTH_MAX);
    bv_jw_end(&w);
    struct bv_message answer = {.direction = BV_RECEIVED,
                                .summary = bv_buf_view(&body),
                                .type = BV_BYTES("reply"),
                                .status = BV_NO_NUMBER,
                                .sequence = BV_NO_NUMBER,
                                .answers = id,
                                .media_type = BV_BYTES("application/json"),
                                .body = bv_buf_view(&body),
                                .mono_us = bv_mono_us(lab->env)};
    answer.latency_us = answer.mono_us - question.mono_us;
    if (answer.summary.size > 100)
        answer.summary = BV_BYTES("a long reply");
    if (rc == 0)
        rc = bv_actor_record(actor, &answer, &id);
    if (rc == 0)
        actor->current = bv_recording_at(lab->recording, id);
    freeReplyObject(reply);
    bv_buf_release(&body);
    return rc;
}

static int redis_check(struct bv_check *check, struct bv_error *error)
{
    const struct bv_bytes command = check->call->values[ASK_COMMAND].text;
    const char *words[WORDS_MAX];
    size_t sizes[WORDS_MAX];
    int count = 0;
    check->place = BV_CHECK_ARGUMENT;
    check->index = ASK_COMMAND;
    return check->verb && command.data ? split(command, words, sizes, &count, error) : 0;
}

static const struct bv_verb verbs[] = {
    {"asks", ask_args, BV_COUNT(ask_args), BV_ASKS, redis_ask, "send one command"},
};
static const struct bv_probe probes[] = {
    {"json", BV_PROBE_PATH,  bv_probe_json, "$.reply, $.reply[0]"   },
    {"body", BV_PROBE_PLAIN, bv_probe_body, "the reply as JSON text"},
};

const struct bv_protocol bv_protocol_redis = {
    .name = "redis",
    .summary = "a look into the cache",
    .needs = "redis",
    .open = redis_open,
    .close = redis_close,
    .verbs = verbs,
    .verb_count = BV_COUNT(verbs),
    .probes = probes,
    .probe_count = BV_COUNT(probes),
    .check = redis_check,
};
