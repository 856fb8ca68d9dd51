/* The life of a service process.
 *
 *   STARTING ──▶ SERVING ──signal, abort──▶ DRAINING ──drained──▶ STOPPING ──bv_service_stopped──▶
 * FLUSHING ──▶ ENDED └──────────────── drain_ms: service.stop_overdue, _exit(1) ────────┘
 *
 * FLUSHING ends at drain_ms too, but well: all is done by then, only spans are lost.
 *
 * A timer of the loop holds the deadline; should the loop itself be stuck, or release not return,
 * SIGALRM ends the process a little later.
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "service_private.h"
#include "bv/breakage.h"
#include "bv/failpoint.h"

#define OUTPUT_BYTES_MAX (1u << 20)
#define LOG_BUFFER_BYTES 65536
#define LOG_FLUSH_MS 50
#define SERIES_PER_METRIC_MAX 256
#define SPAN_BATCH_MAX 512
#define SPAN_QUEUE_MAX 8192
#define SPAN_INTERVAL_MS 250
#define FLUSH_MS_MAX 2000  /* of a stop, for the last spans */
#define STUCK_GRACE_MS 500 /* past drain_ms, for a loop that does not turn */

#define AT(member) offsetof(struct bv_service_common, member)
const struct bv_option service_common_options[] = {
    {"host",
     AT(host),
     BV_OPT_TEXT,     "127.0.0.1",
     1,   255,
     BV_PUBLIC, "",
     "Address that the HTTP server listens on."                                            },
    {"http-port",
     AT(http_port),
     BV_OPT_INT,      "8080",
     0,   65535,
     BV_PUBLIC, "",
     "Port of the HTTP server; 0 takes any free one."                                      },
    {"log-level",
     AT(log_level),
     BV_OPT_TEXT,     "info",
     4,   5,
     BV_PUBLIC, "",
     "Least level of log lines: debug, info, warn or error."                               },
    {"otlp-url",
     AT(otlp_url),
     BV_OPT_TEXT,     "",
     0,   500,
     BV_PUBLIC, "",
     "Base URL of the OTLP/HTTP collector; empty: traces are not exported."                },
    {"trace-sample-ppm",
     AT(trace_sample_ppm),
     BV_OPT_INT,      "1000000",
     0,   1000000,
     BV_PUBLIC, "",
     "Share of new traces that are recorded, in millionths."                               },
    {"drain-ms",
     AT(drain_ms),
     BV_OPT_DURATION, "10s",
     100, 600000,
     BV_PUBLIC, "ms",
     "Time from the signal to stop to the end of the process."                             },
    {"connections-max",
     AT(connections_max),
     BV_OPT_INT,      "10000",
     1,   1000000,
     BV_PUBLIC, "",
     "Open HTTP connections; further ones are closed at once."                             },
    {"access-log",
     AT(access_log),
     BV_OPT_SWITCH,   "true",
     0,   1,
     BV_PUBLIC, "",
     "One log line per HTTP request."                                                      },
    {"instance",
     AT(instance),
     BV_OPT_TEXT,     "",
     0,   128,
     BV_PUBLIC, "",
     "Name of this instance in logs and traces; empty: host name and process id. One that is "
     "kept over restarts lets a replica that crashed take up its Kafka partitions at once."},
};
const size_t service_common_option_count = BV_COUNT(service_common_options);
#undef AT

const char *service_phase_name(enum service_phase phase)
{
    static const char *const names[] = {
#define PHASE_(name, text) [name] = text,
        SERVICE_PHASES(PHASE_)
#undef PHASE_
    };
    return names[phase];
}

/* ---- stopping ---- */

static void on_flushed(void *argument)
{
    struct bv_service *service = argument;
    service->phase = PHASE_ENDED;
    bv_timer_clear(service->overdue);
    bv_loop_stop(service->loop);
}

