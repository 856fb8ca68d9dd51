"""Checks bv-grpc against the Python gRPC implementation, both as its client and as its server.

peer.py GRPC_PEER PEER_DESC     PEER_DESC: peer.proto as a FileDescriptorSet; exit status 0: all good, 1: a check failed
"""
import ctypes
import signal
import subprocess
import sys
import threading
import time
import types
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVICE = "bitvelocity.peer.v1.Peer"
PEER, DESCRIPTORS = sys.argv[1], sys.argv[2]
FAILED = []


def check(good, what, detail=""):
    print("ok  " if good else "FAIL", what, detail)
    if not good:
        FAILED.append(what)


def load():
    """The service, and the messages of peer.proto by name."""
    pool = descriptor_pool.DescriptorPool()
    with open(DESCRIPTORS, "rb") as file:
        for proto in descriptor_pb2.FileDescriptorSet.FromString(file.read()).file:
            pool.Add(proto)
    file = pool.FindFileContainingSymbol(SERVICE)
    messages = {name: message_factory.GetMessageClass(kind) for name, kind in file.message_types_by_name.items()}
    return pool.FindServiceByName(SERVICE), types.SimpleNamespace(DARK_BLUE=2, **messages)


def stub_of(service, channel):
    calls = {}
    for method in service.methods:
        make = channel.unary_stream if method.server_streaming else channel.unary_unary
        calls[method.name] = make(f"/{SERVICE}/{method.name}", lambda message: message.SerializeToString(),
                                  message_factory.GetMessageClass(method.output_type).FromString)
    return types.SimpleNamespace(**calls)


def handlers_of(service, servicer):
    rows = {}
    for method in filter(lambda m: hasattr(servicer, m.name), service.methods):
        make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        rows[method.name] = make(getattr(servicer, method.name), message_factory.GetMessageClass(method.input_type).FromString,
                                 lambda message: message.SerializeToString())
    return grpc.method_handlers_generic_handler(SERVICE, rows)


def status_of(call):
    try:
        call()
        return grpc.StatusCode.OK, ""
    except grpc.RpcError as error:
        return error.code(), error.details()


