// A second foreign client: the package ws of Node, with its own framing. Prints one JSON line a case.
'use strict';
const WebSocket = require('ws');
const port = process.argv[2];

function report(name, good, detail) {
  console.log(JSON.stringify({ name, good, detail: String(detail) }));
}

// Opens, lets `act` talk, and resolves with what came: messages, pongs, close code and reason.
function talk(path, options, act) {
  return new Promise((resolve) => {
    const seen = { messages: [], pongs: [], code: 0, reason: '', protocol: '', extensions: '', error: '' };
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, options.protocols || [], { perMessageDeflate: options.deflate === true });
    socket.on('open', () => {
      seen.protocol = socket.protocol;
      seen.extensions = socket.extensions;
      act(socket, seen);
    });
    socket.on('message', (data, binary) => {
      seen.messages.push({ data, binary });
      if (seen.messages.length === options.messages) socket.close(1000, 'enough');
    });
    socket.on('pong', (data) => {
      seen.pongs.push(data.toString());
      if (seen.pongs.length === options.pongs) socket.close(1000);
    });
    socket.on('error', (error) => { seen.error = error.message; });
    socket.on('close', (code, reason) => {
      seen.code = code;
      seen.reason = reason.toString();
      resolve(seen);
    });
  });
}

async function main() {
  for (const deflate of [false, true]) {
    for (const size of [0, 1, 125, 126, 65535, 65536, 1000000]) {
      for (const binary of [false, true]) {
        const sent = Buffer.alloc(size, binary ? 0xfe : 0x2a);
        const seen = await talk('/ws', { deflate, messages: 1 }, (socket) => socket.send(sent, { binary }));
        const got = seen.messages[0];
        const good = seen.code === 1000 && got && got.binary === binary && got.data.equals(sent) && seen.extensions === '';
        report(`echo ${binary ? 'binary' : 'text'} ${size}${deflate ? ', deflate offered' : ''}`, good, `${seen.code} ${seen.error}`);
      }
    }
  }
  const parts = await talk('/ws', { messages: 1 }, (socket) => {
    for (let i = 0; i < 99; i++) {
      socket.send('µ', { fin: false });
      if (i % 10 === 0) socket.ping(String(i));
    }
    socket.send('end', { fin: true });
  });
  report('100 fragments, pings between', parts.messages.length === 1 && parts.messages[0].data.toString() === 'µ'.repeat(99) + 'end' &&
    parts.pongs.length === 10, `${parts.messages.length} ${parts.pongs.length}`);
  const many = await talk('/ws', { messages: 2000 }, (socket) => {
    for (let i = 0; i < 2000; i++) socket.send(`message ${i}`);
  });
  report('2,000 messages, in order', many.messages.every((m, i) => m.data.toString() === `message ${i}`) && many.messages.length === 2000, many.messages.length);
  const pongs = await talk('/ws', { pongs: 100 }, (socket) => {
    for (let i = 0; i < 100; i++) socket.ping(String(i));
  });
  report('100 pings, in order', pongs.pongs.length === 100 && pongs.pongs.every((p, i) => p === String(i)), pongs.pongs.length);
  for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4999]) {
    const seen = await talk('/ws', {}, (socket) => socket.close(code, 'reason µ'));
    report(`close ${code}`, seen.code === code, seen.code);
  }
  for (const code of [1000, 1001, 1011, 3000, 4999]) {
    const seen = await talk('/ws', {}, (socket) => socket.send(`close ${code}`));
    report(`closed by the server, ${code}`, seen.code === code && seen.reason === 'as you wish', `${seen.code} ${seen.reason}`);
  }
  const large = await talk('/ws/limited', {}, (socket) => socket.send('x'.repeat(1025)));
  report('past the limit', large.code === 1009, large.code);
  const bad = await talk('/ws', {}, (socket) => socket.send(Buffer.from([0xc0, 0xaf]), { binary: false }));
  report('no UTF-8', bad.code === 1007, bad.code);
  const chosen = await talk('/ws', { protocols: ['x', 'echo.v1'], messages: 1 }, (socket) => socket.send('a'));
  report('a subprotocol', chosen.protocol === 'echo.v1', chosen.protocol);
}

main();
