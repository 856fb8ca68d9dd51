/* The side of a stack that others see: starting one, finding one, asking it, stopping it. */
#include "stack.h"

#include "stack_servers.h"
#include "stack_services.h"
#include "stack_supervisor.h"

#include "bv/config.h"
#include "bv/probe.h"
#include "bv/process.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STACK_BYTES_MAX = 16 << 20,
    FILE_BYTES_MAX = 4 << 20,
    ENVIRON_MAX = 128,
    CANCEL_LOOK_MS =
        50, /* how often a boot looks at the caller's cancel flag when no signal interrupts it */
    STOP_MS_MAX = 600000, /* processes are ended within seconds; removing the data of a hundred
                             databases takes longer */
    MUTE_MS_MAX = 20000,  /* for a supervisor that can only be told by signals */
    ASK_MS = 2000,
};

struct bv_stack {
    char name[BV_STACK_NAME_MAX + 1];
    char run[BV_PATH_MAX];
    char json_path[BV_PATH_MAX];
    int channel;            /* lifeline of a stack in the foreground, -1 otherwise */
    pid_t middle;           /* child that ends after the supervisor (foreground), 0: none */
    struct bv_arena *arena; /* owned: the parsed documents */
    const struct bv_json *root;
    const char *environ[ENVIRON_MAX + 1];
    size_t environ_count;
    struct bv_stack_part parts[BV_STACK_UNITS_MAX];
    size_t part_count;
    struct bv_buf state; /* last reply to "status" */
};

/* ---- loading ---- */

static int load_file(struct bv_stack *stack,
                     const char *path,
                     struct bv_bytes *ret_text,
                     struct bv_error *error)
{
    struct bv_buf text = {.max = FILE_BYTES_MAX};
    int rc = bv_fs_read(path, &text, error);
    if (rc == 0)
        *ret_text = bv_arena_copy(stack->arena, bv_buf_view(&text));
    if (rc == 0 && bv_arena_failed(stack->arena))
        rc = bv_fail(error, BV_E_TOO_LARGE, "%s is too large", path);
    bv_buf_release(&text);
    return rc;
}

static void load_environ(struct bv_stack *stack, struct bv_bytes text)
{
    char *at = (char *)text.data; /* our own copy in the arena */
    while (at && *at && stack->environ_count < ENVIRON_MAX) {
        char *end = strchr(at, '\n');
        if (end)
            *end = '\0';
        stack->environ[stack->environ_count++] = at;
        at = end ? end + 1 : NULL;
    }
}

static const char *text_of(const struct bv_json *object, const char *key)
{
    struct bv_bytes text = bv_json_string(bv_json_get(object, key));
    return text.data ? text.data : "";
}

static enum bv_stack_kind kind_of(const struct bv_json *part)
{
    const char *kind = text_of(part, "kind");
    return strcmp(kind, "server") == 0     ? BV_STACK_SERVER
           : strcmp(kind, "database") == 0 ? BV_STACK_DATABASE
                                           : BV_STACK_SERVICE;
}

static void load_parts(struct bv_stack *stack)
{
    for (struct bv_json_iter it = bv_json_iter(bv_json_get(stack->root, "parts"));
         bv_json_next(&it) && stack->part_count < BV_STACK_UNITS_MAX;) {
        stack->parts[stack->part_count++] = (struct bv_stack_part){
            .name = text_of(it.value, "name"),
            .kind = kind_of(it.value),
            .url = text_of(it.value, "url"),
            .grpc_addr = text_of(it.value, "grpc_addr"),
            .log = text_of(it.value, "log"),
            .env_file = text_of(it.value, "env_file"),
            .state = "ready",
            .ended = "",
            .port = (int)bv_json_int(bv_json_get(it.value, "port"), 0),
            .pid = (int)bv_json_int(bv_json_get(it.value, "pid"), 0),
            .ready_ms = bv_json_int(bv_json_get(it.value, "ready_ms"), -1),
            .describe = bv_json_get(it.value, "describe"),
        };
    }
}

