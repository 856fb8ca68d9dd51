/* cucumber.ndjson of a green and of a red run: every line keeps Cucumber's schema, every id leads somewhere, and Cucumber's own HTML
 * formatter makes a page of it that shows in Chromium what happened.
 * Usage: node cucumber_test.mjs BV TOOLS [FOLDER]     TOOLS is the folder node-tools-1 of the dependencies; FOLDER keeps runs, pages and
 * screenshots. The stories need no server of the stack: they ask one of this script. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { browser, scratch, toolbox } from '../../reports/render/browser/browser.mjs';

const [bv, tools, kept] = process.argv.slice(2);
const packages = join(tools, 'node_modules');
const SECRET = 'not-to-be-seen-4711';

function need(path, what) {
    if (!existsSync(path)) {
        console.error(`The test lacks ${what}: run \`make deps GROUP=test\`.`);
        process.exit(1);
    }
}

/* ---- the runs ---- */

function story(port, steps) {
    return `@shop
Feature: Two actors and no server
  What a run of the lab looks like to Cucumber.

  Background:
    Given actor caller is rest at "http://127.0.0.1:${port}"

  Rule: every call is answered

    @call
    Scenario Outline: <path> is answered with <status>
      When caller gets "<path>"
      Then caller status == <status>

      Examples:
        | path     | status |
        | /healthz | 200    |
        | /readyz  | 503    |

  Scenario: the last one
    When caller gets "/readyz" header authorization "Bearer \${run}"
${steps}`;
}
const STORIES = {
    green: ['    Then caller status == 503\n', 0],
    red: ['    Then caller status == 418\n    And caller body == "never looked at"\n', 1],
};

async function run(folder, name, port) {
    const [steps, status] = STORIES[name];
    const file = join(folder, `${name}.feature`);
    const out = join(folder, name);
    writeFileSync(file, story(port, steps));
    const child = spawn(bv, ['scenario', '--out', out, file], {stdio: ['ignore', 'pipe', 'inherit']});
    let text = '';
    child.stdout.on('data', data => text += data);
    const code = await new Promise(resolve => child.on('close', resolve));
    assert.equal(code, status, `${name}: exit ${code}\n${text}`);
    return out;
}

/* ---- the lines ---- */

function validator(require) {
    const schema = JSON.parse(readFileSync(join(packages, '@cucumber/messages/messages.schema.json'), 'utf8'));
    const Ajv = require('ajv/dist/2020').default;
    return new Ajv({allErrors: true, strict: false}).compile(schema);
}

/* Every id that a message names must have been given before it. */
function checkReferences(messages) {
    const known = new Set();
    const has = (id, where) => assert(known.has(id), `${where}: nothing has the id ${id}`);
    const give = node => {
        if (Array.isArray(node))
            node.forEach(give);
        else if (node && typeof node === 'object') {
            if (typeof node.id === 'string') {
                assert(!known.has(node.id), `two things have the id ${node.id}`);
                known.add(node.id);
            }
            Object.values(node).forEach(give);
        }
    };
    const refer = (node, where) => {
        if (Array.isArray(node))
            node.forEach(each => refer(each, where));
        else if (node && typeof node === 'object')
            for (const [key, value] of Object.entries(node)) {
                if (/(Id|Ids)$/.test(key))
                    [value].flat().forEach(id => has(id, where));
                refer(value, where);
            }
    };
    for (const message of messages) {
        give(message);
        refer(message, Object.keys(message)[0]);
    }
}

function instant({seconds, nanos}) {
    return seconds * 1000 + nanos / 1e6;
}

function check(validate, out) {
    const lines = readFileSync(join(out, 'cucumber.ndjson'), 'utf8').trimEnd().split('\n');
    const messages = lines.map(line => JSON.parse(line));
    messages.forEach((message, i) => assert(validate(message),
        `${out}, line ${i + 1}: ${JSON.stringify(validate.errors?.slice(0, 3))}\n${lines[i].slice(0, 400)}`));
    checkReferences(messages);
    const of = kind => messages.filter(message => message[kind]).map(message => message[kind]);
    assert.equal(of('pickle').length, 3);
    assert.equal(of('testCaseFinished').length, 3);
    assert.equal(of('testStepFinished').length, of('testStepStarted').length);
    const began = instant(of('testRunStarted')[0].timestamp), ended = instant(of('testRunFinished')[0].timestamp);
    assert(Math.abs(Date.now() - began) < 600000, 'the clock of the run is that of the day');
    const records = readFileSync(join(out, 'results.jsonl'), 'utf8').trimEnd().split('\n').map(line => JSON.parse(line));
    for (const record of records.filter(each => each.record === 'step')) {
        const [start, end] = ['testStepStarted', 'testStepFinished'].map(kind => of(kind).find(each => each.testStepId === record.id));
        const at = Date.parse(records[0].startedAt) + record.us / 1000;
        assert(Math.abs(instant(start.timestamp) - at) < 0.001, `${record.id} begins at ${instant(start.timestamp)}, not ${at}`);
        assert(Math.abs(instant(end.testStepResult.duration) - record.durationUs / 1000) < 0.0001, `${record.id} lasts`);
        assert(Math.abs(instant(end.timestamp) - at - record.durationUs / 1000) < 0.001, `${record.id} ends`);
        assert(instant(start.timestamp) >= began && instant(end.timestamp) <= ended, `${record.id} is within the run`);
    }
    const attachments = of('attachment');
    assert(attachments.length >= 6, `each call and its answer is attached: ${attachments.length}`);
    for (const attachment of attachments)
        assert.equal(JSON.parse(attachment.body).protocol, 'rest');
    assert(attachments.some(each => each.body.includes('[redacted]')), 'authorization is redacted');
    assert(!attachments.some(each => each.body.includes(SECRET)), 'a secret is attached');
    return {messages, statuses: of('testStepFinished').map(step => step.testStepResult.status), success: of('testRunFinished')[0].success};
}

