/* The official JSON Schema test suite.
 *
 * Debian packages the suite up to draft 7 (json-schema-test-suite 2.0.0). Its files are read by
 * what they mean in 2020-12: definitions -> $defs, an array under items -> prefixItems and
 * additionalItems -> items, dependencies -> dependentRequired and dependentSchemas, $id "#name" ->
 * $anchor, $schema dropped. BV_JSON_SCHEMA_SUITE may name a checkout's tests/draft2020-12 folder:
 * its files then run as they are, too. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "bv/schema.h"

#define DEBIAN_SUITE "/usr/share/json-schema-test-suite"

/* Everything that is not run, and why. A NULL group skips the file. */
static const struct skip {
    const char *file;
    const char *group;
    const char *reason;
} debian_skips[] = {
    {"ref.json",         "ref overrides any sibling keywords", "since 2019-09 siblings of $ref apply"                  },
    {"ref.json",         "remote ref, containing refs itself", "needs the meta-schema of draft 7"                      },
    {"definitions.json", NULL,                                 "needs the meta-schema of draft 7"                      },
    {"ref.json",         "escaped pointer ref",                "unknown keywords are errors; own test in schema_test.c"},
};
static const struct skip native_skips[] = {
    {"anchor.json",                "invalid anchors",                    "needs the meta-schema of 2020-12"        },
    {"content.json",               NULL,                                 "content keywords are not supported"      },
    {"defs.json",                  NULL,                                 "needs the meta-schema of 2020-12"        },
    {"dynamicRef.json",            NULL,                                 "$dynamicRef is not supported"            },
    {"id.json",
     "Invalid use of fragments in location-independent $id",             "needs the meta-schema of 2020-12"        },
    {"id.json",
     "Valid use of empty fragments in location-independent $id",         "needs the meta-schema of 2020-12"        },
    {"id.json",
     "Unnormalized $ids are allowed but discouraged",                    "needs the meta-schema of 2020-12"        },
    {"ref.json",                   "remote ref, containing refs itself", "needs the meta-schema of 2020-12"        },
    {"ref.json",                   "URN base URI with f-component",      "needs the meta-schema of 2020-12"        },
    {"ref.json",
     "ref creates new scope when adjacent to keywords",                  "unevaluatedProperties is not supported"  },
    {"refRemote.json",             NULL,                                 "its remotes are not in the folder"       },
    {"unevaluatedItems.json",      NULL,                                 "unevaluatedItems is not supported"       },
    {"unevaluatedProperties.json", NULL,                                 "unevaluatedProperties is not supported"  },
    {"unknownKeyword.json",        NULL,                                 "an unknown keyword is an error by design"},
    {"vocabulary.json",            NULL,                                 "$vocabulary is not supported"            },
};

struct suite {
    const char *folder;
    const struct skip *skips;
    size_t skip_count;
    bool translate;
    size_t run;
    size_t failed;
    size_t skipped;
    bool skip_used[64];
};

static struct bv_bytes read_file(struct bv_arena *arena, const char *path)
{
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s: make deps GROUP=test installs json-schema-test-suite", path);
    char *text = bv_arena_alloc(arena, 1 << 20);
    size_t size = fread(text, 1, 1 << 20, file);
    fclose(file);
    return (struct bv_bytes){text, size};
}

/* ---- draft 7 read as 2020-12 ---- */

static void translate(struct bv_json_writer *w, const struct bv_json *schema);

static void raw(struct bv_json_writer *w, const struct bv_json *value)
{
    struct bv_buf buf = {.max = 1 << 20};
    cr_assert_eq(bv_json_write(&buf, value), 0);
    bv_jw_raw(w, bv_buf_view(&buf));
    bv_buf_release(&buf);
}

static void translate_map(struct bv_json_writer *w, const struct bv_json *map)
{
    bv_jw_object(w);
    for (struct bv_json_iter it = bv_json_iter(map); bv_json_next(&it);) {
        bv_jw_key_bytes(w, it.key);
        translate(w, it.value);
    }
    bv_jw_end(w);
}

static void translate_list(struct bv_json_writer *w, const struct bv_json *list)
{
    bv_jw_array(w);
    for (struct bv_json_iter it = bv_json_iter(list); bv_json_next(&it);)
        translate(w, it.value);
    bv_jw_end(w);
}

static void translate_dependencies(struct bv_json_writer *w, const struct bv_json *map)
{
    for (int arrays = 0; arrays < 2; arrays++) {
        bv_jw_key(w, arrays ? "dependentRequired" : "dependentSchemas");
        bv_jw_object(w);
        for (struct bv_json_iter it = bv_json_iter(map); bv_json_next(&it);) {
            if ((bv_json_type(it.value) == BV_JSON_ARRAY) != (arrays == 1))
                continue;
            bv_jw_key_bytes(w, it.key);
            if (arrays)
                raw(w, it.value);
            else
                translate(w, it.value);
        }
        bv_jw_end(w);
    }
}

