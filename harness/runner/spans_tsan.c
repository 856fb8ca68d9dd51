/* What crosses threads in the collector: four senders post spans over HTTP, its own thread reads
 * them, a fifth takes them out meanwhile. Every span arrives once. Plain program for the thread
 * sanitizer; exit status 0 is success. */
#include "spans.h"
#include "bv/check.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SENDERS = 4, EACH = 200, TOTAL = SENDERS * EACH };

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};
static int port;

/* ExportTraceServiceRequest with one span; byte 12 of its trace id is the sender, 13 and 14 count.
 */
static size_t request(char out[512], int sender, int number)
{
    static const unsigned char body[] = {
        0x0a, 0x23, 0x12, 0x21, 0x12, 0x1f, /* resource, scope, span */
        0x0a, 0x10, 1,    2,    3,    4,    5, 6, 7, 8, 9, 10, 11,   12,   0,  0,
        0,    16,   0x12, 0x08, 1,    2,    3, 4, 5, 6, 7, 8,  0x2a, 0x01, 'x'};
    int head = snprintf(out,
                        512,
                        "POST /v1/traces HTTP/1.1\r\nHost: lab\r\nContent-Length: %zu\r\n\r\n",
                        sizeof body);
    memcpy(out + head, body, sizeof body);
    out[head + 8 + 12] = (char)sender;
    out[head + 8 + 13] = (char)(number >> 8);
    out[head + 8 + 14] = (char)number;
    return (size_t)head + sizeof body;
}

static void *send_all(void *argument)
{
    const int *sender = argument;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    for (int i = 0; i < EACH; i++) {
        char text[512];
        size_t size = request(text, *sender, i);
        CHECK(write(fd, text, size) == (ssize_t)size);
        ssize_t got = 0;
        do {
            ssize_t more = read(fd, text + got, sizeof text - 1 - (size_t)got);
            CHECK(more > 0);
            got += more;
            text[got] = '\0';
        } while (!strstr(text, "\r\n\r\n"));
        CHECK(strncmp(text, "HTTP/1.1 200", 12) == 0);
    }
    close(fd);
    return NULL;
}

int main(void)
{
    static bool seen[SENDERS][EACH];
    struct spans *spans = NULL;
    pthread_t threads[SENDERS];
    int numbers[SENDERS];
    CHECK(spans_open(&env, &spans, NULL) == 0);
    CHECK(sscanf(spans_url(spans), "http://127.0.0.1:%d", &port) == 1);
    CHECK(spans_start(spans, NULL) == 0);
    for (int i = 0; i < SENDERS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, send_all, &numbers[i]) == 0);
    }
    for (int taken = 0; taken < TOTAL;) {
        struct span_record span;
        if (!spans_take(spans, &span)) {
            sched_yield();
            continue;
        }
        int sender = span.trace_id[12];
        int number = span.trace_id[13] << 8 | span.trace_id[14];
        CHECK(sender < SENDERS && number < EACH && !seen[sender][number]);
        seen[sender][number] = true;
        taken++;
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    spans_close(&spans);
    return 0;
}
