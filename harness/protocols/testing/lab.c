#include "lab.h"

#include "bv/expression.h"
#include <criterion/criterion.h>
#include <semaphore.h>
#include <stdio.h>

/* ---- the server ---- */

static const struct bv_env system_env = {&bv_clock_system, &bv_random_system, NULL};

static void *serve(void *argument)
{
    struct lab_server *server = argument;
    cr_assert_eq(bv_loop_run(server->loop), 0);
    return NULL;
}

static void grpc_start(struct lab_server *server,
                       const struct bv_grpc_method *methods,
                       size_t count,
                       void *context)
{
    const struct bv_grpc_server_config config = {"127.0.0.1", 0, 100, 1 << 20};
    const struct bv_grpc_deps deps = {.loop = server->loop};
    struct bv_error error = {0};
    cr_assert_eq(bv_grpc_server_open(&config, &deps, &server->grpc), 0);
    cr_assert_eq(bv_grpc_server_methods(server->grpc, methods, count, context), 0);
    cr_assert_eq(bv_grpc_server_start(server->grpc, &error), 0, "%s", error.text);
}

void lab_server_start(struct lab_server *server,
                      const struct bv_http_route *routes,
                      size_t route_count,
                      const struct bv_grpc_method *methods,
                      size_t method_count,
                      void *context)
{
    struct bv_error error = {0};
    *server = (struct lab_server){0};
    cr_assert_eq(bv_loop_open(&system_env, &server->loop), 0);
    const struct bv_http_deps deps = {.loop = server->loop};
    cr_assert_eq(bv_http_server_open(&bv_http_config_default, &deps, &server->http), 0);
    cr_assert_eq(bv_http_server_routes(server->http, routes, route_count, context), 0);
    cr_assert_eq(bv_http_server_start(server->http, &error), 0, "%s", error.text);
    if (method_count)
        grpc_start(server, methods, method_count, context);
    cr_assert_eq(pthread_create(&server->thread, NULL, serve, server), 0);
}

struct handed {
    void (*function)(void *argument);
    void *argument;
    sem_t done;
};

static void run_handed(void *argument)
{
    struct handed *handed = argument;
    handed->function(handed->argument);
    sem_post(&handed->done);
}

void lab_server_call(struct lab_server *server, void (*function)(void *argument), void *argument)
{
    struct handed handed = {.function = function, .argument = argument};
    sem_init(&handed.done, 0, 0);
    cr_assert_eq(bv_loop_post(server->loop, run_handed, &handed), 0);
    while (sem_wait(&handed.done) != 0) {
    }
    sem_destroy(&handed.done);
}

void lab_server_stop(struct lab_server *server)
{
    bv_loop_stop(server->loop);
    cr_assert_eq(pthread_join(server->thread, NULL), 0);
    bv_grpc_server_close(&server->grpc);
    bv_http_server_close(&server->http);
    bv_loop_close(&server->loop);
}

/* ---- the lab ---- */

static int resolve(struct bv_lab *base,
                   const char *target,
                   const char *method,
                   const char *path,
                   const char **ret_url,
                   struct bv_error *error)
{
    struct lab *lab = (struct lab *)base;
    (void)target, (void)method;
    if (path && strstr(path, "unknown")) {
        (void)bv_fail(error, BV_E_NOT_FOUND, "no service has %s", path);
        return BV_MISMATCH;
    }
    *ret_url = lab->url;
    return 0;
}

static int grpc_address(struct bv_lab *base,
                        const char *target,
                        const char **ret_address,
                        struct bv_error *error)
{
    struct lab *lab = (struct lab *)base;
    (void)target, (void)error;
    *ret_address = lab->address;
    return 0;
}

static int
token(struct bv_lab *base, struct bv_bytes identity, const char **ret_token, struct bv_error *error)
{
    (void)base, (void)error;
    *ret_token = bv_bytes_equal(identity, BV_BYTES("nobody")) ? NULL : LAB_TOKEN;
    return 0;
}

static const struct bv_lab_ops ops = {
    .resolve = resolve, .grpc_address = grpc_address, .token = token};

void lab_open(struct lab *lab, const struct lab_server *server, const struct bv_protocol *protocol)
{
    *lab = (struct lab){.env = system_env};
    snprintf(lab->url,
             sizeof lab->url,
             "http://127.0.0.1:%d",
             server ? bv_http_server_port(server->http) : 1);
    snprintf(lab->address,
             sizeof lab->address,
             "127.0.0.1:%d",
             server && server->grpc ? bv_grpc_server_port(server->grpc) : 1);
    lab->lab = (struct bv_lab){.ops = &ops,
                               .env = &lab->env,
                               .run = "run-1",
                               .contracts = "contracts",
                               .timeout_ms = LAB_WAIT_MS};
    lab->lab.trace = bv_trace_child(&lab->env, NULL, 1000000);
    cr_assert_eq(bv_arena_open(1 << 20, &lab->lab.arena), 0);
    cr_assert_eq(
        bv_recording_open(&(struct bv_recording_config){.env = &lab->env}, &lab->lab.recording), 0);
    lab->actor = (struct bv_actor){.name = "tester", .protocol = protocol, .lab = &lab->lab};
}

