/* JSON: reading into an arena, decoding by table, and a streaming writer.
 * Reading is yyjson (RFC 8259, strict UTF-8, no comments, no trailing commas) with limits on size
 * and depth; duplicate keys of an object are refused. The writer appends to a bv_buf and keeps
 * commas and quoting right. Thread: one owner at a time. */
#ifndef BV_JSON_H
#define BV_JSON_H

#include "bv/arena.h"

struct bv_json; /* one value of a parsed document; lives as long as the arena */

enum bv_json_type {
    BV_JSON_NULL,
    BV_JSON_BOOL,
    BV_JSON_INT,
    BV_JSON_REAL,
    BV_JSON_STRING,
    BV_JSON_ARRAY,
    BV_JSON_OBJECT
};

#define BV_JSON_DEPTH_MAX 64
/* Parses one document.
 * Effect:    takes about 4 times the text's size from arena, 9 to 13 times for texts of mere
 *            digits.
 * Ranges:    nesting up to BV_JSON_DEPTH_MAX; numbers beyond int64 read as reals; beyond double:
 *            refused.
 * Ownership: the document lives in arena; strings point into the arena, not the text. A
 *            failed parse leaves its memory in the arena until reset.
 * Outcomes:  none.
 * Errors:    BV_E_INVALID with byte position and reason (syntax, empty text, depth, duplicate
 *            key, bad UTF-8), BV_E_TOO_LARGE when the arena's cap is passed.
 * Thread:    owner of arena.
 * Source:    RFC 8259. */
BV_MUST_CHECK int bv_json_parse(struct bv_arena *arena,
                                struct bv_bytes text,
                                const struct bv_json **ret_root,
                                struct bv_error *error);

/* Readers. Pure; any value may be NULL, which reads as absent. Results live as long as the
 * document. */
enum bv_json_type bv_json_type(const struct bv_json *value); /* NULL pointer: BV_JSON_NULL */
const struct bv_json *bv_json_get(const struct bv_json *object,
                                  const char *key); /* NULL when absent or no object */
const struct bv_json *bv_json_get_bytes(const struct bv_json *object, struct bv_bytes key);
const struct bv_json *bv_json_at(const struct bv_json *array,
                                 size_t index);   /* NULL when out of range; O(index) */
size_t bv_json_size(const struct bv_json *value); /* members or elements; 0 for others */
struct bv_bytes
bv_json_string(const struct bv_json *value); /* BV_BYTES_NONE when no string; NUL-terminated */
int64_t bv_json_int(const struct bv_json *value,
                    int64_t otherwise); /* otherwise when no integer of int64 */
double bv_json_real(const struct bv_json *value, double otherwise); /* integers convert */
bool bv_json_bool(const struct bv_json *value, bool otherwise);
/* for (struct bv_json_iter it = bv_json_iter(v); bv_json_next(&it);) uses it.key (objects) and
 * it.value */
struct bv_json_iter {
    const struct bv_json *value;
    struct bv_bytes key;
    const struct bv_json *container;
    const void *cursor;
    size_t left;
};
struct bv_json_iter bv_json_iter(const struct bv_json *container);
bool bv_json_next(struct bv_json_iter *it);
/* RFC 6901 pointer: "/items/0/sku"; NULL when nothing is there. */
const struct bv_json *bv_json_pointer(const struct bv_json *root, struct bv_bytes pointer);
/* Append value as JSON, compact or with two spaces per level; parsing that gives the same document.
 * Errors: BV_E_TOO_LARGE when buf failed, now or before. Thread: owner of buf. */
int bv_json_write(struct bv_buf *buf, const struct bv_json *value);
int bv_json_write_pretty(struct bv_buf *buf, const struct bv_json *value);

/* Decoding an object into a struct by a table of fields. */
enum bv_field_type {
    BV_FIELD_STRING, /* struct bv_bytes; min/max are byte sizes; one with U+0000 is refused: neither
                        PostgreSQL nor C text can hold it */
    BV_FIELD_INT64,  /* int64_t; min/max are values */
    BV_FIELD_BOOL,   /* bool */
    BV_FIELD_JSON,   /* const struct bv_json *, any type, null included */
};
struct bv_field {
    const char *name;
    size_t offset;
    enum bv_field_type type;
    bool required;
    int64_t min;
    int64_t max;
};
enum bv_strictness { BV_LENIENT, BV_STRICT }; /* strict: unknown members are refused */
/* Decodes members into target.
 * Effect:    writes the fields found; missing optional fields leave target as it is. null is a
 *            value of the wrong type, except for BV_FIELD_JSON.
 * Ranges:    min == max == 0 means no range.
 * Ownership: strings and values in target live as long as the document.
 * Outcomes:  none.
 * Errors:    BV_E_UNPROCESSABLE with "/member" as the pointer and what is wrong; target may then
 *            hold some of the fields.
 * Thread:    any. */
BV_MUST_CHECK int bv_json_decode(const struct bv_json *object,
                                 const struct bv_field *fields,
                                 size_t count,
                                 enum bv_strictness strictness,
                                 void *target,
                                 struct bv_error *error);

/* Writer. struct bv_json_writer w = bv_json_writer(&buf); bv_jw_object(&w); bv_jw_key(&w, "a");
 * bv_jw_int(&w, 1); bv_jw_end(&w); Wrong nesting is our own mistake and asserts; running out of
 * room marks the buffer failed. */
struct bv_json_writer {
    struct bv_buf *buf;
    uint64_t object_bits; /* bit per depth: 1 object, 0 array */
    uint8_t depth;        /* at most BV_JSON_DEPTH_MAX */
    bool comma;           /* something precedes in this container */
    bool keyed;           /* a key waits for its value */
};
struct bv_json_writer bv_json_writer(struct bv_buf *buf);
/* Appends text as one JSON string with its quotes; what bv_jw_string does, without a writer. */
void bv_json_quote(struct bv_buf *buf, struct bv_bytes text);
void bv_jw_object(struct bv_json_writer *w);
void bv_jw_array(struct bv_json_writer *w);
void bv_jw_end(struct bv_json_writer *w);
void bv_jw_key(struct bv_json_writer *w, const char *key);
void bv_jw_key_bytes(struct bv_json_writer *w, struct bv_bytes key);
void bv_jw_string(struct bv_json_writer *w,
                  struct bv_bytes text);                     /* invalid UTF-8 becomes U+FFFD */
void bv_jw_text(struct bv_json_writer *w, const char *text); /* NULL becomes null */
void bv_jw_int(struct bv_json_writer *w, int64_t value);
void bv_jw_real(struct bv_json_writer *w, double value); /* non-finite becomes null */
void bv_jw_bool(struct bv_json_writer *w, bool value);
void bv_jw_null(struct bv_json_writer *w);
void bv_jw_raw(struct bv_json_writer *w,
               struct bv_bytes json); /* caller vouches that it is one JSON value */
/* key and value in one call */
void bv_jw_kv_string(struct bv_json_writer *w, const char *key, struct bv_bytes text);
void bv_jw_kv_text(struct bv_json_writer *w, const char *key, const char *text);
void bv_jw_kv_int(struct bv_json_writer *w, const char *key, int64_t value);
void bv_jw_kv_bool(struct bv_json_writer *w, const char *key, bool value);

#endif