void bv_service_stopped(struct bv_service *service)
{
    if (service->phase != PHASE_STOPPING)
        return;
    service->phase = PHASE_FLUSHING;
    if (!service->otlp) {
        on_flushed(service);
        return;
    }
    const int64_t gone_ms = (bv_mono_us(&service->env) - service->stop_at_us) / 1000;
    const int64_t left_ms = service->common.drain_ms - gone_ms;
    bv_timer_set(service->overdue, left_ms < FLUSH_MS_MAX ? left_ms : FLUSH_MS_MAX, 0);
    bv_otlp_flush(service->otlp, on_flushed, service);
}

static void on_drained(void *argument)
{
    struct bv_service *service = argument;
    service->phase = PHASE_STOPPING;
    if (service->spec->stop)
        service->spec->stop(service->state);
    else
        bv_service_stopped(service);
}

static void end_now(struct bv_service *service, const char *event)
{
    bv_log(service->log,
           BV_ERROR,
           event,
           NULL,
           BV_F_TEXT("phase", service_phase_name(service->phase)));
    bv_log_flush(service->log);
    _exit(1);
}

static void on_overdue(void *argument)
{
    struct bv_service *service = argument;
    if (service->phase != PHASE_FLUSHING) {
        end_now(service, "service.stop_overdue");
        return;
    }
    bv_log(service->log,
           BV_WARN,
           "service.spans_unsent",
           NULL,
           BV_F_TEXT("why", "the collector did not take them in time"));
    on_flushed(service);
}

/* Async-signal-safe: only write and _exit. */
static void on_stuck(int number)
{
    (void)number;
    static const char line[] = "{\"level\":\"error\",\"event\":\"service.stop_stuck\"}\n";
    ssize_t ignored = write(STDERR_FILENO, line, sizeof(line) - 1);
    (void)ignored;
    _exit(1);
}

static void set_alarm(int64_t delay_ms)
{
    const struct itimerval when = {
        .it_value = {delay_ms / 1000, delay_ms % 1000 * 1000}
    };
    setitimer(ITIMER_REAL, &when, NULL);
}

static void begin_stop(struct bv_service *service, const char *reason)
{
    if (service->phase >= PHASE_DRAINING)
        return;
    const int64_t drain_ms = service->common.drain_ms;
    service->phase = PHASE_DRAINING;
    service->stop_at_us = bv_mono_us(&service->env);
    bv_log(service->log,
           BV_INFO,
           "service.stopping",
           NULL,
           BV_F_TEXT("reason", reason),
           BV_F_INT("drain_ms", drain_ms));
    signal(SIGALRM, on_stuck);
    set_alarm(drain_ms + STUCK_GRACE_MS);
    bv_timer_set(service->overdue, drain_ms, 0);
    /* A quarter stays for the work behind the requests and for the spans. */
    bv_http_server_drain(
        service->http, bv_mono_ms(&service->env) + drain_ms * 3 / 4, on_drained, service);
}

