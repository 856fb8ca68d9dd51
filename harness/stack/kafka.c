#include "stack_servers.h"

#include "stack_template.h"

#include "bv/env.h"
#include "bv/probe.h"
#include "bv/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CLASS_PATH_BYTES_MAX = 65536,
    TRAINING_MS_MAX = 90000, /* the only boot without the archive, on a busy machine */
};

/* One node that is broker and controller; small pools; nothing expires by age, since scenarios play
 * with clocks. */
static const char properties[] =
    "process.roles=broker,controller\n"
    "node.id=1\n"
    "controller.quorum.voters=1@127.0.0.1:%u\n"
    "controller.listener.names=CONTROLLER\n"
    "listeners=PLAINTEXT://127.0.0.1:%u,CONTROLLER://127.0.0.1:%u\n"
    "advertised.listeners=PLAINTEXT://127.0.0.1:%u\n"
    "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n"
    "inter.broker.listener.name=PLAINTEXT\n"
    "log.dirs=%s\n"
    "num.network.threads=2\n"
    "num.io.threads=2\n"
    "background.threads=2\n"
    "num.recovery.threads.per.data.dir=1\n"
    "log.cleaner.threads=1\n"
    "log.cleaner.dedupe.buffer.size=8388608\n"
    "offsets.topic.num.partitions=1\n"
    "offsets.topic.replication.factor=1\n"
    "transaction.state.log.num.partitions=1\n"
    "transaction.state.log.replication.factor=1\n"
    "transaction.state.log.min.isr=1\n"
    "share.coordinator.state.topic.num.partitions=1\n"
    "share.coordinator.state.topic.replication.factor=1\n"
    "share.coordinator.state.topic.min.isr=1\n"
    "group.initial.rebalance.delay.ms=0\n"
    "controlled.shutdown.enable=false\n"
    "auto.create.topics.enable=false\n"
    "log.retention.ms=-1\n";

static int write_properties(
    const char *path, const char *data, uint16_t port, uint16_t controller, struct bv_error *error)
{
    char text[sizeof properties + BV_PATH_MAX + 64];
    int size = snprintf(text, sizeof text, properties, controller, port, controller, port, data);
    return bv_fs_write(path, (struct bv_bytes){text, (size_t)size}, 0644, error);
}

static void
java_args(const struct stack_world *world, struct stack_command *cmd, const char *classes)
{
    static const char *const flags[] = {"-Xms64m",
                                        "-Xmx200m",
                                        "-XX:+UseSerialGC",
                                        "-XX:TieredStopAtLevel=1",
                                        "-XX:-UsePerfData",
                                        "-Xshare:auto"};
    stack_arg(cmd, "%s", world->java);
    for (size_t i = 0; i < BV_COUNT(flags); i++)
        stack_arg(cmd, "%s", flags[i]);
    stack_arg(cmd, "-Djava.io.tmpdir=%s/data/tmp", world->run);
    stack_arg(cmd, "%s", classes);
}

static int
class_path_arg(const struct stack_world *world, struct stack_command *cmd, struct bv_error *error)
{
    char jars[BV_PATH_MAX];
    struct bv_buf path = {.max = CLASS_PATH_BYTES_MAX};
    int rc = stack_jars(world, jars, error);
    if (rc == 0)
        rc = stack_class_path(jars, &path, error);
    if (rc == 0) {
        stack_arg(cmd, "-cp");
        stack_arg(cmd, "%s", path.data);
    }
    bv_buf_release(&path);
    return rc;
}

/* The archive is bound to the very JVM and to the class path: both are in the key. FNV-1a. */
int stack_kafka_template_key(const struct stack_world *world, char out[96], struct bv_error *error)
{
    char java[PATH_MAX], all[PATH_MAX + BV_PATH_MAX + 64];
    struct stat st;
    if (!realpath(world->java, java) || stat(java, &st) < 0)
        return bv_fail(error, BV_E_NOT_FOUND, "%s: %s", world->java, strerror(errno));
    int size = snprintf(all,
                        sizeof all,
                        "%s %lld %lld %s",
                        java,
                        (long long)st.st_mtime,
                        (long long)st.st_size,
                        world->place);
    uint64_t hash = 14695981039346656037u;
    for (int i = 0; i < size && i < (int)sizeof all; i++)
        hash = (hash ^ (unsigned char)all[i]) * 1099511628211u;
    snprintf(out, 96, STACK_KAFKA_DEPS "-1-%08x", (unsigned)(hash ^ hash >> 32));
    return 0;
}

