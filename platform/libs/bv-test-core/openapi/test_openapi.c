#include "bv/test_openapi.h"
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#define OPERATIONS_MAX 128
#define TEXT_MAX 256

struct operation {
    enum bv_http_method method;
    char path[TEXT_MAX];
    char operation_id[TEXT_MAX];
    char scope[TEXT_MAX];
    char body_limit[TEXT_MAX];
};
struct operations {
    size_t count;
    struct operation rows[OPERATIONS_MAX];
};

static const struct {
    const char *name;
    enum bv_http_method method;
} methods[] = {
    {"get",     BV_GET    },
    {"head",    BV_HEAD   },
    {"post",    BV_POST   },
    {"put",     BV_PUT    },
    {"patch",   BV_PATCH  },
    {"delete",  BV_DELETE },
    {"options", BV_OPTIONS},
};

static const char *scalar(const yaml_node_t *node)
{
    return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

static yaml_node_t *member(yaml_document_t *document, const yaml_node_t *mapping, const char *key)
{
    if (!mapping || mapping->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
         pair < mapping->data.mapping.pairs.top;
         pair++) {
        const char *name = scalar(yaml_document_get_node(document, pair->key));
        if (name && strcmp(name, key) == 0)
            return yaml_document_get_node(document, pair->value);
    }
    return NULL;
}

static void
text_of(yaml_document_t *document, const yaml_node_t *mapping, const char *key, char out[TEXT_MAX])
{
    const char *text = scalar(member(document, mapping, key));
    snprintf(out, TEXT_MAX, "%s", text ? text : "(missing)");
}

static void read_path(yaml_document_t *document,
                      const char *path,
                      const yaml_node_t *item,
                      struct operations *operations)
{
    for (size_t i = 0; i < BV_COUNT(methods); i++) {
        const yaml_node_t *node = member(document, item, methods[i].name);
        if (!node || operations->count == OPERATIONS_MAX)
            continue;
        struct operation *row = &operations->rows[operations->count++];
        row->method = methods[i].method;
        snprintf(row->path, sizeof(row->path), "%s", path);
        text_of(document, node, "operationId", row->operation_id);
        text_of(document, node, "x-scope", row->scope);
        text_of(document, node, "x-body-limit-bytes", row->body_limit);
    }
}

static int read_operations(struct bv_bytes yaml, struct operations *operations)
{
    yaml_parser_t parser;
    yaml_document_t document;
    int rc = BV_E_INVALID;
    if (!yaml_parser_initialize(&parser))
        return BV_E_NOMEM;
    yaml_parser_set_input_string(&parser, (const unsigned char *)yaml.data, yaml.size);
    if (yaml_parser_load(&parser, &document)) {
        yaml_node_t *paths = member(&document, yaml_document_get_root_node(&document), "paths");
        if (paths && paths->type == YAML_MAPPING_NODE) {
            for (yaml_node_pair_t *pair = paths->data.mapping.pairs.start;
                 pair < paths->data.mapping.pairs.top;
                 pair++) {
                const char *path = scalar(yaml_document_get_node(&document, pair->key));
                read_path(&document,
                          path ? path : "",
                          yaml_document_get_node(&document, pair->value),
                          operations);
            }
            rc = 0;
        }
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return rc;
}

static const char *scope_word(const char *scope)
{
    return !scope ? "public" : *scope ? scope : "authenticated";
}

static void compare(const struct bv_http_route *row,
                    const struct operation *operation,
                    struct bv_buf *differences)
{
    char body_limit[32];
    snprintf(body_limit, sizeof(body_limit), "%zu", row->body_bytes_max);
    const struct {
        const char *what, *table, *contract;
    } pairs[] = {
        {"operationId",        row->operation_id ? row->operation_id : "(none)", operation->operation_id},
        {"x-scope",            scope_word(row->scope),                           operation->scope       },
        {"x-body-limit-bytes", body_limit,                                       operation->body_limit  },
    };
    for (size_t i = 0; i < BV_COUNT(pairs); i++)
        if (strcmp(pairs[i].table, pairs[i].contract) != 0)
            bv_buf_format(differences,
                          "%s: %s is \"%s\" in the table, \"%s\" in the contract\n",
                          row->path,
                          pairs[i].what,
                          pairs[i].table,
                          pairs[i].contract);
}

int bv_test_openapi(const struct bv_http_route *rows,
                    size_t count,
                    struct bv_bytes yaml,
                    struct bv_buf *differences)
{
    struct operations *operations = calloc(1, sizeof(*operations));
    if (!operations)
        return BV_E_NOMEM;
    int rc = read_operations(yaml, operations);
    for (size_t o = 0; rc == 0 && o < operations->count; o++) {
        const struct operation *operation = &operations->rows[o];
        const struct bv_http_route *found = NULL;
        for (size_t r = 0; r < count; r++)
            if (rows[r].method == operation->method && strcmp(rows[r].path, operation->path) == 0)
                found = &rows[r];
        if (found)
            compare(found, operation, differences);
        else
            bv_buf_format(differences,
                          "%s (%s) is in the contract, not in the table\n",
                          operation->operation_id,
                          operation->path);
    }
    for (size_t r = 0; rc == 0 && r < count; r++) {
        bool found = false;
        for (size_t o = 0; o < operations->count; o++)
            found |= rows[r].method == operations->rows[o].method &&
                     strcmp(rows[r].path, operations->rows[o].path) == 0;
        if (!found)
            bv_buf_format(differences,
                          "%s (%s) is in the table, not in the contract\n",
                          rows[r].operation_id,
                          rows[r].path);
    }
    free(operations);
    return rc;
}
