/* The report as its reader meets it: a green and a red run, rendered from the checked-in results, opened from disk in
 * Chromium. Usage: test.mjs BV_REPORT TOOLS TESTDATA [WORD]    WORD: only the checks that have it in their name
 * Each check is a row of the table at the end; a run prints one line for each and what it found. Exit 0: nothing found. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { browser, open, render, scratch, toolbox } from './browser.mjs';
import { many } from './synthetic.mjs';

const [report, tools, testdata, only = ''] = process.argv.slice(2);
const require = toolbox(tools);
const folder = scratch();
const pages = {};
for (const kind of ['green', 'red'])
    pages[kind] = render(report, join(testdata, kind), join(folder, kind));
for (const kind of ['lose-outbox-row', 'drop-trace-header', 'skip-signature', 'duplicate-effect']) {
    mkdirSync(join(folder, kind));
    copyFileSync(join(testdata, 'breaks', kind + '.jsonl'), join(folder, kind, 'results.jsonl'));
    pages[kind] = render(report, join(folder, kind), join(folder, kind));
}
mkdirSync(join(folder, 'many'));
writeFileSync(join(folder, 'many/results.jsonl'), many(120));
pages.many = render(report, join(folder, 'many'), join(folder, 'many'));
const chromium = await browser(require);

/* ---- small things ---- */

/* Two frames: what a handler changed is laid out and painted. */
const settled = page => page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))));
const focused = page => page.evaluate(() => (document.activeElement.closest('.step, .scenario') || document.activeElement).id);
const shown = (page, selector) => page.locator(selector).evaluateAll(nodes => nodes.filter(node => node.checkVisibility()).map(node => node.id));

async function expandAll(page) {
    for (let round = 0; round < 3; round++) { /* what opens holds more to open */
        await page.evaluate(() => {
            for (const node of document.querySelectorAll('details'))
                node.open = true;
            for (const table of document.querySelectorAll('#latency table:has(tbody):not(:has([aria-expanded="true"]))'))
                table.querySelector('.opname').click();
            scrollTo(0, 1e7);
        });
        await settled(page);
    }
    await page.waitForFunction(() => !document.querySelector('#latency') || document.querySelector('#latency').children.length > 0);
}
async function with_page(kind, options, body) {
    const page = await open(chromium, pages[kind], options);
    try {
        await body(page);
        assert.deepEqual(page.findings, []);
    } finally {
        await page.context().close();
    }
}

/* ---- checkers of others ---- */

