#include "http_internal.h"

static struct http_timer *slot_of(struct http_wheel *wheel, int64_t at_ms)
{
    return &wheel->slots[(size_t)(at_ms / HTTP_TICK_MS) % HTTP_WHEEL_SLOTS];
}

static void file(struct http_wheel *wheel, struct http_timer *timer)
{
    const int64_t first = wheel->ticked_ms + HTTP_TICK_MS;
    const int64_t last = wheel->ticked_ms + (int64_t)HTTP_TICK_MS * (HTTP_WHEEL_SLOTS - 1);
    /* The slot after the due time, so that a slot that comes up is due as a whole. */
    int64_t at = timer->due_ms + HTTP_TICK_MS - 1;
    at = at < first ? first : at > last ? last : at;
    struct http_timer *head = slot_of(wheel, at);
    timer->slot_ms = at;
    timer->next = head;
    timer->prev = head->prev;
    head->prev->next = timer;
    head->prev = timer;
    wheel->count++;
}

static void unfile(struct http_wheel *wheel, struct http_timer *timer)
{
    timer->prev->next = timer->next;
    timer->next->prev = timer->prev;
    timer->prev = timer->next = NULL;
    wheel->count--;
}

void http_wheel_init(struct http_wheel *wheel, int64_t now_ms)
{
    for (size_t i = 0; i < HTTP_WHEEL_SLOTS; i++)
        wheel->slots[i].prev = wheel->slots[i].next = &wheel->slots[i];
    wheel->ticked_ms = now_ms / HTTP_TICK_MS * HTTP_TICK_MS;
    wheel->count = 0;
}

void http_wheel_set(struct http_wheel *wheel, struct http_timer *timer, int64_t due_ms)
{
    timer->due_ms = due_ms;
    if (timer->prev && due_ms + HTTP_TICK_MS - 1 >= timer->slot_ms)
        return;
    if (timer->prev)
        unfile(wheel, timer);
    file(wheel, timer);
}

void http_wheel_clear(struct http_wheel *wheel, struct http_timer *timer)
{
    if (timer->prev)
        unfile(wheel, timer);
}

static void look(struct http_wheel *wheel,
                 struct http_timer *head,
                 int64_t now_ms,
                 void (*fire)(void *argument, struct http_timer *timer),
                 void *argument)
{
    /* The slot's list moves to a head of its own: what is filed meanwhile waits for the next round.
     */
    struct http_timer list = {.prev = &list, .next = &list};
    if (head->next == head)
        return;
    list.next = head->next;
    list.prev = head->prev;
    list.next->prev = list.prev->next = &list;
    head->prev = head->next = head;
    while (list.next != &list) {
        struct http_timer *timer = list.next;
        unfile(wheel, timer);
        if (timer->due_ms <= now_ms)
            fire(argument, timer);
        else
            file(wheel, timer);
    }
}

void http_wheel_tick(struct http_wheel *wheel,
                     int64_t now_ms,
                     void (*fire)(void *argument, struct http_timer *timer),
                     void *argument)
{
    /* After a long sleep each slot is looked at once, not once per missed turn. */
    const int64_t oldest = (now_ms / HTTP_TICK_MS - HTTP_WHEEL_SLOTS) * HTTP_TICK_MS;
    if (wheel->ticked_ms < oldest)
        wheel->ticked_ms = oldest;
    while (wheel->ticked_ms + HTTP_TICK_MS <= now_ms) {
        wheel->ticked_ms += HTTP_TICK_MS;
        look(wheel, slot_of(wheel, wheel->ticked_ms), now_ms, fire, argument);
    }
}
