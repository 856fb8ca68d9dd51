/* For the tests of protocols: a lab without a runner, one actor in it, and a server of bv_http and
 * bv_grpc on a loop thread of its own. Whatever cannot be set up fails the test. Thread: the
 * test's, unless stated. */
#ifndef BV_PROTOCOL_TESTING_LAB_H
#define BV_PROTOCOL_TESTING_LAB_H

#include "bv/grpc.h"
#include "bv/http.h"
#include "bv/protocol.h"
#include <pthread.h>

#define LAB_WAIT_MS 5000
#define LAB_TOKEN "token-of-the-customer" /* of every identity but "nobody" */

struct lab_server {
    struct bv_loop *loop;
    struct bv_http_server *http;
    struct bv_grpc_server *grpc;
    pthread_t thread;
};
/* Tables may be empty; context is handed to all handlers. */
void lab_server_start(struct lab_server *server,
                      const struct bv_http_route *routes,
                      size_t route_count,
                      const struct bv_grpc_method *methods,
                      size_t method_count,
                      void *context);
/* function(argument) on the loop thread; waits until it has run. */
void lab_server_call(struct lab_server *server, void (*function)(void *argument), void *argument);
void lab_server_stop(struct lab_server *server);

struct lab {
    struct bv_lab lab; /* first */
    struct bv_env env;
    struct bv_actor actor;
    struct bv_error error; /* of the last open or verb */
    char url[64];
    char address[64];
};
/* server may be NULL: what is resolved then has nobody listening. */
void lab_open(struct lab *lab, const struct lab_server *server, const struct bv_protocol *protocol);
void lab_close(struct lab *lab); /* closes the actor */

/* Sets the argument called name in a call of args; numbers are set too where the text is one. */
void lab_set(struct bv_call *call,
             const struct bv_arg *args,
             size_t count,
             const char *name,
             const char *text);
/* Declares the actor: words are pairs of name and text, ended by NULL. Returns what open returned.
 */
int lab_declare(struct lab *lab, const char *const *words);
/* Runs a verb in the same way; doc may be NULL. */
int lab_run(struct lab *lab, const char *verb, const char *const *words, const char *doc);
#define LAB_WORDS(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

/* Waits for the nth message received, from 1; fails the test when it does not come. */
const struct bv_message *lab_received(struct lab *lab, size_t nth);
/* How many were received by now. */
size_t lab_count(struct lab *lab);
/* Waits for a note that contains text; false when none comes. */
bool lab_noted(struct lab *lab, const char *text);
/* What a probe reads from message, as text. Lives in the lab's arena. */
const char *lab_probe(struct lab *lab,
                      const struct bv_message *message,
                      const char *probe,
                      const char *argument);

#endif
