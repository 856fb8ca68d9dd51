#include "stack_services.h"

#include "bv/config.h"
#include "bv/probe.h"
#include "bv/process.h"

#include <ctype.h>
#include <stdio.h>
#include <unistd.h>

enum { ENV_FILE_BYTES_MAX = 65536, TRY_MS = 2000 };

/* ---- variables ---- */

static int value_of(const struct stack_world *world,
                    const struct stack_unit *unit,
                    const struct stack_variable *variable,
                    char out[BV_PATH_MAX])
{
    const char *of = variable->of;
    switch (variable->source) {
    case STACK_TEXT:
        return snprintf(out, BV_PATH_MAX, "%s", of);
    case STACK_PG:
        return snprintf(out,
                        BV_PATH_MAX,
                        "postgresql://bv@127.0.0.1:%u/%s",
                        stack_port_of(world, "postgres", 0),
                        of);
    case STACK_REDIS:
        return snprintf(out, BV_PATH_MAX, "redis://127.0.0.1:%u", stack_port_of(world, "redis", 0));
    case STACK_KAFKA:
        return snprintf(out, BV_PATH_MAX, "127.0.0.1:%u", stack_port_of(world, "kafka", 0));
    case STACK_URL:
        return snprintf(out, BV_PATH_MAX, "http://127.0.0.1:%u", stack_port_of(world, of, 0));
    case STACK_GRPC_ADDR:
        return snprintf(out, BV_PATH_MAX, "127.0.0.1:%u", stack_port_of(world, of, 1));
    case STACK_HTTP_PORT:
        return snprintf(out, BV_PATH_MAX, "%u", unit->ports[0]);
    case STACK_GRPC_PORT:
        return snprintf(out, BV_PATH_MAX, "%u", unit->ports[1]);
    case STACK_SECRET:
        return snprintf(out, BV_PATH_MAX, "%s", stack_secret(world, of));
    case STACK_LOG_LEVEL:
        return snprintf(out, BV_PATH_MAX, "%s", world->log_level);
    case STACK_OTLP:
        return snprintf(out, BV_PATH_MAX, "%s", world->otlp_url);
    }
    return -1;
}

static int unknown_service(const char *name, struct bv_error *error)
{
    const char *names[BV_STACK_UNITS_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; i < stack_row_count && count < BV_STACK_UNITS_MAX; i++)
        if (stack_rows[i].kind == BV_STACK_SERVICE)
            names[count++] = stack_rows[i].name;
    names[count++] = "all";
    const char *near = bv_nearest(name, names, count);
    return bv_fail(error,
                   BV_E_INVALID,
                   "'%s' is no service: PART.BV_KEY=value%s%s%s",
                   name,
                   near ? ", did you mean '" : "",
                   near ? near : "",
                   near ? "'?" : "");
}

int stack_setting_next(struct bv_bytes *rest,
                       struct stack_setting *ret_setting,
                       struct bv_error *error)
{
    while (rest->size && *rest->data == ',')
        *rest = (struct bv_bytes){rest->data + 1, rest->size - 1};
    if (!rest->size)
        return STACK_SETTINGS_END;
    const char *comma = memchr(rest->data, ',', rest->size);
    const struct bv_bytes entry = {rest->data, comma ? (size_t)(comma - rest->data) : rest->size};
    const char *dot = memchr(entry.data, '.', entry.size);
    const char *equals = memchr(entry.data, '=', entry.size);
    if (!dot || !equals || dot > equals ||
        !bv_bytes_starts((struct bv_bytes){dot + 1, (size_t)(equals - dot - 1)}, BV_BYTES("BV_")))
        return bv_fail(
            error, BV_E_INVALID, "'%.*s' is no setting: PART.BV_KEY=value", BV_ARG(entry));
    *ret_setting = (struct stack_setting){
        .part = {entry.data, (size_t)(dot - entry.data)                    },
        .key = {dot + 1,    (size_t)(equals - dot - 1)                    },
        .value = {equals + 1, entry.size - (size_t)(equals + 1 - entry.data)},
    };
    char name[32];
    snprintf(name, sizeof name, "%.*s", BV_ARG(ret_setting->part));
    const struct stack_row *row = stack_row_find(name);
    if (strcmp(name, "all") != 0 && (!row || row->kind != BV_STACK_SERVICE))
        return unknown_service(name, error);
    *rest = (struct bv_bytes){rest->data + entry.size, rest->size - entry.size};
    return 0;
}

