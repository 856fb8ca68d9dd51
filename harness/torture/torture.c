/* bv-torture: a stack under load whose services die at every crash point, again and again.
 *
 *   clients ──HTTP──▶ order ──gRPC──▶ inventory        lanes: arm a point ▶ it fires ▶ ready again
 *      │ payments       │ ▲ dies         │ dies        (one lane a service, all at once)
 *      ▼                ▼ └ supervisor starts it again
 *    Kafka ◀──relay── outbox      notification ──webhooks──▶ partner
 *                                      dies
 * Afterwards everything comes to rest, and what the lab saw is compared with what is stored. */
#include "torture_check.h"
#include "torture_kafka.h"
#include "torture_load.h"
#include "torture_partner.h"
#include "torture_report.h"
#include "torture_rounds.h"

#include "stack.h"

#include "bv/arena.h"
#include "bv/config.h"
#include "bv/fs.h"
#include "bv/json.h"
#include "bv/probe.h"
#include "bv/terminal.h"
#include "bv/uuid.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    END_MS_MAX = 60000,    /* for clients to end what they have begun */
    QUIET_MS_MAX = 120000, /* for the services to end what they have begun */
    QUIET_TIMES = 3,       /* looks in a row that find nothing undone */
    LOOK_MS = 100,
    RECORD_BYTES_MAX = 1 << 20,
    OUTPUT_BYTES_MAX = 1 << 22,
    FLUSH_MS = 30000,
};

struct options {
    int64_t rounds;
    const char *only;
    int64_t clients;
    int64_t orders_per_s;
    const char *settings;
    const char *bin_dir;
    bool json;
};
#define AT(member) offsetof(struct options, member)
static const struct bv_option option_rows[] = {
    {"rounds",       AT(rounds), BV_OPT_INT, "50",    1, 1000,                BV_PUBLIC, "", "Deaths at each crash point."},
    {"only",
     AT(only),
     BV_OPT_TEXT,                            "",
     0,                                                  1024,
     BV_PUBLIC,                                                                          "",
     "Crash points that begin so, as a comma list: order.create,inventory/relay; all otherwise."                          },
    {"clients",
     AT(clients),
     BV_OPT_INT,                             "12",
     1,                                                  TORTURE_CLIENTS_MAX,
     BV_PUBLIC,                                                                          "",
     "Clients at once."                                                                                                   },
    {"orders-per-s",
     AT(orders_per_s),
     BV_OPT_INT,                             "80",
     1,                                                  10000,
     BV_PUBLIC,                                                                          "",
     "Orders of all clients together."                                                                                    },
    {"set",
     AT(settings),
     BV_OPT_TEXT,                            "",
     0,                                                  1024,
     BV_PUBLIC,                                                                          "",
     "Options of services, as bv up takes them; all.BV_BREAK=lose-outbox-row shows that the checks "
     "bite."                                                                                                              },
    {"bin-dir",
     AT(bin_dir),
     BV_OPT_TEXT,                            "",
     0,                                                  400,
     BV_PUBLIC,                                                                          "",
     "Where the services' programs are; beside this one otherwise."                                                       },
    {"json",
     AT(json),
     BV_OPT_SWITCH,                          "false",
     0,                                                  0,
     BV_PUBLIC,                                                                          "",
     "Print one JSON object instead of the tables."                                                                       },
};

/* The services that die, and what makes their recovery quick enough to do it often. */
static const struct {
    const char *service;
    const char *settings;
} victims[] = {
    {"order",        "order.BV_SWEEP_AGE=300ms,order.BV_SWEEP_INTERVAL=100ms"},
    {"inventory",    NULL                                                    },
    {"notification",
     "notification.BV_WEBHOOK_TIMEOUT=1s,notification.BV_WEBHOOK_BACKOFF_BASE=50ms,"
     "notification.BV_LIVE_KEEP_COUNT=100000,notification.BV_LIVE_QUEUE=64k" },
};

