/* An arena is one allocation of 4 KiB that holds the bookkeeping and the first chunk:
 *
 *   [arena | first chunk...] -> [chunk 8 KiB] -> [chunk 16 KiB] ...    bump pointers, newest first
 *   large: [block] <-> [block]                                         own memory, may be resized
 *
 * A reset frees everything but the first chunk, so an idle connection keeps 4 KiB. */
#include "bv/arena.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISON 1
#endif
#endif
#ifdef ARENA_POISON
/* As sanitizer/asan_interface.h has them but for const, at which gcc thinks that memory is read. */
void __asan_poison_memory_region(void *start, size_t size);
void __asan_unpoison_memory_region(void *start, size_t size);
#define poison(start, size) __asan_poison_memory_region((start), (size))
#define unpoison(start, size) __asan_unpoison_memory_region((start), (size))
#else
#define poison(start, size) ((void)(start), (void)(size))
#define unpoison(start, size) ((void)(start), (void)(size))
#endif

enum {
    ALIGNMENT = 16,
    OPEN_BYTES = 4096,
    CHUNK_BYTES_MAX = 32768,
    LARGE_MIN = 1024, /* what does not fit the current chunk and is larger gets its own block */
};

struct chunk {
    struct chunk *next; /* owned: the older one */
    size_t capacity;
    size_t used;
    _Alignas(ALIGNMENT) char data[];
};

struct large {
    struct large *next;
    struct large *previous;
    _Alignas(ALIGNMENT) char data[];
};

struct deferred {
    struct deferred *next; /* arena */
    void (*end)(void *argument);
    void *argument;
};

struct bv_arena {
    size_t max;
    size_t used;
    bool failed;
    struct chunk *current; /* owned, ends in &first */
    struct large *large;   /* owned */
    struct deferred *deferred;
    struct chunk first; /* must be last */
};

int bv_arena_open(size_t max_bytes, struct bv_arena **ret_arena)
{
    struct bv_arena *arena = malloc(OPEN_BYTES);
    if (!arena)
        return BV_E_NOMEM;
    *arena = (struct bv_arena){.max = max_bytes, .current = &arena->first};
    arena->first.capacity = OPEN_BYTES - offsetof(struct bv_arena, first.data);
    poison(arena->first.data, arena->first.capacity);
    *ret_arena = arena;
    return 0;
}

static void free_all_but_first(struct bv_arena *arena)
{
    while (arena->deferred) {
        struct deferred entry = *arena->deferred;
        arena->deferred = entry.next;
        entry.end(entry.argument);
    }
    while (arena->current != &arena->first) {
        struct chunk *old = arena->current;
        arena->current = old->next;
        unpoison(old->data, old->capacity);
        free(old);
    }
    while (arena->large) {
        struct large *old = arena->large;
        arena->large = old->next;
        free(old);
    }
}

void bv_arena_close(struct bv_arena **arena)
{
    if (!arena || !*arena)
        return;
    free_all_but_first(*arena);
    unpoison((*arena)->first.data, (*arena)->first.capacity);
    free(*arena);
    *arena = NULL;
}

void bv_arena_reset(struct bv_arena *arena)
{
    free_all_but_first(arena);
    arena->first.used = 0;
    arena->used = 0;
    arena->failed = false;
    poison(arena->first.data, arena->first.capacity);
}

static void *fail(struct bv_arena *arena)
{
    arena->failed = true;
    return NULL;
}

