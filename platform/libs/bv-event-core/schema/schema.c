/* The set: documents, resources, references. */
#include "schema_private.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEXT_BYTES_MAX (4u * 1024 * 1024)
#define ARENA_BYTES_MAX ((size_t)256 * 1024 * 1024)

int bv_schemas_open(struct bv_schemas **ret_schemas)
{
    *ret_schemas = calloc(1, sizeof **ret_schemas);
    return *ret_schemas ? 0 : BV_E_NOMEM;
}

void bv_schemas_format(struct bv_schemas *schemas, enum bv_schema_format format)
{
    schemas->format = format;
}

void bv_schemas_close(struct bv_schemas **slot)
{
    struct bv_schemas *schemas = *slot;
    if (!schemas)
        return;
    *slot = NULL;
    for (struct node *node = schemas->nodes; node; node = node->next) {
        pattern_close(&node->pattern);
        for (size_t i = 0; i < node->pattern_properties.count; i++)
            pattern_close(&node->pattern_properties.items[i].pattern);
    }
    while (schemas->documents) {
        struct document *document = schemas->documents;
        schemas->documents = document->next;
        bv_arena_close(&document->arena);
        free(document);
    }
    free(schemas);
}

struct node *schema_resource_find(const struct bv_schemas *schemas, const char *uri)
{
    for (const struct resource *row = schemas->resources; row; row = row->next) {
        if (strcmp(row->uri, uri) == 0)
            return row->node;
    }
    return NULL;
}

int schema_resource_add(struct compiler *compiler, const char *uri, struct node *node)
{
    struct node *other = schema_resource_find(compiler->schemas, uri);
    if (other == node)
        return 0;
    if (other)
        return bv_fail(compiler->error, BV_E_EXISTS, "two schemas are called %s", uri);
    struct resource *row = bv_arena_new(compiler->arena, struct resource);
    if (!row)
        return BV_E_NOMEM;
    *row = (struct resource){compiler->schemas->resources, uri, node};
    compiler->schemas->resources = row;
    return 0;
}

static int document_add(struct compiler *compiler, struct bv_bytes name, struct bv_bytes text)
{
    const char *uri = bv_arena_text(compiler->arena, name);
    struct bv_bytes copy = bv_arena_copy(compiler->arena, text);
    const struct bv_json *root = NULL;
    struct node *node = NULL;
    if (!uri || !copy.data)
        return BV_E_NOMEM;
    if (schema_resource_find(compiler->schemas, uri))
        return bv_fail(compiler->error, BV_E_EXISTS, "two schemas are called %s", uri);
    BV_TRY(bv_json_parse(compiler->arena, copy, &root, compiler->error));
    BV_TRY(schema_compile(compiler, root, uri, "", &node));
    return schema_resource_add(compiler, uri, node);
}

int bv_schemas_add(struct bv_schemas *schemas,
                   struct bv_bytes name,
                   struct bv_bytes text,
                   struct bv_error *error)
{
    if (name.size == 0 || name.size >= URI_MAX || text.size > TEXT_BYTES_MAX || schemas->linked)
        return bv_fail(
            error,
            BV_E_INVALID,
            "a schema needs a name of 1 to %d bytes, a text of at most %u, before the link",
            URI_MAX - 1,
            TEXT_BYTES_MAX);
    struct document *document = calloc(1, sizeof *document);
    if (!document)
        return BV_E_NOMEM;
    document->next = schemas->documents;
    schemas->documents = document;
    BV_TRY(bv_arena_open(ARENA_BYTES_MAX, &document->arena));
    struct compiler compiler = {schemas, document->arena, error};
    return document_add(&compiler, name, text);
}

static int read_file(const char *path, struct bv_buf *buf)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return BV_E_IO;
    int rc = 0;
    for (;;) {
        char *at = bv_buf_reserve(buf, 65536);
        ssize_t got = at ? read(fd, at, 65536) : -1;
        if (got <= 0) {
            rc = got < 0 ? BV_E_IO : 0;
            break;
        }
        buf->size += (size_t)got;
    }
    close(fd);
    return rc;
}

static int
add_file(struct bv_schemas *schemas, const char *folder, const char *name, struct bv_error *error)
{
    struct bv_buf buf = {.max = TEXT_BYTES_MAX + 65536};
    struct bv_error inner = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int rc = read_file(path, &buf);
    if (rc < 0)
        (void)bv_fail(&inner, rc, "cannot be read");
    else
        rc = bv_schemas_add(schemas, bv_bytes_of(name), bv_buf_view(&buf), &inner);
    bv_buf_release(&buf);
    if (rc < 0) {
        (void)bv_fail(error, rc, "%s: %s", name, inner.text);
        if (error)
            memcpy(error->pointer, inner.pointer, sizeof error->pointer);
    }
    return rc;
}

