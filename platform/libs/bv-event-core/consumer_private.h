/* Inside of the consumer: what its files share. */
#ifndef BV_CONSUMER_PRIVATE_H
#define BV_CONSUMER_PRIVATE_H

#include "bv/consumer.h"
#include "bv/parked.h"

/* Set of (topic, key). */
#define KEY_BUCKETS 4096
#define PARKED_KEYS_MAX 65536 /* at most about 10 MB a consumer */
struct parked_key {
    struct parked_key *next;
    size_t topic_size;
    size_t key_size;
    char text[]; /* topic, then key */
};
struct parked_keys {
    struct parked_key *buckets[KEY_BUCKETS];
    size_t count;
};
bool parked_keys_has(const struct parked_keys *keys, struct bv_bytes topic, struct bv_bytes key);
BV_MUST_CHECK int
parked_keys_add(struct parked_keys *keys, struct bv_bytes topic, struct bv_bytes key);
void parked_keys_remove(struct parked_keys *keys, struct bv_bytes topic, struct bv_bytes key);
void parked_keys_release(struct parked_keys *keys);

enum under_way_state {
    UNDER_WAY_QUEUED, /* waits for an earlier event of its key, or for the parked keys to be loaded
                       */
    UNDER_WAY_HANDLING,  /* the handler has it */
    UNDER_WAY_BACKOFF,   /* waits for its next try */
    UNDER_WAY_PARKING,   /* goes to the DLQ */
    UNDER_WAY_RELEASING, /* handled, its key is being released */
};
#define REASON_MAX 500
struct bv_consumer_event {
    struct bv_consumer *consumer;              /* NULL: forgotten by close */
    struct bv_consumer_event *next, *previous; /* by arrival */
    struct bv_delivery *delivery;
    struct bv_record record; /* lives with the delivery */
    struct bv_arena *arena;  /* owned */
    struct bv_event event;   /* arena */
    struct bv_timer *timer;  /* owned; made at the first wait */
    struct bv_trace trace;
    const struct bv_consumer_row *row;
    int64_t start_mono_us;
    int64_t start_wall_us;
    uint32_t attempts; /* failed so far */
    enum under_way_state state;
    bool busy; /* a callback of others will come */
    bool cut;  /* too large for the DLQ: only its place goes there */
    char reason[REASON_MAX + 1];
};
enum consumer_result { RESULT_DONE, RESULT_IGNORED, RESULT_RETRIED, RESULT_PARKED, RESULT_COUNT };
struct consumer_load;
struct bv_consumer {
    struct bv_loop *loop;
    struct bv_bus *bus;
    struct bv_log *log;
    struct bv_span_sink *spans;
    struct bv_consumer_config config;
    char *group; /* owned */
    void *context;
    struct bv_subscription *subscription;
    struct bv_idle *idle;
    struct bv_timer *load_timer;
    struct bv_consumer_event *head, *tail;
    struct parked_keys keys;
    struct parked_keys incoming;                                      /* while loading */
    struct bv_series *results[RESULT_COUNT], *seconds, *parked_gauge; /* NULL without metrics */
    struct consumer_load *load;                                       /* the store is being asked */
    bool loaded;
    bool reload;
    bool stopping;
    void (*stopped)(void *argument);
    void *stopped_argument;
};

void consumer_count(struct bv_consumer *consumer, enum consumer_result result);
/* Calls function(under_way) after delay_ms; nothing when memory is out: then at the next stop or
 * close. */
void under_way_wait(struct bv_consumer_event *under_way,
                    int64_t delay_ms,
                    void (*function)(void *under_way));
/* Acknowledges and forgets it; what waited behind it goes on. */
void under_way_finish(struct bv_consumer_event *under_way);
/* True when the consumer is gone: under_way is freed then. */
bool under_way_orphan(struct bv_consumer_event *under_way);
void consumer_settle(
    struct bv_consumer *consumer); /* something was done: start others, or finish stopping */
/* Sends it to <topic>.dlq and then finishes it; keeps trying. */
void under_way_park(struct bv_consumer_event *under_way, const char *reason);
void under_way_release_key(struct bv_consumer_event *under_way); /* and finishes it */
void consumer_load_keys(struct bv_consumer *consumer);
void consumer_load_forget(struct bv_consumer *consumer);

#endif
