#include "grpc_descriptors.h"

#include <stdio.h>
#include <stdlib.h>

#define NESTING_MAX 16

/* Field numbers of descriptor.proto. */
enum {
    SET_FILE = 1,
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_DEPENDENCY = 3,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    FILE_EXTENSION = 7,
    ANY_NAME = 1, /* of message, enum, service, method, field, enum value */
    MESSAGE_FIELD = 2,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    ENUM_VALUE = 2,
    SERVICE_METHOD = 2,
};

/* ---- wire form: a message is a row of (number << 3 | type, value) ---- */

struct wire {
    const char *at;
    const char *end;
    bool bad;
};
struct wire_field {
    uint64_t number;
    struct bv_bytes bytes; /* of length-delimited fields, else NONE */
};

static uint64_t wire_varint(struct wire *wire)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (wire->at == wire->end)
            break;
        uint8_t octet = (uint8_t)*wire->at++;
        value |= (uint64_t)(octet & 0x7f) << shift;
        if (!(octet & 0x80))
            return value;
    }
    wire->bad = true;
    return 0;
}

static void wire_skip(struct wire *wire, uint64_t size)
{
    if (size > (uint64_t)(wire->end - wire->at))
        wire->bad = true;
    else
        wire->at += size;
}

static bool wire_next(struct wire *wire, struct wire_field *ret_field)
{
    if (wire->bad || wire->at == wire->end)
        return false;
    uint64_t tag = wire_varint(wire);
    *ret_field = (struct wire_field){.number = tag >> 3};
    switch (tag & 7) {
    case 0:
        (void)wire_varint(wire);
        break;
    case 1:
        wire_skip(wire, 8);
        break;
    case 2: {
        uint64_t size = wire_varint(wire);
        const char *from = wire->at;
        wire_skip(wire, size);
        if (!wire->bad)
            ret_field->bytes = (struct bv_bytes){from, (size_t)size};
        break;
    }
    case 5:
        wire_skip(wire, 4);
        break;
    default:
        wire->bad = true;
    }
    return !wire->bad;
}

static struct wire wire_of(struct bv_bytes bytes)
{
    const char *data = bytes.size ? bytes.data : ""; /* an absent field has no address */
    return (struct wire){data, data + bytes.size, false};
}

static struct bv_bytes wire_find(struct bv_bytes message, uint64_t number)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    while (wire_next(&wire, &field))
        if (field.number == number)
            return field.bytes;
    return BV_BYTES_NONE;
}

/* ---- index ---- */

static int symbol_add(struct rpc_descriptors *index,
                      const char *scope,
                      struct bv_bytes name,
                      bool service,
                      const char **ret_full)
{
    if (name.size == 0)
        return BV_E_INVALID;
    struct rpc_symbol *grown = realloc(index->symbols, (index->symbol_count + 1) * sizeof *grown);
    if (!grown)
        return BV_E_NOMEM;
    index->symbols = grown;
    char *full = NULL;
    if (asprintf(&full, "%s%s%.*s", scope, scope[0] ? "." : "", BV_ARG(name)) < 0)
        return BV_E_NOMEM;
    grown[index->symbol_count++] =
        (struct rpc_symbol){.full = full, .file = index->file_count, .service = service};
    if (ret_full)
        *ret_full = full;
    return 0;
}

/* Names of all children of `number`; grandchildren live in the scope of the child. */
static int add_children(struct rpc_descriptors *index,
                        const char *scope,
                        struct bv_bytes parent,
                        uint64_t number)
{
    struct wire wire = wire_of(parent);
    struct wire_field field;
    while (wire_next(&wire, &field))
        if (field.number == number)
            BV_TRY(symbol_add(index, scope, wire_find(field.bytes, ANY_NAME), false, NULL));
    return wire.bad ? BV_E_INVALID : 0;
}

static int add_enum(struct rpc_descriptors *index, const char *scope, struct bv_bytes bytes)
{
    BV_TRY(symbol_add(index, scope, wire_find(bytes, ANY_NAME), false, NULL));
    return add_children(index, scope, bytes, ENUM_VALUE); /* values are siblings of their enum */
}

