/* Services as processes of a test: forked, asked over HTTP by libcurl, stopped by SIGTERM.
 * Invariant: what was started ends with the test, also when the test dies; whatever goes wrong here
 * fails the test with the log of the service. Thread: any, one owner per object; bv_test_http may
 * run in several threads at once. */
#ifndef BV_TEST_SERVICE_H
#define BV_TEST_SERVICE_H

#include <sys/types.h>

#include "bv/json.h"
#include "bv/service.h"

#define BV_TEST_DEADLINE_MS 30000 /* of every wait here */

struct bv_test_service {
    const char *name;
    pid_t pid;
    int log_fd; /* stderr of the process */
    int port;
    char url[64]; /* "http://127.0.0.1:port" */
};

/* Forks a child that runs bv_service_main of spec.
 * Effect: returns once it logged service.started; --http-port 0 and --access-log=false come before
 *         the options given, which may override them. options is NULL-terminated. */
void bv_test_service_start(struct bv_test_service *service,
                           const struct bv_service_spec *spec,
                           const char *const *options);
/* Waits until /readyz answers 200. */
void bv_test_service_await_ready(const struct bv_test_service *service);
void bv_test_service_await_log(const struct bv_test_service *service, const char *text);
/* SIGTERM, and waits for exit status 0: a stop that is overdue, or a leak under the address
 * sanitizer, fails the test. */
void bv_test_service_stop(struct bv_test_service *service);
/* Forks and executes a program (argv[0] is searched in PATH) that ends with the test. Its output is
 * dropped. Returns its pid. */
pid_t bv_test_spawn(const char *const *argv);
void bv_test_kill(pid_t pid); /* SIGKILL, and reaps */
/* A port of 127.0.0.1 that nobody listens on, below the ephemeral range. */
int bv_test_free_port(void);

struct bv_test_answer {
    int status;
    struct bv_buf head; /* status line and fields */
    struct bv_buf body; /* a NUL follows it */
    struct bv_arena *arena;
    const struct bv_json *json; /* of body; NULL: not JSON */
};
/* One request on a connection of its own. fields: NULL-terminated "Name: value", may be NULL; body
 * NULL: none. The answer is released with bv_test_answer_release, or by the next call with it:
 * start with {0}. Returns the status; 0: nobody answered. */
int bv_test_http(const struct bv_test_service *service,
                 const char *method,
                 const char *path,
                 const char *const *fields,
                 const char *body,
                 struct bv_test_answer *answer);
void bv_test_answer_release(struct bv_test_answer *answer);
/* Value of a field, trimmed; NULL when it is not there. Lives in the answer. */
const char *bv_test_field(struct bv_test_answer *answer, const char *name);
/* A string or number of the body as text ("" when not there); pointer as in RFC 6901. */
const char *bv_test_text(const struct bv_test_answer *answer, const char *pointer);

/* Calls until(argument) every few milliseconds; false when BV_TEST_DEADLINE_MS pass first. */
bool bv_test_await(bool (*until)(void *argument), void *argument);

#endif