static void translate_reference(struct bv_json_writer *w, struct bv_bytes text)
{
    char out[512];
    static const char old[] = "/definitions/";
    char *at;
    snprintf(out, sizeof out, "%.*s", BV_ARG(text));
    while ((at = strstr(out, old))) {
        memmove(at + strlen("/$defs/"), at + strlen(old), strlen(at + strlen(old)) + 1);
        memcpy(at, "/$defs/", strlen("/$defs/"));
    }
    /* the remote file subSchemas.json is a map of schemas: see add_remotes */
    if ((at = strstr(out, "#/integer")) || (at = strstr(out, "#/refToInteger"))) {
        memmove(at + strlen("#/$defs/"), at + 2, strlen(at + 2) + 1);
        memcpy(at, "#/$defs/", strlen("#/$defs/"));
    }
    while ((at = strstr(out, "/items/")) && at[7] >= '0' && at[7] <= '9') {
        memmove(at + strlen("/prefixItems/"), at + 7, strlen(at + 7) + 1);
        memcpy(at, "/prefixItems/", strlen("/prefixItems/"));
    }
    bv_jw_kv_text(w, "$ref", out);
}

static bool in(struct bv_bytes name, const char *const *names)
{
    for (; *names; names++) {
        if (bv_bytes_equal(name, bv_bytes_of(*names)))
            return true;
    }
    return false;
}

static void translate_member(struct bv_json_writer *w,
                             const struct bv_json *schema,
                             struct bv_bytes name,
                             const struct bv_json *value)
{
    static const char *const maps[] = {"properties", "patternProperties", "$defs", NULL};
    static const char *const lists[] = {"allOf", "anyOf", "oneOf", NULL};
    static const char *const singles[] = {"items",
                                          "contains",
                                          "additionalProperties",
                                          "propertyNames",
                                          "not",
                                          "if",
                                          "then",
                                          "else",
                                          NULL};
    bool tuple = bv_json_type(bv_json_get(schema, "items")) == BV_JSON_ARRAY;
    struct bv_bytes text = bv_json_string(value);
    if (bv_bytes_equal(name, BV_BYTES("$schema")))
        return;
    if (bv_bytes_equal(name, BV_BYTES("$ref")) && text.data) {
        translate_reference(w, text);
        return;
    }
    if (bv_bytes_equal(name, BV_BYTES("$id")) && text.size > 0 && text.data[0] == '#') {
        bv_jw_kv_string(w, "$anchor", (struct bv_bytes){text.data + 1, text.size - 1});
        return;
    }
    if (bv_bytes_equal(name, BV_BYTES("dependencies"))) {
        translate_dependencies(w, value);
        return;
    }
    if (bv_bytes_equal(name, BV_BYTES("additionalItems"))) {
        if (tuple) {
            bv_jw_key(w, "items");
            translate(w, value);
        }
        return;
    }
    bool is_items = bv_bytes_equal(name, BV_BYTES("items"));
    if (is_items && tuple && bv_json_size(value) == 0)
        return;
    if (is_items && tuple)
        bv_jw_key(w, "prefixItems");
    else if (bv_bytes_equal(name, BV_BYTES("definitions")))
        bv_jw_key(w, "$defs");
    else
        bv_jw_key_bytes(w, name);
    if (in(name, maps) || bv_bytes_equal(name, BV_BYTES("definitions")))
        translate_map(w, value);
    else if (in(name, lists) || (is_items && tuple))
        translate_list(w, value);
    else if (in(name, singles))
        translate(w, value);
    else
        raw(w, value);
}

static void translate(struct bv_json_writer *w, const struct bv_json *schema)
{
    if (bv_json_type(schema) != BV_JSON_OBJECT) {
        raw(w, schema);
        return;
    }
    bv_jw_object(w);
    for (struct bv_json_iter it = bv_json_iter(schema); bv_json_next(&it);)
        translate_member(w, schema, it.key, it.value);
    bv_jw_end(w);
}

/* ---- running ---- */

static bool skipped(struct suite *suite, const char *file, struct bv_bytes group)
{
    for (size_t i = 0; i < suite->skip_count; i++) {
        const struct skip *skip = &suite->skips[i];
        if (strcmp(skip->file, file) != 0 ||
            (skip->group && !bv_bytes_equal(group, bv_bytes_of(skip->group))))
            continue;
        suite->skip_used[i] = true;
        suite->skipped++;
        return true;
    }
    return false;
}