static int load(struct bv_stack *stack, struct bv_error *error)
{
    struct bv_bytes text;
    char path[BV_PATH_MAX];
    BV_TRY(bv_path(stack->json_path, error, "%s/stack.json", stack->run));
    BV_TRY(bv_path(path, error, "%s/env/stack.env", stack->run));
    BV_TRY(bv_arena_open(STACK_BYTES_MAX, &stack->arena));
    BV_TRY(load_file(stack, stack->json_path, &text, error));
    BV_TRY(bv_json_parse(stack->arena, text, &stack->root, error));
    load_parts(stack);
    BV_TRY(load_file(stack, path, &text, error));
    load_environ(stack, text);
    return 0;
}

static struct bv_stack *stack_new(const char *name, const char *run)
{
    struct bv_stack *stack = calloc(1, sizeof *stack);
    if (!stack)
        return NULL;
    snprintf(stack->name, sizeof stack->name, "%.*s", BV_STACK_NAME_MAX, name);
    snprintf(stack->run, sizeof stack->run, "%.*s", BV_PATH_MAX - 1, run);
    stack->channel = -1;
    stack->state.max = STACK_PACKET_BYTES;
    return stack;
}

void bv_stack_close(struct bv_stack **stack)
{
    if (!*stack)
        return;
    if ((*stack)->channel >= 0)
        close((*stack)->channel);
    if ((*stack)->middle > 0)
        waitpid((*stack)->middle, NULL, WNOHANG);
    bv_arena_close(&(*stack)->arena);
    bv_buf_release(&(*stack)->state);
    free(*stack);
    *stack = NULL;
}

/* ---- events ---- */

struct listener {
    void (*progress)(void *argument, const struct bv_stack_event *event);
    void *argument;
    bool ready;
    bool stopped;
    char failed[BV_PATH_MAX + 128];
};

static void hear(struct listener *listener, char *packet)
{
    char *fields[4] = {packet, NULL, NULL, NULL};
    for (size_t i = 1; i < 4; i++) {
        char *tab = fields[i - 1] ? strchr(fields[i - 1], '\t') : NULL;
        if (!tab)
            return;
        *tab = '\0';
        fields[i] = tab + 1;
    }
    const struct bv_stack_event event = {
        fields[0], fields[1], strtoll(fields[2], NULL, 10), fields[3]};
    if (!*event.part && strcmp(event.state, "ready") == 0)
        listener->ready = true;
    if (!*event.part && strcmp(event.state, "stopped") == 0)
        listener->stopped = true;
    if (strcmp(event.state, "failed") == 0 && !listener->failed[0])
        snprintf(listener->failed,
                 sizeof listener->failed,
                 "%s%s%s",
                 event.part,
                 *event.part ? ": " : "",
                 event.text);
    if (listener->progress)
        listener->progress(listener->argument, &event);
}

/* One packet if there is one within wait_ms. Outcomes: HEARD_NOTHING, HEARD_END. */
enum { HEARD_NOTHING = 1, HEARD_END = 2 };
static int hear_one(int fd, int wait_ms, struct listener *listener)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, wait_ms) <= 0)
        return HEARD_NOTHING;
    char packet[STACK_PACKET_BYTES];
    ssize_t n = recv(fd, packet, sizeof packet - 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return HEARD_NOTHING;
    if (n <= 0)
        return HEARD_END;
    packet[n] = '\0';
    hear(listener, packet);
    return 0;
}

static int hear_to_end(int fd, struct listener *listener, struct bv_error *error)
{
    for (int64_t ends_ms = bv_now_ms() + STOP_MS_MAX;;) {
        if (hear_one(fd, CANCEL_LOOK_MS, listener) == HEARD_END)
            return 0;
        if (bv_now_ms() >= ends_ms)
            return bv_fail(
                error, BV_E_TIMEOUT, "the supervisor did not stop in %d s", STOP_MS_MAX / 1000);
    }
}

