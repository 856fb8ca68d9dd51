"""An HTTP/2 client that says whatever it is told to, right or wrong: frames by hyperframe, header blocks by hpack.

What it hears is kept per stream. It acknowledges SETTINGS and PING and gives back the windows that it used up, unless told not to.
"""
import os
import select
import socket
import struct
import time
import urllib.parse

import hpack
from hyperframe import frame as frames
from hyperframe.exceptions import HyperframeError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATIENCE = 4 if {"ASAN_OPTIONS", "TSAN_OPTIONS"} & set(os.environ) else 1  # sanitizers take time and memory
WAIT_S = 10.0 * PATIENCE  # an answer that takes longer is a failure of its own


def message(payload, flag=0, size=None):
    """A length-prefixed message of gRPC; size: what the prefix says, if not the truth."""
    return struct.pack(">BI", flag, len(payload) if size is None else size) + payload


def varint(value):
    out = b""
    while True:
        value, low = value >> 7, value & 0x7F
        out += bytes([low | (0x80 if value else 0)])
        if not value:
            return out


def field(number, value):
    """A protobuf field: text and bytes with their length, integers as varints."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def headers_for(path, **changes):
    """The headers of a good call. A change with the value None leaves that one out; dashes are underscores, and _x is :x."""
    wanted = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "conformance", "te": "trailers",
              "content-type": "application/grpc", "grpc-timeout": "20S"}
    for key, value in changes.items():
        wanted[":" + key[1:] if key.startswith("_") else key.replace("_", "-")] = value
    return [(name, value) for name, value in wanted.items() if value is not None]


class Stream:
    def __init__(self):
        self.headers, self.data, self.ended, self.reset = [], b"", False, None

    @property
    def over(self):
        return self.ended or self.reset is not None

    def get(self, name):
        return next((value for key, value in self.headers if key == name), None)

    def replies(self):
        out, rest = [], self.data
        while len(rest) >= 5:
            size = struct.unpack(">I", rest[1:5])[0]
            out.append(rest[5:5 + size])
            rest = rest[5 + size:]
        return out

    def outcome(self):
        """The status as the specification lets a client derive it: a number, 'http 415', 'reset 1' or 'nothing'."""
        if self.get("grpc-status") is not None:
            return int(self.get("grpc-status"))
        if self.get(":status") not in (None, "200"):
            return "http " + self.get(":status")
        if self.reset is not None:
            return f"reset {self.reset}"
        return "ended" if self.ended else "nothing"

    def text(self):
        return urllib.parse.unquote(self.get("grpc-message") or "")


class Client:
    def __init__(self, port, settings=None, preface=PREFACE, receive_bytes=0, give_back=True):
        self.link = socket.socket()
        self.link.settimeout(WAIT_S)
        if receive_bytes:
            self.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.link.connect(("127.0.0.1", port))
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.streams, self.next_id, self.heard, self.block = {}, 1, b"", b""
        self.closed, self.goaway, self.give_back, self.pongs = False, None, give_back, 0
        self.window, self.frame_bytes = 65535, 16384
        if preface:
            self.send(preface + frames.SettingsFrame(0, settings=settings or {}).serialize())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.link.close()

    # ---- saying ----

    def send(self, data):
        """False when the peer has closed."""
        try:
            self.link.sendall(data)
        except OSError:
            self.closed = True
        return not self.closed

    def open(self, headers, end=False, stream_id=None):
        if stream_id is None:
            stream_id, self.next_id = self.next_id, self.next_id + 2
        self.streams[stream_id] = Stream()
        self.send(self.headers_bytes(stream_id, headers, end))
        return stream_id

    def headers_bytes(self, stream_id, headers, end=False):
        block, out = self.encoder.encode(headers, huffman=False), b""
        first = frames.HeadersFrame(stream_id, block[:self.frame_bytes])
        rest = block[self.frame_bytes:]
        if end:
            first.flags.add("END_STREAM")
        parts = [first]
        while rest:
            parts.append(frames.ContinuationFrame(stream_id, rest[:self.frame_bytes]))
            rest = rest[self.frame_bytes:]
        parts[-1].flags.add("END_HEADERS")
        for part in parts:
            out += part.serialize()
        return out

    def data(self, stream_id, data, end=True, wait_s=WAIT_S):
        """Sends within the window of the connection, as far as the stream goes; False when no window came for so long."""
        while True:
            part, data = data[:self.frame_bytes], data[self.frame_bytes:]
            while len(part) > self.window and not self.closed and not self.streams[stream_id].over:
                if not self.hear(wait_s):
                    return False
            self.window -= len(part)
            frame = frames.DataFrame(stream_id, part)
            if end and not data:
                frame.flags.add("END_STREAM")
            self.send(frame.serialize())
            if not data or self.closed or self.streams[stream_id].over:
                return True

    def reset(self, stream_id, code=8):
        self.send(frames.RstStreamFrame(stream_id, code).serialize())

    def ping(self):
        self.send(frames.PingFrame(0, b"conforms").serialize())

    # ---- hearing ----

    def hear(self, wait_s):
        """Takes in what comes, waiting for it once; False when nothing came."""
        if self.closed or not select.select([self.link], [], [], wait_s)[0]:
            return False
        try:
            data = self.link.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return False
        self.heard += data
        answer = b""
        while len(self.heard) >= 9:
            frame, size = frames.Frame.parse_frame_header(memoryview(self.heard[:9]))
            if len(self.heard) < 9 + size:
                break
            frame.parse_body(memoryview(self.heard[9:9 + size]))
            self.heard = self.heard[9 + size:]
            answer += self.take(frame)
        if answer:
            self.send(answer)
        return True

    def take(self, frame):
        stream = self.streams.get(frame.stream_id, Stream())
        if isinstance(frame, frames.SettingsFrame):
            return b"" if "ACK" in frame.flags else frames.SettingsFrame(0, flags=["ACK"]).serialize()
        if isinstance(frame, frames.PingFrame):
            if "ACK" in frame.flags:
                self.pongs += 1
                return b""
            return frames.PingFrame(0, frame.opaque_data, flags=["ACK"]).serialize()
        if isinstance(frame, frames.GoAwayFrame):
            self.goaway = frame.error_code
        elif isinstance(frame, frames.RstStreamFrame):
            stream.reset = frame.error_code
        elif isinstance(frame, frames.WindowUpdateFrame) and frame.stream_id == 0:
            self.window += frame.window_increment
        elif isinstance(frame, (frames.HeadersFrame, frames.ContinuationFrame)):
            self.block += frame.data
            if "END_HEADERS" in frame.flags:
                stream.headers += [(str(k), str(v)) for k, v in self.decoder.decode(self.block)]
                self.block = b""
            stream.ended = stream.ended or "END_STREAM" in frame.flags
        elif isinstance(frame, frames.DataFrame):
            stream.data += frame.data
            stream.ended = stream.ended or "END_STREAM" in frame.flags
            if self.give_back and frame.flow_controlled_length:
                back = [frames.WindowUpdateFrame(0, frame.flow_controlled_length)]
                if not stream.ended:
                    back.append(frames.WindowUpdateFrame(frame.stream_id, frame.flow_controlled_length))
                return b"".join(f.serialize() for f in back)
        return b""

    def until(self, condition, wait_s=WAIT_S):
        """Hears until the condition holds or the peer closes; whether it holds."""
        end = time.monotonic() + wait_s
        try:
            while not condition() and not self.closed and time.monotonic() < end:
                self.hear(max(0.0, end - time.monotonic()))
        except (HyperframeError, hpack.HPACKError) as error:
            raise ConnectionError(f"the server broke HTTP/2: {error!r}") from error
        return condition()

    def answer(self, stream_id, wait_s=WAIT_S):
        stream = self.streams[stream_id]
        self.until(lambda: stream.over, wait_s)
        return stream

    def call(self, path, body, **changes):
        """A whole call; the stream, with what came."""
        stream_id = self.open(headers_for(path, **changes))
        self.data(stream_id, body)
        return self.answer(stream_id)

    def alive(self, wait_s=WAIT_S):
        """Whether a ping is answered."""
        before = self.pongs
        self.ping()
        return self.until(lambda: self.pongs > before, wait_s)
