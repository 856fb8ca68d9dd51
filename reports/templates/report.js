/* Shows on demand what the page's static part only names: messages, timelines, logs, latencies. Reads the one JSON document in
 * #data (its members are listed in reports/render/data.c), packed where it is large; a line of it is a scenario, which is parsed
 * when it is needed. Values enter the page as text nodes and attributes, never as markup; the markup of a scenario that a large
 * page leaves out comes from bv-report, escaped like the rest. What takes long is done in slices, between which the page answers. */
(async () => {
'use strict';

const SENT = 0, NOTE = 2;
const VERDICTS = ['passed', 'failed', 'broken', 'skipped', 'unfinished'];
const ROWS_AT_ONCE = 200, OPEN_AT_ONCE = 40, LABELS_MAX = 160, HITS_MARKED_MAX = 2000;
const LANE_WIDE = 30, LANE_NARROW = 46, GUTTER = 168, SKEW_US = 3000, FOLD_PX = 34, NEAR_PX = 14;
const LABEL_PX = 6.3, NAME_PX = 6.6; /* a character of a label, of a name in a bar */

const find = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

async function unpack(text) {
    const packed = atob(text), bytes = new Uint8Array(packed.length);
    for (let i = 0; i < packed.length; i++)
        bytes[i] = packed.charCodeAt(i);
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'))).text();
}
const source = find('#data');
const rows = (source.type === 'application/json' ? source.textContent : await unpack(source.textContent)).split('\n');
const data = JSON.parse(rows[0] + rows[rows.length - 1]);
source.remove();
const COUNT = rows.length - 2; /* scenarios */
const lineOf = index => rows[index + 1].charCodeAt(0) === 44 ? rows[index + 1].slice(1) : rows[index + 1];
const parsed = [];
const raw = index => parsed[index] || JSON.parse(lineOf(index)); /* kept once a model holds it */

/* Does work(i) for 0 ≤ i < count, a few milliseconds at a time; false when still() became false meanwhile. */
const SLICE_MS = 10;
async function sliced(count, work, still = () => true) {
    let from = performance.now();
    for (let i = 0; i < count; i++) {
        work(i);
        if (performance.now() - from < SLICE_MS)
            continue;
        await new Promise(next => setTimeout(next));
        if (!still())
            return false;
        from = performance.now();
    }
    return true;
}

const SVG = 'http://www.w3.org/2000/svg';
function fill(node, attributes, kids) {
    for (const [name, value] of Object.entries(attributes || {})) {
        if (value === undefined || value === null || value === false)
            continue;
        if (name.startsWith('on'))
            node.addEventListener(name.slice(2), value);
        else
            node.setAttribute(name, value === true ? '' : value);
    }
    node.append(...kids.flat(Infinity).filter(kid => kid !== null && kid !== undefined && kid !== false));
    return node;
}
const el = (tag, attributes, ...kids) => fill(document.createElement(tag), attributes, kids);
const sv = (tag, attributes, ...kids) => fill(document.createElementNS(SVG, tag), attributes, kids);

function duration(us) {
    if (us < 100)
        return us + ' µs';
    if (us < 9950)
        return (us / 1e3).toFixed(1) + ' ms';
    if (us < 999500)
        return Math.round(us / 1e3) + ' ms';
    return us < 59995000 ? (us / 1e6).toFixed(us < 9995000 ? 2 : 1) + ' s'
        : Math.floor(us / 6e7) + ' min ' + String(Math.round(us % 6e7 / 1e6)).padStart(2, '0') + ' s';
}
function bytes(size) {
    if (size < 1000)
        return size + ' B';
    return size < 999500 ? (size / 1e3).toFixed(size < 9950 ? 1 : 0) + ' kB' : (size / 1e6).toFixed(1) + ' MB';
}
const plural = (count, noun) => count + ' ' + noun + (count === 1 ? '' : 's');
const button = (text, onclick, attributes) => el('button', {type: 'button', onclick, ...attributes}, text);

/* ---- the model: made per scenario when first needed ---- */

const models = [];
function model(index) {
    if (!models[index]) {
        parsed[index] = raw(index);
        models[index] = build(index, parsed[index]);
    }
    return models[index];
}
function build(index, own) {
    const s = {index, raw: own, us: own.us, end: Math.max(own.end, own.us + 1), messages: own.messages, byId: new Map(),
        steps: own.steps.map(([us, du, verdict, line, ids, violations], n) => ({us, du, verdict, line, ids, violations, n}))};
    for (const m of s.messages) {
        m.steps = [];
        s.byId.set(m.i, m);
    }
    for (const m of s.messages) {
        m.asked = m.an ? s.byId.get(m.an) : undefined;
        if (m.asked && !m.asked.answer)
            m.asked.answer = m;
    }
    for (const step of s.steps)
        for (const id of [...step.ids, ...step.violations])
            if (s.byId.has(id) && !s.byId.get(id).steps.includes(step))
                s.byId.get(id).steps.push(step);
    s.sorted = [...s.messages].sort((a, b) => a.u - b.u || a.i - b.i);
    s.lines = linesBetween(s.us - 20000, s.end + 100000);
    readServices(s);
    joinCauses(s);
    return s;
}
const actorOf = (s, m) => s.raw.actors[m.a] || ['?', ''];

function linesBetween(from, to) {
    let low = 0, high = data.lines.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        if (data.lines[middle][0] < from) low = middle + 1; else high = middle;
    }
    const list = [];
    for (let i = low; i < data.lines.length && data.lines[i][0] <= to; i++)
        list.push(readLine(data.lines[i]));
    return list;
}
function readLine(row) {
    if (row.read)
        return row.read;
    const line = {us: row[0], part: data.parts[row[1]], level: row[2], text: row[3], json: null};
    if (line.text.startsWith('{')) {
        try {
            line.json = JSON.parse(line.text);
        } catch (cut) { /* a line over the limit: shown as it is */ }
    }
    return row.read = line;
}

/* Lanes of services: spans where the run has them, else what the log lines of the scenario's traces tell. */
function readServices(s) {
    s.spans = s.raw.spans.map(p => ({...p, du: p.du || 0, service: p.sv || '?', name: p.n || ''}));
    const known = new Set(s.spans.map(p => p.sp));
    const traces = new Set(s.messages.map(m => data.traces[m.tr]));
    for (const line of s.lines) {
        const j = line.json;
        if (!j || !j.trace_id || !traces.has(j.trace_id) || (known.has(j.span_id) && line.level < 2))
            continue;
        const du = typeof j.duration_ms === 'number' ? Math.round(j.duration_ms * 1000) : 0;
        s.spans.push({service: line.part, name: j.event === 'http.request' ? j.method + ' ' + j.route : String(j.event), u: line.us - du,
            du, sp: j.span_id, tr: data.traces.indexOf(j.trace_id), level: line.level, line, request: /\.(request|call)$/.test(j.event)});
    }
    s.spans.sort((a, b) => a.u - b.u);
}

/* The request that a service's span most likely served: same trace, around it in time, same method and path where both are known. */
function askerOf(p, sent) {
    let best = null, least = Infinity;
    for (const m of sent) {
        if (m.u > p.u + SKEW_US)
            break;
        if (m.tr !== p.tr || !m.answer || m.answer.u < p.u + p.du - SKEW_US)
            continue;
        const off = Math.max(0, m.u - p.u) + Math.max(0, p.u + p.du - m.answer.u);
        const cost = off + (p.line && !sameRoute(p.line.json, m.t || m.s) ? SKEW_US * 4 : 0);
        if (cost <= least) {
            least = cost;
            best = m;
        }
    }
    return best;
}
function sameRoute(line, asked) {
    if (!line.method || !line.route)
        return true;
    const [method, path] = asked.split(' ');
    const want = line.route.split('/'), have = (path || '').split('?')[0].split('/');
    return method === line.method && want.length === have.length && want.every((part, i) => part.startsWith('{') || part === have[i]);
}

/* What caused what. Sure: an answer, a span's parent, a message that carries the id of a span that is known. Otherwise the nearest
 * earlier request of the same trace that could have caused it, first one that speaks of the same key. */
function joinCauses(s) {
    const joins = s.joins = [];
    const bySpan = new Map(), sentBy = new Map();
    for (const p of s.spans)
        if (p.sp && (!bySpan.has(p.sp) || (p.request && !bySpan.get(p.sp).request)))
            bySpan.set(p.sp, p);
    const sent = s.sorted.filter(m => m.d === SENT && !m.an);
    for (const m of sent)
        if (m.sp)
            sentBy.set(m.sp, m);
    const join = (from, to, sure) => {
        joins.push({from, to, sure});
        (to.causes = to.causes || []).push(from);
        (from.effects = from.effects || []).push(to);
    };
    for (const p of s.spans) {
        const parent = p.pa && (sentBy.get(p.pa) || bySpan.get(p.pa));
        const own = p.sp && bySpan.get(p.sp);
        if (parent && parent !== p)
            join(parent, p, true);
        else if (own && own !== p && own.u <= p.u)
            join(own, p, true);
        else {
            const asker = askerOf(p, sent);
            if (asker) {
                const late = Math.max(0, asker.u - p.u); /* nobody answers before being asked: so far the clocks differ */
                p.u += late;
                p.du = Math.max(0, p.du - late);
                join(asker, p, false);
            }
        }
    }
    const speaks = (m, key) => [m, m.answer].some(x => x && ((x.b || '').includes(key) || (x.s || '').includes(key)));
    const about = m => ((m.b || '').match(/"orderId":"([^"]+)"/) || [])[1] || (m.k && m.k.length >= 8 ? m.k : '');
    const told = new Map(), open = [];
    for (const m of s.sorted) {
        if (m.d !== 1 || m.an || m.tr === undefined)
            continue;
        const cause = m.sp && [bySpan.get(m.sp), sentBy.get(m.sp)].find(one => one && one.u <= m.u);
        if (!cause) {
            open.push(m);
            continue;
        }
        join(cause, m, true);
        if (m.t && about(m) && !told.has(m.t + about(m)))
            told.set(m.t + about(m), cause);
    }
    for (const m of open) {
        const same = m.t && told.get(m.t + about(m)); /* the same event, heard elsewhere */
        const cause = same && same.u <= m.u ? same : lastCause(m, sent, about(m), speaks);
        if (cause)
            join(cause, m, false);
    }
}
/* The last request before m, in its trace, that changes something and speaks of the same thing; else the last that changes something. */
function lastCause(m, sent, key, speaks) {
    let best = null;
    for (let i = sent.length - 1, left = 40; i >= 0 && left > 0; i--) {
        const asked = sent[i];
        if (asked.u > m.u || asked.tr !== m.tr || /^(GET|HEAD|OPTIONS) /.test(asked.t || asked.s || ''))
            continue;
        best = best || asked;
        if (!key || speaks(asked, key))
            return asked;
        left--;
    }
    return best;
}

/* ---- JSON as text, so that numbers and order stay what they were ---- */

function prettyLines(text) {
    const tokens = text.match(/"(?:[^"\\]|\\[^])*"?|[{}[\],:]|[^\s{}[\],:"]+/g) || [];
    const lines = [];
    let line = null, depth = 0;
    const open = () => lines.push(line = {depth, parts: []});
    open();
    for (let i = 0; i < tokens.length; i++) {
        const t = tokens[i];
        if (t === '{' || t === '[') {
            if (tokens[i + 1] === '}' || tokens[i + 1] === ']') {
                line.parts.push(['', t + tokens[++i]]);
                continue;
            }
            line.parts.push(['', t]);
            line.opens = true;
            depth++;
            open();
        } else if (t === '}' || t === ']') {
            depth--;
            open();
            line.parts.push(['', t]);
            line.closes = true;
        } else if (t === ',') {
            line.parts.push(['', ',']);
            open();
        } else if (t === ':') {
            line.parts.push(['', ': ']);
        } else {
            const kind = t[0] === '"' ? (tokens[i + 1] === ':' ? 'k' : 's') : /^[-0-9]/.test(t) ? 'n' : 'w';
            line.parts.push([kind, t]);
        }
    }
    return lines;
}
function fold(event) {
    const first = event.currentTarget.parentNode;
    const depth = +first.dataset.depth;
    const shut = first.classList.toggle('shut');
    event.currentTarget.setAttribute('aria-expanded', String(!shut));
    for (let node = first.nextSibling; node && +node.dataset.depth > depth; node = node.nextSibling) {
        node.hidden = shut;
        if (!shut && node.classList.contains('shut')) {
            node.classList.remove('shut');
            find('.fold', node).setAttribute('aria-expanded', 'true');
        }
    }
}
function jsonBlock(text, cut) {
    const block = el('div', {class: 'code json', tabindex: '0', role: 'group', 'aria-label': 'Body'});
    for (const line of prettyLines(text)) {
        const row = el('div', {class: 'ln', 'data-depth': line.depth});
        if (line.opens && line.depth > 0)
            row.append(button('', fold, {class: 'fold', 'aria-expanded': 'true', 'aria-label': 'Fold'}));
        row.append('  '.repeat(Math.max(line.depth, 0)), ...line.parts.map(([kind, t]) => kind ? el('span', {class: 'j' + kind}, t) : t), '\n');
        block.append(row);
    }
    if (cut)
        block.append(el('div', {class: 'ln cut', 'data-depth': 0}, cut));
    return block;
}