static int is_schema(const struct dirent *entry)
{
    static const char ending[] = ".schema.json";
    size_t size = strlen(entry->d_name), of_ending = sizeof ending - 1;
    return size > of_ending && strcmp(entry->d_name + size - of_ending, ending) == 0;
}

int bv_schemas_add_folder(struct bv_schemas *schemas, const char *folder, struct bv_error *error)
{
    struct dirent **names = NULL;
    int count = scandir(folder, &names, is_schema, alphasort), rc = 0;
    if (count < 0)
        return bv_fail(error, BV_E_IO, "folder %s cannot be read", folder);
    for (int i = 0; i < count; i++) {
        if (rc == 0)
            rc = add_file(schemas, folder, names[i]->d_name, error);
        free(names[i]);
    }
    free(names);
    return rc;
}

/* ---- references ---- */

static struct node *node_of(const struct bv_schemas *schemas, const struct bv_json *json)
{
    for (struct node *node = schemas->nodes; node; node = node->next) {
        if (node->json == json)
            return node;
    }
    return NULL;
}

static int
follow(struct compiler *compiler, const char *uri, struct bv_bytes fragment, struct node **ret_node)
{
    struct node *root = schema_resource_find(compiler->schemas, uri);
    if (!root || fragment.size == 0) {
        *ret_node = root;
        return 0;
    }
    fragment = uri_decode(compiler->arena, fragment);
    if (fragment.size > 0 && fragment.data[0] != '/') {
        const char *anchor =
            bv_arena_format(compiler->arena, "%s#%.*s", root->base, BV_ARG(fragment));
        *ret_node = anchor ? schema_resource_find(compiler->schemas, anchor) : NULL;
        return 0;
    }
    const struct bv_json *json = bv_json_pointer(root->json, fragment);
    *ret_node = json ? node_of(compiler->schemas, json) : NULL;
    if (!json || *ret_node)
        return 0;
    /* a place that no keyword makes a schema; it is used as one */
    const char *pointer = bv_arena_text(compiler->arena, fragment);
    return schema_compile(compiler, json, root->base, pointer, ret_node);
}

static int link_node(struct compiler *compiler, struct node *node)
{
    char uri[URI_MAX];
    struct bv_bytes fragment;
    int rc = uri_resolve(node->base, node->reference, uri, &fragment);
    if (rc == 0)
        rc = follow(compiler, uri, fragment, &node->target);
    if (rc == 0 && !node->target)
        rc = BV_E_NOT_FOUND;
    if (rc < 0)
        (void)bv_fail(compiler->error,
                      rc,
                      "%s%s: $ref \"%.*s\" leads nowhere",
                      node->base,
                      node->pointer,
                      BV_ARG(node->reference));
    return rc;
}

int bv_schemas_link(struct bv_schemas *schemas, struct bv_error *error)
{
    if (!schemas->documents)
        return 0;
    struct compiler compiler = {schemas, schemas->documents->arena, error};
    schemas->linked = true;
    for (bool again = true;
         again;) { /* following a reference may compile further nodes, at the front of the list */
        struct node *first = schemas->nodes;
        again = false;
        for (struct node *node = first; node; node = node->next) {
            if (!node->reference.data || node->target)
                continue;
            BV_TRY(link_node(&compiler, node));
            again = again || schemas->nodes != first;
        }
    }
    return 0;
}

/* ---- checking by name ---- */

static struct node *find(const struct bv_schemas *schemas, struct bv_bytes name)
{
    char uri[URI_MAX];
    const char *hash = memchr(name.data, '#', name.size);
    size_t size = hash ? (size_t)(hash - name.data) : name.size;
    if (name.size == 0 || size >= sizeof uri)
        return NULL;
    memcpy(uri, name.data, size);
    uri[size] = '\0';
    struct node *node = schema_resource_find(schemas, uri);
    struct bv_bytes pointer = {name.data + size + 1, name.size - size - 1};
    if (!node || !hash || pointer.size == 0)
        return node;
    const struct bv_json *json = bv_json_pointer(node->json, pointer);
    return json ? node_of(schemas, json) : NULL;
}

bool bv_schemas_has(const struct bv_schemas *schemas, struct bv_bytes name)
{
    return find(schemas, name) != NULL;
}

int bv_schemas_check(const struct bv_schemas *schemas,
                     struct bv_bytes name,
                     const struct bv_json *value,
                     struct bv_error *error)
{
    const struct node *node = find(schemas, name);
    return node ? schema_check_node(schemas, node, value, error) : BV_SCHEMA_UNKNOWN;
}
