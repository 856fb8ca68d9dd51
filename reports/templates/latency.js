/* Latency per operation of the whole run: what was asked for and how long its answer took, and what arrived and how long after the
 * request that caused it. Every figure is counted from the messages in the page's data. report.js hands in what it is made of: its
 * elements, its models, and filter(operation), which shows the messages of one operation only. Runs before report.js. */
self.bvLatency = page => {
'use strict';

const {el, sv, find, plural, duration} = page;
const SENT = 0, RECEIVED = 1;
const ROWS_MAX = 120, LISTED_MAX = 12, DOTS_MAX = 150, CAUSES_DEEP = 8;
const CHART_WIDE = 240, LABEL_WIDE = 38, LABEL_HALF = 17;
const ANSWERED = new Set(['rest', 'graphql', 'soap', 'grpc', 'postgres', 'redis']); /* a request of these without an answer is an error */
const ROUTE = /^[A-Z]+ \//, ISSUE = /^[a-z]+ [a-z]/; /* a status may be what the story wants, the others never */

/* ---- what a message is an operation of ---- */

const general = text => text.replace(/\?.*$/, '').replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '{id}').replace(/\d{3,}/g, '{n}');
const words = {
    redis: text => text.split(' ')[0].toUpperCase(),
    postgres: text => {
        const [, table] = /\b(?:from|into|update|table)\s+([\w.]+)/i.exec(text) || [];
        return text.trim().split(/\s/)[0].toUpperCase() + (table ? ' ' + table : '');
    },
};
const fits = (route, text) => {
    const [method, template] = route.split(' ');
    return page.sameRoute({method, route: template}, text);
};
/* The route that the service's own span names. */
function routeOf(m) {
    const served = ROUTE.test(m.t || '') && (m.effects || []).find(p => ROUTE.test(p.name || '') && fits(p.name, m.t));
    return served ? served.name : '';
}
const nameOf = (protocol, m) => (words[protocol] ? words[protocol](m.s || '') : (m.t || m.s || '').replace(/^[\w.]+\.v\d+\./, '')) || '?';
const topicOf = (protocol, m) => protocol === 'kafka' ? (m.s || '').split(/[[ ]/)[0] : '';
function errorOf(protocol, m) {
    if (!m)
        return 'no answer';
    if (m.v || m.sg === 'bad')
        return m.v ? 'breaks its contract' : 'bad signature';
    if (protocol === 'grpc')
        return m.st ? 'gRPC ' + m.st : '';
    return m.st >= 400 ? String(m.st) : '';
}
/* From the request that led to m, over the spans between. */
function echoOf(m) {
    let cause = m.causes && m.causes[0];
    for (let left = CAUSES_DEEP; cause && cause.d === undefined && left > 0; left--)
        cause = cause.causes && cause.causes[0];
    return cause && cause.d === SENT ? m.u - cause.u : undefined;
}
/* Of a message that begins something: which operation it is, its answer, how long it took, what went wrong. */
function examine(s, m) {
    const protocol = page.actorOf(s, m)[1], topic = topicOf(protocol, m);
    if (m.d === RECEIVED)
        return [{kind: 'event', protocol, name: page.shortType(m.t || m.s), via: '← ' + protocol + ' ' + topic}, {us: echoOf(m), error: errorOf(protocol, m), status: m.st}];
    if (!m.answer && !ANSWERED.has(protocol))
        return [{kind: 'event', protocol, name: page.shortType(m.t || m.s), via: '→ ' + protocol + ' ' + topic}, {error: m.v ? errorOf(protocol, m) : ''}];
    const route = routeOf(m), {l, st, i} = m.answer || {};
    return [{kind: 'request', protocol, name: route || nameOf(protocol, m), via: protocol, sure: Boolean(route)},
        {us: l, error: (m.v && errorOf(protocol, m)) || errorOf(protocol, m.answer), status: st, answer: i}];
}

/* ---- operations ---- */

const idOf = row => [row.kind, row.protocol, row.via, row.name].join('\0');
function put(rows, row, list) {
    const id = idOf(row);
    if (!rows.has(id))
        rows.set(id, {...row, list: []});
    rows.get(id).list.push(...list);
}
class Operations {
    constructor() {
        this.sure = new Map();
        this.open = new Map(); /* paths that no span told the route of */
    }
    read(index) {
        const s = page.model(index);
        for (const m of s.sorted) {
            if (m.an || m.d > RECEIVED)
                continue;
            const [operation, one] = examine(s, m);
            put(operation.sure || !ROUTE.test(operation.name) ? this.sure : this.open, operation, [{...one, index, m: m.i}]);
        }
    }
    /* An open path belongs to a route that it fits, else to the paths that look like it. */
    rows() {
        const routes = [...this.sure.values()].filter(row => row.sure).map(row => row.name);
        const rows = new Map(this.sure);
        for (const row of this.open.values())
            put(rows, {...row, name: routes.find(route => route === row.name) || routes.find(route => fits(route, row.name)) || general(row.name)}, row.list);
        return [...rows.values()].map(summed);
    }
}
function summed(row) {
    const us = row.list.map(one => one.us).filter(one => one !== undefined).sort((a, b) => a - b);
    const at = q => us[Math.min(us.length - 1, Math.ceil(q * us.length) - 1)];
    return {...row, us, count: row.list.length, errors: row.list.filter(one => one.error).length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: us[us.length - 1]};
}

/* ---- the chart of a row: every answer a dot, the middle half to p95 a band, on a logarithmic axis that all rows share ---- */

function axisOf(rows) {
    const all = rows.filter(row => row.us.length);
    if (!all.length)
        return null;
    const low = Math.log10(Math.max(100, Math.min(...all.map(row => row.us[0])) * 0.8)), high = Math.log10(Math.max(...all.map(row => row.max)) * 1.25 + 200);
    const x = us => 4 + (CHART_WIDE - 8) * (Math.log10(Math.max(us, 100)) - low) / (high - low);
    const ticks = [], labels = [];
    for (let power = Math.floor(low); power <= high; power++)
        for (const step of high - low < 2.2 ? [1, 2, 5] : [1]) {
            const us = step * 10 ** power;
            if (x(us) < 4 || x(us) > CHART_WIDE - 4)
                continue;
            ticks.push(us);
            if (x(us) >= LABEL_HALF && x(us) <= CHART_WIDE - LABEL_HALF && (!labels.length || x(us) - x(labels[labels.length - 1]) >= LABEL_WIDE))
                labels.push(us);
        }
    return {x, ticks, labels};
}
const chart = (...kids) => sv('svg', {class: 'strip', viewBox: '0 0 ' + CHART_WIDE + ' 18', 'aria-hidden': 'true'}, ...kids);
const axisChart = ({x, labels}) => chart(labels.map(us => sv('text', {x: x(us).toFixed(1), y: 13, 'text-anchor': 'middle'}, duration(us).replace(/\.0+ /, ' '))));
/* At most so many of a sorted list, evenly, its ends among them. */
const sample = list => list.length <= DOTS_MAX ? list : Array.from({length: DOTS_MAX}, (_, i) => list[Math.round(i * (list.length - 1) / (DOTS_MAX - 1))]);
function rowChart(row, {x, ticks}) {
    const at = us => x(us).toFixed(1);
    return chart(sv('path', {d: ticks.map(us => 'M' + at(us) + ' 0V18').join(''), class: 'tick'}),
        row.us.length ? [sv('rect', {x: at(row.p50), y: 4, width: Math.max(0, x(row.p95) - x(row.p50)).toFixed(1), height: 10, class: 'band'}),
            sample(row.us).map(us => sv('circle', {cx: at(us), cy: 9, r: 2.6, class: 'dot'})), sv('path', {d: 'M' + at(row.p50) + ' 2V16', class: 'mid'})] : []);
}

/* ---- a table ---- */

const COLUMNS = [['Operation', 'name'], ['Count', 'count'], ['Errors', 'errors'], ['p50', 'p50'], ['p95', 'p95'], ['p99', 'p99'], ['Max', 'max']];
const time = us => us === undefined ? '–' : duration(us);

/* Messages of the row, what went wrong first, then the slowest. */
function listed(row) {
    const list = [...row.list].sort((a, b) => Boolean(b.error) - Boolean(a.error) || (b.us || 0) - (a.us || 0)).slice(0, LISTED_MAX);
    return [el('ol', {class: 'listed'}, list.map(one => el('li', {}, el('a', {href: '#s' + (one.index + 1) + '-m' + one.m}, el('span', {class: 'num'}, time(one.us)),
        el('span', {class: ISSUE.test(one.error) ? 'wrong' : one.error ? null : 'dim'}, one.error || (one.status === undefined ? '' : String(one.status))), el('span', {}, page.titleOf(one.index)))))),
        el('p', {class: 'acts'}, page.button('Show only ' + (row.count === 1 ? 'this one' : 'these ' + row.count) + ' in the scenarios', () => page.filter(row)),
            list.length < row.count ? el('span', {class: 'dim'}, ' Above: what went wrong, then the slowest ' + (LISTED_MAX - Math.min(LISTED_MAX, row.errors)) + '.') : '')];
}
function cells(row, axis, number) {
    const id = 'op' + number;
    const more = el('tr', {class: 'opmore', id, hidden: true}, el('td', {colspan: COLUMNS.length + 1}));
    const toggle = event => {
        more.hidden = !more.hidden;
        event.currentTarget.setAttribute('aria-expanded', String(!more.hidden));
        if (!more.firstChild.firstChild)
            more.firstChild.append(...listed(row));
    };
    return [el('tr', {class: 'op'}, el('th', {scope: 'row'}, page.button('', toggle, {class: 'opname', 'aria-expanded': 'false', 'aria-controls': id}), el('span', {class: 'via'}, row.via.trim())),
        el('td', {class: 'num'}, String(row.count)), el('td', {class: 'num' + (row.list.some(one => ISSUE.test(one.error)) ? ' t-failed' : row.errors ? '' : ' dim')}, String(row.errors)),
        ['p50', 'p95', 'p99', 'max'].map(key => el('td', {class: 'num c-' + key}, time(row[key]))), el('td', {class: 'chart'}, rowChart(row, axis))), more];
}
function table(title, about, rows, first) {
    const axis = axisOf(rows) || {x: () => 0, ticks: [], labels: []};
    const shown = rows.sort((a, b) => (b.p95 || 0) - (a.p95 || 0) || b.count - a.count).slice(0, ROWS_MAX);
    const body = el('tbody', {}), made = new Map(shown.map((row, i) => [row, cells(row, axis, first + i)]));
    for (const [row, [tr]] of made)
        find('.opname', tr).append(row.name);
    const heads = COLUMNS.map(([text, key]) => el('th', {scope: 'col', class: key === 'name' ? null : 'num c-' + key}, page.button(text, () => sort(key), {class: 'sort'})));
    let by = '', down = true;
    function sort(key) {
        down = key === by ? !down : key !== 'name';
        by = key;
        const sign = down ? -1 : 1;
        shown.sort((a, b) => sign * (key === 'name' ? (a.name < b.name ? -1 : a.name > b.name ? 1 : 0) : (a[key] === undefined ? -1 : a[key]) - (b[key] === undefined ? -1 : b[key])));
        heads.forEach((head, i) => {
            if (COLUMNS[i][1] === key) head.setAttribute('aria-sort', down ? 'descending' : 'ascending'); else head.removeAttribute('aria-sort');
        });
        body.append(...shown.flatMap(row => made.get(row)));
    }
    sort('p95');
    return el('section', {class: 'scroll', tabindex: '0', 'aria-label': title}, el('table', {},
        el('caption', {}, el('b', {}, title), ' ', el('span', {class: 'dim'}, about + (rows.length > ROWS_MAX ? '; the ' + ROWS_MAX + ' slowest of ' + rows.length : ''))),
        el('thead', {}, el('tr', {}, heads, el('td', {class: 'chart'}, axisChart(axis)))), body));
}

/* ---- showing it ---- */

let shown = false, coming = null;
async function come() {
    const operations = new Operations();
    if (await page.sliced(page.COUNT, i => operations.read(i), () => !shown))
        show(operations);
}
function show(operations) {
    if (shown)
        return;
    shown = true;
    const rows = operations.rows();
    const of = kind => rows.filter(row => row.kind === kind);
    const asked = of('request'), heard = of('event'), count = rows.reduce((sum, row) => sum + row.count, 0), errors = rows.reduce((sum, row) => sum + row.errors, 0);
    if (!rows.length)
        return;
    find('#latency').append(el('h2', {}, 'Latency ', el('span', {class: 'dim'}, plural(rows.length, 'operation') + ' used ' + plural(count, 'time') + ', ' + plural(errors, 'error')
        + '. An error is a status of 400 and more, or of gRPC other than OK, no answer, a broken contract or a bad signature; a story may want it.')),
    ...(asked.length ? [table('Requests', 'from sending until the answer, as the actors saw it', asked, 0)] : []),
    ...(heard.length ? [table('Events', 'from the request that caused one until its arrival at an actor', heard, asked.length)] : []));
}
return {
    /* While the page answers. */
    show() {
        return coming = coming || come();
    },
    /* Before this returns: for a printer. */
    showNow() {
        const operations = new Operations();
        for (let i = 0; i < page.COUNT && !shown; i++)
            operations.read(i);
        show(operations);
    },
};
};
