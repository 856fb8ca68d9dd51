/* Single-flight: an open-addressing table of pointers, never more than half full; one allocation
 * per key in flight. */
#include "bv/resilience.h"

#include <stdlib.h>

struct waiter {
    bv_flight_done *done;
    void *argument;
};

struct flight {
    uint64_t hash;
    struct bv_bytes key;    /* behind this struct */
    struct waiter *waiters; /* owned */
    size_t count;
    size_t capacity;
};

struct bv_flights {
    size_t keys_max;
    size_t waiters_max;
    size_t count;
    bool closing;
    size_t slot_mask;
    struct flight *slots[]; /* owned */
};

int bv_flights_open(size_t keys_max, size_t waiters_max, struct bv_flights **ret_flights)
{
    size_t slots = 4;
    assert(keys_max >= 1 && keys_max <= SIZE_MAX / 64 && waiters_max >= 1);
    while (slots < 2 * keys_max)
        slots *= 2;
    struct bv_flights *flights = calloc(1, sizeof(*flights) + slots * sizeof(struct flight *));
    if (!flights)
        return BV_E_NOMEM;
    flights->keys_max = keys_max;
    flights->waiters_max = waiters_max;
    flights->slot_mask = slots - 1;
    *ret_flights = flights;
    return 0;
}

static uint64_t hash_key(struct bv_bytes key)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < key.size; i++)
        hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(1099511628211);
    return hash ^ hash >> 32;
}

static size_t slot_of(const struct bv_flights *flights, struct bv_bytes key, uint64_t hash)
{
    size_t at = hash & flights->slot_mask;
    for (; flights->slots[at]; at = (at + 1) & flights->slot_mask)
        if (flights->slots[at]->hash == hash && bv_bytes_equal(flights->slots[at]->key, key))
            break;
    return at;
}

/* Removes the flight and moves later ones of the same run back, so that no marker is needed. */
static struct flight *take(struct bv_flights *flights, size_t at)
{
    struct flight *flight = flights->slots[at];
    size_t hole = at;
    flights->slots[hole] = NULL;
    flights->count--;
    for (size_t i = (at + 1) & flights->slot_mask; flights->slots[i];
         i = (i + 1) & flights->slot_mask) {
        size_t home = flights->slots[i]->hash & flights->slot_mask;
        if (((i - home) & flights->slot_mask) < ((i - hole) & flights->slot_mask))
            continue;
        flights->slots[hole] = flights->slots[i];
        flights->slots[i] = NULL;
        hole = i;
    }
    return flight;
}

static int add_waiter(struct flight *flight, bv_flight_done *done, void *argument)
{
    if (flight->count == flight->capacity) {
        size_t capacity = flight->capacity == 0 ? 4 : flight->capacity * 2;
        struct waiter *waiters = realloc(flight->waiters, capacity * sizeof(*waiters));
        if (!waiters)
            return BV_E_NOMEM;
        flight->waiters = waiters;
        flight->capacity = capacity;
    }
    flight->waiters[flight->count++] = (struct waiter){done, argument};
    return 0;
}

static struct flight *flight_new(struct bv_bytes key, uint64_t hash)
{
    struct flight *flight = malloc(sizeof(*flight) + key.size);
    if (!flight)
        return NULL;
    char *copy = (char *)(flight + 1);
    if (key.size > 0)
        memcpy(copy, key.data, key.size);
    *flight = (struct flight){
        .hash = hash, .key = {copy, key.size}
    };
    return flight;
}

static void flight_free(struct flight *flight)
{
    free(flight->waiters);
    free(flight);
}

int bv_flight_join(struct bv_flights *flights,
                   struct bv_bytes key,
                   bv_flight_done *done,
                   void *argument)
{
    uint64_t hash = hash_key(key);
    if (flights->closing)
        return BV_E_CLOSED;
    size_t at = slot_of(flights, key, hash);
    struct flight *flight = flights->slots[at];
    if (flight) {
        if (flight->count >= flights->waiters_max)
            return BV_E_LIMIT;
        BV_TRY(add_waiter(flight, done, argument));
        return BV_FLIGHT_FOLLOWER;
    }
    if (flights->count >= flights->keys_max)
        return BV_E_LIMIT;
    flight = flight_new(key, hash);
    if (!flight)
        return BV_E_NOMEM;
    int rc = add_waiter(flight, done, argument);
    if (rc < 0) {
        flight_free(flight);
        return rc;
    }
    flights->slots[at] = flight;
    flights->count++;
    return BV_FLIGHT_LEADER;
}

static void call_all(struct flight *flight, int rc, const void *result)
{
    for (size_t i = 0; i < flight->count; i++)
        flight->waiters[i].done(flight->waiters[i].argument, rc, result);
    flight_free(flight);
}

void bv_flight_land(struct bv_flights *flights, struct bv_bytes key, int rc, const void *result)
{
    size_t at = slot_of(flights, key, hash_key(key));
    if (flights->slots[at])
        call_all(take(flights, at), rc, result); /* out of the table first: done may join again */
}

void bv_flights_close(struct bv_flights **flights)
{
    if (!flights || !*flights)
        return;
    struct bv_flights *closing = *flights;
    closing->closing = true;
    for (size_t at = 0; at <= closing->slot_mask; at++)
        while (closing->slots[at])
            call_all(take(closing, at), BV_E_CANCELLED, NULL);
    free(closing);
    *flights = NULL;
}