static size_t rounded(size_t size)
{
    return size == 0 ? ALIGNMENT : (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static void *take_large(struct bv_arena *arena, size_t room)
{
    struct large *block = malloc(sizeof(*block) + room);
    if (!block)
        return fail(arena);
    *block = (struct large){.next = arena->large};
    if (arena->large)
        arena->large->previous = block;
    arena->large = block;
    arena->used += room;
    return block->data;
}

static void *take_from_new_chunk(struct bv_arena *arena, size_t room, size_t size)
{
    size_t bytes = arena->current == &arena->first
                       ? OPEN_BYTES
                       : arena->current->capacity + sizeof(struct chunk);
    bytes = bytes * 2 > CHUNK_BYTES_MAX ? CHUNK_BYTES_MAX : bytes * 2;
    struct chunk *chunk = malloc(bytes);
    if (!chunk)
        return fail(arena);
    *chunk = (struct chunk){.next = arena->current, .capacity = bytes - sizeof(*chunk)};
    poison(chunk->data, chunk->capacity);
    arena->current = chunk;
    chunk->used = room;
    arena->used += room;
    unpoison(chunk->data, size);
    return chunk->data;
}

void *bv_arena_alloc_raw(struct bv_arena *arena, size_t size)
{
    size_t room = rounded(size);
    if (__builtin_expect(size > arena->max || room > arena->max - arena->used, 0))
        return fail(arena);
    struct chunk *chunk = arena->current;
    if (__builtin_expect(room <= chunk->capacity - chunk->used, 1)) {
        char *data = chunk->data + chunk->used;
        chunk->used += room;
        arena->used += room;
        unpoison(data, size);
        return data;
    }
    return room > LARGE_MIN ? take_large(arena, room) : take_from_new_chunk(arena, room, size);
}

void *bv_arena_alloc(struct bv_arena *arena, size_t size)
{
    void *data = bv_arena_alloc_raw(arena, size);
    return data ? memset(data, 0, size) : NULL;
}

void *bv_arena_alloc_array(struct bv_arena *arena, size_t size, size_t count)
{
    size_t bytes;
    return __builtin_mul_overflow(size, count, &bytes) ? fail(arena) : bv_arena_alloc(arena, bytes);
}

static struct large *find_large(struct bv_arena *arena, const void *data)
{
    for (struct large *block = arena->large; block; block = block->next)
        if (block->data == data)
            return block;
    return NULL;
}

static void *resize_large(struct bv_arena *arena, struct large *block, size_t room)
{
    struct large *moved = realloc(block, sizeof(*block) + room);
    if (!moved)
        return fail(arena);
    if (moved->previous)
        moved->previous->next = moved;
    else
        arena->large = moved;
    if (moved->next)
        moved->next->previous = moved;
    return moved->data;
}

void *bv_arena_resize(struct bv_arena *arena, void *data, size_t old_size, size_t new_size)
{
    if (!data)
        return bv_arena_alloc_raw(arena, new_size);
    size_t old_room = rounded(old_size);
    size_t room = rounded(new_size);
    if (new_size > arena->max || (room > old_room && room - old_room > arena->max - arena->used))
        return fail(arena);
    struct large *block = old_room > LARGE_MIN ? find_large(arena, data) : NULL;
    if (block) {
        void *moved = resize_large(arena, block, room);
        if (moved)
            arena->used = arena->used - old_room + room;
        return moved;
    }
    struct chunk *chunk = arena->current;
    char *start = data;
    bool newest = start + old_room == chunk->data + chunk->used;
    if (room <= old_room || (newest && room - old_room <= chunk->capacity - chunk->used)) {
        if (newest) {
            chunk->used = chunk->used - old_room + room;
            arena->used = arena->used - old_room + room;
        }
        poison(start, newest ? old_room : 0);
        unpoison(start, new_size);
        return start;
    }
    void *moved = bv_arena_alloc_raw(arena, new_size);
    return moved ? memcpy(moved, data, old_size) : NULL;
}

struct bv_bytes bv_arena_copy(struct bv_arena *arena, struct bv_bytes bytes)
{
    char *text = bv_arena_text(arena, bytes);
    return text ? (struct bv_bytes){text, bytes.size} : BV_BYTES_NONE;
}

char *bv_arena_text(struct bv_arena *arena, struct bv_bytes bytes)
{
    char *text = bytes.size == SIZE_MAX ? fail(arena) : bv_arena_alloc_raw(arena, bytes.size + 1);
    if (!text)
        return NULL;
    if (bytes.size > 0)
        memcpy(text, bytes.data, bytes.size);
    text[bytes.size] = '\0';
    return text;
}

char *bv_arena_format(struct bv_arena *arena, const char *format, ...)
{
    char small[256];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(small, sizeof(small), format, arguments);
    va_end(arguments);
    if (size < 0)
        return fail(arena);
    if ((size_t)size < sizeof(small))
        return bv_arena_text(arena, (struct bv_bytes){small, (size_t)size});
    char *text = bv_arena_alloc_raw(arena, (size_t)size + 1);
    if (!text)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)size + 1, format, arguments);
    va_end(arguments);
    return text;
}

int bv_arena_defer(struct bv_arena *arena, void (*end)(void *argument), void *argument)
{
    struct deferred *entry = bv_arena_alloc_raw(arena, sizeof(*entry));
    if (!entry) {
        end(argument);
        return BV_E_NOMEM;
    }
    *entry = (struct deferred){arena->deferred, end, argument};
    arena->deferred = entry;
    return 0;
}

bool bv_arena_failed(const struct bv_arena *arena)
{
    return arena->failed;
}

size_t bv_arena_used(const struct bv_arena *arena)
{
    return arena->used;
}
