/* stack.json: what a stack is, for everybody who is not its supervisor. Secrets stay in the env
 * files. */
#include "stack_supervisor.h"

#include "stack_services.h"

#include "bv/config.h"

#include <stdio.h>

enum { JSON_BYTES_MAX = 4 << 20, DESCRIBE_BYTES_MAX = 1 << 20, OPTIONS_MAX = 128 };

/* What the service said of itself; *text and *arena are the caller's to end in any case. */
static int read_description(const struct stack_world *world,
                            const struct stack_unit *unit,
                            struct bv_buf *text,
                            struct bv_arena **arena,
                            const struct bv_json **ret_root,
                            struct bv_error *error)
{
    char path[BV_PATH_MAX];
    BV_TRY(bv_path(path, error, "%s/describe/%s.json", world->run, unit->name));
    BV_TRY(bv_fs_read(path, text, error));
    BV_TRY(bv_arena_open(4 * DESCRIBE_BYTES_MAX, arena));
    if (bv_json_parse(*arena, bv_buf_view(text), ret_root, NULL) < 0 ||
        bv_json_type(*ret_root) != BV_JSON_OBJECT)
        return bv_fail(error, BV_E_PROTOCOL, "%s --describe printed no JSON object", unit->name);
    return 0;
}

static int unknown_option(const struct stack_unit *unit,
                          const char *key,
                          const struct bv_json *options,
                          struct bv_error *error)
{
    const char *names[OPTIONS_MAX];
    size_t count = 0;
    for (struct bv_json_iter it = bv_json_iter(options);
         bv_json_next(&it) && count < OPTIONS_MAX;) {
        struct bv_bytes name = bv_json_string(bv_json_get(it.value, "environment"));
        if (name.data && strcmp(name.data, key) == 0)
            return 0;
        if (name.data)
            names[count++] = name.data;
    }
    const char *near = bv_nearest(key, names, count);
    return bv_fail(error,
                   BV_E_INVALID,
                   "%s has no option %s%s%s%s",
                   unit->name,
                   key,
                   near ? ": did you mean " : "",
                   near ? near : "",
                   near ? "?" : "");
}

int stack_check_options(const struct stack_world *world,
                        const struct stack_unit *unit,
                        struct bv_error *error)
{
    /* read by test builds before they know options */
    static const char *const switches[] = {"BV_BREAK", "BV_FAILPOINT", "BV_FAILPOINT_FILE"};
    struct bv_bytes rest = bv_bytes_of(world->settings);
    struct bv_buf text = {.max = DESCRIBE_BYTES_MAX};
    struct bv_arena *arena = NULL;
    const struct bv_json *root = NULL;
    struct stack_setting setting;
    if (!rest.size)
        return 0;
    int rc = read_description(world, unit, &text, &arena, &root, error);
    const struct bv_json *options = rc == 0 ? bv_json_get(root, "options") : NULL;
    while (rc == 0 && options && stack_setting_next(&rest, &setting, NULL) == 0) {
        char key[64];
        snprintf(key, sizeof key, "%.*s", BV_ARG(setting.key));
        bool told = !bv_bytes_equal(setting.part, bv_bytes_of(unit->name));
        for (size_t i = 0; i < BV_COUNT(switches); i++)
            told = told || strcmp(switches[i], key) == 0;
        if (!told)
            rc = unknown_option(unit, key, options, error);
    }
    bv_arena_close(&arena);
    bv_buf_release(&text);
    return rc;
}

static int add_description(const struct stack_world *world,
                           const struct stack_unit *unit,
                           struct bv_json_writer *w,
                           struct bv_error *error)
{
    struct bv_buf text = {.max = DESCRIBE_BYTES_MAX};
    struct bv_arena *arena = NULL;
    const struct bv_json *root = NULL;
    int rc = read_description(world, unit, &text, &arena, &root, error);
    struct bv_buf compact = {.max = DESCRIBE_BYTES_MAX};
    if (rc == 0)
        rc = bv_json_write(&compact, root);
    if (rc == 0) {
        bv_jw_key(w, "describe");
        bv_jw_raw(w, bv_buf_view(&compact));
    }
    bv_buf_release(&compact);
    bv_arena_close(&arena);
    bv_buf_release(&text);
    return rc;
}

static int add_part(const struct stack_world *world,
                    const struct stack_unit *unit,
                    struct bv_json_writer *w,
                    struct bv_error *error)
{
    static const char *const kinds[] = {"server", "database", "service"};
    char text[BV_PATH_MAX];
    bv_jw_object(w);
    bv_jw_kv_text(w, "name", unit->name);
    bv_jw_kv_text(w, "kind", kinds[unit->row->kind]);
    stack_unit_url(world, unit, text);
    bv_jw_kv_text(w, "url", text);
    bv_jw_kv_int(w, "port", unit->ports[0]);
    bv_jw_kv_int(w, "pid", unit->row->kind == BV_STACK_DATABASE ? 0 : unit->shown_pid);
    bv_jw_kv_int(w, "ready_ms", unit->ready_ms);
    BV_TRY(bv_path(text, error, "%s/log/%s.log", world->run, unit->name));
    bv_jw_kv_text(w, "log", text);
    int rc = 0;
    if (unit->row->kind == BV_STACK_SERVICE) {
        if (unit->ports[1]) {
            snprintf(text, sizeof text, "127.0.0.1:%u", unit->ports[1]);
            bv_jw_kv_text(w, "grpc_addr", text);
        }
        BV_TRY(bv_path(text, error, "%s/env/%s.env", world->run, unit->name));
        bv_jw_kv_text(w, "env_file", text);
        rc = add_description(world, unit, w, error);
    }
    bv_jw_end(w);
    return rc;
}

int stack_write_json(const struct stack_world *world,
                     pid_t supervisor,
                     const char *isolation,
                     int64_t boot_ms,
                     struct bv_error *error)
{
    char path[BV_PATH_MAX];
    struct bv_buf buf = {.max = JSON_BYTES_MAX};
    struct bv_json_writer w = bv_json_writer(&buf);
    int rc = bv_path(path, error, "%s/env/stack.env", world->run);
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "name", world->name);
    bv_jw_kv_text(&w, "run", world->run);
    bv_jw_kv_text(&w, "env_file", path);
    bv_jw_kv_int(&w, "supervisor_pid", supervisor);
    bv_jw_kv_text(&w, "isolation", isolation);
    bv_jw_kv_bool(&w, "durable", world->durability == BV_STACK_DURABLE);
    bv_jw_kv_int(&w, "boot_ms", boot_ms);
    bv_jw_key(&w, "parts");
    bv_jw_array(&w);
    for (size_t i = 0; rc == 0 && i < world->unit_count; i++)
        rc = add_part(world, &world->units[i], &w, error);
    if (rc == 0) {
        bv_jw_end(&w);
        bv_jw_end(&w);
        bv_buf_char(&buf, '\n');
        rc = buf.failed ? bv_fail(error, BV_E_TOO_LARGE, "stack.json is too large")
                        : bv_path(path, error, "%s/stack.json", world->run);
    }
    if (rc == 0)
        rc = bv_fs_write(path, bv_buf_view(&buf), 0644, error);
    bv_buf_release(&buf);
    return rc;
}