static void on_signal(void *argument, int number)
{
    struct bv_service *service = argument;
    if (service->phase >= PHASE_DRAINING)
        end_now(service, "service.stop_forced");
    begin_stop(service, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

static void log_fault(struct bv_service *service, const char *event, const struct bv_error *error)
{
    const struct bv_error *known =
        error && error->code
            ? error
            : &(struct bv_error){.code = BV_E_INTERNAL, .file = "", .text = "no detail"};
    bv_log(service->log,
           BV_ERROR,
           event,
           NULL,
           BV_F_TEXT("code", bv_error_row(known->code)->word),
           BV_F_TEXT("error", known->text),
           BV_F_TEXT("file", known->file ? known->file : ""),
           BV_F_INT("line", known->line));
}

void bv_service_abort(struct bv_service *service, const struct bv_error *error)
{
    log_fault(service, "service.aborted", error);
    service->exit_status = 1;
    if (service->phase == PHASE_SERVING)
        begin_stop(service, "abort");
}

/* ---- starting ---- */

static void on_log_flush(void *argument)
{
    bv_log_flush(((struct bv_service *)argument)->log);
}

static int open_log(struct bv_service *service)
{
    struct bv_log_config config = {
        .service = service->spec->name,
        .instance = service->instance,
        .fd = STDERR_FILENO,
        .level = service->level,
        .buffer_bytes_max = LOG_BUFFER_BYTES,
    };
    BV_TRY(bv_log_open(&config, &bv_clock_system, &service->log));
    service->env.log = service->log;
    if (service->common.access_log)
        return 0;
    if (config.level < BV_WARN)
        config.level = BV_WARN;
    return bv_log_open(&config, &bv_clock_system, &service->http_log);
}

static int open_loop(struct bv_service *service)
{
    BV_TRY(bv_metrics_open(SERIES_PER_METRIC_MAX, &service->metrics));
    BV_TRY(bv_metrics_process(service->metrics));
    BV_TRY(bv_loop_open(&service->env, &service->loop));
    BV_TRY(bv_signal_open(service->loop, SIGTERM, on_signal, service, &service->on_term));
    BV_TRY(bv_signal_open(service->loop, SIGINT, on_signal, service, &service->on_int));
    BV_TRY(bv_timer_open(service->loop, on_overdue, service, &service->overdue));
    BV_TRY(bv_timer_open(service->loop, on_log_flush, service, &service->log_flush));
    bv_timer_set(service->log_flush, LOG_FLUSH_MS, LOG_FLUSH_MS);
    return 0;
}

static int open_export(struct bv_service *service, struct bv_error *error)
{
    BV_TRY(bv_httpc_open(service->loop, &bv_httpc_config_default, &service->httpc));
    if (service->common.otlp_url[0] == '\0')
        return 0;
    const struct bv_otlp_config config = {
        .url = service->common.otlp_url,
        .service = service->spec->name,
        .instance = service->instance,
        .batch_max = SPAN_BATCH_MAX,
        .queue_max = SPAN_QUEUE_MAX,
        .interval_ms = SPAN_INTERVAL_MS,
    };
    int rc = bv_otlp_open(service->loop, service->httpc, &config, service->metrics, &service->otlp);
    return rc < 0 ? bv_fail(error, rc, "trace export to %.100s cannot be opened", config.url) : 0;
}

static int open_http(struct bv_service *service)
{
    struct bv_http_config config = bv_http_config_default;
    config.host = service->common.host;
    config.port = service->common.http_port;
    config.connections_max = service->common.connections_max;
    const struct bv_http_deps deps = {
        .loop = service->loop,
        .log = service->http_log ? service->http_log : service->log,
        .metrics = service->metrics,
        .spans = bv_service_spans(service),
        .trace_sample_per_million = (uint32_t)service->common.trace_sample_ppm,
    };
    BV_TRY(bv_http_server_open(&config, &deps, &service->http));
    return service_routes_add(service);
}

static int start_spec(struct bv_service *service, struct bv_error *error)
{
    const struct bv_service_spec *spec = service->spec;
    service->state = calloc(1, spec->state_bytes ? spec->state_bytes : 1);
    if (!service->state)
        return BV_E_NOMEM;
    BV_TRY(spec->init(service->state, service, service->config, error));
    int rc = bv_http_server_routes(service->http, spec->routes, spec->route_count, service->state);
    if (rc < 0)
        return bv_fail(error,
                       rc,
                       "the route table of %s is refused: bad pattern, or a route twice",
                       spec->name);
    return spec->start ? spec->start(service->state, error) : 0;
}

static int start_all(struct bv_service *service, struct bv_error *error)
{
    BV_TRY(open_loop(service));
    BV_TRY(open_export(service, error));
    BV_TRY(open_http(service));
    BV_TRY(start_spec(service, error));
    if (service->exit_status)
        return 0; /* bv_service_abort has told why */
    BV_TRY(bv_http_server_start(service->http, error));
    service->phase = PHASE_SERVING;
    bv_log(service->log,
           BV_INFO,
           "service.started",
           NULL,
           BV_F_TEXT("host", service->common.host),
           BV_F_INT("port", bv_http_server_port(service->http)),
           BV_F_INT("pid", getpid()));
    bv_log_flush(service->log);
    return 0;
}

/* A planted bug is said aloud: who finds this log must not look for a real one. */
static void tell_break(struct bv_service *service)
{
    if (bv_break_chosen())
        bv_log(service->log,
               BV_WARN,
               "service.broken",
               NULL,
               BV_F_TEXT("switch", bv_break_chosen()),
               BV_F_TEXT("what", bv_break_text()));
}

static void release_all(struct bv_service *service)
{
    if (service->state && service->spec->release)
        service->spec->release(service->state);
    free(service->state);
    service->state = NULL;
    bv_http_server_close(&service->http);
    bv_otlp_close(&service->otlp);
    bv_httpc_close(&service->httpc);
    bv_timer_close(&service->log_flush);
    bv_timer_close(&service->overdue);
    bv_signal_close(&service->on_int);
    bv_signal_close(&service->on_term);
    bv_loop_close(&service->loop);
    bv_metrics_close(&service->metrics);
}

static int serve(struct bv_service *service)
{
    struct bv_error error = {0};
    signal(SIGPIPE, SIG_IGN);
    int rc = open_log(service);
    if (rc == 0)
        tell_break(service);
    if (rc == 0)
        rc = start_all(service, &error);
    if (rc < 0) {
        bv_fail(&error, rc, "%s", bv_error_row(rc)->title); /* keeps a detail that is there */
        log_fault(service, "service.failed", &error);
        service->exit_status = 1;
    }
    if (service->phase == PHASE_SERVING)
        rc = bv_loop_run(service->loop);
    release_all(service);
    if (service->stop_at_us)
        bv_log(service->log,
               BV_INFO,
               "service.stopped",
               NULL,
               BV_F_INT("status", service->exit_status),
               BV_F_US("took_ms", bv_mono_us(&service->env) - service->stop_at_us));
    set_alarm(0);
    bv_log_close(&service->http_log);
    bv_log_close(&service->log);
    return service->exit_status;
}

/* ---- the command line ---- */

enum action { ACTION_SERVE, ACTION_DESCRIBE, ACTION_PRINT_CONFIG, ACTION_PRINT_OPTIONS };

/* Copies argv without the flags that name an action. */
static int take_action(int argc, char **argv, char **ret_argv, enum action *ret_action)
{
    int count = 0;
    *ret_action = ACTION_SERVE;
    for (int i = 0; i < argc; i++) {
        if (i > 0 && strcmp(argv[i], "--describe") == 0)
            *ret_action = ACTION_DESCRIBE;
        else if (i > 0 && strcmp(argv[i], "--print-config") == 0)
            *ret_action = ACTION_PRINT_CONFIG;
        else if (i > 0 && strcmp(argv[i], "--print-options") == 0)
            *ret_action = ACTION_PRINT_OPTIONS;
        else
            ret_argv[count++] = argv[i];
    }
    return count;
}

static int print_out(struct bv_buf *buf, int rc)
{
    if (rc == 0 && (bv_buf_char(buf, '\n') != 0 ||
                    fwrite(buf->data, 1, buf->size, stdout) != buf->size || fflush(stdout) != 0))
        rc = BV_E_IO;
    if (rc != 0)
        fprintf(stderr, "cannot print: %s\n", bv_error_row(rc)->title);
    bv_buf_release(buf);
    return rc == 0 ? 0 : 1;
}

static int
print_help(const struct bv_service_spec *spec, const struct bv_option_set *sets, size_t count)
{
    struct bv_buf text = {.max = OUTPUT_BYTES_MAX};
    int rc = bv_config_help(&text, spec->name, spec->purpose, sets, count);
    bv_buf_text(&text, "  --describe\n      Prints routes, options and topics as JSON.\n");
    bv_buf_text(&text,
                "  --print-config\n      Prints the values in effect as JSON, without secrets.\n"
                "  --print-options\n      Prints the service's own options as a Markdown table.");
    return print_out(&text, rc);
}

static void name_instance(struct bv_service *service)
{
    char host[65] = "";
    if (service->common.instance[0]) {
        snprintf(service->instance, sizeof(service->instance), "%s", service->common.instance);
        return;
    }
    if (gethostname(host, sizeof(host) - 1) != 0)
        host[0] = '\0';
    snprintf(service->instance,
             sizeof(service->instance),
             "%s:%d",
             host[0] ? host : "localhost",
             (int)getpid());
}

static int read_options(struct bv_service *service,
                        const struct bv_option_set *sets,
                        size_t count,
                        int argc,
                        char **argv)
{
    struct bv_error error = {0};
    int rc = bv_config_read(sets, count, argc, argv, &error);
    if (rc == 0)
        rc = bv_break_choose(getenv("BV_BREAK"), &error);
    if (rc == 0)
        rc = bv_failpoint_start(&error);
    if (rc == 0 && bv_level_parse(bv_bytes_of(service->common.log_level), &service->level) != 0)
        rc = bv_fail(&error,
                     BV_E_INVALID,
                     "--log-level is \"%s\", it must be debug, info, warn or error.",
                     service->common.log_level);
    if (rc < 0)
        fprintf(stderr, "%s: %s\n", service->spec->name, error.text);
    else if (rc == 0)
        name_instance(service);
    return rc;
}

static int act(struct bv_service *service, int argc, char **argv)
{
    const struct bv_service_spec *spec = service->spec;
    const struct bv_option_set sets[] = {
        {service_common_options, service_common_option_count, &service->common},
        {spec->options,          spec->option_count,          service->config },
    };
    enum action action;
    int count = take_action(argc, argv, argv, &action);
    struct bv_buf text = {.max = OUTPUT_BYTES_MAX};
    if (action == ACTION_DESCRIBE)
        return print_out(&text, service_describe(spec, &text));
    if (action == ACTION_PRINT_OPTIONS)
        return print_out(&text, bv_config_markdown(&text, &sets[1], 1));
    int rc = read_options(service, sets, BV_COUNT(sets), count, argv);
    if (rc == BV_CONFIG_HELP)
        return print_help(spec, sets, BV_COUNT(sets));
    if (rc < 0)
        return 2;
    if (action == ACTION_PRINT_CONFIG)
        return print_out(&text, bv_config_print(&text, sets, BV_COUNT(sets)));
    return serve(service);
}

int bv_service_main(const struct bv_service_spec *spec, int argc, char **argv)
{
    struct bv_service *service = calloc(1, sizeof(*service));
    char **words = calloc((size_t)argc + 1, sizeof(*words));
    void *config = spec->config_bytes ? calloc(1, spec->config_bytes) : NULL;
    int status = 1;
    if (service && words && (config || !spec->config_bytes)) {
        service->spec = spec;
        service->config = config;
        service->env = (struct bv_env){&bv_clock_system, &bv_random_system, NULL};
        memcpy(words, argv, (size_t)argc * sizeof(*words));
        status = act(service, argc, words);
    } else {
        fprintf(stderr, "%s: out of memory\n", spec->name);
    }
    free(config);
    free(words);
    free(service);
    return status;
}

/* ---- what init may use ---- */

struct bv_loop *bv_service_loop(struct bv_service *service)
{
    return service->loop;
}

const struct bv_env *bv_service_env(struct bv_service *service)
{
    return &service->env;
}

struct bv_log *bv_service_log(struct bv_service *service)
{
    return service->log;
}

struct bv_metrics *bv_service_metrics(struct bv_service *service)
{
    return service->metrics;
}

struct bv_span_sink *bv_service_spans(struct bv_service *service)
{
    return service->otlp ? bv_otlp_sink(service->otlp) : NULL;
}

struct bv_http_server *bv_service_http(struct bv_service *service)
{
    return service->http;
}

struct bv_httpc *bv_service_httpc(struct bv_service *service)
{
    return service->httpc;
}

const struct bv_service_common *bv_service_common(struct bv_service *service)
{
    return &service->common;
}