/* ---- template: formatted log folder, class data archive ---- */

static int format_log(const struct stack_world *world, const char *folder, struct bv_error *error)
{
    struct stack_command cmd;
    BV_TRY(stack_command_init(&cmd, world, error));
    char log[BV_PATH_MAX];
    int rc = bv_path(log, error, "%s/log/kafka-template.log", world->run);
    java_args(world, &cmd, "-Dbv=format");
    if (rc == 0)
        rc = class_path_arg(world, &cmd, error);
    stack_arg(&cmd, "kafka.tools.StorageTool");
    stack_arg(&cmd, "format");
    stack_arg(&cmd, "-t");
    stack_arg(&cmd, "AAAAAAAAAAAAAAAAAAAAAA");
    stack_arg(&cmd, "-c");
    stack_arg(&cmd, "%s/server.properties", folder);
    const struct bv_spawn spawn = {.argv = cmd.argv,
                                   .env = cmd.env,
                                   .folder = "/",
                                   .in_fd = -1,
                                   .uid = world->uid,
                                   .gid = world->gid};
    if (rc == 0)
        rc = bv_run(&spawn, log, error);
    stack_command_release(&cmd);
    return rc;
}

static int create_topics(uint16_t port, int64_t deadline_ms, struct bv_error *error)
{
    const struct stack_clients *clients = stack_clients(error);
    return clients
               ? clients->kafka_topics(port, stack_topics, stack_topic_count, deadline_ms, error)
               : BV_E_NOT_FOUND;
}

static int await_end(pid_t pid, int64_t deadline_ms, struct bv_error *error)
{
    for (;;) {
        int status;
        if (waitpid(pid, &status, WNOHANG) == pid)
            return 0;
        if (bv_now_ms() >= deadline_ms) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return bv_fail(
                error, BV_E_TIMEOUT, "Kafka did not end while its class archive was made");
        }
        bv_retry_pause();
    }
}

/* One boot that loads what a broker loads, ended politely: the JVM writes the archive as it exits.
 */
static int
train(const struct stack_world *world, const char *folder, uint16_t port, struct bv_error *error)
{
    struct stack_command cmd;
    BV_TRY(stack_command_init(&cmd, world, error));
    char archive[BV_PATH_MAX + 40], log_path[BV_PATH_MAX];
    snprintf(archive, sizeof archive, "-XX:ArchiveClassesAtExit=%s/kafka.jsa", folder);
    java_args(world, &cmd, archive);
    int rc = class_path_arg(world, &cmd, error);
    stack_arg(&cmd, "kafka.Kafka");
    stack_arg(&cmd, "%s/server.properties", folder);
    if (rc == 0)
        rc = bv_path(log_path, error, "%s/log/kafka-template.log", world->run);
    int log = rc == 0 ? open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
    const struct bv_spawn spawn = {.argv = cmd.argv,
                                   .env = cmd.env,
                                   .folder = "/",
                                   .in_fd = -1,
                                   .out_fd = log,
                                   .uid = world->uid,
                                   .gid = world->gid};
    pid_t pid = 0, shown;
    if (rc == 0)
        rc = bv_spawn(&spawn, &pid, &shown, error);
    if (log >= 0)
        close(log);
    stack_command_release(&cmd);
    BV_TRY(rc);
    rc = create_topics(port, bv_now_ms() + TRAINING_MS_MAX, error);
    kill(pid, rc == 0 ? SIGTERM : SIGKILL);
    int end = await_end(pid, bv_now_ms() + TRAINING_MS_MAX, error);
    return rc < 0 ? rc : end;
}