/* ---- one message ---- */

const ARROWS = ['→', '←', '·'], DIRECTIONS = ['sent', 'received', 'note'];

function messageHead(s, m) {
    const [actor, protocol] = actorOf(s, m);
    const flags = [];
    if (m.v)
        flags.push(el('span', {class: 'flag bad'}, 'contract'));
    if (m.sg === 'bad')
        flags.push(el('span', {class: 'flag bad'}, 'signature'));
    else if (m.sg === 'good')
        flags.push(el('span', {class: 'flag'}, 'signed'));
    return [
        el('span', {class: 'when'}, '+' + duration(m.u - s.us)),
        el('span', {class: 'who'}, el('b', {}, actor), ' ', el('span', {class: 'dim'}, protocol)),
        el('span', {class: 'dir d' + m.d, title: DIRECTIONS[m.d]}, el('span', {'aria-hidden': 'true'}, ARROWS[m.d]),
            el('span', {class: 'sr'}, DIRECTIONS[m.d])),
        el('span', {class: 'sum'}, m.s || m.t || ''), el('span', {class: 'flags'}, flags),
        el('span', {class: 'took'}, m.l ? duration(m.l) : m.z ? bytes(m.z) : ''),
    ];
}
function pair(name, value) {
    return value === undefined || value === '' ? [] : el('div', {}, el('dt', {}, name), ' ', el('dd', {}, value));
}
function messageBody(s, m) {
    const whole = m.c ? 'Cut after ' + bytes(m.b.length) + ' of ' + bytes(m.c) + '. results.jsonl has the whole body.' : '';
    const trace = m.tr === undefined ? undefined : data.traces[m.tr];
    const meta = el('dl', {class: 'meta'},
        pair('Type', m.t !== m.s ? m.t : undefined), pair('Status', m.st), pair('Key', m.k), pair('Sequence', m.q),
        pair('Contract', m.ct ? el('span', {}, m.ct + (m.v ? '' : ' holds')) : undefined),
        pair('Signature', m.sg), pair('Trace', trace && el('span', {}, trace, m.sp ? ' / ' + m.sp : '')),
        pair('Body', m.z !== undefined ? bytes(m.z) + (m.m ? ', ' + m.m : '') : m.m));
    const out = el('div', {class: 'full'});
    if (m.v)
        out.append(el('p', {class: 'violation'}, 'Breaks its contract: ' + m.v));
    out.append(meta);
    if (m.f)
        out.append(el('details', {class: 'headers', open: m.f.length <= 8}, el('summary', {}, plural(m.f.length, 'header')),
            el('dl', {class: 'fields'}, m.f.map(([name, value]) => [el('dt', {}, name), el('dd', {class: value === '[redacted]' ? 'dim' : null}, value)]))));
    if (m.b) {
        out.append(m.j ? jsonBlock(m.b, whole)
            : el('pre', {class: 'code', tabindex: '0', role: 'group', 'aria-label': 'Body'}, m.b, whole ? el('span', {class: 'cut'}, '\n' + whole) : ''));
        out.append(el('p', {class: 'acts'}, button('Copy body', event => copy(event.currentTarget, m.j && !m.c ? asText(m.b) : m.b), {class: 'copy'})));
    }
    return out;
}
const asText = text => prettyLines(text).map(line => '  '.repeat(line.depth) + line.parts.map(part => part[1]).join('')).join('\n');

function messageRow(s, m, open) {
    const row = el('details', {class: 'msg d' + m.d + (m.v || m.sg === 'bad' ? ' bad' : ''), 'data-i': m.i}, el('summary', {}, messageHead(s, m)));
    const show = () => {
        if (row.open && row.children.length === 1)
            row.append(messageBody(s, m));
    };
    row.addEventListener('toggle', () => {
        show();
        markSoon();
    });
    row.addEventListener('pointerenter', () => timelines[s.index] && timelines[s.index].light(m));
    row.addEventListener('pointerleave', () => timelines[s.index] && timelines[s.index].light(null));
    if (open) {
        row.open = true;
        show();
    }
    return row;
}
function messageList(s, messages) {
    const list = el('div', {class: 'msgs'});
    let done = 0;
    const more = button('', () => add(), {class: 'more'});
    const add = () => {
        more.remove();
        for (const m of messages.slice(done, done += ROWS_AT_ONCE))
            list.append(messageRow(s, m, false));
        if (done < messages.length) {
            more.textContent = 'Show ' + Math.min(ROWS_AT_ONCE, messages.length - done) + ' more of ' + (messages.length - done);
            list.append(more);
        }
        markSoon();
    };
    add();
    return list;
}

/* ---- log lines ---- */

const LEVELS = ['debug', 'info', 'warn', 'error'];
const HIDDEN = new Set(['ts', 'level', 'service', 'instance', 'event', 'trace_id', 'span_id']);