void lab_close(struct lab *lab)
{
    lab->actor.protocol->close(&lab->actor);
    bv_recording_close(&lab->lab.recording);
    bv_arena_close(&lab->lab.arena);
}

void lab_set(struct bv_call *call,
             const struct bv_arg *args,
             size_t count,
             const char *name,
             const char *text)
{
    size_t i = 0;
    while (i < count && strcmp(args[i].name, name) != 0)
        i++;
    cr_assert_lt(i, count, "there is no argument %s", name);
    call->values[i] = (struct bv_value){.present = true, .text = bv_bytes_of(text)};
    if (args[i].type == BV_ARG_INT)
        cr_assert_eq(
            bv_bytes_int64(bv_bytes_of(text), INT64_MIN, INT64_MAX, &call->values[i].number), 0);
    if (args[i].type == BV_ARG_DURATION)
        cr_assert_eq(bv_duration_parse(bv_bytes_of(text), &call->values[i].number), 0);
}

static void
read_words(struct bv_call *call, const struct bv_arg *args, size_t count, const char *const *words)
{
    for (size_t i = 0; words[i]; i += 2)
        lab_set(call, args, count, words[i], words[i + 1]);
    for (size_t i = 0; i < count; i++)
        cr_assert(args[i].presence == BV_OPTIONAL || call->values[i].present,
                  "%s is missing",
                  args[i].name);
}

int lab_declare(struct lab *lab, const char *const *words)
{
    const struct bv_protocol *protocol = lab->actor.protocol;
    struct bv_call call = {0};
    read_words(&call, protocol->open_args, protocol->open_arg_count, words);
    lab->error = (struct bv_error){0};
    return protocol->open(&lab->actor, &call, &lab->error);
}

int lab_run(struct lab *lab, const char *verb, const char *const *words, const char *doc)
{
    const struct bv_protocol *protocol = lab->actor.protocol;
    struct bv_call call = {.doc = bv_bytes_of(doc)};
    lab->error = (struct bv_error){0};
    for (size_t i = 0; i < protocol->verb_count; i++) {
        if (strcmp(protocol->verbs[i].name, verb) != 0)
            continue;
        read_words(&call, protocol->verbs[i].args, protocol->verbs[i].arg_count, words);
        return protocol->verbs[i].run(&lab->actor, &call, &lab->error);
    }
    cr_assert_fail("there is no verb %s", verb);
    return BV_E_INTERNAL;
}

struct counting {
    enum bv_direction direction;
    size_t left;
    const char *text; /* NULL: any */
};

static bool counted(void *argument, const struct bv_message *message)
{
    struct counting *counting = argument;
    if (message->direction != counting->direction)
        return false;
    if (counting->text &&
        !memmem(
            message->summary.data, message->summary.size, counting->text, strlen(counting->text)))
        return false;
    return --counting->left == 0;
}

static const struct bv_message *await_nth(struct lab *lab, struct counting counting)
{
    const struct bv_message *message = NULL;
    const int64_t deadline = bv_mono_us(&lab->env) + LAB_WAIT_MS * 1000;
    const int rc =
        bv_recording_await(lab->lab.recording, 0, deadline, counted, &counting, &message);
    return rc == 0 ? message : NULL;
}

const struct bv_message *lab_received(struct lab *lab, size_t nth)
{
    const struct bv_message *message = await_nth(lab, (struct counting){BV_RECEIVED, nth, NULL});
    cr_assert_not_null(message, "message %zu does not come", nth);
    return message;
}

size_t lab_count(struct lab *lab)
{
    size_t count = 0;
    for (uint64_t id = bv_recording_last(lab->lab.recording); id > 0; id--)
        count += bv_recording_at(lab->lab.recording, id)->direction == BV_RECEIVED;
    return count;
}

bool lab_noted(struct lab *lab, const char *text)
{
    return await_nth(lab, (struct counting){BV_NOTE, 1, text}) != NULL;
}

const char *lab_probe(struct lab *lab,
                      const struct bv_message *message,
                      const char *probe,
                      const char *argument)
{
    const struct bv_protocol *protocol = lab->actor.protocol;
    struct bv_buf text = {.max = 65536};
    struct bv_fact fact = {0};
    for (size_t i = 0; i < protocol->probe_count; i++) {
        if (strcmp(protocol->probes[i].name, probe) != 0)
            continue;
        const int rc = protocol->probes[i].read(
            &lab->actor, message, bv_bytes_of(argument), lab->lab.arena, &fact, &lab->error);
        cr_assert_eq(rc, 0, "%s", lab->error.text);
        cr_assert_eq(bv_fact_text(&text, &fact), 0);
        const char *copy = bv_arena_text(lab->lab.arena, bv_buf_view(&text));
        bv_buf_release(&text);
        return copy;
    }
    cr_assert_fail("there is no probe %s", probe);
    return "";
}
