/* Request memory: everything reachable from a request lives in its arena and ends with it.
 * Invariant: an arena never holds more than its cap; nothing in it is freed singly. Thread: one
 * owner at a time. */
#ifndef BV_ARENA_H
#define BV_ARENA_H

#include "bv/bytes.h"

struct bv_arena;

/* Opens an arena.
 * Effect:    allocates 4 KiB, which hold the arena and its first chunk; later chunks double to
 *            32 KiB, blocks over 1 KiB that do not fit the current chunk get their own memory.
 * Ranges:    at most max_bytes are given out; each allocation counts rounded up to 16.
 * Ownership: the caller closes it.
 * Outcomes:  none.
 * Errors:    BV_E_NOMEM.
 * Thread:    owner. */
BV_MUST_CHECK int bv_arena_open(size_t max_bytes, struct bv_arena **ret_arena);
/* Runs the deferred functions, newest first, frees everything, leaves NULL; accepts NULL.
 * Thread: owner. */
void bv_arena_close(struct bv_arena **arena);
/* Runs the deferred functions, newest first, and makes the arena empty and sound again, keeping
 * only its first chunk. Everything allocated before is gone. Thread: owner. */
void bv_arena_reset(struct bv_arena *arena);
/* Zeroed memory aligned for any type; NULL when the cap or memory is exhausted (the arena then
 * reports failed). */
void *bv_arena_alloc(struct bv_arena *arena, size_t size);
/* The same for count elements; a product that overflows counts as exhausted. */
void *bv_arena_alloc_array(struct bv_arena *arena, size_t size, size_t count);
/* As bv_arena_alloc, but the memory is not zeroed. */
void *bv_arena_alloc_raw(struct bv_arena *arena, size_t size);
/* Changes the size of one allocation, moving it when it must; added bytes are not zeroed. data
 * NULL: a new allocation. NULL when exhausted (data then stays as it was). The newest allocation
 * and blocks over 1 KiB move cheaply. */
void *bv_arena_resize(struct bv_arena *arena, void *data, size_t old_size, size_t new_size);
#define bv_arena_new(arena, type) ((type *)bv_arena_alloc((arena), sizeof(type)))
#define bv_arena_array(arena, type, count)                                                         \
    ((type *)bv_arena_alloc_array((arena), sizeof(type), (count)))
/* Copies with a NUL after the last byte, which size does not count; BV_BYTES_NONE / NULL when
 * exhausted. An empty span yields an empty text that is not NULL. */
struct bv_bytes bv_arena_copy(struct bv_arena *arena, struct bv_bytes bytes);
char *bv_arena_text(struct bv_arena *arena, struct bv_bytes bytes);
char *bv_arena_format(struct bv_arena *arena, const char *format, ...) BV_PRINTF(2, 3);
/* Ties the end of something else to the end of the arena's content.
 * Effect:    end(argument) runs once, when the arena is reset or closed; it must not allocate here.
 * Ownership: argument passes to the arena.
 * Outcomes:  none.
 * Errors:    BV_E_NOMEM when the entry does not fit; end has then run already.
 * Thread:    owner. */
BV_MUST_CHECK int
bv_arena_defer(struct bv_arena *arena, void (*end)(void *argument), void *argument);
bool bv_arena_failed(const struct bv_arena *arena); /* some allocation since open or reset failed */
size_t bv_arena_used(const struct bv_arena *arena); /* bytes that count against the cap */

#endif
