/* Results of runs that nobody has to wait for, to measure the page with: the same bytes for the same arguments.
 *   many(scenarios)   an order flow of 12 steps and 22 messages in each scenario, eight at a time; every 50th is red
 *   long(messages)    one scenario in which so many messages travel over five actors and three services
 * Each line holds to reports/schema/results.schema.json (bench.mjs checks). */

const START = Date.parse('2026-11-23T05:00:00.000Z');

function dice(seed) {
    return () => {
        seed = (seed + 0x6d2b79f5) | 0;
        let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
}
const hex = (roll, size) => Array.from({length: size}, () => '0123456789abcdef'[Math.floor(roll() * 16)]).join('');
const uuid = roll => [8, 4, 4, 4, 12].map(size => hex(roll, size)).join('-');

function head(story, count) {
    return [
        {record: 'run', schema: 1, run: 'synthetic-' + count, startedAt: new Date(START).toISOString(), story, files: ['scenarios/' + story + '.feature'], tags: '',
            reproduce: 'make scenario STORY=' + story},
        {record: 'environment', us: 2300000, stack: {name: 'synthetic', bootMs: 2300, isolation: 'pid-namespace', rssBytes: 280000000},
            parts: ['postgres', 'redis', 'kafka', 'auth', 'product', 'inventory', 'order', 'notification'].map((name, i) =>
                ({name, kind: i < 3 ? 'server' : 'service', url: 'http://127.0.0.1:' + (14000 + i), readyMs: 300 + 250 * i})),
            host: {os: 'Debian GNU/Linux 12 (bookworm)', kernel: '6.1.0', cpus: 8, memoryBytes: 16e9}},
        {record: 'feature', id: 'f1', file: 'scenarios/' + story + '.feature', line: 2, name: 'Synthetic: ' + story, tags: []},
    ];
}

/* One scenario being written: messages and spans get their ids and times from here. */
class Writer {
    constructor(roll, id, name, us, line) {
        this.roll = roll;
        this.id = id;
        this.us = us;
        this.start = us;
        this.trace = hex(roll, 32);
        this.records = [{record: 'scenario', id, feature: 'f1', us, line, name, tags: ['@synthetic'], run: 'syn-' + id, traceId: this.trace}];
        this.messages = 0;
        this.steps = 0;
        this.counts = {passed: 0, failed: 0, broken: 0, skipped: 0};
    }
    actor(name, protocol) {
        this.records.push({record: 'actor', scenario: this.id, us: this.us, name, protocol, text: 'actor ' + name + ' is ' + protocol});
    }
    message(actor, protocol, direction, type, more = {}) {
        this.us += 200 + Math.floor(this.roll() * 1500);
        this.records.push({record: 'message', scenario: this.id, id: ++this.messages, actor, protocol, direction, us: this.us, summary: type, type, traceId: this.trace,
            mediaType: 'application/json', ...more});
        return this.messages;
    }
    /* A request, its span in the service and its answer; returns both ids. */
    call(actor, protocol, service, type, body, answer, status) {
        const span = hex(this.roll, 16);
        const asked = this.message(actor, protocol, 'sent', type, {spanId: span, json: body, bodyBytes: JSON.stringify(body).length,
            fields: [{name: 'authorization', value: '[redacted]'}, {name: 'traceparent', value: '00-' + this.trace + '-' + span + '-01'}]});
        const served = hex(this.roll, 16), sent = this.us;
        const got = this.message(actor, protocol, 'received', type, {summary: type + ' -> ' + status, status, answers: asked, spanId: span, json: answer,
            bodyBytes: JSON.stringify(answer).length, fields: [{name: 'content-type', value: 'application/json'}, {name: 'etag', value: '"2"'}]});
        this.records[this.records.length - 1].latencyUs = this.us - sent;
        this.span(service, type.replace(/[0-9a-f-]{36}/, '{id}'), served, span, sent + 100, this.us - sent - 150);
        return [asked, got, served];
    }
    span(service, name, spanId, parentSpanId, us, durationUs) {
        (this.spans = this.spans || []).push({record: 'span', scenario: this.id, us, durationUs: Math.max(1, durationUs), service, name, traceId: this.trace, spanId, parentSpanId, status: 'unset'});
    }
    step(keyword, type, text, messages, red) {
        const us = this.stepUs || this.start;
        const verdict = this.red ? 'skipped' : red ? 'failed' : 'passed';
        this.counts[verdict]++;
        this.records.push({record: 'step', id: this.id + '.' + ++this.steps, scenario: this.id, us, durationUs: verdict === 'skipped' ? 0 : Math.max(1, this.us - us), file: 'scenarios/synthetic.feature',
            line: 10 + this.steps, keyword, type, text, verdict, messages: verdict === 'skipped' ? [] : messages, actor: text.replace(/^within \S+ /, '').split(' ')[0],
            ...(verdict === 'failed' ? {expected: red, actual: 'nothing arrived', error: 'ledger did not receive it'} : {})});
        this.stepUs = this.us;
        this.red = this.red || Boolean(red);
    }
    end() {
        const verdict = this.red ? 'failed' : 'passed';
        return [...this.records, {record: 'scenario-end', scenario: this.id, us: this.us, durationUs: this.us - this.start, verdict, steps: this.counts, messages: this.messages,
            ...(this.red ? {error: 'ledger did not receive it', reproduce: 'make scenario STORY=synthetic ARGS=\'--tags @synthetic\''} : {})}, ...(this.spans || [])];
    }
}
const order = (roll, id, state, version) => ({orderId: id, version, state, customerId: uuid(roll), items: [{sku: 'MUG-' + hex(roll, 6), quantity: 2, unitPriceMinor: 1250}],
    totalMinor: 2500, currency: 'EUR', createdAt: '2026-11-23T05:00:01.000Z', updatedAt: '2026-11-23T05:00:01.200Z'});
const envelope = (roll, type, payload, trace) => ({eventId: uuid(roll), eventType: type, occurredAt: '2026-11-23T05:00:01.000Z', producer: 'order', traceId: trace, correlationId: 'syn', payload});

function flow(roll, number, us) {
    const s = new Writer(roll, 's' + number, 'order number ' + number + ' reaches every party once, in order', us, 10 + number * 20);
    const id = uuid(roll), red = number % 50 === 7;
    for (const [name, protocol] of [['clerk', 'rest'], ['buyer', 'rest'], ['ledger', 'kafka'], ['screen', 'websocket'], ['partner', 'webhook']])
        s.actor(name, protocol);
    s.step('Given', 'context', 'clerk is rest at gateway as staff', []);
    const [a, b] = s.call('clerk', 'rest', 'product', 'POST /v1/products', {sku: 'MUG-' + number, name: 'Mug ' + number, priceMinor: 1250, currency: 'EUR'}, {sku: 'MUG-' + number, version: 1}, 201);
    s.step('When', 'action', 'clerk posts "/v1/products"', [a, b]);
    s.step('Then', 'outcome', 'clerk status == 201', [b]);
    const [c, d, served] = s.call('buyer', 'rest', 'order', 'POST /v1/orders', {items: [{sku: 'MUG-' + number, quantity: 2}]}, order(roll, id, 'RESERVED', 2), 201);
    s.step('When', 'action', 'buyer posts "/v1/orders" with key "${run}-order"', [c, d]);
    s.step('Then', 'outcome', 'buyer status == 201 and json "$.state" == RESERVED', [d]);
    for (const [version, word] of [[1, 'created'], [2, 'reserved'], [3, 'paid'], [4, 'confirmed'], [5, 'shipped'], [6, 'delivered']]) {
        const type = 'ecommerce.order.' + word + '.v1';
        const lost = red && word === 'reserved';
        const ids = [];
        const out = hex(roll, 16), taken = hex(roll, 16);
        s.span('order', 'outbox publish', out, served, s.us, 900);
        const body = envelope(roll, type, order(roll, id, word.toUpperCase(), version), s.trace);
        if (!lost)
            ids.push(s.message('ledger', 'kafka', 'received', type, {summary: 'ecommerce.orders[' + number % 4 + ']@' + version + ' ' + type, key: id, spanId: out, sequence: version, json: body,
                bodyBytes: JSON.stringify(body).length, contract: 'events/' + type + '.schema.json', fields: [{name: 'traceparent', value: '00-' + s.trace + '-' + out + '-01'}, {name: 'event-id', value: body.eventId}]}));
        s.span('notification', type, taken, out, s.us, 700);
        ids.push(s.message('screen', 'websocket', 'received', type, {summary: type + ' #' + version, key: id, spanId: taken, sequence: version, json: {sequence: version, type, data: body.payload}}));
        ids.push(s.message('partner', 'webhook', 'received', type, {summary: type + ' -> 204', status: 204, key: id, spanId: taken, sequence: version, signature: 'good', json: {type, data: body.payload}}));
        if (lost)
            s.us += 300000;
        s.step('Then', 'outcome', 'within 5s ledger receives "' + type + '" for key ${order}', ids, lost ? type + ' for key ' + id + ' within 5000 ms' : '');
        if (s.red)
            break;
    }
    s.step('And', 'outcome', 'within 500ms ledger receives exactly 1 "ecommerce.order.created.v1" for key ${order}', []);
    return s.end();
}

const lines = records => records.map(record => JSON.stringify(record)).join('\n') + '\n';
const WORKERS = 8;

export function many(scenarios) {
    const roll = dice(scenarios), free = Array.from({length: WORKERS}, () => 2300000);
    const records = head('many', scenarios);
    let failed = 0;
    for (let i = 1; i <= scenarios; i++) {
        const worker = free.indexOf(Math.min(...free));
        const own = flow(roll, i, free[worker]);
        const end = own.find(record => record.record === 'scenario-end');
        failed += end.verdict === 'failed';
        free[worker] = end.us + 1000;
        records.push(...own);
    }
    records.push({record: 'end', us: Math.max(...free), verdict: failed ? 'failed' : 'passed', exit: failed ? 1 : 0, scenarios: {passed: scenarios - failed, failed, broken: 0, skipped: 0},
        contracts: {checked: scenarios * 6, violated: 0}});
    return lines(records);
}
export function long(messages) {
    const roll = dice(messages), records = head('long', messages);
    const s = new Writer(roll, 's1', 'one scenario with ' + messages + ' messages', 2300000, 10);
    for (const [name, protocol] of [['buyer', 'rest'], ['ledger', 'kafka'], ['screen', 'websocket'], ['partner', 'webhook'], ['page', 'sse']])
        s.actor(name, protocol);
    while (s.messages < messages) {
        const id = uuid(roll), ids = [], type = 'ecommerce.order.created.v1';
        for (let i = 0; i < 20; i++) {
            const [asked, got, served] = s.call('buyer', 'rest', 'order', 'POST /v1/orders', {items: [{sku: 'MUG-' + i, quantity: 1}]}, order(roll, id, 'RESERVED', 1), 201);
            const out = hex(roll, 16), taken = hex(roll, 16);
            s.span('order', 'outbox publish', out, served, s.us, 400);
            ids.push(asked, got, s.message('ledger', 'kafka', 'received', type, {summary: 'ecommerce.orders[0]@' + s.messages + ' ' + type, key: id, spanId: out, json: envelope(roll, type, order(roll, id, 'CREATED', 1), s.trace)}));
            s.span('notification', type, taken, out, s.us, 300);
            for (const [actor, protocol] of [['screen', 'websocket'], ['partner', 'webhook'], ['page', 'sse']])
                ids.push(s.message(actor, protocol, 'received', type, {key: id, spanId: taken, json: {type, data: order(roll, id, 'CREATED', 1)}}));
        }
        s.step('When', 'action', 'buyer posts "/v1/orders" twenty times', ids);
    }
    records.push(...s.end(), {record: 'end', us: s.us, verdict: 'passed', exit: 0, scenarios: {passed: 1, failed: 0, broken: 0, skipped: 0}});
    return lines(records);
}