/* ---- the page ---- */

async function format(messages, path) {
    const base = join(packages, '@cucumber/html-formatter/dist');
    const {CucumberHtmlStream} = await import(pathToFileURL(join(base, 'src/index.js')));
    const stream = new CucumberHtmlStream(join(base, 'main.css'), join(base, 'main.js'), join(base, 'src/icon.url'));
    stream.template = readFileSync(join(base, 'src/index.mustache'), 'utf8'); // its own way needs Node.js 20.11
    const file = createWriteStream(path);
    stream.pipe(file);
    for (const message of messages)
        stream.write(message);
    stream.end();
    await new Promise((resolve, reject) => file.on('finish', resolve).on('error', reject));
}

async function look(chromium, path) {
    const page = await chromium.newPage({viewport: {width: 1200, height: 1400}});
    const errors = [];
    page.on('pageerror', error => errors.push(String(error)));
    await page.goto(pathToFileURL(path).href);
    await page.waitForSelector('[aria-expanded]'); // one per file, folded when all is green
    return {page, errors};
}

/* Opens whatever is folded, as a reader who looks at everything would. */
async function unfold(page) {
    for (let folded; (folded = await page.$('[aria-expanded="false"]'));)
        await folded.click();
    await page.waitForSelector('text=Two actors and no server');
}

async function main() {
    need(join(packages, '@cucumber/html-formatter/dist/main.js'), '@cucumber/html-formatter');
    need(join(packages, '@cucumber/messages/messages.schema.json'), '@cucumber/messages');
    need(process.env.BV_CHROMIUM || '/usr/bin/chromium', 'Chromium');
    const require = toolbox(tools);
    const folder = kept || scratch();
    mkdirSync(folder, {recursive: true});
    const server = http.createServer((request, response) => {
        const up = request.url === '/healthz';
        response.writeHead(up ? 200 : 503, {'content-type': 'application/json', 'set-cookie': `session=${SECRET}`});
        response.end(JSON.stringify({status: up ? 'up' : 'down', token: SECRET}));
    });
    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
    const validate = validator(require);
    const chromium = await browser(require);
    try {
        for (const name of Object.keys(STORIES)) {
            const out = await run(folder, name, server.address().port);
            const {messages, statuses, success} = check(validate, out);
            assert.equal(success, name === 'green');
            const page_file = join(out, 'cucumber.html');
            await format(messages, page_file);
            const {page, errors} = await look(chromium, page_file);
            await unfold(page);
            const text = await page.innerText('body');
            for (const words of ['every call is answered', 'the last one', 'caller gets "/readyz"', 'caller gets "/healthz"', 'caller sent GET /healthz'])
                assert(text.includes(words), `${name}: the page does not show "${words}"\n${text}`);
            if (name === 'red') {
                assert.deepEqual(statuses.slice(-3), ['PASSED', 'FAILED', 'SKIPPED']);
                assert(/caller status is not what was expected.*\n\s*expected: status == 418\n\s*actual: +503\n/.test(text),
                    `the failed step does not say why\n${text}`);
            } else {
                assert(statuses.every(status => status === 'PASSED'), String(statuses));
            }
            assert.deepEqual(errors, [], `${name}: errors in the page`);
            if (kept)
                await page.screenshot({path: join(folder, `${name}.png`), fullPage: true});
            await page.$$eval('details', all => all.forEach(each => each.open = true));
            assert((await page.innerText('body')).includes('"direction": "received"'), `${name}: the attached messages are not shown`);
            if (kept)
                await page.screenshot({path: join(folder, `${name}-messages.png`), fullPage: true});
            console.log(`${name}: ${messages.length} messages keep the schema; Cucumber's page shows ${statuses.length} steps`);
        }
    } finally {
        await chromium.close();
        server.close();
    }
}

await main();