async function accessible(kind, options, prepare) {
    /* bypassCSP: axe injects a style of its own, which the page rightly refuses. */
    await with_page(kind, {...options, bypassCSP: true}, async page => {
        await prepare(page);
        await page.evaluate(readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
        const result = await page.evaluate(() => window.axe.run(document));
        assert.ok(result.passes.length > 20, 'axe looked at almost nothing');
        assert.deepEqual(result.violations.flatMap(v => v.nodes.slice(0, 3).map(n => v.id + ': ' + v.help + ': ' + n.html.slice(0, 200)
            + ' ' + ((n.any[0] || n.all[0] || n.none[0] || {}).message || ''))), []);
    });
}

/* Both the file as it is and the document that its script made of it with everything open. */
async function valid_html(kind) {
    const {HtmlValidate, StaticConfigLoader} = require('html-validate');
    const checker = new HtmlValidate(new StaticConfigLoader({root: true, extends: ['html-validate:recommended']}));
    const messages = async html => (await checker.validateString(html, kind + '.html')).results
        .flatMap(result => result.messages.map(m => m.ruleId + ' at ' + m.line + ':' + m.column + ': ' + m.message));
    assert.deepEqual((await messages(readFileSync(pages[kind], 'utf8'))).slice(0, 20), []);
    await with_page(kind, {}, async page => {
        await expandAll(page);
        /* A browser writes "&nbsp;" and empty attribute values its own way; only what the script chose is judged. */
        const html = '<!DOCTYPE html>\n' + await page.evaluate(() => document.documentElement.outerHTML);
        const found = await messages(html.replace(/ (open|hidden|disabled)=""/g, ' $1'));
        assert.deepEqual(found.slice(0, 20), []);
    });
}

/* ---- what a reader does ---- */

async function opens_on_the_failure(page) {
    assert.match(await page.title(), /failed/);
    assert.match(await page.textContent('h1'), /1 of 5 scenarios failed/);
    const first = page.locator('.failures > ol > li').first();
    assert.match(await first.textContent(), /SSE resumes.*line 52/s);
    assert.match(await first.textContent(), /event stream → stream.*sequence 10 follows 8: 9 is missing/s);
    const box = await first.boundingBox();
    assert.ok(box.y + box.height <= 900, 'what went wrong is below the first screen');
}
/* One glance: the hop, what happened there, and its mark in the timeline of the scenario that stands open. */
async function names_the_hop(page, hop, sentence, mark) {
    const first = page.locator('.failures > ol > li').first();
    assert.match(await first.locator('.hop').textContent(), hop);
    assert.match(await first.locator('.hop').textContent(), sentence);
    const box = await first.boundingBox();
    assert.ok(box.y + box.height <= 900, 'the hop is below the first screen');
    assert.ok(await page.locator('.stage .fault').first().isVisible(), 'the timeline has no mark');
    assert.match(await page.locator('.stage .fault .faulttext').first().textContent(), mark);
    const link = first.locator('.trail a').first();
    const [, message] = /-m(\d+)$/.exec(await link.getAttribute('href'));
    await link.click();
    await page.locator('.scenario[open] .inspect b', {hasText: 'Message ' + message}).first().waitFor();
}
async function expands_a_failed_step(page) {
    const step = page.locator('#s2-13');
    assert.ok(await step.locator('> details').evaluate(node => node.open), 'a red step is open');
    await step.locator('> details > summary').click();
    assert.ok(await step.locator('> details').evaluate(node => !node.open), 'a click closes it');
    await step.locator('> details > summary').click();
    assert.match(await step.locator('.diff').textContent(), /Expected.*ecommerce\.order\.paid\.v1.*Actual.*sequence 10/s);
    const message = step.locator('.msg').first();
    await message.locator('> summary').click();
    assert.match(await message.textContent(), /ecommerce\.order\./);
    await page.locator('.failures a').first().click();
    await settled(page);
    assert.equal(await focused(page), 's2-13');
}
async function searches(page) {
    const everything = await page.locator('.scenario').count();
    await page.fill('#q', 'ecommerce.order.confirmed.v1');
    await page.waitForFunction(() => /^[1-9]\d* steps?, [1-9]\d* messages?$/.test(document.querySelector('#hits').textContent));
    const found = (await shown(page, '.scenario')).length;
    assert.ok(found > 0 && found < everything, 'a search shows some scenarios, not all: ' + found + ' of ' + everything);
    assert.ok(await page.evaluate(() => CSS.highlights.get('hits').size > 0), 'what was found is marked');
    await page.fill('#q', 'no such words anywhere');
    await page.locator('#nothing').waitFor({state: 'visible'});
    assert.deepEqual(await shown(page, '.scenario'), []);
    await page.press('#q', 'Escape');
    await page.waitForFunction(() => document.querySelector('#hits').textContent === '');
    assert.equal((await shown(page, '.scenario')).length, everything);
    await page.click('[data-filter=broken]');
    assert.deepEqual(await shown(page, '.scenario'), ['s5']);
    await page.click('[data-filter=all]');
}
async function switches_theme(page) {
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
    assert.equal(await background(), 'rgb(255, 255, 255)');
    await page.click('#theme');
    assert.equal(await theme(), 'dark');
    const [red] = (await background()).match(/\d+/g).map(Number);
    assert.ok(red < 60, 'dark is dark');
    await page.reload();
    assert.equal(await theme(), 'dark', 'the choice lasts');
    await page.click('#theme');
    assert.equal(await theme(), 'light');
    await page.click('#theme');
    assert.equal(await theme(), undefined, 'the third choice is the system\'s');
    await page.emulateMedia({colorScheme: 'dark'});
    assert.ok(Number((await background()).match(/\d+/)[0]) < 60, 'and follows it');
}
/* From the address bar to the body of the message that tells, and back, without a pointer. */
async function keyboard_alone(page) {
    await page.keyboard.press('Tab');
    assert.match(await page.evaluate(() => document.activeElement.textContent), /Skip to/);
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'scenarios');
    await page.keyboard.press('n');
    assert.equal(await focused(page), 's2-13');
    await page.keyboard.press('n');
    assert.equal(await focused(page), 's5-6');
    await page.keyboard.press('N');
    assert.equal(await focused(page), 's2-13');
    await page.keyboard.press('k');
    assert.equal(await focused(page), 's2-12');
    await page.keyboard.press('j');
    await page.keyboard.press('e');
    assert.ok(await page.evaluate(() => !document.querySelector('#s2-13 > details').open), 'e closes');
    await page.keyboard.press('Enter');
    assert.ok(await page.evaluate(() => document.querySelector('#s2-13 > details').open), 'Enter opens');
    for (let i = 0; i < 12 && !await page.evaluate(() => document.activeElement.matches('.msg:not([open]) > summary')); i++)
        await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    assert.ok(await page.evaluate(() => document.activeElement.parentElement.open), 'a message opens');
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'q');
    await page.keyboard.type('confirmed');
    await page.waitForFunction(() => document.querySelector('#hits').textContent !== '');
    await page.keyboard.press('Escape');
    await page.keyboard.press('?');
    assert.ok(await page.evaluate(() => document.querySelector('dialog').open));
    await page.keyboard.press('Escape');
    assert.ok(await page.evaluate(() => !document.querySelector('dialog').open));
    await page.evaluate(() => document.querySelector('#s2 .stage').focus());
    await page.keyboard.press('ArrowRight');
    assert.match(await page.textContent('#s2 .inspect'), /Message \d/);
    await page.keyboard.press('Escape');
    assert.equal(await page.textContent('#s2 .inspect'), '');
}
async function copies_the_line(page) {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    const button = page.locator('.failures .copy').first();
    await button.click();
    await page.waitForFunction(node => node.textContent === 'Copied', await button.elementHandle());
    const text = await page.evaluate(() => navigator.clipboard.readText());
    assert.equal(text, "make scenario STORY=order-flow ARGS='--tags @step-2'");
}
async function prints(page) {
    await page.emulateMedia({media: 'print'});
    await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
    await settled(page);
    assert.deepEqual(await page.evaluate(() => ['header.bar', 'nav', '.tltools', '.copy'].filter(s =>
        [...document.querySelectorAll(s)].some(node => node.checkVisibility()))), [], 'tools are not printed');
    assert.equal(await page.locator('.scenario[open]').count(), await page.locator('.scenario').count(), 'every scenario is printed');
    await page.evaluate(() => dispatchEvent(new Event('afterprint')));
    await page.emulateMedia({media: 'screen'});
    assert.ok(await page.locator('.scenario[open]').count() < await page.locator('.scenario').count(), 'and closed again');
    assert.equal(await page.locator('#latency table').count(), 2, 'the latencies are printed though nobody scrolled to them');
    const pdf = await page.pdf({format: 'A4'});
    const sheets = pdf.toString('latin1').match(/\/Type \/Page\b/g).length;
    assert.ok(sheets >= 2 && sheets < 60, sheets + ' sheets');
}
async function fits(page) {
    const too_wide = () => page.evaluate(() => {
        const width = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= width)
            return [];
        return [...document.querySelectorAll('body *')].filter(node => node.getBoundingClientRect().right > width + 1 && !node.closest('.scroll, svg, .code, .lines'))
            .slice(0, 5).map(node => node.outerHTML.slice(0, 120)).concat('the page is ' + document.documentElement.scrollWidth + ' wide');
    });
    assert.deepEqual(await too_wide(), []);
    await expandAll(page);
    assert.deepEqual(await too_wide(), []);
}
async function says_all_is_well(page) {
    assert.match(await page.title(), /passed/);
    assert.match(await page.textContent('h1'), /scenarios? passed/);
    assert.equal(await page.locator('.failures').count(), 0);
    await expandAll(page);
}
/* With many scenarios the page holds their heads; what is inside comes packed. */
const ready = page => page.waitForFunction(() => performance.getEntriesByName('bv-ready').length > 0);
async function unfolds(page) {
    await ready(page);
    assert.equal(await page.locator('.scenario').count(), 120);
    const nodes = () => page.evaluate(() => document.querySelectorAll('*').length);
    assert.ok(await nodes() < 6000, await nodes() + ' nodes');
    assert.equal(await page.locator('#s100 .step').count(), 0);
    await page.locator('#s100 > summary').click();
    await page.locator('#s100 .step').first().waitFor();
    assert.equal(await page.locator('#s100 .step').count(), 12);
    assert.ok(await page.locator('#s100 .stage svg').first().isVisible());
    await page.keyboard.press('n');
    assert.equal(await focused(page), 's7-7', 'the first red step');
    await page.keyboard.press('N');
    assert.equal(await focused(page), 's107-7', 'the last one, which was not in the page');
    await page.fill('#q', '"mug-88"');
    await page.waitForFunction(() => /message/.test(document.querySelector('#hits').textContent));
    assert.deepEqual(await shown(page, '.scenario'), ['s88']);
    assert.match(await page.textContent('#hits'), /^3 steps, 3 messages$/);
    assert.deepEqual(await shown(page, '#s88 .step'), ['s88-2', 's88-3', 's88-4']);
    await page.press('#q', 'Escape');
    await page.waitForFunction(() => document.querySelector('#hits').textContent === '');
    assert.equal((await shown(page, '#s88 .step')).length, 12);
    const bars = await page.locator('#overview .runbar').evaluateAll(paths => paths.map(path => (path.getAttribute('d').match(/M/g) || []).length));
    assert.deepEqual(bars.reduce((a, b) => a + b), 120);
    assert.match(await page.textContent('#overview figcaption'), /120 scenarios .* up to 8 at a time/);
}
/* Every scenario counts, opened or not. */
async function measures_latency(page) {
    await ready(page);
    await page.keyboard.press('l');
    await page.locator('#latency .op').first().waitFor();
    const rows = await operations(page);
    const count = (name, via) => Number((rows.find(row => row.name === name && row.via === via) || {}).count);
    assert.equal(count('POST /v1/orders', 'rest'), 120);
    assert.equal(count('order.created', '← kafka ecommerce.orders'), 120);
    assert.equal(count('order.delivered', '← webhook'), 117, 'three broke before');
}
const operations = page => page.locator('#latency .op').evaluateAll(nodes => nodes.map(node => {
    const text = selector => node.querySelector(selector).textContent, [count, errors, p50, p95, p99, max] = [...node.querySelectorAll('.num')].map(cell => cell.textContent);
    return {name: text('.opname'), via: text('.via'), count: Number(count), errors: Number(errors), p50, p95, p99, max};
}));
/* As the page writes a duration of less than ten seconds. */
const written = us => us < 100 ? us + ' µs' : us < 9950 ? (us / 1e3).toFixed(1) + ' ms' : us < 999500 ? Math.round(us / 1e3) + ' ms' : (us / 1e6).toFixed(2) + ' s';
/* What the records of a run say of a request: its answers by protocol and type. */
function asked(kind, protocol, type) {
    const messages = readFileSync(join(folder, kind, 'results.jsonl'), 'utf8').split('\n').filter(Boolean).map(line => JSON.parse(line))
        .filter(record => record.record === 'message' && record.protocol === protocol);
    const requests = messages.filter(m => m.direction === 'sent' && !m.answers && type.test(m.type));
    const answers = requests.map(m => messages.find(other => other.scenario === m.scenario && other.answers === m.id));
    const us = answers.map(m => m.latencyUs).sort((a, b) => a - b), at = q => written(us[Math.ceil(q * us.length) - 1]);
    return {count: requests.length, errors: answers.filter(m => m.status >= 400).length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1)};
}
async function counts_operations(page, kind, wanted, vias) {
    await ready(page);
    await page.keyboard.press('l');
    await page.locator('#latency .op').first().waitFor();
    const rows = await operations(page), row = name => rows.find(one => one.name === name);
    for (const [name, protocol, type] of wanted)
        assert.deepEqual(row(name), {name, via: protocol, ...asked(kind, protocol, type)});
    assert.deepEqual(rows.filter(one => /[0-9a-f]{8}-|\?/.test(one.name)), [], 'routes, not paths');
    for (const via of vias)
        assert.ok(rows.some(one => one.via === via), via + ' of ' + rows.map(one => one.via));
    assert.equal(await page.locator('#latency caption').count(), 2, 'both tables have a caption');
}
async function sorts_operations(page) {
    await ready(page);
    await page.keyboard.press('l');
    await page.locator('#latency .op').first().waitFor();
    assert.equal(await focused(page), 'latency');
    const table = page.locator('#latency table').first(), head = table.locator('th', {hasText: 'Count'});
    const counts = () => table.locator('.op td:nth-child(2)').evaluateAll(cells => cells.map(cell => Number(cell.textContent)));
    assert.equal(await table.locator('th[aria-sort]').textContent(), 'p95');
    await head.locator('button').focus();
    await page.keyboard.press('Enter');
    assert.equal(await head.getAttribute('aria-sort'), 'descending');
    assert.deepEqual(await counts(), (await counts()).sort((a, b) => b - a));
    await page.keyboard.press('Enter');
    assert.equal(await head.getAttribute('aria-sort'), 'ascending');
    assert.equal(await table.locator('th[aria-sort]').count(), 1);
    assert.deepEqual(await counts(), (await counts()).sort((a, b) => a - b));
}
async function follows_an_operation(page) {
    await ready(page);
    await page.keyboard.press('l');
    await page.locator('#latency .op').first().waitFor();
    const name = page.locator('.opname', {hasText: /^POST \/v1\/orders$/}), more = page.locator('#' + await name.getAttribute('aria-controls'));
    assert.ok(!await more.isVisible());
    await name.focus();
    await page.keyboard.press('Enter');
    assert.equal(await name.getAttribute('aria-expanded'), 'true');
    assert.equal(await more.locator('li').count(), asked('green', 'rest', /^POST \/v1\/orders$/).count);
    assert.match(await more.locator('li').first().textContent(), / ms4\d\d/, 'what went wrong comes first');
    const link = more.locator('a').last();
    const [, scenario, message] = /^#s(\d+)-m(\d+)$/.exec(await link.getAttribute('href'));
    await link.focus();
    await page.keyboard.press('Enter');
    await page.locator('#s' + scenario + '[open] .inspect b', {hasText: new RegExp('^Message ' + message + '$')}).waitFor();
    const all = await page.locator('.scenario').count(), other = page.locator('.opname', {hasText: '/confirm'});
    await other.click();
    await page.locator('#' + await other.getAttribute('aria-controls') + ' button').click();
    await page.locator('#chosen').waitFor();
    const left = await shown(page, '.scenario');
    assert.ok(left.length > 0 && left.length < all, left.length + ' scenarios');
    const found = await page.locator('.msg[open].found').first();
    assert.match(await found.textContent(), /\/confirm/);
    assert.ok((await page.locator('.step .msg.found .sum').allTextContents()).every(text => /\/confirm( |$)/.test(text)));
    await page.locator('#chosen').click();
    await page.waitForFunction(count => [...document.querySelectorAll('.scenario')].filter(node => !node.hidden).length === count, all);
    assert.ok(!await page.locator('#chosen').isVisible());
}
/* Enter goes from hit to hit and opens the message, while the field keeps the focus. */
async function walks_the_hits(page) {
    await ready(page);
    await page.fill('#q', 'ecommerce.order.confirmed.v1');
    await page.press('#q', 'Enter');
    await page.waitForFunction(() => /^1 \/ \d+ step/.test(document.querySelector('#hits').textContent));
    await page.locator('.step .msg[open].found').first().waitFor();
    assert.equal(await focused(page), 'q');
    await page.press('#q', 'Enter');
    assert.match(await page.textContent('#hits'), /^2 \/ /);
    await page.press('#q', 'Shift+Enter');
    await page.press('#q', 'Shift+Enter');
    const [, at, of] = /^(\d+) \/ (\d+)/.exec(await page.textContent('#hits'));
    assert.equal(at, of, 'before the first comes the last');
}
async function opens_what_the_address_names() {
    const page = await open(chromium, pages.many);
    await page.goto('about:blank');
    await page.goto('file://' + pages.many + '#s57-7');
    await ready(page);
    assert.equal(await focused(page), 's57-7');
    assert.deepEqual(page.findings.filter(text => !text.includes('about:blank')), []);
    await page.context().close();
}
async function small(kind) {
    const size = readFileSync(pages[kind]).length;
    assert.ok(size < 2e6, size + ' bytes');
}