function logRow(s, line) {
    const text = line.json ? el('span', {class: 'say'}, el('b', {}, String(line.json.event)),
        Object.entries(line.json).filter(([key]) => !HIDDEN.has(key)).map(([key, value]) =>
            [' ', el('span', {class: 'dim'}, key + '='), typeof value === 'object' ? JSON.stringify(value) : String(value)]))
        : el('span', {class: 'say'}, line.text.replace(/^\S*\d\d:\d\d:\d\d\S* ?|^\[?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.,]\d+\]? (UTC )?/, ''));
    return el('li', {class: 'l-' + LEVELS[line.level], title: line.text}, el('span', {class: 'when'}, '+' + duration(Math.max(0, line.us - s.us))),
        el('span', {class: 'part'}, line.part), line.level >= 2 ? el('span', {class: 'level'}, LEVELS[line.level]) : '', text);
}
function logBlock(s, lines, open) {
    const warnings = lines.filter(line => line.level >= 2).length;
    const box = el('details', {class: 'logs', open}, el('summary', {}, 'Service logs in this time ',
        el('span', {class: 'dim'}, plural(lines.length, 'line')), warnings ? el('span', {class: 'flag bad'}, plural(warnings, 'warning')) : ''));
    const show = () => {
        if (box.open && box.children.length === 1) {
            box.append(el('div', {class: 'lines', tabindex: '0', role: 'group', 'aria-label': 'Log lines'}, el('ol', {}, lines.slice(0, 400).map(line => logRow(s, line)))));
            if (lines.length > 400)
                box.append(el('p', {class: 'dim'}, 'The first 400 of ' + lines.length + ' lines.'));
        }
    };
    box.addEventListener('toggle', show);
    show();
    return box;
}

/* ---- steps ---- */

function fillStep(node) {
    const box = find('.fill', node);
    if (!box || box.dataset.done)
        return;
    box.dataset.done = '1';
    const s = model(+node.closest('.scenario').dataset.s);
    const step = s.steps[+node.dataset.n];
    const red = step.verdict === 1 || step.verdict === 2;
    const own = [...new Set([...step.ids, ...step.violations])].map(id => s.byId.get(id)).filter(Boolean);
    const next = s.steps[step.n + 1];
    const until = Math.max(step.us + step.du, next ? next.us : 0);
    const beside = s.sorted.filter(m => m.u >= step.us && m.u < until && !m.steps.length);
    if (own.length) {
        box.append(el('h4', {}, red ? 'Last messages' : 'Messages'));
        const list = messageList(s, own);
        if (red) {
            const telling = own.findIndex(m => m.v) >= 0 ? own.findIndex(m => m.v) : Math.min(own.length, ROWS_AT_ONCE) - 1;
            if (telling < ROWS_AT_ONCE)
                list.replaceChild(messageRow(s, own[telling], true), list.children[telling]);
        }
        box.append(list);
    }
    if (beside.length)
        box.append(el('h4', {}, 'Also on the wire', el('span', {class: 'dim'}, ' no step of the scenario speaks of these')), messageList(s, beside));
    const lines = linesBetween(step.us, Math.max(step.us + step.du, step.us + 1000));
    if (lines.length)
        box.append(logBlock(s, lines, red));
}
function fillAll(box) {
    const s = model(+box.dataset.s);
    box.dataset.done = '1';
    if (!s.messages.length)
        return;
    const more = el('details', {class: 'everything'}, el('summary', {}, 'All messages ', el('span', {class: 'dim'}, String(s.messages.length))));
    more.addEventListener('toggle', () => {
        if (more.open && more.children.length === 1)
            more.append(messageList(s, s.sorted));
    });
    box.append(more);
}

/* ---- timeline ---- */

/* Whether one of the intervals, sorted by their begin and merged, holds the gap. */
function covered(busy, gap) {
    let low = 0, high = busy.length - 1;
    while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (busy[middle][0] <= gap.from) low = middle; else high = middle - 1;
    }
    return busy.length > 0 && busy[low][0] <= gap.from && busy[low][1] >= gap.to;
}
function merged(intervals) {
    const list = [];
    for (const [from, to] of intervals.sort((a, b) => a[0] - b[0])) {
        const last = list[list.length - 1];
        if (last && from <= last[1])
            last[1] = Math.max(last[1], to);
        else
            list.push([from, to]);
    }
    return list;
}
/* Time to the unit interval: linear, but idle gaps that would eat the picture are folded to a constant and drawn as such. */
function makeScale(points, busy, from, to, folding, width) {
    const times = [...new Set([from, ...points.filter(t => t > from && t < to), to])].sort((a, b) => a - b);
    const gaps = times.slice(1).map((t, i) => ({from: times[i], to: t, us: t - times[i], folded: false}));
    let left = to - from, folds = 0;
    const limit = Math.floor(width / FOLD_PX / 4);
    if (folding)
        for (const gap of gaps.filter(g => !covered(busy, g)).sort((a, b) => b.us - a.us)) {
            if (folds >= limit || gap.us < left * (gap.us < 50000 ? 0.3 : 0.1) || gap.us > left * 0.999)
                break;
            gap.folded = true;
            left -= gap.us;
            folds++;
        }
    const share = Math.max(0.2, 1 - folds * FOLD_PX / width);
    const at = [0];
    for (const gap of gaps)
        at.push(at[at.length - 1] + (gap.folded ? (1 - share) / folds : gap.us / left * share));
    const locate = (list, value) => {
        let low = 0, high = list.length - 2;
        while (low < high) {
            const middle = (low + high + 1) >> 1;
            if (list[middle] <= value) low = middle; else high = middle - 1;
        }
        return low;
    };
    const map = (list, others) => value => {
        const i = Math.max(0, locate(list, value));
        const span = list[i + 1] - list[i];
        return others[i] + (span > 0 ? (Math.min(Math.max(value, list[0]), list[list.length - 1]) - list[i]) / span : 0) * (others[i + 1] - others[i]);
    };
    return {of: map(times, at), folds: gaps.filter(gap => gap.folded), pieces: pieces(gaps)};
}
/* Neighbouring gaps that are not folded are one linear piece. */
function pieces(gaps) {
    const list = [];
    for (const gap of gaps) {
        const last = list[list.length - 1];
        if (gap.folded)
            list.push(null);
        else if (last)
            last.to = gap.to;
        else
            list.push({from: gap.from, to: gap.to});
    }
    return list.filter(Boolean);
}

const timelines = [];
const shortType = text => (text || '').replace(/^(?:ecommerce|bitvelocity|chat|social|iot)\./, '').replace(/\.v\d+$/, '').replace(/^.*\.v\d+\./, '')
    .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, m => m.slice(-4).padStart(5, '…'));

