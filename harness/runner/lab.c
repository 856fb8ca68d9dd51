#include "lab.h"

#include "seed.h"
#include "invariants.h"
#include "stack.h"
#include "tokens.h"
#include "words.h"
#include "bv/http_call.h"
#include "bv/uuid.h"
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ARENA_BYTES_MAX = 64 << 20,
    VARIABLES_MAX = 128,
    FRESH_MAX = 16,
    TIMEOUT_MS = 10000,
    PASSWORD_BYTES = 25
};

struct variable {
    const char *name;
    struct bv_bytes value;
};
struct fresh {
    const char *identity;
    const char *text;
};
struct runner_lab {
    struct bv_lab base;
    struct runner_lab_config config;
    struct bv_env env; /* with the randomness of the scenario */
    struct seed_random random;
    struct bv_http_caller *caller;
    struct tokens *tokens;         /* owned when the config has none */
    struct fresh fresh[FRESH_MAX]; /* tokens of the scenario's own users */
    size_t fresh_count;
    struct variable variables[VARIABLES_MAX];
    size_t variable_count;
    struct invariants invariants; /* of the scenario's recording */
    pthread_mutex_t lock; /* guards what follows, and base.recording as an interrupt sees it */
    bool interrupted;
};

static struct runner_lab *lab_of(struct bv_lab *base)
{
    return (struct runner_lab *)(void *)base; /* its first member */
}

struct bv_lab *runner_lab_base(struct runner_lab *lab)
{
    return &lab->base;
}

/* ---- stack ---- */

static const char *stack_variable(struct bv_lab *base, const char *name)
{
    const struct bv_stack *stack = lab_of(base)->config.stack;
    return stack ? bv_stack_env(stack, name) : NULL;
}

static bool path_matches(struct bv_bytes pattern, const char *path, int *ret_score)
{
    int score = 0;
    size_t i = 0;
    while (i < pattern.size) {
        if (pattern.data[i] == '{') {
            size_t size = strcspn(path, "/?");
            const char *end = memchr(pattern.data + i, '}', pattern.size - i);
            if (!size || !end)
                return false;
            path += size;
            i = (size_t)(end - pattern.data) + 1;
        } else if (*path == pattern.data[i]) {
            score++;
            path++;
            i++;
        } else {
            return false;
        }
    }
    *ret_score = score;
    return *path == '\0' || *path == '?';
}

/* The service whose route table has the path: the gateway until there is one. */
static const struct bv_stack_part *
part_of_route(const struct bv_stack *stack, const char *method, const char *path)
{
    const struct bv_stack_part *found = NULL;
    int best = -1;
    for (size_t i = 0; i < bv_stack_count(stack); i++) {
        const struct bv_stack_part *part = bv_stack_at(stack, i);
        for (struct bv_json_iter it = bv_json_iter(bv_json_get(part->describe, "routes"));
             bv_json_next(&it);) {
            struct bv_bytes route_method = bv_json_string(bv_json_get(it.value, "method"));
            int score = 0;
            bool same =
                bv_bytes_equal(route_method, bv_bytes_of(method)) ||
                (strcmp(method, "HEAD") == 0 && bv_bytes_equal(route_method, BV_BYTES("GET")));
            if (same && path_matches(bv_json_string(bv_json_get(it.value, "path")), path, &score) &&
                score > best) {
                best = score;
                found = part;
            }
        }
    }
    return found;
}

