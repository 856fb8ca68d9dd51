/* How the page feels with a large run: a report of 500 scenarios, one of a scenario with 5,000 messages, and the checked-in
 * red one beside them; times are the best of ROUNDS visits. Usage: bench.mjs BV_REPORT TOOLS [RED_RUN]    Prints a line for each
 * and, last, all figures as JSON.
 *   ready    from the start of loading until the page's script has set everything up
 *   CPU      of the page's main thread until then; of the search for the common word
 *   task     longest piece of work that kept the page from answering, while it opened / while it was used
 *   scroll   from top to bottom in 90 frames: the longest gap between two of them
 *   search   from the last key to the result on show, a rare word and a common one
 *   expand   from the key that opens the middle scenario to its timeline and steps */
import { cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { browser, open, render, scratch, toolbox } from './browser.mjs';
import { long, many } from './synthetic.mjs';

const [report, tools, red] = process.argv.slice(2);
const require = toolbox(tools);
const folder = scratch();
const ROUNDS = Number(process.env.ROUNDS || 3);

function check(text) {
    const Ajv = require('ajv/dist/2020');
    const schema = join(dirname(fileURLToPath(import.meta.url)), '../../schema/results.schema.json');
    const holds = new Ajv({strict: false, validateFormats: false}).compile(JSON.parse(readFileSync(schema, 'utf8')));
    for (const line of text.split('\n').slice(0, 400).filter(Boolean))
        if (!holds(JSON.parse(line)))
            throw new Error('not by the schema: ' + line.slice(0, 300));
    return text;
}
function prepare(name, text) {
    const run = join(folder, name);
    mkdirSync(run);
    writeFileSync(join(run, 'results.jsonl'), check(text));
    return run;
}

/* Runs in the page before anything else: notes every task over 50 ms. */
const WATCH = () => {
    window.tasks = [];
    new PerformanceObserver(list => window.tasks.push(...list.getEntries().map(entry => ({at: entry.startTime, ms: entry.duration})))).observe({type: 'longtask', buffered: true});
};
const longest = page => page.evaluate(() => new Promise(done => setTimeout(() => {
    const most = Math.max(0, ...window.tasks.map(task => task.ms));
    window.tasks.length = 0;
    done(Math.round(most));
}, 300)));

async function scroll(page) {
    return page.evaluate(async () => {
        let last = 0, worst = 0;
        const height = document.documentElement.scrollHeight;
        for (let i = 0; i <= 90; i++) {
            scrollTo(0, height * i / 90);
            const now = await new Promise(requestAnimationFrame);
            worst = last ? Math.max(worst, now - last) : 0;
            last = now;
        }
        scrollTo(0, 0);
        return Math.round(worst);
    });
}
async function search(page, word) {
    await page.focus('#q');
    const before = await page.evaluate(() => performance.getEntriesByName('bv-search').length);
    await page.evaluate(text => {
        document.querySelector('#q').value = text;
        document.querySelector('#q').dispatchEvent(new Event('input'));
    }, word);
    await page.waitForFunction(count => performance.getEntriesByName('bv-search').length > count, before, {polling: 20, timeout: 60000});
    const ms = await page.evaluate(() => performance.getEntriesByName('bv-search').at(-1).duration);
    const hits = await page.textContent('#hits');
    return [Math.round(ms), hits];
}
async function expand(page) {
    return page.evaluate(async () => {
        const list = [...document.querySelectorAll('.scenario')], node = list[Math.floor(list.length / 2)];
        node.open = false;
        await new Promise(requestAnimationFrame);
        const from = performance.now();
        node.open = true;
        while (!node.querySelector('.step') || !node.querySelector('.stage svg'))
            await new Promise(requestAnimationFrame);
        await new Promise(requestAnimationFrame);
        return Math.round(performance.now() - from);
    });
}
/* One visit: opens the page in a browser context of its own, uses it, leaves. */
async function visit(chromium, path) {
    let session;
    const page = await open(chromium, path, {}, async fresh => {
        await fresh.addInitScript(WATCH);
        session = await fresh.context().newCDPSession(fresh);
        await session.send('Performance.enable', {timeDomain: 'threadTicks'});
    });
    const figures = {}, cpu = async () => (await session.send('Performance.getMetrics')).metrics.find(metric => metric.name === 'TaskDuration').value * 1000;
    await page.waitForFunction(() => performance.getEntriesByName('bv-ready').length > 0, null, {polling: 20, timeout: 120000});
    figures.readyMs = Math.round(await page.evaluate(() => performance.getEntriesByName('bv-ready')[0].startTime));
    figures.openTaskMs = await longest(page);
    figures.openCpuMs = Math.round(await cpu());
    figures.scrollMs = await scroll(page);
    [figures.searchRareMs, figures.rare] = await search(page, 'mug-377');
    const spent = await cpu();
    [figures.searchCommonMs, figures.common] = await search(page, 'order');
    figures.searchCpuMs = Math.round(await cpu() - spent);
    await search(page, '');
    figures.expandMs = await expand(page);
    figures.useTaskMs = await longest(page);
    figures.nodes = await page.evaluate(() => document.querySelectorAll('*').length);
    await session.send('HeapProfiler.collectGarbage');
    figures.heapBytes = Math.round((await session.send('Runtime.getHeapUsage')).usedSize);
    figures.findings = page.findings;
    await page.context().close();
    return figures;
}
async function measure(chromium, name, run) {
    const started = process.hrtime.bigint();
    const path = render(report, run, run);
    const figures = {name, renderMs: Math.round(Number(process.hrtime.bigint() - started) / 1e6), pageBytes: statSync(path).size};
    for (let round = 0; round < ROUNDS; round++)
        for (const [key, value] of Object.entries(await visit(chromium, path)))
            figures[key] = key.endsWith('Ms') && figures[key] !== undefined ? Math.min(figures[key], value) : value;
    const {renderMs, readyMs, openCpuMs, searchCpuMs, openTaskMs, useTaskMs, scrollMs, searchRareMs, searchCommonMs, expandMs, nodes, findings, rare, common} = figures;
    console.log(`${name.padEnd(15)} rendered in ${renderMs} ms, ${(figures.pageBytes / 1e6).toFixed(2)} MB; ready ${readyMs} ms (${openCpuMs} ms CPU); task ${openTaskMs} / ${useTaskMs} ms; scroll ${scrollMs} ms; `
        + `search ${searchRareMs} ms (${rare}) / ${searchCommonMs} ms (${common}, ${searchCpuMs} ms CPU); expand ${expandMs} ms; ${nodes} nodes; heap ${(figures.heapBytes / 1e6).toFixed(1)} MB`
        + (findings.length ? '; FOUND ' + findings.join(' | ') : ''));
    return figures;
}

const chromium = await browser(require);
const all = [];
if (red) {
    cpSync(red, join(folder, 'red'), {recursive: true});
    all.push(await measure(chromium, 'red story', join(folder, 'red')));
}
all.push(await measure(chromium, '500 scenarios', prepare('many', many(500))));
all.push(await measure(chromium, '5000 messages', prepare('long', long(5000))));
await chromium.close();
console.log(JSON.stringify(all));
process.exit(all.some(figures => figures.findings.length) ? 1 : 0);