static volatile int cancelled; /* by a signal */

static void on_interrupt(int number)
{
    (void)number;
    cancelled = 1;
}

struct torture {
    struct options options;
    char folder[64]; /* of the boards; "" before it is made */
    char board_paths[BV_COUNT(victims)][96];
    struct bv_failpoint_board *boards[BV_COUNT(victims)]; /* owned, as all below */
    struct torture_lane_place places[BV_COUNT(victims)];
    struct bv_stack *stack;
    struct torture_facts *facts;
    struct torture_kafka *kafka;
    struct torture_partner *partner;
    struct torture_judge *judge;
    struct torture_load *load;
    struct torture_rounds *rounds;
    struct torture_finding *findings;
    struct bv_arena *arena; /* of one record */
    int64_t began_ms;
    uint32_t told_percent;
};

/* ---- what is torn apart ---- */

static int make_boards(struct torture *t, struct bv_error *error)
{
    snprintf(t->folder, sizeof t->folder, "/tmp/bv-torture-XXXXXX");
    if (!mkdtemp(t->folder) || chmod(t->folder, 0711) < 0) {
        t->folder[0] = '\0';
        return bv_fail(error, BV_E_IO, "cannot make a folder below /tmp");
    }
    for (size_t i = 0; i < BV_COUNT(victims); i++) {
        snprintf(
            t->board_paths[i], sizeof t->board_paths[i], "%s/%s", t->folder, victims[i].service);
        BV_TRY(bv_failpoint_board_make(t->board_paths[i], &t->boards[i], error));
    }
    return 0;
}

static void on_stack_event(void *argument, const struct bv_stack_event *event)
{
    (void)argument;
    if (strcmp(event->state, "failed") == 0 ||
        (!event->part[0] && strcmp(event->state, "ready") == 0))
        fprintf(stderr,
                "stack %s%s%s after %lld ms\n",
                event->part,
                event->part[0] ? " " : "",
                event->state,
                (long long)event->ms);
}

static int start_stack(struct torture *t, struct bv_error *error)
{
    static const char *const wanted[] = {"order", "notification"};
    bv_auto(bv_buf_release) struct bv_buf settings = {.max = 2000};
    bv_buf_format(&settings, "all.BV_ACCESS_LOG=0");
    for (size_t i = 0; i < BV_COUNT(victims); i++) {
        const char *name = victims[i].service;
        bv_buf_format(&settings,
                      ",%s.BV_INSTANCE=%s-1,%s.BV_FAILPOINT_FILE=%s",
                      name,
                      name,
                      name,
                      t->board_paths[i]);
        if (victims[i].settings)
            bv_buf_format(&settings, ",%s", victims[i].settings);
    }
    if (t->options.settings[0])
        bv_buf_format(&settings, ",%s", t->options.settings);
    bv_buf_char(&settings, '\0');
    if (settings.failed)
        return bv_fail(error, BV_E_LIMIT, "--set is too long");
    const struct bv_stack_spec spec = {
        .wanted = wanted,
        .wanted_count = BV_COUNT(wanted),
        .life = BV_STACK_FOREGROUND,
        .restart = BV_STACK_RESTART_ENDED,
        .bin_dir = t->options.bin_dir[0] ? t->options.bin_dir : NULL,
        .log_level = "warn",
        .settings = settings.data,
        .progress = on_stack_event,
        .cancel = &cancelled,
    };
    BV_TRY(bv_stack_up(&spec, &t->stack, error));
    for (size_t i = 0; i < BV_COUNT(victims); i++)
        t->places[i] = (struct torture_lane_place){
            .service = victims[i].service,
            .board = t->boards[i],
            .port = (uint16_t)bv_stack_find(t->stack, victims[i].service)->port};
    return 0;
}