static int add_service(struct rpc_descriptors *index, const char *scope, struct bv_bytes bytes)
{
    const char *full = NULL;
    BV_TRY(symbol_add(index, scope, wire_find(bytes, ANY_NAME), true, &full));
    return add_children(index, full, bytes, SERVICE_METHOD);
}

static int
add_message(struct rpc_descriptors *index, const char *scope, struct bv_bytes bytes, unsigned depth)
{
    if (depth > NESTING_MAX)
        return BV_E_INVALID;
    const char *full = NULL;
    BV_TRY(symbol_add(index, scope, wire_find(bytes, ANY_NAME), false, &full));
    BV_TRY(add_children(index, full, bytes, MESSAGE_FIELD));
    struct wire wire = wire_of(bytes);
    struct wire_field field;
    while (wire_next(&wire, &field)) {
        if (field.number == MESSAGE_NESTED)
            BV_TRY(add_message(index, full, field.bytes, depth + 1));
        if (field.number == MESSAGE_ENUM)
            BV_TRY(add_enum(index, full, field.bytes));
    }
    return wire.bad ? BV_E_INVALID : 0;
}

static int add_file(struct rpc_descriptors *index, struct bv_bytes bytes)
{
    struct bv_bytes name = wire_find(bytes, FILE_NAME);
    if (name.size == 0)
        return BV_E_INVALID;
    if (rpc_descriptors_file(index, name) < index->file_count)
        return 0;
    struct bv_bytes package = wire_find(bytes, FILE_PACKAGE);
    char scope[256];
    snprintf(scope, sizeof scope, "%.*s", BV_ARG(package));
    BV_TRY(add_children(index, scope, bytes, FILE_EXTENSION));
    struct wire wire = wire_of(bytes);
    struct wire_field field;
    while (wire_next(&wire, &field)) {
        if (field.number == FILE_MESSAGE)
            BV_TRY(add_message(index, scope, field.bytes, 0));
        if (field.number == FILE_ENUM)
            BV_TRY(add_enum(index, scope, field.bytes));
        if (field.number == FILE_SERVICE)
            BV_TRY(add_service(index, scope, field.bytes));
    }
    if (wire.bad)
        return BV_E_INVALID;
    struct rpc_file *grown = realloc(index->files, (index->file_count + 1) * sizeof *grown);
    if (!grown)
        return BV_E_NOMEM;
    index->files = grown;
    grown[index->file_count++] = (struct rpc_file){name, bytes};
    return 0;
}

int rpc_descriptors_add(struct rpc_descriptors *index, struct bv_bytes set)
{
    struct wire wire = wire_of(set);
    struct wire_field field;
    while (wire_next(&wire, &field)) {
        if (field.number != SET_FILE)
            continue;
        size_t symbols = index->symbol_count;
        int rc = add_file(index, field.bytes);
        if (rc < 0) {
            while (index->symbol_count > symbols)
                free(index->symbols[--index->symbol_count].full);
            return rc;
        }
    }
    return wire.bad ? BV_E_INVALID : 0;
}

void rpc_descriptors_release(struct rpc_descriptors *index)
{
    for (size_t i = 0; i < index->symbol_count; i++)
        free(index->symbols[i].full);
    free(index->symbols);
    free(index->files);
    *index = (struct rpc_descriptors){0};
}

const struct rpc_symbol *rpc_descriptors_symbol(const struct rpc_descriptors *index,
                                                struct bv_bytes full)
{
    for (size_t i = 0; i < index->symbol_count; i++)
        if (bv_bytes_equal(bv_bytes_of(index->symbols[i].full), full))
            return &index->symbols[i];
    return NULL;
}

size_t rpc_descriptors_file(const struct rpc_descriptors *index, struct bv_bytes name)
{
    size_t at = 0;
    while (at < index->file_count && !bv_bytes_equal(index->files[at].name, name))
        at++;
    return at;
}

void rpc_descriptors_closure(const struct rpc_descriptors *index, size_t file, bool *marks)
{
    if (marks[file])
        return;
    marks[file] = true;
    struct wire wire = wire_of(index->files[file].bytes);
    struct wire_field field;
    while (wire_next(&wire, &field)) {
        if (field.number != FILE_DEPENDENCY)
            continue;
        size_t dependency = rpc_descriptors_file(index, field.bytes);
        if (dependency < index->file_count)
            rpc_descriptors_closure(index, dependency, marks);
    }
}