/* The last setting that names this part or all, and this key. */
static bool setting_of(const struct stack_world *world,
                       const char *part,
                       const char *key,
                       struct bv_bytes *ret_value)
{
    struct bv_bytes rest = bv_bytes_of(world->settings);
    struct stack_setting setting;
    bool found = false;
    while (stack_setting_next(&rest, &setting, NULL) == 0) {
        if (!bv_bytes_equal(setting.key, bv_bytes_of(key)) ||
            (!bv_bytes_equal(setting.part, bv_bytes_of(part)) &&
             !bv_bytes_equal(setting.part, BV_BYTES("all"))))
            continue;
        *ret_value = setting.value;
        found = true;
    }
    return found;
}

static bool in_table(const struct stack_row *row, struct bv_bytes key)
{
    for (size_t i = 0; i < stack_common_variable_count; i++)
        if (bv_bytes_equal(bv_bytes_of(stack_common_variables[i].key), key))
            return true;
    for (size_t i = 0; i < row->variable_count; i++)
        if (bv_bytes_equal(bv_bytes_of(row->variables[i].key), key))
            return true;
    return false;
}

typedef void (*add_variable)(void *argument, const char *key, const char *value);

/* Settings of options that the tables do not know. */
static void each_setting(const struct stack_world *world,
                         const struct stack_unit *unit,
                         add_variable add,
                         void *argument)
{
    struct bv_bytes rest = bv_bytes_of(world->settings);
    struct stack_setting setting;
    while (stack_setting_next(&rest, &setting, NULL) == 0) {
        char key[64], value[BV_PATH_MAX];
        struct bv_bytes last;
        snprintf(key, sizeof key, "%.*s", BV_ARG(setting.key));
        if (in_table(unit->row, setting.key) || !setting_of(world, unit->name, key, &last) ||
            last.data != setting.value.data)
            continue;
        snprintf(value, sizeof value, "%.*s", BV_ARG(last));
        add(argument, key, value);
    }
}

/* Calls add(argument, key, value) for each variable of a service. */
static void each_variable(const struct stack_world *world,
                          const struct stack_unit *unit,
                          add_variable add,
                          void *argument)
{
    char value[BV_PATH_MAX];
    const struct stack_row *row = unit->row;
    for (size_t i = 0; i < stack_common_variable_count + row->variable_count; i++) {
        const struct stack_variable *variable =
            i < stack_common_variable_count ? &stack_common_variables[i]
                                            : &row->variables[i - stack_common_variable_count];
        struct bv_bytes set;
        if (setting_of(world, unit->name, variable->key, &set))
            snprintf(value, sizeof value, "%.*s", BV_ARG(set));
        else
            value_of(world, unit, variable, value);
        add(argument, variable->key, value);
    }
    each_setting(world, unit, add, argument);
}

void stack_unit_url(const struct stack_world *world,
                    const struct stack_unit *unit,
                    char out[BV_PATH_MAX])
{
    struct stack_variable variable = {.of = unit->name, .source = STACK_URL};
    if (unit->row->kind == BV_STACK_DATABASE)
        variable = (struct stack_variable){.of = unit->database, .source = STACK_PG};
    else if (strcmp(unit->name, "postgres") == 0)
        variable = (struct stack_variable){.of = "postgres", .source = STACK_PG};
    else if (strcmp(unit->name, "redis") == 0)
        variable.source = STACK_REDIS;
    else if (strcmp(unit->name, "kafka") == 0)
        variable.source = STACK_KAFKA;
    value_of(world, unit, &variable, out);
}

static void env_line(void *argument, const char *key, const char *value)
{
    bv_buf_format(argument, "%s=%s\n", key, value);
}

static void
stack_line(struct bv_buf *buf, const char *service, const char *suffix, const char *value)
{
    char upper[32] = "";
    for (size_t i = 0; service[i] && i + 1 < sizeof upper; i++)
        upper[i] = service[i] == '-' ? '_' : (char)toupper((unsigned char)service[i]);
    bv_buf_format(buf, "BV_%s_%s=%s\n", upper, suffix, value);
}