/* ---- the list ---- */

const narrow = {viewport: {width: 390, height: 844}};
const checks = [
    ['the file is below 2 MB', () => small('red')],
    ['html-validate: green', () => valid_html('green')],
    ['html-validate: red', () => valid_html('red')],
    ['axe: green, light', () => accessible('green', {colorScheme: 'light'}, expandAll)],
    ['axe: red as it opens, light', () => accessible('red', {colorScheme: 'light'}, settled)],
    ['axe: red, all open, light', () => accessible('red', {colorScheme: 'light'}, expandAll)],
    ['axe: red, all open, dark', () => accessible('red', {colorScheme: 'dark'}, expandAll)],
    ['axe: red, all open, narrow', () => accessible('red', {...narrow, colorScheme: 'light'}, expandAll)],
    ['a green run says so', () => with_page('green', {}, says_all_is_well)],
    ['what went wrong is on the first screen', () => with_page('red', {}, opens_on_the_failure)],
    ['hop: a lost outbox row', () => with_page('lose-outbox-row', {}, page => names_the_hop(page,
        /^order → Kafka ecommerce\.orders /, /order\.reserved\.v1 of \S+ never came.*outbox row/, /order\.reserved is missing/))],
    ['hop: a dropped trace header', () => with_page('drop-trace-header', {}, page => names_the_hop(page,
        /^order → Kafka ecommerce\.orders → ledger /, /without the header traceparent, sent by order/, /no traceparent/))],
    ['hop: a skipped signature', () => with_page('skip-signature', {}, page => names_the_hop(page,
        /^notification → webhook → partner /, /without the header webhook-signature/, /no signature/))],
    ['hop: a doubled effect', () => with_page('duplicate-effect', {}, page => names_the_hop(page,
        /^notification → WebSocket → screen /, /arrives twice: messages 16 and 23/, /a second time/))],
    ['a failed step expands', () => with_page('red', {}, expands_a_failed_step)],
    ['the line to reproduce is copied', () => with_page('red', {}, copies_the_line)],
    ['search and filters', () => with_page('red', {}, searches)],
    ['a large run unfolds what is opened', () => with_page('many', {}, unfolds)],
    ['latency: figures are those of the records', () => with_page('green', {}, page => counts_operations(page, 'green', [['POST /v1/orders', 'rest', /^POST \/v1\/orders$/],
        ['POST /v1/orders/{id}/confirm', 'rest', /\/confirm$/], ['GET /v1/products', 'rest', /^GET \/v1\/products/], ['Inventory/GetLevels', 'grpc', /GetLevels$/]], ['← kafka ecommerce.orders', '← sse', '← webhook']))],
    ['latency: routes are those of the spans', () => with_page('lose-outbox-row', {}, page => counts_operations(page, 'lose-outbox-row', [['POST /v1/orders/{orderId}/confirm', 'rest', /\/confirm$/]], ['← kafka ecommerce.orders']))],
    ['latency: sorted by each column', () => with_page('green', {}, sorts_operations)],
    ['latency: from a row to its messages, and only these', () => with_page('green', {}, follows_an_operation)],
    ['from hit to hit', () => with_page('green', {}, walks_the_hits)],
    ['latency of a large run', () => with_page('many', {}, measures_latency)],
    ['an address with a step of a large run', opens_what_the_address_names],
    ['axe: a large run, a red scenario open', () => accessible('many', {}, ready)],
    ['390 pixels: a large run', () => with_page('many', narrow, async page => {
        await ready(page);
        await fits(page);
    })],
    ['themes', () => with_page('red', {colorScheme: 'light'}, switches_theme)],
    ['the keyboard alone', () => with_page('red', {}, keyboard_alone)],
    ['print', () => with_page('red', {}, prints)],
    ['390 pixels: green', () => with_page('green', narrow, fits)],
    ['390 pixels: red', () => with_page('red', narrow, fits)],
    ['1440 pixels: red', () => with_page('red', {}, fits)],
];
let failed = 0;
const chosen = checks.filter(([name]) => name.includes(only));
for (const [name, check] of chosen) {
    try {
        await check();
        console.log('ok      ' + name);
    } catch (found) {
        failed++;
        console.log('FAILED  ' + name + '\n        ' + String(found.message).replace(/\n/g, '\n        '));
    }
}
await chromium.close();
console.log(failed ? failed + ' of ' + chosen.length + ' checks failed' : chosen.length + ' checks passed');
process.exit(failed || !chosen.length ? 1 : 0);