class Timeline {
    constructor(figure, s) {
        this.figure = figure;
        this.s = s;
        this.folding = true;
        this.view = [0, 1];
        this.selected = null;
        const used = new Set(s.messages.map(m => m.a));
        const laneOf = new Map();
        this.lanes = [];
        this.silent = [];
        s.raw.actors.forEach(([name, protocol], i) => {
            if (used.has(i)) {
                laneOf.set(i, this.lanes.length);
                this.lanes.push({name, note: protocol});
            } else {
                this.silent.push(name);
            }
        });
        for (const m of s.messages)
            m.row = laneOf.get(m.a);
        const services = new Map();
        for (const p of s.spans)
            if (!services.has(p.service)) {
                services.set(p.service, this.lanes.length);
                this.lanes.push({name: p.service, note: 'service', service: true});
            }
        for (const p of s.spans)
            p.lane = services.get(p.service);
        this.perLane = this.lanes.map(() => []);
        for (const m of s.sorted)
            this.perLane[m.row].push(m);
        this.spansOf = this.lanes.map(() => []);
        for (const p of s.spans)
            this.spansOf[p.lane].push(p);
        this.points = [...s.messages.map(m => m.u), ...s.spans.flatMap(p => [p.u, p.u + p.du])];
        for (const step of s.steps)
            if (step.ids.length || step.verdict)
                this.points.push(step.us, step.us + step.du);
        this.busy = merged([...s.messages.filter(m => m.answer).map(m => [m.u, m.answer.u]), ...s.spans.filter(p => p.du).map(p => [p.u, p.u + p.du])]);
        this.breakAt();
        const last = Math.max(s.us + 1, ...this.points.slice(0, 50000));
        const first = Math.min(s.end, ...this.points.slice(0, 50000));
        this.from = Math.min(first, Math.max(s.us, first - Math.min(4000, (last - first) * 0.02)));
        this.to = Math.max(last, s.end);
        this.build();
        new ResizeObserver(() => this.draw(this.stage.clientWidth)).observe(this.stage);
    }
    /* Where the chain breaks, as bv-report found it: at a message, or where one is missing, on the lane of who waited for it. */
    breakAt() {
        const cause = this.s.raw.cause;
        if (!cause || cause.k === 'lab')
            return;
        const from = this.s.byId.get(cause.f), to = this.s.byId.get(cause.t);
        const row = to ? to.row : this.lanes.findIndex(lane => !lane.service && lane.name === (this.s.raw.actors[cause.a] || [])[0]);
        if (row < 0 || row === undefined)
            return;
        const missing = cause.k === 'missing';
        /* A gap is seen at the message after it: the missing one belongs between the two. */
        const at = missing && to && from ? (from.u + to.u) / 2 : to ? to.u : cause.u;
        this.fault = {from, to, row, missing, u: at, by: (cause.h || '').split(' → ')[0], label: missing ? (shortType(cause.e) || 'it') + ' is missing' : {untraced: 'no traceparent', unsigned: 'no signature', duplicate: 'a second time',
            contract: 'breaks its contract', answer: 'not as expected'}[cause.k] || ''};
        this.points.push(at);
    }
    drawFault() {
        const fault = this.fault;
        if (!fault)
            return '';
        const x = this.x(fault.u), y = this.y(fault.row), g = sv('g', {class: 'fault'});
        const span = fault.missing && this.s.spans.filter(p => p.service === fault.by && p.u <= fault.u).pop();
        const [fromRow, fromUs] = span ? [span.lane, Math.min(span.u + span.du, fault.u)] : fault.from ? [fault.from.row, fault.from.u] : [];
        if (fromRow !== undefined && fromRow !== fault.row) {
            const x1 = this.x(fromUs), y1 = this.y(fromRow), down = Math.sign(y - y1), bend = Math.max(14, Math.abs(y - y1) / 2) * down;
            g.append(sv('path', {class: 'broken', d: 'M' + x1 + ' ' + (y1 + down * 5) + 'C' + x1 + ' ' + (y1 + bend) + ' ' + x + ' ' + (y - bend) + ' ' + x + ' ' + (y - down * 9)}));
        }
        g.append(fault.missing ? sv('path', {class: 'cross', d: 'M' + (x - 5) + ' ' + (y - 5) + 'l10 10m0 -10l-10 10'}) : sv('circle', {class: 'around', cx: x, cy: y, r: 8}));
        const left = x > this.right - 150;
        g.append(sv('text', {x: left ? x - 11 : x + 11, y: y + 14, 'text-anchor': left ? 'end' : 'start', class: 'faulttext'}, fault.label));
        return g;
    }
    build() {
        const counts = plural(this.s.messages.length, 'message') + ', ' + plural(this.lanes.length, 'lane');
        this.caption = el('div', {}, el('b', {}, 'Timeline'), el('span', {class: 'dim', title: this.silent.length ? 'Without messages: ' + this.silent.join(', ') : null}, ' ' + counts + (this.silent.length ? ', ' + this.silent.length + ' silent' : '')));
        const key = (kind, text) => el('span', {class: 'key'}, sv('svg', {width: 14, height: 12, 'aria-hidden': 'true'}, kind), text);
        this.tools = el('div', {class: 'tltools'},
            key(sv('circle', {cx: 7, cy: 6, r: 3.5, class: 'ring'}), 'sent'), key(sv('circle', {cx: 7, cy: 6, r: 4, class: 'disk'}), 'received'),
            this.spansOf.some(list => list.length) && key(sv('rect', {x: 1, y: 3, width: 12, height: 6, rx: 1.5, class: 'bar'}), 'service'),
            key(sv('path', {d: 'M1 6H13', class: 'join'}), 'caused'), key(sv('path', {d: 'M1 6H13', class: 'join unsure'}), 'same trace'),
            this.fault && key(sv('path', {d: 'M3 2l8 8m0 -8l-8 8', class: 'cross'}), 'breaks here'),
            el('span', {class: 'spring'}),
            this.foldButton = button('Fold idle time', () => this.toggleFold(), {'aria-pressed': 'true'}),
            button('−', () => this.zoom(1 / 1.6), {'aria-label': 'Zoom out'}), button('+', () => this.zoom(1.6), {'aria-label': 'Zoom in'}),
            button('Fit', () => this.fit()));
        this.svg = sv('svg', {class: 'plot base', 'aria-hidden': 'true'});
        this.over = sv('svg', {class: 'plot over', 'aria-hidden': 'true'}); /* a layer of its own: lighting up repaints no mark */
        this.tip = el('div', {class: 'tip', hidden: true});
        this.stage = el('div', {class: 'stage', tabindex: '0', role: 'group',
            'aria-label': 'Timeline of ' + counts + '. Arrow keys move between messages, Enter opens one, plus and minus zoom.'}, this.svg, this.over, this.tip);
        this.inspector = el('div', {class: 'inspect', 'aria-live': 'polite'});
        this.figure.append(el('figcaption', {class: 'tlhead'}, this.caption, this.tools), this.stage, this.inspector);
        this.stage.addEventListener('pointermove', event => this.move(event));
        this.stage.addEventListener('pointerleave', () => { this.tip.hidden = true; this.light(null); });
        this.stage.addEventListener('pointerdown', event => this.down(event));
        this.stage.addEventListener('keydown', event => this.key(event));
        this.stage.addEventListener('wheel', event => {
            if (!event.ctrlKey && !event.metaKey)
                return;
            event.preventDefault();
            this.zoom(Math.exp(-event.deltaY / 200), this.unit(event));
        }, {passive: false});
        this.stage.addEventListener('dblclick', event => this.zoom(2.5, this.unit(event)));
    }
    toggleFold() {
        this.folding = !this.folding;
        this.foldButton.setAttribute('aria-pressed', String(this.folding));
        this.view = [0, 1];
        this.draw();
    }
    fit() {
        this.view = [0, 1];
        this.draw();
    }
    unit(event) {
        const x = event.clientX - this.stage.getBoundingClientRect().left;
        return this.view[0] + (x - this.left) / (this.right - this.left) * (this.view[1] - this.view[0]);
    }
    zoom(factor, around = (this.view[0] + this.view[1]) / 2) {
        const width = Math.min(1, Math.max(1e-5, (this.view[1] - this.view[0]) / factor));
        const ratio = (around - this.view[0]) / (this.view[1] - this.view[0]);
        this.pan(around - width * ratio, width);
    }
    pan(from, width) {
        const start = Math.min(1 - width, Math.max(0, from));
        this.view = [start, start + width];
        this.draw();
    }
    x(us) {
        return this.left + (this.scale.of(us) - this.view[0]) / (this.view[1] - this.view[0]) * (this.right - this.left);
    }
    y(lane) {
        return this.top + (lane + 0.5) * this.laneHeight + (this.narrow ? 11 : 0);
    }
    place(item) {
        return item.lane === undefined ? [this.x(item.u), this.y(item.row)] : [this.x(item.u), this.y(item.lane)];
    }
    draw(width = this.width) {
        if (!width)
            return;
        this.width = width;
        this.narrow = width < 720;
        this.laneHeight = this.narrow ? LANE_NARROW : LANE_WIDE;
        this.left = this.narrow ? 10 : GUTTER;
        this.right = width - 14;
        this.top = 46;
        this.height = this.top + this.lanes.length * this.laneHeight + 8;
        this.scale = makeScale(this.points, this.busy, this.from, this.to, this.folding, this.right - this.left);
        this.foldButton.hidden = this.folding && !this.scale.folds.length;
        for (const layer of [this.svg, this.over])
            fill(layer, {width, height: this.height, viewBox: '0 0 ' + width + ' ' + this.height}, []);
        const clip = 'clip' + this.s.index;
        this.svg.replaceChildren(sv('defs', {}, sv('clipPath', {id: clip}, sv('rect', {x: this.left - 8, y: 0, width: this.right - this.left + 16, height: this.height}))),
            this.drawLanes(), sv('g', {'clip-path': 'url(#' + clip + ')'}, this.drawSteps(), this.drawAxis(), this.drawJoins(), this.drawSpans(), this.drawMarks(), this.drawFault()), this.drawNames());
        this.light(null);
    }
    drawLanes() {
        const g = sv('g', {class: 'lanes'});
        this.lanes.forEach((lane, i) => {
            const y = this.y(i);
            g.append(sv('path', {d: 'M' + (this.left - 8) + ' ' + y + 'H' + (this.right + 8), class: lane.service ? 'lane service' : 'lane'}));
        });
        return g;
    }
    drawNames() {
        const g = sv('g', {class: 'names'});
        this.lanes.forEach((lane, i) => {
            const y = this.y(i), name = sv('text', {x: this.narrow ? 2 : this.left - 20, y: this.narrow ? y - 19 : y + 4, 'text-anchor': this.narrow ? 'start' : 'end', class: 'name'},
                sv('tspan', {class: 'note'}, lane.note + ' '), sv('tspan', {}, lane.name));
            g.append(name);
        });
        return g;
    }
    drawSteps() {
        const g = sv('g', {class: 'stepband'});
        for (const step of this.s.steps) {
            if (step.us + step.du < this.from)
                continue;
            const x = this.x(Math.max(step.us, this.from)), w = this.x(step.us + step.du) - x;
            if (x > this.right + 8 || x + w < this.left - 8)
                continue;
            const red = step.verdict === 1 || step.verdict === 2;
            if (red)
                g.append(sv('rect', {x, y: 22, width: Math.max(w, 2), height: this.height - 22, class: 'shade r-' + VERDICTS[step.verdict]}));
            g.append(sv('rect', {x: x + 0.5, y: 24, width: Math.max(w - 1, 1.5), height: 14, rx: 2, class: 'stepbox r-' + VERDICTS[step.verdict]}));
            if (w > 18)
                g.append(sv('text', {x: x + w / 2, y: 34.5, 'text-anchor': 'middle', class: 'stepno r-' + VERDICTS[step.verdict]}, String(step.n + 1)));
        }
        return g;
    }
    drawAxis() {
        const g = sv('g', {class: 'axis'});
        let lastX = -1e9;
        const visible = this.scale.pieces;
        const label = (x, text) => {
            if (x - lastX < 58 || x < this.left - 4 || x > this.right - 46)
                return;
            lastX = x;
            g.append(sv('path', {d: 'M' + x + ' 18V' + this.height, class: 'tick'}), sv('text', {x: x + 3, y: 15}, text));
        };
        for (const piece of visible) {
            const a = this.x(piece.from), b = this.x(piece.to);
            if (b < this.left || a > this.right || b - a < 4)
                continue;
            const rough = (piece.to - piece.from) / Math.max(1, (b - a) / 90);
            const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
            const step = [1, 2, 5, 10].map(k => k * power).find(k => k >= rough) || power * 10;
            const from = Math.max(piece.from, piece.from + (this.left - a) / (b - a) * (piece.to - piece.from));
            for (let t = Math.ceil((from - this.s.us) / step) * step, n = 0; t + this.s.us <= piece.to && n < 60; t += step, n++)
                label(this.x(t + this.s.us), '+' + duration(t).replace(/\.0+ /, ' '));
        }
        for (const gap of this.scale.folds) {
            const a = this.x(gap.from), b = this.x(gap.to), middle = (a + b) / 2;
            if (b < this.left || a > this.right)
                continue;
            g.append(sv('rect', {x: a + 3, y: 20, width: Math.max(b - a - 6, 2), height: this.height - 20, class: 'foldband'}),
                sv('text', {class: 'foldtext', transform: 'translate(' + (middle + 3.5) + ' ' + (this.height - 8) + ') rotate(-90)'}, duration(gap.us) + ' idle'));
        }
        return g;
    }
    curve(join) {
        const [fromX, y1] = this.place(join.from), [x2, y2] = this.place(join.to);
        const x1 = join.from.du ? Math.min(Math.max(fromX, x2), this.x(join.from.u + join.from.du)) : fromX;
        const down = Math.sign(y2 - y1), gap = join.to.lane === undefined ? 5.5 : 4.5;
        if (!down)
            return '';
        const start = y1 + down * 4, end = y2 - down * gap, bend = Math.max(8, Math.abs(end - start) / 2) * down;
        return 'M' + x1.toFixed(1) + ' ' + start + 'C' + x1.toFixed(1) + ' ' + (start + bend) + ' ' + x2.toFixed(1) + ' ' + (end - bend) + ' ' + x2.toFixed(1) + ' ' + end;
    }
    head(join) {
        const [x, y2] = this.place(join.to), y1 = this.place(join.from)[1];
        const down = Math.sign(y2 - y1), gap = join.to.lane === undefined ? 5 : 4, tip = y2 - down * gap;
        return down ? 'M' + x.toFixed(1) + ' ' + tip + 'l-2.6 ' + -5 * down + 'h5.2z' : '';
    }
    /* Those in view; where many fall together, one of them. */
    joinsOnShow(sure) {
        const list = this.s.joins.filter(join => {
            const a = this.x(join.from.u), b = this.x(join.to.u);
            return join.sure === sure && Math.max(a, b) >= this.left - 8 && Math.min(a, b) <= this.right + 8;
        });
        if (list.length < 300)
            return list;
        const seen = new Set();
        return list.filter(join => {
            const [x1, y1] = this.place(join.from), [x2, y2] = this.place(join.to);
            const id = Math.round(x1 / 6) + ' ' + Math.round(x2 / 6) + ' ' + y1 + ' ' + y2;
            return !seen.has(id) && seen.add(id);
        });
    }
    drawJoins() {
        const g = sv('g', {class: 'joins'});
        for (const sure of [true, false]) {
            const list = this.joinsOnShow(sure);
            g.append(sv('path', {d: list.map(join => this.curve(join)).join(''), class: sure ? 'join' : list.length < 300 ? 'join unsure' : 'join many'}),
                sv('path', {d: list.map(join => this.head(join)).join(''), class: 'joinhead'}));
        }
        return g;
    }
    drawSpans() {
        const groups = {info: [], warn: [], error: []};
        for (const p of this.s.spans) {
            const x = this.x(p.u), w = Math.max(this.x(p.u + p.du) - x, 2.5), y = this.y(p.lane);
            const kind = p.e || p.level === 3 ? 'error' : p.level === 2 ? 'warn' : 'info';
            groups[kind].push(p.du ? 'M' + x.toFixed(1) + ' ' + (y - 4) + 'h' + w.toFixed(1) + 'v8h' + (-w).toFixed(1) + 'z'
                : 'M' + x.toFixed(1) + ' ' + (y - 4) + 'l3.5 4l-3.5 4l-3.5-4z');
        }
        return sv('g', {class: 'spans'}, Object.entries(groups).map(([kind, list]) => list.length ? sv('path', {d: list.join(''), class: 'bar b-' + kind}) : null));
    }
    drawMarks() {
        const g = sv('g', {class: 'marks'});
        const groups = {waits: [], ring: [], disk: [], note: [], bad: [], hit: []};
        let labels = 0;
        const found = hits && hits.messages.get(this.s.index);
        this.perLane.forEach((list, lane) => {
            const y = this.y(lane);
            let room = -1e9, lastX = -1e9, lastKind = '';
            const texts = [];
            for (let i = 0; i < list.length; i++) {
                const m = list[i];
                const x = m.x = this.x(m.u), at = x.toFixed(1);
                if (x < this.left - 12 || x > this.right + 12)
                    continue;
                if (m.answer && m.answer.a === m.a) {
                    const to = this.x(m.answer.u);
                    groups.waits.push('M' + at + ' ' + y + 'H' + to.toFixed(1));
                }
                const kind = m.v || m.sg === 'bad' ? 'bad' : m.d === NOTE ? 'note' : m.d === SENT ? 'ring' : 'disk';
                const crowded = x - lastX < 1.5 && kind === lastKind && !hits;
                const circle = r => 'M' + (x - r).toFixed(1) + ' ' + y + 'a' + r + ' ' + r + ' 0 1 0 ' + 2 * r + ' 0a' + r + ' ' + r + ' 0 1 0 ' + -2 * r + ' 0z';
                if (found && found.has(m.i))
                    groups.hit.push(circle(7));
                if (crowded)
                    continue;
                lastX = x;
                lastKind = kind;
                groups[kind].push(kind === 'note' ? 'M' + at + ' ' + (y - 6) + 'v12' : circle({bad: 4.5, ring: 3.4, disk: 4}[kind]));
                if (labels >= LABELS_MAX || x < room || (m.answer && this.x(m.answer.u) - x < 60))
                    continue;
                const next = list[i + 1];
                const space = (next ? Math.min(this.x(next.u), this.right + 8) : this.right + 8) - x - 14;
                const text = m.d === NOTE ? m.s : m.an ? (m.asked && this.x(m.u) - this.x(m.asked.u) < 60 ? shortType(m.asked.t || m.asked.s) + ' ' : '') + (m.st || '') : shortType(m.t || m.s);
                const fits = Math.floor(space / LABEL_PX);
                if (!text || fits < 6)
                    continue;
                const shown = text.length > fits ? text.slice(0, fits - 1) + '…' : text;
                texts.push(sv('text', {x: x + 8, y: y - 5, class: 'label'}, shown));
                room = x + 14 + shown.length * LABEL_PX;
                labels++;
            }
            g.append(...texts);
        });
        for (const [kind, list] of Object.entries(groups))
            if (list.length)
                g.append(sv('path', {d: list.join(''), class: kind}));
        return g;
    }
    near(event) {
        const box = this.stage.getBoundingClientRect();
        const x = event.clientX - box.left, y = event.clientY - box.top;
        const lane = Math.floor((y - this.top - (this.narrow ? 11 : 0)) / this.laneHeight);
        if (y >= 22 && y < 40)
            return {step: this.s.steps.find(step => x >= this.x(Math.max(step.us, this.from)) - 1 && x <= Math.max(this.x(step.us + step.du), this.x(step.us) + 3))};
        if (lane < 0 || lane >= this.lanes.length)
            return {};
        const list = this.perLane[lane] || [];
        let best = null, distance = NEAR_PX;
        for (const m of list)
            if (Math.abs(m.x - x) < distance) {
                best = m;
                distance = Math.abs(m.x - x);
            }
        const span = best ? null : this.spansOf[lane].filter(p => x >= this.x(p.u) - 5 && x <= this.x(p.u + p.du) + 5).sort((a, b) => a.du - b.du)[0];
        return {message: best, span};
    }
    move(event) {
        if (this.dragging) {
            const width = this.view[1] - this.view[0];
            this.dragging.moved = Math.abs(event.clientX - this.dragging.x) > 4 || this.dragging.moved;
            if (this.dragging.moved && width < 1)
                this.pan(this.dragging.from - (event.clientX - this.dragging.x) / (this.right - this.left) * width, width);
            return;
        }
        const {message, span, step} = this.near(event);
        this.light(message || span || null);
        this.stage.classList.toggle('over', Boolean(message || span || step));
        const kids = message ? this.tipOf(message) : span ? [el('b', {}, span.name), el('span', {}, span.service + (span.du ? ', ' + duration(span.du) : '') + ' at +' + duration(span.u - this.s.us))]
            : step ? [el('b', {}, 'Step ' + (step.n + 1)), el('span', {}, duration(step.du))] : null;
        this.tip.hidden = !kids;
        if (!kids)
            return;
        this.tip.replaceChildren(...kids);
        const box = this.stage.getBoundingClientRect();
        const x = event.clientX - box.left, y = event.clientY - box.top;
        this.tip.style.left = Math.max(4, Math.min(x + 14, this.width - this.tip.offsetWidth - 4)) + 'px';
        this.tip.style.top = y + 18 + 'px';
    }
    tipOf(m) {
        return [el('b', {}, m.s || m.t || ''), el('span', {}, actorOf(this.s, m)[0] + ' ' + DIRECTIONS[m.d] + ' at +' + duration(m.u - this.s.us) + (m.l ? ', took ' + duration(m.l) : ''))];
    }
    down(event) {
        if (event.button !== 0 || event.pointerType === 'touch') {
            if (event.pointerType === 'touch')
                this.pick(event);
            return;
        }
        this.dragging = {x: event.clientX, from: this.view[0], moved: false};
        const up = later => {
            removeEventListener('pointerup', up);
            const moved = this.dragging.moved;
            this.dragging = null;
            if (!moved)
                this.pick(later);
        };
        addEventListener('pointerup', up);
    }
    pick(event) {
        const {message, span, step} = this.near(event);
        if (step)
            reveal('s' + (this.s.index + 1) + '-' + (step.n + 1));
        else if (message)
            this.select(message);
        else if (span)
            this.selectSpan(span);
        else
            this.select(null);
    }
    /* Everything that led to item and everything that followed. */
    chain(item) {
        const found = new Set();
        const walk = (start, next) => {
            const todo = [start];
            while (todo.length) {
                const one = todo.pop();
                for (const other of next(one) || [])
                    if (other && !found.has(other)) {
                        found.add(other);
                        todo.push(other);
                    }
            }
        };
        found.add(item);
        walk(item, one => [...(one.causes || []), one.asked]);
        walk(item, one => [...(one.effects || []), one.answer]);
        return found;
    }
    light(item) {
        item = item || this.selected;
        this.stage.classList.toggle('lit', Boolean(item));
        if (!this.width)
            return;
        this.over.replaceChildren();
        if (!item)
            return;
        const chain = this.chain(item);
        const joins = this.s.joins.filter(join => chain.has(join.from) && chain.has(join.to));
        const [x, y] = this.place(item);
        const dots = [...chain].filter(one => one.lane === undefined).map(one => this.place(one));
        const bars = [...chain].filter(one => one.lane !== undefined);
        this.over.append(
            sv('path', {d: joins.map(join => this.curve(join)).join(''), class: 'join lit'}), sv('path', {d: joins.map(join => this.head(join)).join(''), class: 'joinhead lit'}),
            ...bars.map(p => sv('rect', {x: this.x(p.u) - (p.du ? 0 : 2), y: this.y(p.lane) - 4, width: Math.max(this.x(p.u + p.du) - this.x(p.u), 4), height: 8, rx: 1.5, class: 'barlit'})),
            ...dots.slice(0, 400).map(([cx, cy]) => sv('circle', {cx, cy, r: 4.5, class: 'dotlit'})), sv('circle', {cx: x, cy: y, r: 8, class: 'focus'}));
    }
    select(m) {
        this.selected = m;
        this.light(null);
        if (!m) {
            this.inspector.replaceChildren();
            return;
        }
        const chain = [...this.chain(m)].filter(one => one !== m && one.lane === undefined).sort((a, b) => a.u - b.u).slice(0, 24);
        const go = other => button('+' + duration(other.u - this.s.us) + ' ' + actorOf(this.s, other)[0] + ' ' + ARROWS[other.d] + ' ' + shortType(other.t || other.s) + (other.an && other.st ? ' ' + other.st : ''),
            () => this.select(other), {class: 'chip' + (other.u < m.u ? ' before' : '')});
        this.inspector.replaceChildren(el('div', {class: 'inspecthead'}, el('b', {}, 'Message ' + m.i),
            m.steps.map(step => button('step ' + (step.n + 1), () => reveal('s' + (this.s.index + 1) + '-' + (step.n + 1)), {class: 'chip'})),
            el('span', {class: 'spring'}), button('Close', () => { this.select(null); this.stage.focus(); }, {class: 'close'})),
            messageRow(this.s, m, true),
            chain.length ? el('p', {class: 'chain'}, el('span', {class: 'dim'}, 'Causes and effects '), chain.map(go)) : '');
    }
    selectSpan(p) {
        this.selected = p;
        this.light(null);
        const chain = [...this.chain(p)].filter(one => one.lane === undefined).sort((a, b) => a.u - b.u).slice(0, 24);
        this.inspector.replaceChildren(el('div', {class: 'inspecthead'}, el('b', {}, p.service + ': ' + p.name), el('span', {class: 'dim'}, ' +' + duration(p.u - this.s.us) + (p.du ? ', ' + duration(p.du) : '')),
            el('span', {class: 'spring'}), button('Close', () => { this.select(null); this.stage.focus(); }, {class: 'close'})),
            p.line ? el('ol', {class: 'loglines'}, logRow(this.s, p.line)) : '',
            chain.length ? el('p', {class: 'chain'}, el('span', {class: 'dim'}, 'Causes and effects '), chain.map(m => button(actorOf(this.s, m)[0] + ' ' + ARROWS[m.d] + ' ' + shortType(m.t || m.s), () => this.select(m), {class: 'chip'}))) : '');
    }
    key(event) {
        if (event.target !== this.stage)
            return;
        const list = this.s.sorted;
        const now = list.indexOf(this.selected);
        const lane = this.selected && this.selected.row !== undefined ? this.selected.row : 0;
        const aside = step => {
            for (let i = lane + step; i >= 0 && i < this.perLane.length; i += step)
                if (this.perLane[i].length) {
                    const us = this.selected ? this.selected.u : this.from;
                    return this.perLane[i].reduce((best, m) => Math.abs(m.u - us) < Math.abs(best.u - us) ? m : best);
                }
            return this.selected;
        };
        const moves = {ArrowRight: () => this.select(list[Math.min(list.length - 1, now + 1)]), ArrowLeft: () => this.select(list[Math.max(0, now - 1)]),
            ArrowDown: () => this.select(aside(1)), ArrowUp: () => this.select(aside(-1)), Escape: () => this.select(null),
            '+': () => this.zoom(1.6), '=': () => this.zoom(1.6), '-': () => this.zoom(1 / 1.6), 0: () => this.fit(),
            Enter: () => { const first = find('summary', this.inspector); if (first) first.focus(); }};
        if (!moves[event.key] || event.ctrlKey || event.metaKey || event.altKey)
            return;
        event.preventDefault();
        event.stopPropagation();
        moves[event.key]();
    }
}
function fillScenario(node) {
    if (node.dataset.done)
        return;
    node.dataset.done = '1';
    const s = model(+node.dataset.s);
    if (!find('.inside', node)) {
        node.insertAdjacentHTML('beforeend', s.raw.html);
        all('.diff', node).forEach(compare);
        all('.step > details[open]', node).forEach(open => fillStep(open.parentNode));
        if (hits)
            hideSteps(node);
    }
    const figure = find('.tl', node);
    if (s.messages.length || s.spans.length)
        timelines[s.index] = new Timeline(figure, s);
    else
        figure.remove();
    fillAll(find('.all', node));
}