static void
stack_lines_of(const struct stack_world *world, const struct stack_unit *unit, struct bv_buf *buf)
{
    char value[BV_PATH_MAX];
    stack_unit_url(world, unit, value);
    if (strcmp(unit->name, "postgres") == 0)
        bv_buf_format(buf, "BV_TEST_PG_URL=%s\nBV_PG_URL=%s\n", value, value);
    else if (strcmp(unit->name, "redis") == 0)
        bv_buf_format(buf, "BV_TEST_REDIS_URL=%s\nBV_REDIS_URL=%s\n", value, value);
    else if (strcmp(unit->name, "kafka") == 0)
        bv_buf_format(buf, "BV_TEST_KAFKA_BROKERS=%s\nBV_KAFKA_BROKERS=%s\n", value, value);
    if (unit->row->kind != BV_STACK_SERVICE)
        return;
    stack_line(buf, unit->name, "URL", value);
    if (unit->ports[1]) {
        const struct stack_variable addr = {.of = unit->name, .source = STACK_GRPC_ADDR};
        value_of(world, unit, &addr, value);
        stack_line(buf, unit->name, "ADDR", value);
    }
    if (unit->database) {
        const struct stack_variable url = {.of = unit->database, .source = STACK_PG};
        value_of(world, unit, &url, value);
        stack_line(buf, unit->name, "PG_URL", value);
    }
    if (strcmp(unit->name, "auth") == 0) {
        stack_unit_url(world, unit, value);
        bv_buf_format(buf, "BV_ISSUER=%s\n", value);
    }
}

int stack_write_env(const struct stack_world *world, struct bv_error *error)
{
    struct bv_buf all = {.max = ENV_FILE_BYTES_MAX}, one = {.max = ENV_FILE_BYTES_MAX};
    char path[BV_PATH_MAX];
    int rc = 0;
    bv_buf_format(&all,
                  "BV_STACK_NAME=%s\nBV_STACK_RUN=%s\nBV_STACK_JSON=%s/stack.json\n",
                  world->name,
                  world->run,
                  world->run);
    for (size_t i = 0; rc == 0 && i < world->unit_count; i++) {
        const struct stack_unit *unit = &world->units[i];
        stack_lines_of(world, unit, &all);
        if (unit->row->kind != BV_STACK_SERVICE)
            continue;
        bv_buf_reset(&one);
        each_variable(world, unit, env_line, &one);
        rc = bv_path(path, error, "%s/env/%s.env", world->run, unit->name);
        if (rc == 0)
            rc = bv_fs_write(path, bv_buf_view(&one), 0600, error);
    }
    for (size_t i = 0; i < world->secret_count; i++)
        bv_buf_format(&all, "%s=%s\n", world->secrets[i].key, world->secrets[i].value);
    if (rc == 0)
        rc = bv_path(path, error, "%s/env/stack.env", world->run);
    if (rc == 0)
        rc = bv_fs_write(path, bv_buf_view(&all), 0600, error);
    bv_buf_release(&all);
    bv_buf_release(&one);
    return rc;
}

/* ---- programs ---- */

/* The program itself, or a link to it in the run folder when the servers' user cannot walk to it.
 */
static int program_of(const struct stack_world *world,
                      const char *name,
                      char out[BV_PATH_MAX],
                      struct bv_error *error)
{
    char original[BV_PATH_MAX];
    BV_TRY(bv_path(original, error, "%s/%s", world->bin_dir, name));
    BV_TRY(bv_path(out, error, "%s/bin/%s", world->run, name));
    if (access(out, F_OK) == 0)
        return 0;
    return bv_path(out, error, "%s", original);
}

static int place_program(const struct stack_world *world, const char *name, struct bv_error *error)
{
    char original[BV_PATH_MAX], link[BV_PATH_MAX];
    BV_TRY(bv_path(original, error, "%s/%s", world->bin_dir, name));
    if (bv_fs_reachable(original, X_OK, world->uid, world->gid))
        return 0;
    BV_TRY(bv_path(link, error, "%s/bin/%s", world->run, name));
    if (access(link, F_OK) == 0)
        return 0;
    /* several tasks may place infra-service at once: each under a name of its own, the last rename
     * wins */
    char mine[BV_PATH_MAX];
    BV_TRY(bv_path(mine, error, "%s/bin/.%s.%d", world->run, name, (int)getpid()));
    BV_TRY(bv_fs_link_or_copy(original, mine, error));
    if (rename(mine, link) < 0)
        return bv_fail(error, BV_E_IO, "cannot make %s", link);
    unlink(mine); /* rename leaves it when both names already were the same file */
    return 0;
}

