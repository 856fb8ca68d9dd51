#include "listener.h"

#include "bv/probe.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};
static struct listener *listener;
static uint16_t port;
static int fd;

/* Echoes what it parsed: the number of fields and the size of the body decide the status. */
static struct listener_answer handle(void *argument, const struct listener_request *request)
{
    (void)argument;
    if (bv_bytes_equal(request->target, BV_BYTES("/later")))
        return (struct listener_answer){.status = 202, .delay_ms = 20};
    return (struct listener_answer){.status = 200 + (int)request->field_count * 10 +
                                              (int)request->body.size};
}

static void setup(void)
{
    struct bv_error error = {0};
    cr_assert_eq(bv_port_pick(NULL, 0, &port, &error), 0);
    cr_assert_eq(listener_open(&env, port, handle, NULL, &listener, &error), 0, "%s", error.text);
    cr_assert_eq(bv_port_await(port, bv_now_ms() + 2000, &fd, &error), 0);
    cr_assert_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
}

static void teardown(void)
{
    close(fd);
    listener_close(&listener);
}

TestSuite(listener, .init = setup, .fini = teardown);

/* Reads until the peer closes or `answers` blank lines came. */
static const char *read_answers(int answers)
{
    static char data[4096];
    size_t size = 0;
    struct timeval wait = {2, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    for (int seen = 0; seen < answers;) {
        ssize_t got = recv(fd, data + size, sizeof data - size - 1, 0);
        if (got <= 0)
            break;
        size += (size_t)got;
        data[size] = '\0';
        seen = 0;
        for (const char *at = data; (at = strstr(at, "\r\n\r\n")); at += 4)
            seen++;
    }
    data[size] = '\0';
    return data;
}

static void put(const char *text)
{
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

Test(listener, parses_fields_and_body_in_pieces)
{
    put("POST /x HTTP/1.1\r\nHo");
    put("st: a\r\nContent-Length: 3\r\n\r\nab");
    put("c");
    cr_expect(strstr(read_answers(1), "HTTP/1.1 223 "));
}

Test(listener, answers_two_requests_that_came_together)
{
    put("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n");
    const char *answers = read_answers(2);
    cr_expect(strstr(answers, "HTTP/1.1 210 "), "%s", answers);
    cr_expect(strstr(answers, "HTTP/1.1 220 "), "%s", answers);
}

Test(listener, keeps_the_order_when_an_answer_is_late)
{
    put("GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    const char *answers = read_answers(2);
    const char *first = strstr(answers, "202");
    const char *second = strstr(answers, "210");
    cr_expect(first && second && first < second, "%s", answers);
}

Test(listener, refuses_what_is_no_http)
{
    put("nonsense\r\n\r\n");
    cr_expect(strstr(read_answers(1), "HTTP/1.1 400 "));
}

Test(listener, a_taken_port_is_said)
{
    struct listener *second = NULL;
    cr_expect_eq(listener_open(&env, port, handle, NULL, &second, NULL), BV_E_EXISTS);
    cr_expect_null(second);
}