static void on_round(void *argument, uint32_t done, uint32_t of)
{
    struct torture *t = argument;
    uint32_t percent = done * 100 / of;
    if (isatty(2))
        fprintf(stderr, "\r%u of %u rounds%s", done, of, done == of ? "\n" : "");
    else if (percent / 10 > t->told_percent / 10)
        fprintf(stderr, "%u of %u rounds\n", done, of);
    t->told_percent = percent;
}

static int open_parts(struct torture *t, struct bv_error *error)
{
    const char *urls[TORTURE_DATABASES] = {
        [TORTURE_ORDERS] = bv_stack_env(t->stack, "BV_ORDER_PG_URL"),
        [TORTURE_INVENTORY] = bv_stack_env(t->stack, "BV_INVENTORY_PG_URL"),
        [TORTURE_NOTIFICATION] = bv_stack_env(t->stack, "BV_NOTIFICATION_PG_URL"),
    };
    const char *password = bv_stack_env(t->stack, "BV_DEMO_PASSWORD");
    const struct torture_partner_config partner = {
        .auth_url = bv_stack_service_url(t->stack, "auth"),
        .notification_url = bv_stack_service_url(t->stack, "notification"),
        .password = password,
        .facts = t->facts,
    };
    BV_TRY(torture_judge_open(urls, &t->judge, error));
    BV_TRY(torture_judge_stock(t->judge, error));
    BV_TRY(
        torture_kafka_open(bv_stack_env(t->stack, "BV_KAFKA_BROKERS"), t->facts, &t->kafka, error));
    BV_TRY(torture_partner_open(&partner, &t->partner, error));
    const struct torture_load_config load = {
        .auth_url = partner.auth_url,
        .order_url = bv_stack_service_url(t->stack, "order"),
        .password = password,
        .kafka = t->kafka,
        .facts = t->facts,
        .clients = (uint32_t)t->options.clients,
        .orders_per_s = (uint32_t)t->options.orders_per_s,
    };
    return torture_load_start(&load, &t->load, error);
}

/* ---- coming to rest ---- */

static int look(struct torture *t, int64_t *ret_undone, char text[96], struct bv_error *error)
{
    int64_t undone[TORTURE_DATABASES], payments = 0, orders = 0;
    BV_TRY(torture_judge_undone(t->judge, undone, error));
    BV_TRY(torture_kafka_lag(t->kafka, "order", "ecommerce.payments", &payments, error));
    BV_TRY(torture_kafka_lag(t->kafka, "notification", "ecommerce.orders", &orders, error));
    snprintf(text,
             96,
             "order %lld, inventory %lld, notification %lld, unread payments %lld, orders %lld",
             (long long)undone[TORTURE_ORDERS],
             (long long)undone[TORTURE_INVENTORY],
             (long long)undone[TORTURE_NOTIFICATION],
             (long long)payments,
             (long long)orders);
    *ret_undone = undone[0] + undone[1] + undone[2] + payments + orders;
    return 0;
}

/* Waits until nothing is undone; what then still is becomes a fact, and so a broken promise. */
static int come_to_rest(struct torture *t, struct bv_error *error)
{
    int64_t ends_ms = bv_now_ms() + QUIET_MS_MAX;
    int64_t began_ms = bv_now_ms();
    char text[96] = "";
    for (int quiet = 0; quiet < QUIET_TIMES;) {
        int64_t undone = 0;
        if (cancelled)
            return bv_fail(error, BV_E_CANCELLED, "stopped");
        BV_TRY(look(t, &undone, text, error));
        quiet = undone == 0 ? quiet + 1 : 0;
        if (bv_now_ms() >= ends_ms) {
            torture_note(t->facts, TORTURE_WRONG, "rest\tnot quiet in time: %s", text);
            return 0;
        }
        for (int64_t until_ms = bv_now_ms() + LOOK_MS; bv_now_ms() < until_ms;)
            bv_retry_pause();
    }
    fprintf(stderr, "at rest after %lld ms\n", (long long)(bv_now_ms() - began_ms));
    return 0;
}

/* ---- what was told ---- */