static int resolve(struct bv_lab *base,
                   const char *target,
                   const char *method,
                   const char *path,
                   const char **ret_url,
                   struct bv_error *error)
{
    const struct bv_stack *stack = lab_of(base)->config.stack;
    if (bv_is_base_url(bv_bytes_of(target))) {
        *ret_url = target;
        return 0;
    }
    if (!stack)
        return bv_fail(error, BV_E_UNAVAILABLE, "no stack runs");
    if (strcmp(target, "gateway") != 0) {
        *ret_url = bv_stack_service_url(stack, target);
        return *ret_url ? 0
                        : bv_fail(error, BV_E_UNAVAILABLE, "the stack has no service %s", target);
    }
    const struct bv_stack_part *part = method && path ? part_of_route(stack, method, path) : NULL;
    if (!part) {
        (void)bv_fail(error,
                      BV_E_NOT_FOUND,
                      "no service of the stack serves %s %.100s",
                      method ? method : "",
                      path ? path : "");
        return BV_MISMATCH;
    }
    *ret_url = part->url;
    return 0;
}

static int grpc_address(struct bv_lab *base,
                        const char *target,
                        const char **ret_address,
                        struct bv_error *error)
{
    const struct bv_stack *stack = lab_of(base)->config.stack;
    *ret_address = stack ? bv_stack_grpc_addr(stack, target) : NULL;
    if (*ret_address && (*ret_address)[0])
        return 0;
    return bv_fail(error, BV_E_UNAVAILABLE, "the stack has no gRPC server of %s", target);
}

/* ---- identities ---- */

static bool is_client(const char *identity)
{
    return strcmp(identity, "lab") == 0 || strcmp(identity, "partner") == 0;
}

static int call_auth(struct runner_lab *lab,
                     const char *path,
                     const struct bv_http_field *field,
                     struct bv_bytes media_type,
                     struct bv_bytes body,
                     int64_t wanted,
                     const struct bv_json **ret_json,
                     struct bv_error *error)
{
    const char *base = NULL;
    BV_TRY(resolve(&lab->base, "auth", NULL, NULL, &base, error));
    struct bv_http_field fields[2] = {
        {"content-type", media_type}
    };
    if (field)
        fields[1] = *field;
    struct bv_http_call call = {.method = "POST",
                                .url = bv_arena_format(lab->base.arena, "%s%s", base, path),
                                .fields = fields,
                                .field_count = field ? 2 : 1,
                                .body = body,
                                .timeout_ms = TIMEOUT_MS};
    if (!call.url)
        return BV_E_NOMEM;
    struct bv_http_answer answer;
    if (bv_http_call(lab->caller, &call, lab->base.arena, &answer, error) < 0)
        return BV_MISMATCH;
    if (answer.status != wanted ||
        bv_json_parse(lab->base.arena, answer.body, ret_json, NULL) < 0) {
        (void)bv_fail(error,
                      BV_E_UNAUTHENTICATED,
                      "auth answered POST %s with %lld, not %lld",
                      path,
                      (long long)answer.status,
                      (long long)wanted);
        return BV_MISMATCH;
    }
    return 0;
}

static int user_body(struct bv_buf *body, const char *name, const char *password)
{
    struct bv_json_writer w = bv_json_writer(body);
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "username", name);
    bv_jw_kv_text(&w, "password", password);
    bv_jw_end(&w);
    return body->failed ? BV_E_NOMEM : 0;
}

static int log_in(struct runner_lab *lab,
                  const char *name,
                  const char *password,
                  const struct bv_json **ret_json,
                  struct bv_error *error)
{
    bv_auto(bv_buf_release) struct bv_buf body = {.max = 4096};
    BV_TRY(user_body(&body, name, password));
    return call_auth(lab,
                     "/v1/login",
                     NULL,
                     BV_BYTES("application/json"),
                     bv_buf_view(&body),
                     200,
                     ret_json,
                     error);
}

static int log_in_client(struct runner_lab *lab,
                         const char *name,
                         const char *secret,
                         const struct bv_json **ret_json,
                         struct bv_error *error)
{
    char encoded[512] = "Basic ";
    char *plain = bv_arena_format(lab->base.arena, "%s:%s", name, secret);
    if (!plain || bv_base64_size(strlen(plain)) > sizeof encoded - 8)
        return BV_E_NOMEM;
    size_t size = bv_base64_encode(plain, strlen(plain), encoded + 6);
    struct bv_http_field field = {
        "authorization", {encoded, size + 6}
    };
    return call_auth(lab,
                     "/oauth2/token",
                     &field,
                     BV_BYTES("application/x-www-form-urlencoded"),
                     BV_BYTES("grant_type=client_credentials"),
                     200,
                     ret_json,
                     error);
}