/* ---- search and filters ---- */

const scenarioNodes = all('.scenario'), navEntries = all('nav li');
const heads = scenarioNodes.map(node => find('summary', node).textContent.toLowerCase());
let hits = null, filter = 'all', terms = [], searches = 0, hitAt = -1;
let chosen = null; /* the one operation whose messages are on show: {name, messages: scenario → ids} */
const textOf = (own, m) => [m.s, m.t, m.k, m.ct, m.v, m.b, m.tr === undefined ? '' : data.traces[m.tr], ...(own.actors[m.a] || []), ...(m.f || []).flat()].join('\n').toLowerCase();
const holds = text => terms.every(term => text.includes(term));
const lower = [];
/* A term as it stands in a line of the data. */
const asWritten = term => JSON.stringify(term).slice(1, -1).replaceAll('<', '\\u003c');

/* What of one scenario has all terms: ids of messages, numbers of steps. */
function searchScenario(index) {
    lower[index] = lower[index] || lineOf(index).toLowerCase();
    const found = {messages: new Set(), steps: new Set(), whole: !chosen && holds(heads[index])};
    const among = chosen && chosen.messages.get(index);
    if (chosen && !among)
        return found;
    const traces = data.traces.length && terms.some(term => /^[0-9a-f]{8,}$/.test(term)); /* a line has their numbers only */
    if (!found.whole && !traces && !terms.every(term => lower[index].includes(asWritten(term))))
        return found;
    const own = raw(index);
    for (const m of own.messages)
        if ((!among || among.has(m.i)) && holds(textOf(own, m)))
            found.messages.add(m.i);
    own.steps.forEach((step, n) => {
        if (found.whole || (!chosen && holds((step[6] + '\n' + (step[7] || '')).toLowerCase())) || step[4].some(id => found.messages.has(id)))
            found.steps.add(n);
    });
    return found;
}
function hideSteps(node) {
    const found = hits && hits.steps.get(+node.dataset.s);
    for (const step of all('.step', node))
        step.hidden = Boolean(hits) && !(found && found.has(+step.dataset.n));
}
async function search() {
    const began = performance.now(), number = ++searches;
    terms = find('#q').value.toLowerCase().split(/\s+/).filter(Boolean);
    hitAt = -1;
    const next = terms.length || chosen ? {messages: new Map(), steps: new Map(), shown: new Set()} : null;
    let steps = 0, messages = 0;
    if (next && !await sliced(COUNT, index => {
        if (filter !== 'all' && scenarioNodes[index].dataset.v !== filter)
            return;
        const found = searchScenario(index);
        if (!found.whole && !found.messages.size && !found.steps.size)
            return;
        next.shown.add(index);
        next.messages.set(index, found.messages);
        next.steps.set(index, found.steps);
        steps += found.steps.size;
        messages += found.messages.size;
    }, () => number === searches))
        return;
    hits = next;
    let shown = 0;
    scenarioNodes.forEach((node, index) => {
        node.hidden = hits ? !hits.shown.has(index) : filter !== 'all' && node.dataset.v !== filter;
        if (navEntries[index])
            navEntries[index].hidden = node.hidden;
        if (!node.hidden && ++shown <= 3 && hits)
            node.open = true;
        if (node.dataset.done || find('.inside', node))
            hideSteps(node);
        if (timelines[index] && !node.hidden && node.open)
            timelines[index].draw();
    });
    find('#nothing').hidden = shown > 0;
    showHits.what = plural(steps, 'step') + ', ' + plural(messages, 'message');
    find('#hits').textContent = hits ? showHits.what : '';
    markHits();
    requestAnimationFrame(() => performance.measure('bv-search', {start: began}));
}
/* Shows the messages of one operation, with the one that tells most on top; null: all. */
async function choose(row) {
    const messages = new Map();
    for (const one of row ? row.list : []) {
        if (!messages.has(one.index))
            messages.set(one.index, new Set());
        messages.get(one.index).add(one.m).add(one.answer);
    }
    chosen = row && {name: row.name, messages};
    chip.hidden = !row;
    chip.replaceChildren(...row ? [el('span', {class: 'sr'}, 'Show everything again, not only '), row.name, el('span', {'aria-hidden': 'true'}, ' ×')] : []);
    await search();
    if (row)
        goHit(1);
}
const chip = button('', () => choose(null), {class: 'chosen', id: 'chosen', hidden: true});
find('.find').before(chip);