static const struct bv_json *envelope_of(struct torture *t, const struct torture_record *record)
{
    const struct bv_json *root = NULL;
    bv_arena_reset(t->arena);
    if (bv_json_parse(t->arena, record->value, &root, NULL) < 0) {
        torture_note(t->facts, TORTURE_WRONG, "event\tan event is no JSON");
        return NULL;
    }
    return root;
}

static void take_order_event(void *argument, const struct torture_record *record)
{
    struct torture *t = argument;
    const struct bv_json *root = envelope_of(t, record);
    const struct bv_json *payload = bv_json_get(root, "payload");
    if (root)
        torture_note(t->facts,
                     TORTURE_TOLD,
                     "%.*s\t%.*s\t%.*s\t%lld\t%.*s\t%.*s\t%d\t%lld",
                     BV_ARG(bv_json_string(bv_json_get(root, "eventId"))),
                     BV_ARG(record->key),
                     BV_ARG(bv_json_string(bv_json_get(payload, "orderId"))),
                     (long long)bv_json_int(bv_json_get(payload, "version"), -1),
                     BV_ARG(bv_json_string(bv_json_get(payload, "state"))),
                     BV_ARG(bv_json_string(bv_json_get(root, "eventType"))),
                     record->partition,
                     (long long)record->offset);
}

static void take_stock_event(void *argument, const struct torture_record *record)
{
    struct torture *t = argument;
    const struct bv_json *root = envelope_of(t, record);
    const struct bv_json *lines = bv_json_get(bv_json_get(root, "payload"), "lines");
    for (struct bv_json_iter it = bv_json_iter(lines); root && bv_json_next(&it);)
        torture_note(t->facts,
                     TORTURE_STOCK_TOLD,
                     "%.*s\t%.*s\t%.*s\t%lld",
                     BV_ARG(bv_json_string(bv_json_get(root, "eventId"))),
                     BV_ARG(record->key),
                     BV_ARG(bv_json_string(bv_json_get(it.value, "sku"))),
                     (long long)bv_json_int(bv_json_get(it.value, "version"), -1));
}

/* ---- the verdict ---- */

static void blame(void *argument, const struct torture_check *check, struct bv_bytes subject)
{
    struct torture *t = argument;
    struct bv_uuid uuid;
    if (bv_uuid_parse(subject, &uuid) < 0)
        return;
    struct torture_target *target = torture_rounds_blame(t->rounds, bv_uuid_v7_ms(uuid));
    if (target && check->kind == TORTURE_LOST)
        target->lost++;
    else if (target && check->kind == TORTURE_DOUBLED)
        target->doubled++;
}

static int judge(struct torture *t, struct bv_error *error)
{
    BV_TRY(torture_kafka_read(t->kafka, "ecommerce.orders", take_order_event, t, error));
    BV_TRY(torture_kafka_read(t->kafka, "ecommerce.stock", take_stock_event, t, error));
    if (torture_facts_lost(t->facts))
        return bv_fail(error, BV_E_NOMEM, "facts were lost: nothing can be concluded");
    return torture_judge_all(t->judge, t->facts, blame, t, t->findings, error);
}

static int show(struct torture *t, bool *ret_green)
{
    struct torture_target *targets = NULL;
    size_t count = torture_rounds_targets(t->rounds, &targets);
    const struct torture_report report = {
        .targets = targets,
        .target_count = count,
        .rounds = (uint32_t)t->options.rounds,
        .findings = t->findings,
        .orders = torture_facts_count(t->facts, TORTURE_ACKS),
        .moves = torture_facts_count(t->facts, TORTURE_MOVES),
        .payments = torture_facts_count(t->facts, TORTURE_PAYMENTS),
        .deliveries = torture_facts_count(t->facts, TORTURE_RECEIVED),
        .events = torture_facts_count(t->facts, TORTURE_TOLD),
        .took_ms = bv_now_ms() - t->began_ms,
    };
    *ret_green = torture_report_green(&report);
    if (!t->options.json) {
        torture_report_print(&report);
        return 0;
    }
    bv_auto(bv_buf_release) struct bv_buf text = {.max = OUTPUT_BYTES_MAX};
    BV_TRY(torture_report_json(&report, &text));
    printf("%.*s\n", BV_ARG(bv_buf_view(&text)));
    return 0;
}