static int prepare_service(const struct stack_world *world,
                           const struct stack_unit *unit,
                           struct bv_error *error)
{
    char program[BV_PATH_MAX], path[BV_PATH_MAX], log[BV_PATH_MAX];
    BV_TRY(place_program(world, unit->name, error));
    BV_TRY(program_of(world, unit->name, program, error));
    BV_TRY(bv_path(path, error, "%s/describe/%s.json", world->run, unit->name));
    BV_TRY(bv_path(log, error, "%s/log/%s.log", world->run, unit->name));
    struct stack_command cmd;
    BV_TRY(stack_command_init(&cmd, world, error));
    stack_arg(&cmd, "%s", program);
    stack_arg(&cmd, "--describe");
    const struct bv_spawn spawn = {.argv = cmd.argv,
                                   .env = cmd.env,
                                   .folder = "/",
                                   .in_fd = -1,
                                   .uid = world->uid,
                                   .gid = world->gid};
    int rc = bv_run_output(&spawn, path, log, error);
    stack_command_release(&cmd);
    return rc == 0 ? stack_check_options(world, unit, error) : rc;
}

static void command_variable(void *argument, const char *key, const char *value)
{
    stack_env(argument, "%s=%s", key, value);
}

static int command_service(const struct stack_world *world,
                           const struct stack_unit *unit,
                           struct stack_command *cmd,
                           struct bv_error *error)
{
    char program[BV_PATH_MAX];
    BV_TRY(program_of(world, unit->name, program, error));
    stack_arg(cmd, "%s", program);
    each_variable(world, unit, command_variable, cmd);
    return 0;
}

int stack_probe_service(uint16_t port, int64_t deadline_ms, struct bv_error *error)
{
    struct bv_buf body = {.max = 400};
    int status = 0;
    int rc = bv_http_probe(port, "/readyz", deadline_ms, &status, &body, error);
    if (rc == 0 && status != 200) {
        int size = 0;
        while ((size_t)size < body.size && body.data[size] != '\r' && body.data[size] != '\n')
            size++;
        rc = bv_fail(error,
                     BV_E_UNAVAILABLE,
                     "/readyz answers %d: %.*s",
                     status,
                     size < 100 ? size : 100,
                     body.data ? body.data : "");
    }
    bv_buf_release(&body);
    return rc;
}

static int ready_service(const struct stack_world *world,
                         const struct stack_unit *unit,
                         int64_t deadline_ms,
                         struct bv_error *error)
{
    (void)world;
    for (;;) {
        struct bv_error last = {0};
        int64_t try_ms = bv_now_ms() + TRY_MS;
        int rc =
            stack_probe_service(unit->ports[0], try_ms < deadline_ms ? try_ms : deadline_ms, &last);
        if (rc == 0)
            return 0;
        if (bv_now_ms() >= deadline_ms)
            return bv_fail(error, BV_E_TIMEOUT, "not ready: %s", last.text);
        bv_retry_pause();
    }
}

const struct stack_ops stack_service = {prepare_service, NULL, command_service, ready_service};

/* ---- migrations ---- */

static int prepare_migration(const struct stack_world *world,
                             const struct stack_unit *unit,
                             struct bv_error *error)
{
    char from[BV_PATH_MAX], to[BV_PATH_MAX];
    BV_TRY(place_program(world, "infra-service", error));
    BV_TRY(bv_path(from, error, "%s/%s", world->migrations, unit->database));
    if (access(from, R_OK | X_OK) != 0)
        return bv_fail(error, BV_E_NOT_FOUND, "no migrations in %s", from);
    if (bv_fs_reachable(from, R_OK | X_OK, world->uid, world->gid))
        return 0;
    BV_TRY(bv_path(to, error, "%s/migrations", world->run));
    BV_TRY(bv_fs_mkdirs(to, 0755, error));
    BV_TRY(bv_path(to, error, "%s/migrations/%s", world->run, unit->database));
    return bv_fs_copy_tree(from, to, error);
}

static int command_migration(const struct stack_world *world,
                             const struct stack_unit *unit,
                             struct stack_command *cmd,
                             struct bv_error *error)
{
    char program[BV_PATH_MAX], copy[BV_PATH_MAX], value[BV_PATH_MAX];
    BV_TRY(program_of(world, "infra-service", program, error));
    BV_TRY(bv_path(copy, error, "%s/migrations/%s", world->run, unit->database));
    stack_arg(cmd, "%s", program);
    stack_arg(cmd, "migrate");
    stack_arg(cmd, "--folder");
    if (access(copy, F_OK) == 0)
        stack_arg(cmd, "%s", copy);
    else
        stack_arg(cmd, "%s/%s", world->migrations, unit->database);
    stack_arg(cmd, "--database");
    stack_arg(cmd, "%s", unit->database);
    const struct stack_variable server = {.of = "postgres", .source = STACK_PG};
    value_of(world, unit, &server, value);
    stack_env(cmd, "BV_PG_URL=%s", value);
    return 0;
}

const struct stack_ops stack_migration = {prepare_migration, NULL, command_migration, NULL};
