/* What the browser scripts share: rendering a run with bv-report, and a Chromium whose every page is watched.
 * A watched page notes what the report promises never to do: console output, uncaught errors, dialogs, and
 * requests for anything but its own file (what the Content-Security-Policy stops counts too: it is printed). */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'];

/* The packages of the tools folder, as require sees them. */
export function toolbox(tools) {
    return createRequire(join(tools, 'package.json'));
}

/* A folder that is gone when the process is. */
export function scratch() {
    const folder = mkdtempSync(join(tmpdir(), 'bv-report-'));
    process.on('exit', () => rmSync(folder, {recursive: true, force: true}));
    return folder;
}

/* Copies the run in from to the new folder to and renders it there; returns the path of its page. */
export function render(report, from, to) {
    if (from !== to)
        cpSync(from, to, {recursive: true});
    execFileSync(report, [to], {stdio: ['ignore', 'inherit', 'inherit']});
    return join(to, 'index.html');
}

export async function browser(require, options = {}) {
    const {chromium} = require('playwright-core');
    return chromium.launch({executablePath: process.env.BV_CHROMIUM || '/usr/bin/chromium', args: [...FLAGS, ...(options.flags || [])]});
}

/* Opens path from disk; page.findings lists what it did that it may not do. prepare(page) comes before it is opened. */
export async function open(chromium, path, options = {}, prepare) {
    const context = await chromium.newContext({viewport: {width: 1440, height: 900}, ...options});
    context.setDefaultTimeout(15000);
    const page = await context.newPage();
    const own = pathToFileURL(path).href;
    page.findings = [];
    page.on('console', message => page.findings.push('console ' + message.type() + ': ' + message.text()));
    page.on('pageerror', error => page.findings.push('uncaught: ' + error.message));
    page.on('dialog', dialog => {
        page.findings.push('dialog: ' + dialog.message());
        dialog.dismiss();
    });
    if (prepare)
        await prepare(page);
    await context.route(() => true, route => {
        const url = route.request().url();
        if (url.split('#')[0] === own)
            return route.continue();
        page.findings.push('request: ' + url);
        return route.abort();
    });
    await page.goto(own + (options.hash || ''));
    return page;
}