static int await_boot(const struct bv_stack_spec *spec,
                      const struct stack_world *world,
                      int channel,
                      struct bv_error *error)
{
    struct listener listener = {.progress = spec->progress, .argument = spec->progress_argument};
    bool told = false;
    for (;;) {
        int heard = hear_one(channel, CANCEL_LOOK_MS, &listener);
        if (listener.ready)
            return 0;
        if (heard == HEARD_END)
            break;
        if (spec->cancel && *spec->cancel && !told) {
            send(channel, "stop", 4, MSG_NOSIGNAL);
            told = true;
        }
    }
    if (listener.failed[0])
        return bv_fail(error, BV_E_UNAVAILABLE, "%s", listener.failed);
    if (told)
        return bv_fail(error, BV_E_CANCELLED, "stopped while it booted");
    return bv_fail(
        error, BV_E_UNAVAILABLE, "the supervisor ended, see %s/log/supervisor.log", world->run);
}

/* ---- up ---- */

int bv_stack_up(const struct bv_stack_spec *spec,
                struct bv_stack **ret_stack,
                struct bv_error *error)
{
    struct stack_world *world = NULL;
    struct bv_stack *stack = NULL;
    int channel = -1;
    pid_t middle = 0;
    if (!stack_clients(error)) /* here, since the tasks that ask the servers are other users' */
        return BV_E_NOT_FOUND;
    BV_TRY(stack_world_build(spec, &world, error));
    int rc = stack_supervisor_start(world, &channel, &middle, error);
    if (rc == 0)
        rc = await_boot(spec, world, channel, error);
    if (rc == 0 && !(stack = stack_new(world->name, world->run)))
        rc = bv_fail(error, BV_E_NOMEM, "out of memory");
    stack_world_free(&world);
    if (rc == 0)
        rc = load(stack, error);
    if (rc == 0 && spec->life == BV_STACK_FOREGROUND) {
        stack->channel = channel;
        stack->middle = middle;
        channel = -1;
        middle = 0;
    }
    if (channel >= 0)
        close(channel);
    if (middle > 0)
        waitpid(middle, NULL, 0);
    if (rc < 0) {
        bv_stack_close(&stack);
        return rc;
    }
    *ret_stack = stack;
    return 0;
}