static int
build_template(const struct stack_world *world, const char *folder, struct bv_error *error)
{
    char file[BV_PATH_MAX], pristine[BV_PATH_MAX], scratch[BV_PATH_MAX], archive[BV_PATH_MAX];
    uint16_t ports[2] = {0};
    BV_TRY(bv_port_pick(NULL, 0, &ports[0], error));
    BV_TRY(bv_port_pick(ports, 1, &ports[1], error));
    BV_TRY(bv_path(file, error, "%s/server.properties", folder));
    BV_TRY(bv_path(pristine, error, "%s/data", folder));
    BV_TRY(bv_path(scratch, error, "%s/scratch", folder));
    BV_TRY(bv_path(archive, error, "%s/kafka.jsa", folder));
    BV_TRY(write_properties(file, scratch, ports[0], ports[1], error));
    BV_TRY(format_log(world, folder, error));
    BV_TRY(bv_fs_copy_tree(scratch, pristine, error));
    BV_TRY(train(world, folder, ports[0], error));
    if (access(archive, R_OK) < 0)
        return bv_fail(
            error, BV_E_UNAVAILABLE, "the JVM wrote no class archive, see log/kafka-template.log");
    return bv_fs_remove_tree(scratch, error);
}

/* ---- one broker ---- */

static int own_cluster_id(const char *data, struct bv_error *error)
{
    char path[BV_PATH_MAX], id[24] = "";
    uint8_t random[16];
    bv_random_system.fill(&bv_random_system, random, sizeof random);
    id[bv_base64url_encode(random, sizeof random, id)] = '\0';
    BV_TRY(bv_path(path, error, "%s/meta.properties", data));
    struct bv_buf old = {.max = 4096}, fresh = {.max = 4096};
    int rc = bv_fs_read(path, &old, error);
    for (char *line = old.data, *next; rc == 0 && line && *line; line = next) {
        size_t size = strcspn(line, "\n");
        next = line + size + (line[size] == '\n');
        if (strncmp(line, "cluster.id=", 11) == 0)
            bv_buf_format(&fresh, "cluster.id=%s\n", id);
        else
            bv_buf_format(&fresh, "%.*s\n", (int)size, line);
    }
    if (rc == 0)
        rc = bv_fs_write(path, bv_buf_view(&fresh), 0644, error);
    bv_buf_release(&old);
    bv_buf_release(&fresh);
    return rc;
}

static int
prepare(const struct stack_world *world, const struct stack_unit *unit, struct bv_error *error)
{
    (void)unit;
    char key[96], template[BV_PATH_MAX], from[BV_PATH_MAX], to[BV_PATH_MAX];
    BV_TRY(stack_kafka_template_key(world, key, error));
    BV_TRY(stack_template(world, key, build_template, template, error));
    BV_TRY(bv_path(from, error, "%s/data", template));
    BV_TRY(bv_path(to, error, "%s/data/kafka", world->run));
    BV_TRY(bv_become(world->uid, world->gid, error));
    BV_TRY(bv_fs_copy_tree(from, to, error));
    return own_cluster_id(to, error);
}

static bool cold(const struct stack_world *world)
{
    char key[96];
    return stack_kafka_template_key(world, key, NULL) == 0 && !stack_template_present(world, key);
}

static int command(const struct stack_world *world,
                   const struct stack_unit *unit,
                   struct stack_command *cmd,
                   struct bv_error *error)
{
    char key[96], file[BV_PATH_MAX], data[BV_PATH_MAX], archive[BV_PATH_MAX + 128];
    BV_TRY(stack_kafka_template_key(world, key, error));
    BV_TRY(bv_path(file, error, "%s/data/kafka.properties", world->run));
    BV_TRY(bv_path(data, error, "%s/data/kafka", world->run));
    BV_TRY(write_properties(file, data, unit->ports[0], unit->ports[1], error));
    snprintf(archive,
             sizeof archive,
             "-XX:SharedArchiveFile=%s/templates/%s/kafka.jsa",
             world->place,
             key);
    java_args(world, cmd, archive);
    BV_TRY(class_path_arg(world, cmd, error));
    stack_arg(cmd, "kafka.Kafka");
    stack_arg(cmd, "%s", file);
    return 0;
}

/* ---- probes ---- */

static int ready(const struct stack_world *world,
                 const struct stack_unit *unit,
                 int64_t deadline_ms,
                 struct bv_error *error)
{
    (void)world;
    return create_topics(unit->ports[0], deadline_ms, error);
}

const struct stack_ops stack_kafka = {prepare, cold, command, ready};