static void add_remotes(struct suite *suite, struct bv_arena *arena, struct bv_schemas *schemas)
{
    static const char *const names[] = {
        "integer.json", "name.json", "subSchemas.json", "folder/folderInteger.json"};
    if (!suite->translate)
        return;
    for (size_t i = 0; i < BV_COUNT(names); i++) {
        char path[512], uri[512];
        const struct bv_json *root = NULL;
        struct bv_error error = {0};
        struct bv_buf text = {.max = 1 << 20};
        struct bv_json_writer w = bv_json_writer(&text);
        snprintf(path, sizeof path, DEBIAN_SUITE "/remotes/%s", names[i]);
        snprintf(uri, sizeof uri, "http://localhost:1234/%s", names[i]);
        cr_assert_eq(bv_json_parse(arena, read_file(arena, path), &root, NULL), 0);
        /* these two files are maps of schemas without a keyword: places to point into */
        bool map = strcmp(names[i], "subSchemas.json") == 0;
        if (map)
            bv_jw_object(&w), bv_jw_key(&w, "$defs"), translate_map(&w, root), bv_jw_end(&w);
        else
            translate(&w, root);
        cr_assert_eq(bv_schemas_add(schemas, bv_bytes_of(uri), bv_buf_view(&text), &error),
                     0,
                     "%s: %s",
                     path,
                     error.text);
        bv_buf_release(&text);
    }
}

static void run_group(struct suite *suite, const char *file, const struct bv_json *group)
{
    struct bv_bytes description = bv_json_string(bv_json_get(group, "description"));
    struct bv_schemas *schemas = NULL;
    struct bv_arena *arena = NULL;
    struct bv_error error = {0};
    struct bv_buf text = {.max = 1 << 20};
    struct bv_json_writer w = bv_json_writer(&text);
    if (skipped(suite, file, description))
        return;
    cr_assert_eq(bv_arena_open(64u << 20, &arena), 0);
    cr_assert_eq(bv_schemas_open(&schemas), 0);
    if (suite->translate)
        translate(&w, bv_json_get(group, "schema"));
    else
        raw(&w, bv_json_get(group, "schema"));
    if (strcmp(file, "refRemote.json") == 0)
        add_remotes(suite, arena, schemas);
    int rc = bv_schemas_add(schemas, BV_BYTES("suite:test"), bv_buf_view(&text), &error);
    if (rc == 0)
        rc = bv_schemas_link(schemas, &error);
    if (rc < 0) {
        suite->failed++;
        fprintf(stderr, "%s: %.*s: %s\n", file, BV_ARG(description), error.text);
    }
    const struct bv_json *tests = bv_json_get(group, "tests");
    for (struct bv_json_iter it = bv_json_iter(tests); rc == 0 && bv_json_next(&it);) {
        bool valid = bv_json_bool(bv_json_get(it.value, "valid"), false);
        int got =
            bv_schemas_check(schemas, BV_BYTES("suite:test"), bv_json_get(it.value, "data"), NULL);
        suite->run++;
        if (got == (valid ? 0 : BV_SCHEMA_MISMATCH))
            continue;
        suite->failed++;
        fprintf(stderr,
                "%s: %.*s: %.*s: got %d\n",
                file,
                BV_ARG(description),
                BV_ARG(bv_json_string(bv_json_get(it.value, "description"))),
                got);
    }
    bv_buf_release(&text);
    bv_schemas_close(&schemas);
    bv_arena_close(&arena);
}

static void run_file(struct suite *suite, const char *file)
{
    char path[1024];
    struct bv_arena *arena = NULL;
    const struct bv_json *groups = NULL;
    struct bv_error error = {0};
    cr_assert_eq(bv_arena_open(64u << 20, &arena), 0);
    snprintf(path, sizeof path, "%s/%s", suite->folder, file);
    cr_assert_eq(bv_json_parse(arena, read_file(arena, path), &groups, &error),
                 0,
                 "%s: %s",
                 path,
                 error.text);
    for (struct bv_json_iter it = bv_json_iter(groups); bv_json_next(&it);)
        run_group(suite, file, it.value);
    bv_arena_close(&arena);
}

static void run_suite(struct suite *suite)
{
    DIR *folder = opendir(suite->folder);
    cr_assert_not_null(
        folder, "%s: make deps GROUP=test installs json-schema-test-suite", suite->folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        size_t size = strlen(entry->d_name);
        if (size > 5 && strcmp(entry->d_name + size - 5, ".json") == 0)
            run_file(suite, entry->d_name);
    }
    closedir(folder);
    for (size_t i = 0; i < suite->skip_count; i++)
        cr_expect(suite->skip_used[i],
                  "the skip of %s, %s is not needed",
                  suite->skips[i].file,
                  suite->skips[i].group ? suite->skips[i].group : "all");
    fprintf(stderr,
            "%s: %zu checks, %zu failed, %zu groups skipped\n",
            suite->folder,
            suite->run,
            suite->failed,
            suite->skipped);
    cr_assert_eq(suite->failed, 0);
    cr_assert_gt(suite->run, 390);
}

Test(schema_suite, passes_the_suite_that_debian_packages)
{
    run_suite(&(struct suite){.folder = DEBIAN_SUITE "/tests/draft7",
                              .skips = debian_skips,
                              .skip_count = BV_COUNT(debian_skips),
                              .translate = true});
}

Test(schema_suite, passes_the_suite_of_2020_12_when_it_is_given)
{
    const char *folder = getenv("BV_JSON_SCHEMA_SUITE");
    if (!folder || !folder[0])
        return;
    run_suite(&(struct suite){
        .folder = folder, .skips = native_skips, .skip_count = BV_COUNT(native_skips)});
}