static int connect_control(const char *run)
{
    struct sockaddr_un address;
    stack_control_address(run, &address);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

int bv_stack_folder(const char *name, char *out, size_t size, struct bv_error *error)
{
    char root[BV_PATH_MAX];
    BV_TRY(stack_name_check(name, error));
    BV_TRY(stack_run_root(root, error));
    if (snprintf(out, size, "%s/%s", root, name) >= (int)size)
        return bv_fail(error, BV_E_LIMIT, "path of stack %s is too long", name);
    return 0;
}

/* Says why nobody answers for a stack. */
static int absent(const char *name, const char *run, struct bv_error *error)
{
    char root[BV_PATH_MAX];
    int lock = -1;
    if (access(run, F_OK) < 0)
        return bv_fail(error, BV_E_NOT_FOUND, "no stack '%s' is running (bv up)", name);
    BV_TRY(stack_run_root(root, error));
    int rc = stack_lock(root, name, &lock, error);
    if (rc == STACK_LOCKED)
        return bv_fail(error,
                       BV_E_NOT_FOUND,
                       "stack '%s' does not answer: it is booting or stopping, or its socket was "
                       "removed (bv down --name %s)",
                       name,
                       name);
    BV_TRY(rc);
    close(lock);
    return bv_fail(error,
                   BV_E_NOT_FOUND,
                   "stack '%s' is dead: bv logs --name %s shows its end, bv down --name %s removes "
                   "the rest",
                   name,
                   name,
                   name);
}

int bv_stack_open(const char *name, struct bv_stack **ret_stack, struct bv_error *error)
{
    char run[BV_PATH_MAX];
    const char *which = name ? name : "default";
    BV_TRY(bv_stack_folder(which, run, sizeof run, error));
    int fd = connect_control(run);
    if (fd < 0)
        return absent(which, run, error);
    close(fd);
    struct bv_stack *stack = stack_new(which, run);
    if (!stack)
        return bv_fail(error, BV_E_NOMEM, "out of memory");
    int rc = load(stack, NULL);
    if (rc < 0) {
        int there = access(stack->json_path, F_OK);
        bv_stack_close(&stack);
        return bv_fail(error,
                       BV_E_NOT_FOUND,
                       there < 0 ? "stack '%s' is still booting or stopping"
                                 : "the stack.json or stack.env of stack '%s' is damaged: bv down "
                                   "--name %s, then bv up again",
                       which,
                       which);
    }
    *ret_stack = stack;
    return 0;
}

/* ---- down ---- */

/* Tells a supervisor without a socket to stop, later to end at once, which ends its processes too.
 */
static void end_mute(const char *root, const char *name, int64_t *force_at_ms)
{
    pid_t pid = stack_lock_holder(root, name);
    bool force = *force_at_ms && bv_now_ms() >= *force_at_ms;
    if (!pid || (*force_at_ms && !force))
        return;
    kill(pid, force ? SIGKILL : SIGTERM);
    *force_at_ms = bv_now_ms() + MUTE_MS_MAX;
}

enum supervisor_ear { EAR_OPEN, EAR_SHUT }; /* was it told to stop through its socket? */

/* Waits until nobody holds the name, then removes what is left of it. */
static int
clean_up(const char *name, const char *run, enum supervisor_ear ear, struct bv_error *error)
{
    char root[BV_PATH_MAX], path[BV_PATH_MAX];
    int lock = -1;
    int64_t force_at_ms = 0;
    BV_TRY(stack_run_root(root, error));
    for (int64_t ends_ms = bv_now_ms() + STOP_MS_MAX;;) {
        int rc = stack_lock(root, name, &lock, error);
        if (rc == 0)
            break;
        if (rc < 0)
            return rc;
        if (ear == EAR_SHUT)
            end_mute(root, name, &force_at_ms);
        if (bv_now_ms() >= ends_ms)
            return bv_fail(error,
                           BV_E_TIMEOUT,
                           "the supervisor of '%s' still runs, but does not answer",
                           name);
        bv_retry_pause();
    }
    int rc = stack_folder_check(run, error);
    if (rc == 0)
        rc = bv_fs_remove_tree(run, error);
    if (bv_path(path, NULL, "%s/%s.lock", root, name) == 0)
        unlink(path);
    close(lock);
    return rc;
}

int bv_stack_stop(const char *name,
                  void (*progress)(void *, const struct bv_stack_event *),
                  void *argument,
                  struct bv_error *error)
{
    char run[BV_PATH_MAX];
    const char *which = name ? name : "default";
    BV_TRY(bv_stack_folder(which, run, sizeof run, error));
    if (access(run, F_OK) < 0 && errno == ENOENT)
        return BV_STACK_ABSENT;
    int fd = connect_control(run);
    int rc = 0;
    if (fd >= 0) {
        struct listener listener = {.progress = progress, .argument = argument};
        send(fd, "stop", 4, MSG_NOSIGNAL);
        rc = hear_to_end(fd, &listener, error);
        close(fd);
    }
    return rc < 0 ? rc : clean_up(which, run, fd < 0 ? EAR_SHUT : EAR_OPEN, error);
}

int bv_stack_down(struct bv_stack **stack, struct bv_error *error)
{
    if (!*stack)
        return 0;
    int rc;
    if ((*stack)->channel >= 0) {
        struct listener listener = {0};
        send((*stack)->channel, "stop", 4, MSG_NOSIGNAL);
        rc = hear_to_end((*stack)->channel, &listener, error);
        if (rc == 0) {
            waitpid((*stack)->middle, NULL, 0);
            (*stack)->middle = 0;
        }
        if (rc == 0)
            rc = clean_up((*stack)->name, (*stack)->run, EAR_OPEN, error);
    } else {
        rc = bv_stack_stop((*stack)->name, NULL, NULL, error);
    }
    bv_stack_close(stack);
    return rc > 0 ? 0 : rc;
}

/* ---- asking ---- */

static int ask_status(struct bv_stack *stack, struct bv_error *error)
{
    int fd = connect_control(stack->run);
    char packet[STACK_PACKET_BYTES];
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    ssize_t n = -1;
    if (fd >= 0 && send(fd, "status", 6, MSG_NOSIGNAL) == 6 && poll(&wait, 1, ASK_MS) > 0)
        n = recv(fd, packet, sizeof packet, MSG_DONTWAIT);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return bv_fail(
            error, BV_E_UNAVAILABLE, "the supervisor of stack '%s' is gone", stack->name);
    bv_buf_reset(&stack->state);
    bv_buf_append(&stack->state, packet, (size_t)n);
    return bv_buf_char(&stack->state, '\0');
}

static struct bv_stack_part *find_part(struct bv_stack *stack, const char *name)
{
    for (size_t i = 0; i < stack->part_count; i++)
        if (strcmp(stack->parts[i].name, name) == 0)
            return &stack->parts[i];
    return NULL;
}

int bv_stack_refresh(struct bv_stack *stack, struct bv_error *error)
{
    BV_TRY(ask_status(stack, error));
    char *save_line = NULL;
    for (char *line = strtok_r(stack->state.data, "\n", &save_line); line;
         line = strtok_r(NULL, "\n", &save_line)) {
        char *fields[4] = {line, NULL, NULL, NULL};
        for (size_t i = 1; i < 4 && fields[i - 1]; i++) {
            char *tab = strchr(fields[i - 1], '\t');
            if (tab)
                *tab = '\0';
            fields[i] = tab ? tab + 1 : NULL;
        }
        struct bv_stack_part *part = fields[3] ? find_part(stack, fields[0]) : NULL;
        if (part) {
            part->state = fields[1];
            part->pid = (int)strtol(fields[2], NULL, 10);
            part->ended = fields[3];
        }
    }
    return 0;
}

static int ask_restart(struct bv_stack *stack,
                       const char *service,
                       enum bv_stack_end end,
                       struct bv_error *error)
{
    char packet[64];
    int fd = connect_control(stack->run);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int size = snprintf(
        packet, sizeof packet, "%s\t%.32s", end == BV_STACK_KILL ? "kill" : "restart", service);
    ssize_t n = -1;
    if (fd >= 0 && send(fd, packet, (size_t)size, MSG_NOSIGNAL) == size &&
        poll(&wait, 1, ASK_MS) > 0)
        n = recv(fd, packet, sizeof packet, MSG_DONTWAIT);
    if (fd >= 0)
        close(fd);
    if (n == 2)
        return 0;
    return bv_fail(error,
                   BV_E_UNAVAILABLE,
                   "the supervisor of stack '%s' did not restart %s",
                   stack->name,
                   service);
}

int bv_stack_restart(struct bv_stack *stack,
                     const char *service,
                     enum bv_stack_end end,
                     int64_t timeout_ms,
                     struct bv_error *error)
{
    const char *names[BV_STACK_UNITS_MAX];
    size_t count = 0;
    struct bv_stack_part *part = find_part(stack, service);
    for (size_t i = 0; i < stack->part_count; i++)
        if (stack->parts[i].kind == BV_STACK_SERVICE)
            names[count++] = stack->parts[i].name;
    if (!part || part->kind != BV_STACK_SERVICE) {
        const char *near = bv_nearest(service, names, count);
        return bv_fail(error,
                       BV_E_NOT_FOUND,
                       near ? "no service '%.40s' in this stack: did you mean '%s'?"
                            : "no service '%.40s' in this stack",
                       service,
                       near);
    }
    BV_TRY(ask_restart(stack, service, end, error));
    for (int64_t ends_ms = bv_now_ms() + timeout_ms;;) {
        BV_TRY(bv_stack_refresh(stack, error));
        if (strcmp(part->state, "ready") == 0)
            return 0;
        if (bv_now_ms() >= ends_ms || strcmp(part->state, "ended") == 0)
            return bv_fail(
                error, BV_E_TIMEOUT, "%s is %s, see %s", service, part->state, part->log);
        bv_retry_pause();
    }
}

int bv_stack_check(struct bv_stack *stack, struct bv_error *error)
{
    BV_TRY(bv_stack_refresh(stack, error));
    for (size_t i = 0; i < stack->part_count; i++)
        if (strcmp(stack->parts[i].state, "ended") == 0)
            return bv_fail(error,
                           BV_E_UNAVAILABLE,
                           "%s: %s, see %s",
                           stack->parts[i].name,
                           stack->parts[i].ended,
                           stack->parts[i].log);
    return 0;
}

static int probe(const struct bv_stack_part *part, int64_t deadline_ms, struct bv_error *error)
{
    if (part->kind == BV_STACK_SERVICE)
        return stack_probe_service((uint16_t)part->port, deadline_ms, error);
    const struct stack_clients *clients = stack_clients(error);
    if (!clients)
        return BV_E_NOT_FOUND;
    const struct {
        const char *name;
        int (*probe)(uint16_t port, int64_t deadline_ms, struct bv_error *error);
    } rows[] = {
        {"postgres", clients->postgres},
        {"redis",    clients->redis   },
        {"kafka",    clients->kafka   },
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        if (strcmp(part->name, rows[i].name) == 0)
            return rows[i].probe((uint16_t)part->port, deadline_ms, error);
    return 0;
}

static void set_usage(pid_t pid, struct bv_stack_health *health)
{
    struct bv_usage usage;
    bv_usage_of(pid, &usage);
    health->rss_bytes = usage.rss_bytes;
    health->pss_bytes = usage.pss_bytes;
    health->cpu_ms = usage.cpu_ms;
    health->processes = usage.processes;
}

void bv_stack_probe(const struct bv_stack_part *part,
                    int64_t timeout_ms,
                    struct bv_stack_health *ret_health)
{
    *ret_health = (struct bv_stack_health){0};
    if (strcmp(part->state, "ended") == 0) {
        snprintf(ret_health->text, sizeof ret_health->text, "%.90s", part->ended);
        return;
    }
    if (part->kind == BV_STACK_DATABASE) {
        ret_health->healthy = 1;
        return;
    }
    struct bv_error error = {0};
    set_usage(part->pid, ret_health);
    ret_health->healthy = probe(part, bv_now_ms() + timeout_ms, &error) == 0;
    snprintf(ret_health->text, sizeof ret_health->text, "%.95s", error.text);
}

void bv_stack_usage(const struct bv_stack *stack, struct bv_stack_health *ret_health)
{
    *ret_health = (struct bv_stack_health){.healthy = 1};
    set_usage((pid_t)bv_json_int(bv_json_get(stack->root, "supervisor_pid"), 0), ret_health);
}

/* ---- lookups ---- */

size_t bv_stack_count(const struct bv_stack *stack)
{
    return stack->part_count;
}

const struct bv_stack_part *bv_stack_at(const struct bv_stack *stack, size_t index)
{
    return &stack->parts[index];
}

const struct bv_stack_part *bv_stack_find(const struct bv_stack *stack, const char *name)
{
    for (size_t i = 0; i < stack->part_count; i++)
        if (strcmp(stack->parts[i].name, name) == 0)
            return &stack->parts[i];
    return NULL;
}

const char *bv_stack_env(const struct bv_stack *stack, const char *variable)
{
    size_t size = strlen(variable);
    for (size_t i = 0; i < stack->environ_count; i++)
        if (strncmp(stack->environ[i], variable, size) == 0 && stack->environ[i][size] == '=')
            return stack->environ[i] + size + 1;
    return NULL;
}

const char *const *bv_stack_environ(const struct bv_stack *stack)
{
    return stack->environ;
}

const char *bv_stack_service_url(const struct bv_stack *stack, const char *service)
{
    const struct bv_stack_part *part = bv_stack_find(stack, service);
    return part ? part->url : NULL;
}

const char *bv_stack_grpc_addr(const struct bv_stack *stack, const char *service)
{
    const struct bv_stack_part *part = bv_stack_find(stack, service);
    return part && part->grpc_addr[0] ? part->grpc_addr : NULL;
}

const char *bv_stack_log(const struct bv_stack *stack, const char *part_name)
{
    const struct bv_stack_part *part = bv_stack_find(stack, part_name);
    return part ? part->log : NULL;
}

const char *bv_stack_run_folder(const struct bv_stack *stack)
{
    return stack->run;
}

const char *bv_stack_name(const struct bv_stack *stack)
{
    return stack->name;
}

const char *bv_stack_json_path(const struct bv_stack *stack)
{
    return stack->json_path;
}

const struct bv_json *bv_stack_json(const struct bv_stack *stack)
{
    return stack->root;
}

int64_t bv_stack_boot_ms(const struct bv_stack *stack)
{
    return bv_json_int(bv_json_get(stack->root, "boot_ms"), -1);
}

const char *bv_stack_isolation(const struct bv_stack *stack)
{
    return text_of(stack->root, "isolation");
}

/* ---- all stacks ---- */

/* Room for that many names and their texts in one allocation, freed as one. */
static char **names_new(size_t room)
{
    char **names = calloc(1, (room + 1) * (sizeof *names + BV_STACK_NAME_MAX + 1));
    for (size_t i = 0; names && i < room; i++)
        names[i] = (char *)(names + room + 1) + i * (BV_STACK_NAME_MAX + 1);
    return names;
}

static int is_stack_name(const struct dirent *entry)
{
    return stack_name_check(entry->d_name, NULL) == 0; /* not ".", not NAME.lock */
}

int bv_stack_dead(char ***ret_names, size_t *ret_count, struct bv_error *error)
{
    char root[BV_PATH_MAX];
    BV_TRY(stack_run_root(root, error));
    struct dirent **entries = NULL;
    int found = scandir(root, &entries, is_stack_name, alphasort);
    size_t room = found > 0 ? (size_t)found : 0, count = 0;
    char **names = names_new(room);
    for (size_t i = 0; i < room; i++) {
        char run[BV_PATH_MAX];
        int lock = -1;
        if (names && bv_path(run, NULL, "%s/%s", root, entries[i]->d_name) == 0 &&
            stack_folder_check(run, NULL) == 0 &&
            stack_lock(root, entries[i]->d_name, &lock, NULL) == 0) {
            snprintf(names[count++], BV_STACK_NAME_MAX + 1, "%s", entries[i]->d_name);
            close(lock);
        }
        free(entries[i]);
    }
    free(entries);
    if (!names)
        return bv_fail(error, BV_E_NOMEM, "out of memory");
    *ret_names = names;
    *ret_count = count;
    return 0;
}

static int is_lock(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return size > 5 && strcmp(entry->d_name + size - 5, ".lock") == 0;
}

int bv_stack_list(char ***ret_names, size_t *ret_count, struct bv_error *error)
{
    char root[BV_PATH_MAX];
    BV_TRY(stack_run_root(root, error));
    struct dirent **entries = NULL;
    int found = scandir(root, &entries, is_lock, alphasort);
    size_t room = found > 0 ? (size_t)found : 0, count = 0;
    char **names = names_new(room);
    for (size_t i = 0; i < room; i++) {
        char run[BV_PATH_MAX];
        int size = (int)strlen(entries[i]->d_name) - 5;
        int fd = names && size <= BV_STACK_NAME_MAX &&
                         bv_path(run, NULL, "%s/%.*s", root, size, entries[i]->d_name) == 0
                     ? connect_control(run)
                     : -1;
        if (fd >= 0) {
            memcpy(names[count++], entries[i]->d_name, (size_t)size);
            close(fd);
        }
        free(entries[i]);
    }
    free(entries);
    if (!names)
        return bv_fail(error, BV_E_NOMEM, "out of memory");
    *ret_names = names;
    *ret_count = count;
    return 0;
}