def python_calls(service, pb):
    end_with_parent = lambda: ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    server = subprocess.Popen([PEER, "serve"], stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent)
    port = int(server.stdout.readline())
    channel = grpc.insecure_channel("127.0.0.1:%d" % port)
    stub = stub_of(service, channel)

    kinds = pb.Kinds(an_int64=-2**63, a_uint64=2**64 - 1, a_string="grüß", a_bytes=b"\0\1", a_colour=pb.DARK_BLUE,
                     many_int64=[1, -2], many_inner=[pb.Inner(name="a", child=pb.Inner(name="b"))], choice_text="x")
    check(stub.Echo(kinds, timeout=5) == kinds, "echo of all kinds")

    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    meta = stub.Meta(pb.MetaRequest(key="x-own"), timeout=5,
                     metadata=[("traceparent", trace), ("correlation-id", "corr-1"), ("x-own", "value")])
    check((meta.value, meta.correlation_id, meta.trace_id) == ("value", "corr-1", trace[3:35]), "metadata and trace", meta)
    check(0 < meta.left_ms <= 5100, "the deadline is seen", meta.left_ms)
    check(stub.Meta(pb.MetaRequest(key="none")).left_ms == -1, "no deadline is seen as none")

    code, text = status_of(lambda: stub.Fail(pb.FailRequest(status=5, text="no such thing"), timeout=5))
    check(code == grpc.StatusCode.NOT_FOUND and text == "no such thing", "NOT_FOUND with text", (code, text))
    code, _ = status_of(lambda: stub.Delay(pb.DelayRequest(delay_ms=800), timeout=0.2))
    check(code == grpc.StatusCode.DEADLINE_EXCEEDED, "the caller's deadline", code)
    begin = time.monotonic()
    code, _ = status_of(lambda: stub.Delay(pb.DelayRequest(delay_ms=2600), timeout=30))
    check(code == grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() - begin < 2.5, "the server's cap on it", code)
    code, _ = status_of(lambda: channel.unary_unary("/bitvelocity.peer.v1.Peer/Nothing")(b"", timeout=5))
    check(code == grpc.StatusCode.UNIMPLEMENTED, "unknown method", code)
    code, _ = status_of(lambda: channel.unary_unary("/bitvelocity.peer.v1.Peer/Echo")(b"\xff\xff", timeout=5))
    check(code == grpc.StatusCode.INVALID_ARGUMENT, "malformed message", code)
    code, _ = status_of(lambda: stub.Echo(pb.Kinds(a_string="x" * (2 << 20)), timeout=5))
    check(code == grpc.StatusCode.RESOURCE_EXHAUSTED, "message over the limit", code)

    check([r.number for r in stub.Count(pb.CountRequest(count=200), timeout=5)] == list(range(1, 201)), "a stream in order")
    stream = stub.Count(pb.CountRequest(count=3, stay=True))
    check([next(stream).number for _ in range(3)] == [1, 2, 3], "a stream that stays open")
    stream.cancel()
    check(status_of(lambda: next(stream))[0] == grpc.StatusCode.CANCELLED, "stream cancel")
    code, _ = status_of(lambda: list(stub.Count(pb.CountRequest(count=400, fill_bytes=60000), timeout=10)))
    check(code == grpc.StatusCode.RESOURCE_EXHAUSTED, "a slow reader is cut", code)

    waiting = [stub.Echo.future(kinds, timeout=10) for _ in range(200)]
    check(all(f.result() == kinds for f in waiting), "200 calls at once")

    health = health_pb2_grpc.HealthStub(channel)
    for name in ("", "bitvelocity.peer.v1.Peer", "grpc.health.v1.Health"):
        check(health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5).status == 1, "health of '%s'" % name)
    code, _ = status_of(lambda: health.Check(health_pb2.HealthCheckRequest(service="other"), timeout=5))
    check(code == grpc.StatusCode.NOT_FOUND, "health of an unknown service", code)
    unknown = health.Watch(health_pb2.HealthCheckRequest(service="other"))
    check(next(unknown).status == 3, "health watch of an unknown service")

    database = ProtoReflectionDescriptorDatabase(channel)
    check(set(database.get_services()) == {"bitvelocity.peer.v1.Peer", "grpc.health.v1.Health",
                                           "grpc.reflection.v1alpha.ServerReflection"}, "reflected services", database.get_services())
    pool = descriptor_pool.DescriptorPool(database)
    echo = pool.FindServiceByName(SERVICE).FindMethodByName("Echo")
    kind = message_factory.GetMessageClass(echo.input_type)
    raw = channel.unary_unary("/bitvelocity.peer.v1.Peer/Echo")(kind(a_string="by reflection").SerializeToString(), timeout=5)
    check(kind.FromString(raw).a_string == "by reflection", "a call made from reflection alone")
    reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = [reflection_pb2.ServerReflectionRequest(file_containing_symbol=name)
             for name in ("bitvelocity.peer.v1.Peer.Echo", "bitvelocity.peer.v1.Kinds.a_bool", "bitvelocity.peer.v1.RED", "no.such")]
    asked.append(reflection_pb2.ServerReflectionRequest(file_by_filename="peer.proto"))
    kinds_of = [a.WhichOneof("message_response") for a in reflection.ServerReflectionInfo(iter(asked))]
    check(kinds_of == ["file_descriptor_response"] * 3 + ["error_response", "file_descriptor_response"], "reflection, five on one stream",
          kinds_of)

    watch = health.Watch(health_pb2.HealthCheckRequest())
    check(next(watch).status == 1, "health watch tells the state")
    staying = stub.Count(pb.CountRequest(count=1, stay=True))
    next(staying)
    slow = stub.Delay.future(pb.DelayRequest(delay_ms=500), timeout=10)
    time.sleep(0.1)
    begin = time.monotonic()
    server.send_signal(signal.SIGTERM)
    check(next(watch).status == 2, "health watch tells the drain")
    check(status_of(lambda: next(watch))[0] == grpc.StatusCode.UNAVAILABLE, "the drain ends the watch")
    check(status_of(lambda: next(staying))[0] == grpc.StatusCode.UNAVAILABLE, "the drain ends a stream")
    check(status_of(slow.result)[0] == grpc.StatusCode.OK, "the drain lets a call finish")
    check(server.wait(5) == 0 and time.monotonic() - begin < 1.5, "a clean exit, before the drain's deadline", server.returncode)


def python_serves(service, pb):
    class Peer:
        def Echo(self, request, context):
            return request

        def Meta(self, request, context):
            given = dict(context.invocation_metadata())
            return pb.MetaReply(value=given.get(request.key, ""), correlation_id=given.get("correlation-id", ""),
                                trace_id=given.get("traceparent", "")[3:35], left_ms=int(context.time_remaining() * 1000))

        def Fail(self, request, context):
            context.abort(grpc.StatusCode.NOT_FOUND, request.text)

        def Delay(self, request, context):
            threading.Event().wait(request.delay_ms / 1000)
            return pb.MetaReply()

        def Count(self, request, context):
            for number in range(1, request.count + 1):
                yield pb.CountReply(number=number)
            while context.is_active():
                threading.Event().wait(0.05)

    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((handlers_of(service, Peer()),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    result = subprocess.run([PEER, "call", "127.0.0.1:%d" % port], timeout=30)
    check(result.returncode == 0, "our client, their server", result.returncode)
    server.stop(0)


if __name__ == "__main__":
    given = load()
    python_calls(*given)
    python_serves(*given)
    sys.exit(1 if FAILED else 0)