/* "customer-K7Q2-3" in lower case. */
static int register_user(struct runner_lab *lab,
                         const char *word,
                         const char **ret_name,
                         char password[PASSWORD_BYTES],
                         struct bv_error *error)
{
    unsigned char random[12];
    lab->env.random->fill(lab->env.random, random, sizeof random);
    password[bv_hex_encode(random, sizeof random, password)] = '\0';
    char *name = bv_arena_format(lab->base.arena, "%s-%s", word, lab->base.run);
    if (!name)
        return BV_E_NOMEM;
    for (char *c = name; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    bv_auto(bv_buf_release) struct bv_buf body = {.max = 4096};
    BV_TRY(user_body(&body, name, password));
    const struct bv_json *json = NULL;
    *ret_name = name;
    return call_auth(lab,
                     "/v1/users",
                     NULL,
                     BV_BYTES("application/json"),
                     bv_buf_view(&body),
                     201,
                     &json,
                     error);
}

static int obtain(struct runner_lab *lab,
                  const char *identity,
                  const struct bv_json **ret_json,
                  struct bv_error *error)
{
    char password[PASSWORD_BYTES];
    const char *name = identity;
    if (strncmp(identity, "new ", 4) == 0) {
        int rc = register_user(lab, identity + 4, &name, password, error);
        return rc == 0 ? log_in(lab, name, password, ret_json, error) : rc;
    }
    const char *key = is_client(identity) ? "BV_DEMO_CLIENT_SECRET" : "BV_DEMO_PASSWORD";
    const char *secret = stack_variable(&lab->base, key);
    if (!secret)
        return bv_fail(
            error, BV_E_UNAVAILABLE, "the stack has no auth service to log in as %s", identity);
    return is_client(identity) ? log_in_client(lab, identity, secret, ret_json, error)
                               : log_in(lab, identity, secret, ret_json, error);
}

/* Logs in; the token is in the scenario's arena. A tokens_login of the lab. */
static int
fetch_token(void *argument, struct bv_bytes identity, const char **ret_text, struct bv_error *error)
{
    struct runner_lab *lab = argument;
    char *name = bv_arena_text(lab->base.arena, identity);
    const struct bv_json *json = NULL;
    if (!name)
        return BV_E_NOMEM;
    tokens_enter(lab->tokens);
    int rc = obtain(lab, name, &json, error);
    tokens_leave(lab->tokens);
    if (rc != 0)
        return rc;
    struct bv_bytes text = bv_json_string(bv_json_get(json, "accessToken"));
    if (!text.size)
        text = bv_json_string(bv_json_get(json, "access_token"));
    if (!text.size) {
        (void)bv_fail(error, BV_E_PROTOCOL, "auth answered without an access token");
        return BV_MISMATCH;
    }
    *ret_text = text.data;
    return 0;
}

static int fresh_token(struct runner_lab *lab,
                       struct bv_bytes identity,
                       const char **ret_token,
                       struct bv_error *error)
{
    for (size_t i = 0; i < lab->fresh_count; i++) {
        if (bv_bytes_equal(identity, bv_bytes_of(lab->fresh[i].identity))) {
            *ret_token = lab->fresh[i].text;
            return 0;
        }
    }
    const char *text = NULL;
    const char *name = bv_arena_text(lab->base.arena, identity);
    if (!name || lab->fresh_count == FRESH_MAX)
        return BV_E_NOMEM;
    int rc = fetch_token(lab, identity, &text, error);
    if (rc != 0)
        return rc;
    lab->fresh[lab->fresh_count++] = (struct fresh){name, text};
    *ret_token = text;
    return 0;
}

static int
token(struct bv_lab *base, struct bv_bytes identity, const char **ret_token, struct bv_error *error)
{
    struct runner_lab *lab = lab_of(base);
    *ret_token = NULL;
    if (bv_bytes_equal(identity, BV_BYTES("nobody")))
        return 0;
    if (bv_bytes_starts(identity, BV_BYTES("new ")))
        return fresh_token(lab, identity, ret_token, error);
    if (bv_bytes_starts(identity, BV_BYTES("token "))) {
        *ret_token =
            bv_arena_text(base->arena, (struct bv_bytes){identity.data + 6, identity.size - 6});
        return *ret_token ? 0 : BV_E_NOMEM;
    }
    return tokens_get(lab->tokens, identity, fetch_token, lab, ret_token, error);
}

/* ---- variables ---- */

int runner_lab_set(struct runner_lab *lab, const char *name, struct bv_bytes value)
{
    struct variable *variable = NULL;
    for (size_t i = 0; i < lab->variable_count; i++)
        if (strcmp(lab->variables[i].name, name) == 0)
            variable = &lab->variables[i];
    if (!variable && lab->variable_count == VARIABLES_MAX)
        return BV_E_LIMIT;
    if (!variable)
        variable = &lab->variables[lab->variable_count++];
    variable->name = bv_arena_text(lab->base.arena, bv_bytes_of(name));
    variable->value = bv_arena_copy(lab->base.arena, value.data ? value : BV_BYTES(""));
    return variable->name && variable->value.data ? 0 : BV_E_NOMEM;
}

static int
set_variable(struct bv_lab *base, struct bv_actor *actor, const char *name, struct bv_bytes value)
{
    const char *full = bv_arena_format(base->arena, "%s.%s", actor->name, name);
    return full ? runner_lab_set(lab_of(base), full, value) : BV_E_NOMEM;
}

static int
value_of(void *argument, struct bv_bytes name, struct bv_buf *buf, struct bv_error *error)
{
    struct runner_lab *lab = argument;
    if (bv_bytes_equal(name, BV_BYTES("run")))
        return bv_buf_text(buf, lab->base.run);
    if (bv_bytes_equal(name, BV_BYTES("run.id")))
        return bv_buf_text(buf, lab->config.run);
    if (bv_bytes_equal(name, BV_BYTES("trace"))) {
        char text[33];
        bv_trace_id_format(&lab->base.trace, text);
        return bv_buf_text(buf, text);
    }
    if (bv_bytes_equal(name, BV_BYTES("uuid"))) {
        char text[BV_UUID_TEXT_SIZE];
        bv_uuid_format(bv_uuid_v7(&lab->env), text);
        return bv_buf_text(buf, text);
    }
    if (bv_bytes_equal(name, BV_BYTES("now"))) {
        char text[BV_TIME_TEXT_SIZE];
        bv_time_format(bv_wall_us(&lab->env), text);
        return bv_buf_text(buf, text);
    }
    if (words_bulk_name(name))
        return words_bulk(name, buf);
    for (size_t i = 0; i < lab->variable_count; i++)
        if (bv_bytes_equal(name, bv_bytes_of(lab->variables[i].name)))
            return bv_buf_bytes(buf, lab->variables[i].value);
    if (bv_bytes_starts(name, BV_BYTES("stack."))) {
        char *key = bv_arena_text(lab->base.arena, (struct bv_bytes){name.data + 6, name.size - 6});
        const char *value = key ? stack_variable(&lab->base, key) : NULL;
        if (value)
            return bv_buf_text(buf, value);
    }
    return bv_fail(error,
                   BV_E_NOT_FOUND,
                   "variable ${%.*s} is not set",
                   (int)(name.size < 60 ? name.size : 60),
                   name.data);
}

int runner_lab_replace(struct runner_lab *lab,
                       struct bv_bytes text,
                       struct bv_bytes *ret_text,
                       struct bv_error *error)
{
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = 4 << 20};
    BV_TRY(words_replace(&buf, text, value_of, lab, error));
    *ret_text = bv_arena_copy(lab->base.arena, buf.data ? bv_buf_view(&buf) : BV_BYTES(""));
    return ret_text->data ? 0 : BV_E_NOMEM;
}