/* From one step that was found to the next, its first message open; the search field keeps the focus. */
function goHit(by) {
    const list = hits ? [...hits.shown].filter(index => !scenarioNodes[index].hidden).flatMap(index => hits.steps.get(index).size ? [...hits.steps.get(index)].map(n => [index, n]) : [[index]]) : [];
    if (!list.length)
        return;
    hitAt = hitAt < 0 ? (by > 0 ? 0 : list.length - 1) : (hitAt + by + list.length) % list.length;
    const [index, n] = list[hitAt], scenario = scenarioNodes[index];
    scenario.open = true;
    fillScenario(scenario);
    let target = n === undefined ? scenario : document.getElementById('s' + (index + 1) + '-' + (n + 1));
    if (n !== undefined) {
        find('details', target).open = true;
        fillStep(target);
        const row = all('.msg', target).find(one => hits.messages.get(index).has(+one.dataset.i));
        if (row) {
            row.open = true;
            target = row;
        }
    }
    find('#hits').textContent = (hitAt + 1) + ' / ' + showHits.what;
    target.scrollIntoView({block: n === undefined ? 'start' : 'center', behavior: quiet() ? 'auto' : 'smooth'});
}
const showHits = {what: ''};
/* Once for all that opens before the next frame. */
let marking = false;
function markSoon() {
    if (hits && !marking)
        requestAnimationFrame(() => {
            marking = false;
            markHits();
        });
    marking = Boolean(hits);
}
/* Marks the terms in what is on show, without touching the document. */
function markHits() {
    for (const row of hits ? all('.msg') : all('.msg.found')) {
        const found = hits && hits.messages.get(+row.closest('.scenario').dataset.s);
        row.classList.toggle('found', Boolean(found && found.has(+row.dataset.i)));
    }
    if (!window.CSS || !CSS.highlights)
        return;
    CSS.highlights.delete('hits');
    if (!hits || !terms.length)
        return;
    const ranges = [];
    const walker = document.createTreeWalker(find('#scenarios'), NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node && ranges.length < HITS_MARKED_MAX; node = walker.nextNode()) {
        const text = node.data.toLowerCase();
        for (const term of terms)
            for (let at = text.indexOf(term); at >= 0; at = text.indexOf(term, at + term.length)) {
                const range = new Range();
                range.setStart(node, at);
                range.setEnd(node, at + term.length);
                ranges.push(range);
            }
    }
    CSS.highlights.set('hits', new Highlight(...ranges));
}
let waiting = 0;
find('#q').addEventListener('input', () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
        waiting = 0;
        search();
    }, 120);
});
for (const node of all('[data-filter]'))
    node.addEventListener('click', () => {
        filter = node.dataset.filter;
        for (const other of all('[data-filter]'))
            other.setAttribute('aria-pressed', String(other === node));
        search();
    });

