#include "auth_throttle.h"

#include <stdlib.h>

#define WAYS 4 /* places that a name may have */

struct bucket {
    uint64_t name;
    int64_t full_at_ms; /* past: nobody's */
};
struct auth_throttle {
    struct bucket *buckets; /* owned */
    size_t sets;
    int64_t burst, refill_ms;
};

int auth_throttle_open(size_t names_max,
                       int64_t burst,
                       int64_t refill_ms,
                       struct auth_throttle **ret_throttle)
{
    struct auth_throttle *throttle = calloc(1, sizeof(*throttle));
    if (!throttle)
        return BV_E_NOMEM;
    throttle->sets = names_max / WAYS;
    throttle->burst = burst;
    throttle->refill_ms = refill_ms;
    throttle->buckets = calloc(throttle->sets * WAYS, sizeof(*throttle->buckets));
    if (!throttle->buckets) {
        auth_throttle_close(&throttle);
        return BV_E_NOMEM;
    }
    *ret_throttle = throttle;
    return 0;
}

static struct bucket *set_of(const struct auth_throttle *throttle, uint64_t name)
{
    return &throttle->buckets[name % throttle->sets * WAYS];
}

bool auth_throttle_allows(const struct auth_throttle *throttle, uint64_t name, int64_t now_ms)
{
    const struct bucket *set = set_of(throttle, name);
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].name == name)
            return set[i].full_at_ms - now_ms <= (throttle->burst - 1) * throttle->refill_ms;
    return true;
}

void auth_throttle_failed(struct auth_throttle *throttle, uint64_t name, int64_t now_ms)
{
    struct bucket *set = set_of(throttle, name), *bucket = set;
    for (size_t i = 0; i < WAYS && bucket->name != name; i++)
        if (set[i].name == name || set[i].full_at_ms < bucket->full_at_ms)
            bucket = &set[i];
    const bool known = bucket->name == name && bucket->full_at_ms > now_ms;
    const int64_t most_ms = now_ms + throttle->burst * throttle->refill_ms;
    bucket->name = name;
    bucket->full_at_ms = (known ? bucket->full_at_ms : now_ms) + throttle->refill_ms;
    if (bucket->full_at_ms > most_ms)
        bucket->full_at_ms = most_ms;
}

void auth_throttle_close(struct auth_throttle **throttle)
{
    if (!*throttle)
        return;
    free((*throttle)->buckets);
    free(*throttle);
    *throttle = NULL;
}