/* ---- life ---- */

static const struct bv_lab_ops lab_ops = {
    stack_variable, resolve, grpc_address, token, set_variable};

int runner_lab_open(const struct runner_lab_config *config, struct runner_lab **ret_lab)
{
    struct runner_lab *lab = calloc(1, sizeof *lab);
    if (!lab)
        return BV_E_NOMEM;
    lab->config = *config;
    lab->env = *config->env;
    lab->tokens = config->tokens;
    pthread_mutex_init(&lab->lock, NULL);
    lab->base = (struct bv_lab){.ops = &lab_ops,
                                .env = &lab->env,
                                .contracts = config->contracts_folder,
                                .timeout_ms = TIMEOUT_MS};
    int rc = bv_http_caller_open(&lab->caller);
    if (rc == 0 && !lab->tokens)
        rc = tokens_open(&lab->tokens);
    if (rc < 0)
        runner_lab_close(&lab);
    else
        *ret_lab = lab;
    return rc;
}

void runner_lab_close(struct runner_lab **lab)
{
    if (!*lab)
        return;
    runner_lab_end(*lab);
    bv_http_caller_close(&(*lab)->caller);
    if (!(*lab)->config.tokens)
        tokens_close(&(*lab)->tokens);
    pthread_mutex_destroy(&(*lab)->lock);
    free(*lab);
    *lab = NULL;
}