/* ---- opening, copying, theme, keys ---- */

function reveal(id) {
    const scenario = /^s\d+/.exec(id) && document.getElementById(/^s\d+/.exec(id)[0]);
    if (scenario) {
        fillScenario(scenario); /* a step may not be in the page before */
        scenario.open = true;
    }
    const node = document.getElementById(id);
    if (!node)
        return;
    if (scenario)
        scenario.hidden = false;
    for (let up = node; up; up = up.parentElement)
        if (up.tagName === 'DETAILS')
            up.open = true;
    const own = find(':scope > details', node);
    if (own)
        own.open = true;
    node.hidden = false;
    (node.matches('details') ? find('summary', node) : find('summary', node) || node).focus({preventScroll: true});
    node.scrollIntoView({block: 'start', behavior: quiet() ? 'auto' : 'smooth'});
}
/* s2: a scenario, s2-16: its step, s2-m9: its message, in the timeline. */
function go(id) {
    const [, number, message] = /^s(\d+)-m(\d+)$/.exec(id) || [];
    if (!message)
        return reveal(id);
    const node = find('#s' + number);
    if (!node)
        return;
    node.open = true;
    fillScenario(node);
    const timeline = timelines[number - 1], m = model(number - 1).byId.get(+message);
    if (!timeline || !m)
        return;
    timeline.select(m);
    timeline.figure.scrollIntoView({block: 'start', behavior: quiet() ? 'auto' : 'smooth'});
    timeline.stage.focus({preventScroll: true});
}
const quiet = () => matchMedia('(prefers-reduced-motion: reduce)').matches;
addEventListener('hashchange', () => {
    if (/^#s\d/.test(location.hash))
        go(location.hash.slice(1));
});
document.addEventListener('click', event => {
    const link = event.target.closest('a[href^="#s"], a[href="#latency"]');
    if (link && link.getAttribute('href') === '#latency') {
        event.preventDefault();
        showLatency();
        return;
    }
    if (link && /^#s\d/.test(link.getAttribute('href'))) {
        event.preventDefault();
        history.replaceState(null, '', link.getAttribute('href'));
        go(link.getAttribute('href').slice(1));
    }
});
document.addEventListener('toggle', event => {
    const node = event.target;
    if (!node.open)
        return;
    if (node.classList.contains('scenario'))
        fillScenario(node);
    else if (node.parentElement.classList.contains('step'))
        fillStep(node.parentElement);
    else
        return;
    markSoon();
}, true);

async function copy(node, text) {
    const before = node.textContent;
    try {
        await navigator.clipboard.writeText(text);
    } catch (refused) {
        const area = el('textarea', {class: 'sr'});
        area.value = text;
        document.body.append(area);
        area.select();
        document.execCommand('copy');
        area.remove();
    }
    node.textContent = 'Copied';
    setTimeout(() => { node.textContent = before; }, 1200);
}
document.addEventListener('click', event => {
    const node = event.target.closest('[data-copy]');
    if (node)
        copy(node, node.dataset.copy);
});

function showTheme() {
    find('#theme').textContent = {light: 'Light', dark: 'Dark'}[document.documentElement.dataset.theme] || 'Auto';
    find('#theme').setAttribute('aria-label', 'Theme: ' + find('#theme').textContent);
}
function nextTheme() {
    const root = document.documentElement;
    const next = {undefined: 'dark', dark: 'light', light: undefined}[root.dataset.theme];
    if (next)
        root.dataset.theme = next;
    else
        delete root.dataset.theme;
    try {
        if (next) localStorage.setItem('bv-theme', next); else localStorage.removeItem('bv-theme');
    } catch (refused) { /* storage is off: the choice lasts while the page is open */ }
    showTheme();
}
find('#theme').addEventListener('click', nextTheme);
showTheme();

const stepsOnShow = () => all('.scenario[open]:not([hidden]) .step:not([hidden]) > details > summary');
function walk(by) {
    const list = stepsOnShow();
    if (!list.length)
        return;
    const current = document.activeElement && document.activeElement.closest('.step');
    const now = current ? list.indexOf(find('summary', current)) : by > 0 ? -1 : list.length;
    const next = list[Math.max(0, Math.min(list.length - 1, now + by))];
    next.focus({preventScroll: true});
    next.scrollIntoView({block: 'nearest'});
}
function walkRed(by) {
    const list = data.red.map(([scenario, step]) => 's' + scenario + '-' + step);
    const current = document.activeElement && document.activeElement.closest('.step');
    const now = current ? list.indexOf(current.id) : -1;
    if (list.length)
        reveal(list[(now + by + list.length + (now < 0 && by < 0)) % list.length]);
}
function expand() {
    const node = document.activeElement && document.activeElement.closest('summary');
    if (node)
        node.parentElement.open = !node.parentElement.open;
}
function expandAll() {
    const list = all('.scenario:not([hidden])').slice(0, OPEN_AT_ONCE);
    const open = list.some(node => !node.open);
    sliced(list.length, i => { list[i].open = open; });
}
const keys = [
    ['j', 'next step', () => walk(1)], ['k', 'previous step', () => walk(-1)], ['e', 'open or close what has the focus', expand],
    ['n', 'next red step', () => walkRed(1)], ['N', 'previous red step', () => walkRed(-1)],
    ['E', 'open or close all scenarios' + (COUNT > OPEN_AT_ONCE ? ', the first ' + OPEN_AT_ONCE : ''), expandAll], ['/', 'search', () => find('#q').focus()], ['l', 'latency', showLatency], ['t', 'theme', nextTheme], ['?', 'this list', showHelp],
];
async function showLatency() {
    const head = find('#latency');
    head.focus({preventScroll: true});
    await latency.show();
    head.scrollIntoView({block: 'start'});
}
let help = null;
function showHelp() {
    help = help || document.body.appendChild(el('dialog', {class: 'help', 'aria-label': 'Keyboard shortcuts'}, el('h2', {}, 'Keys'),
        el('dl', {}, keys.map(([key, what]) => [el('dt', {}, el('kbd', {}, key)), el('dd', {}, what)]),
            el('dt', {}, el('kbd', {}, 'Enter')), el('dd', {}, 'next hit, in the search field; with Shift the one before'),
            el('dt', {}, el('kbd', {}, '← →')), el('dd', {}, 'messages, in a timeline that has the focus')),
        el('form', {method: 'dialog'}, el('button', {}, 'Close'))));
    help.showModal();
}
find('#help').addEventListener('click', showHelp);
document.addEventListener('keydown', event => {
    if (event.key === 'Enter' && event.target.id === 'q') {
        clearTimeout(waiting);
        (waiting ? search() : Promise.resolve()).then(() => goHit(event.shiftKey ? -1 : 1));
        waiting = 0;
        return;
    }
    if (event.key === 'Escape' && event.target.id === 'q') {
        event.target.value = '';
        choose(null);
        event.target.blur();
        return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, dialog'))
        return;
    const row = keys.find(([key]) => key === event.key);
    if (row) {
        event.preventDefault();
        row[2]();
    }
});

let openedForPrint = [];
addEventListener('beforeprint', () => {
    latency.showNow();
    /* All of a story; of a large run what is red. */
    openedForPrint = all('.scenario:not([open])').filter(node => COUNT <= OPEN_AT_ONCE || /failed|broken/.test(node.dataset.v)).slice(0, OPEN_AT_ONCE);
    for (const node of openedForPrint) {
        node.open = true;
        fillScenario(node);
    }
    for (const timeline of timelines)
        if (timeline)
            timeline.draw(timeline.stage.clientWidth);
});
addEventListener('afterprint', () => {
    for (const node of openedForPrint)
        node.open = false;
});

/* ---- overview: every scenario on one time axis, one row for each that ran beside others ---- */

/* Rows by time: each scenario takes the first row that is free again. */
function workers() {
    const free = [], order = data.overview.map((bar, i) => i).sort((a, b) => data.overview[a][0] - data.overview[b][0]);
    const row = [];
    for (const i of order) {
        const [from, to] = data.overview[i];
        let n = free.findIndex(until => until <= from);
        if (n < 0)
            n = free.push(0) - 1;
        free[n] = to;
        row[i] = n;
    }
    return {row, count: free.length};
}
class Overview {
    constructor(figure) {
        this.figure = figure;
        const {row, count} = workers();
        this.row = row;
        this.count = count;
        this.from = Math.min(...data.overview.map(bar => bar[0]));
        this.to = Math.max(this.from + 1, ...data.overview.map(bar => bar[1]));
        this.names = scenarioNodes.map(node => find('h3', node).lastChild.textContent);
        this.svg = sv('svg', {class: 'plot', 'aria-hidden': 'true'});
        this.tip = el('div', {class: 'tip', hidden: true});
        this.stage = el('div', {class: 'bars'}, this.svg, this.tip);
        const most = data.overview.reduce((sum, bar) => sum + bar[1] - bar[0], 0) / (this.to - this.from);
        figure.append(el('figcaption', {}, el('b', {}, 'Run'), el('span', {class: 'dim'}, ' ' + plural(COUNT, 'scenario') + ' in ' + duration(this.to - this.from)
            + (count > 1 ? ', up to ' + count + ' at a time, ' + most.toFixed(1) + ' on average' : ', one after another'))), this.stage);
        this.stage.addEventListener('pointermove', event => this.move(event));
        this.stage.addEventListener('pointerleave', () => { this.tip.hidden = true; });
        this.stage.addEventListener('click', event => {
            const i = this.at(event);
            if (i >= 0)
                reveal('s' + (i + 1));
        });
        new ResizeObserver(() => this.draw(this.stage.clientWidth)).observe(this.stage);
    }
    x(us) {
        return 6 + (us - this.from) / (this.to - this.from) * (this.width - 12);
    }
    draw(width) {
        if (!width || width === this.width)
            return;
        this.width = width;
        this.high = this.count > 12 ? 8 : this.count > 4 ? 14 : 19;
        const height = 22 + this.count * (this.high + 3);
        fill(this.svg, {width, height, viewBox: '0 0 ' + width + ' ' + height}, []);
        const groups = VERDICTS.map(() => []), names = [], axis = sv('g', {class: 'axis'});
        data.overview.forEach(([from, to, verdict], i) => {
            const x = this.x(from), w = Math.max(1.5, this.x(to) - x - 1), y = 20 + this.row[i] * (this.high + 3);
            groups[verdict].push('M' + x.toFixed(1) + ' ' + y + 'h' + w.toFixed(1) + 'v' + this.high + 'h' + (-w).toFixed(1) + 'z');
            const room = Math.floor((w - 12) / NAME_PX), name = this.names[i];
            if (this.high > 12 && room >= 5)
                names.push(sv('text', {x: (x + 6).toFixed(1), y: y + this.high / 2 + 3.5, class: 'barname'}, name.length > room ? name.slice(0, room - 1).trim() + '…' : name));
        });
        const rough = (this.to - this.from) / Math.max(1, width / 110), power = 10 ** Math.floor(Math.log10(Math.max(1, rough)));
        const step = [1, 2, 5, 10].map(k => k * power).find(k => k >= rough);
        for (let us = 0; us < this.to - this.from; us += step) {
            const x = this.x(this.from + us);
            if (x < width - 50)
                axis.append(sv('path', {d: 'M' + x.toFixed(1) + ' 16V' + height, class: 'tick'}), sv('text', {x: x + 3, y: 12}, us ? '+' + duration(us).replace(/\.0+ /, ' ') : '0'));
        }
        this.svg.replaceChildren(axis, ...groups.map((list, verdict) => sv('path', {d: list.join(''), class: 'runbar r-' + VERDICTS[verdict]})), ...names);
    }
    at(event) {
        const box = this.stage.getBoundingClientRect();
        const x = event.clientX - box.left, row = Math.floor((event.clientY - box.top - 18.5) / (this.high + 3));
        let best = -1, distance = 6;
        data.overview.forEach(([from, to], i) => {
            const off = Math.max(this.x(from) - x, x - this.x(to), 0);
            if (this.row[i] === row && off < distance) {
                best = i;
                distance = off;
            }
        });
        return best;
    }
    move(event) {
        const i = this.at(event);
        this.tip.hidden = i < 0;
        this.stage.classList.toggle('over', i >= 0);
        if (i < 0)
            return;
        const [from, to, verdict] = data.overview[i];
        this.tip.replaceChildren(el('b', {}, this.names[i]), el('span', {}, VERDICTS[verdict] + ' after ' + duration(to - from) + ', from +' + duration(from - this.from)));
        const box = this.stage.getBoundingClientRect();
        this.tip.style.left = Math.max(4, Math.min(event.clientX - box.left + 14, this.width - this.tip.offsetWidth - 4)) + 'px';
        this.tip.style.top = event.clientY - box.top + 18 + 'px';
    }
}
if (COUNT > 1 && find('#overview'))
    new Overview(find('#overview'));

/* ---- latency ---- */

const latency = self.bvLatency({el, sv, find, plural, duration, button, sliced, COUNT, actorOf, shortType, sameRoute, filter: choose,
    model: index => models[index] || build(index, raw(index)), titleOf: index => find('h3', scenarioNodes[index]).lastChild.textContent});

/* ---- start ---- */

/* Words of one side that the other side does not have, where they look like values. */
function compare(diff) {
    const sides = all('pre', diff);
    const words = sides.map(side => new Set(side.textContent.split(/\s+/)));
    if (![...words[0]].some(word => /\d|\.\w/.test(word)) || ![...words[1]].some(word => /\d|\.\w/.test(word)))
        return; /* nothing to compare: "nothing arrived" */
    sides.forEach((side, i) => side.replaceChildren(...side.textContent.split(/(\s+)/).map(word =>
        /[\d._"/]|^[A-Z]{3,}/.test(word) && !/^\d+m?s\W?$/.test(word) && !words[1 - i].has(word) ? el('em', {}, word) : word)));
}
all('.diff').forEach(compare);
for (const node of all('.scenario[open]')) {
    fillScenario(node);
    for (const step of all('.step', node))
        if (find('details', step).open)
            fillStep(step);
}
const started = find('.facts time');
if (started && !Number.isNaN(Date.parse(started.dateTime)))
    started.textContent = started.dateTime.slice(0, 19).replace('T', ' ') + ' UTC';
new IntersectionObserver((entries, watcher) => {
    if (entries.some(entry => entry.isIntersecting)) {
        watcher.disconnect();
        latency.show();
    }
}, {rootMargin: '600px'}).observe(find('#latency'));
const watcher = new IntersectionObserver(entries => {
    for (const entry of entries) {
        const link = navEntries[+entry.target.dataset.s] && find('a', navEntries[+entry.target.dataset.s]);
        if (!link)
            continue;
        if (entry.isIntersecting) link.setAttribute('aria-current', 'true'); else link.removeAttribute('aria-current');
    }
}, {rootMargin: '-80px 0px -55% 0px'});
for (const node of scenarioNodes)
    watcher.observe(node);
if (/^#s\d/.test(location.hash))
    go(location.hash.slice(1));
requestAnimationFrame(() => performance.mark('bv-ready'));
})();