/* ---- life ---- */

static int run(struct torture *t, bool *ret_green, struct bv_error *error)
{
    BV_TRY(make_boards(t, error));
    BV_TRY(torture_facts_open(&t->facts));
    BV_TRY(bv_arena_open(RECORD_BYTES_MAX, &t->arena));
    t->findings = calloc(torture_check_count, sizeof *t->findings);
    if (!t->findings)
        return BV_E_NOMEM;
    const struct torture_rounds_config rounds = {
        .places = t->places,
        .place_count = BV_COUNT(victims),
        .only = t->options.only[0] ? t->options.only : NULL,
        .rounds = (uint32_t)t->options.rounds,
        .cancel = &cancelled,
        .progress = on_round,
        .progress_argument = t,
    };
    BV_TRY(start_stack(t, error));
    BV_TRY(torture_rounds_open(&rounds, &t->rounds, error));
    BV_TRY(open_parts(t, error));
    BV_TRY(torture_rounds_run(t->rounds, error));
    torture_load_stop(&t->load, END_MS_MAX);
    BV_TRY(torture_kafka_flush(t->kafka, FLUSH_MS, error));
    BV_TRY(come_to_rest(t, error));
    torture_partner_close(&t->partner);
    BV_TRY(judge(t, error));
    return show(t, ret_green);
}

static void release(struct torture *t)
{
    struct bv_error error = {0};
    torture_load_stop(&t->load, 0);
    torture_partner_close(&t->partner);
    torture_rounds_close(&t->rounds);
    torture_judge_close(&t->judge);
    torture_kafka_close(&t->kafka);
    if (bv_stack_down(&t->stack, &error) < 0)
        bv_complain("%s", error.text);
    torture_facts_close(&t->facts);
    bv_arena_close(&t->arena);
    free(t->findings);
    for (size_t i = 0; i < BV_COUNT(victims); i++)
        bv_failpoint_board_close(&t->boards[i]);
    if (t->folder[0] && bv_fs_remove_tree(t->folder, &error) < 0)
        bv_complain("%s", error.text);
}

static int print_help(const struct bv_option_set *set)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = OUTPUT_BYTES_MAX};
    int rc =
        bv_config_help(&text,
                       "bv torture",
                       "Kills order, inventory and notification at every crash point while "
                       "orders are placed, then proves that nothing was lost or doubled. Exit "
                       "status: 0 green, 1 a promise was broken or a point was missed, 2 the lab "
                       "failed.",
                       set,
                       1);
    printf("%.*s\n", BV_ARG(bv_buf_view(&text)));
    return rc < 0 ? 2 : 0;
}

int main(int argc, char **argv)
{
    static struct torture t;
    struct bv_error error = {0};
    bool green = false;
    const struct bv_option_set set = {option_rows, BV_COUNT(option_rows), &t.options};
    int rc = bv_config_read(&set, 1, argc, argv, &error);
    if (rc == BV_CONFIG_HELP)
        return print_help(&set);
    if (rc == 0 && !bv_failpoints_compiled())
        rc = bv_fail(&error,
                     BV_E_UNIMPLEMENTED,
                     "this build has no crash points: make torture builds one that has");
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    signal(SIGPIPE, SIG_IGN);
    t.began_ms = bv_now_ms();
    if (rc == 0)
        rc = run(&t, &green, &error);
    release(&t);
    if (rc < 0) {
        bv_complain("torture: %s", error.text[0] ? error.text : bv_error_row(rc)->title);
        return 2;
    }
    return green ? 0 : 1;
}