int runner_lab_begin(struct runner_lab *lab, size_t number)
{
    struct bv_recording_config config = {.env = &lab->env,
                                         .inspect =
                                             lab->config.contracts ? invariants_inspect : NULL,
                                         .inspect_argument = &lab->invariants};
    struct bv_recording *recording = NULL;
    lab->variable_count = 0;
    lab->fresh_count = 0;
    lab->invariants = (struct invariants){.contracts = lab->config.contracts};
    if (lab->config.seed) {
        seed_init(&lab->random, *lab->config.seed, SEED_SCENARIO + number);
        lab->env.random = &lab->random.random;
    }
    BV_TRY(bv_arena_open(ARENA_BYTES_MAX, &lab->base.arena));
    BV_TRY(bv_recording_open(&config, &recording));
    pthread_mutex_lock(&lab->lock);
    lab->base.recording = recording;
    if (lab->interrupted)
        bv_recording_interrupt(recording);
    pthread_mutex_unlock(&lab->lock);
    lab->base.run = bv_arena_format(lab->base.arena, "%s-%zu", lab->config.run, number);
    lab->base.trace = bv_trace_child(&lab->env, NULL, 1000000);
    return lab->base.run ? 0 : BV_E_NOMEM;
}

void runner_lab_end(struct runner_lab *lab)
{
    pthread_mutex_lock(&lab->lock);
    struct bv_recording *recording = lab->base.recording;
    lab->base.recording = NULL;
    pthread_mutex_unlock(&lab->lock);
    bv_recording_close(&recording);
    bv_arena_close(&lab->base.arena);
}

void runner_lab_interrupt(struct runner_lab *lab)
{
    pthread_mutex_lock(&lab->lock);
    lab->interrupted = true;
    if (lab->base.recording)
        bv_recording_interrupt(lab->base.recording);
    pthread_mutex_unlock(&lab->lock);
}

bool runner_lab_interrupted(struct runner_lab *lab)
{
    pthread_mutex_lock(&lab->lock);
    bool interrupted = lab->interrupted;
    pthread_mutex_unlock(&lab->lock);
    return interrupted;
}
