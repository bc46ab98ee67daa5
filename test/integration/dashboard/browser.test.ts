import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Browser, Page } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { aRuntimeObject, aRuntimeStatus, runtimeKey } from '../../../src/operator/testing/fake-fleet.ts';
import { chromium, startBrowser } from '../../tools/chromium.ts';
import { type BigFleet, bigFleet, hostile } from './big-fleet.ts';

const found = await chromium();
const reason = found === undefined ? ' (SKIPPED: there is no Chromium, and apt does not have it)' : '';
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Where pictures of the page go, for docs/images; none are made without it. */
const pictures = process.env['ADAPTLET_DASHBOARD_PICTURES'];

let browser: Browser;
let shown: BigFleet;
let page: Page;
let complaints: string[];

describe.skipIf(found === undefined)(`the dashboard in Chromium, of 1,000 runtimes${reason}`, () => {
  beforeAll(async () => {
    shown = await bigFleet(1000);
    browser = await startBrowser(found ?? { path: '', env: {} });
  });
  afterAll(async () => {
    await browser?.close();
    await shown?.[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    [shown.accepts, shown.fails] = [true, false];
    complaints = [];
    page = await browser.newPage();
    await page.setViewport({ width: 1280, height: 800 });
    const devTools = await page.createCDPSession();
    await devTools.send('Emulation.setLocaleOverride', { locale: 'en-GB' });
    page.on('console', (message) => {
      if (['error', 'warn'].includes(message.type())) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.evaluateOnNewDocument(
      "addEventListener('securitypolicyviolation', (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI}`))",
    );
  });
  afterEach(async () => {
    await page.close();
    expect(complaints).toEqual([]);
  });

  /** As `kubectl adaptlet dashboard` does it, the token comes from outside of the page. */
  const open = async (view = ''): Promise<void> => {
    await page.setExtraHTTPHeaders({ authorization: 'Bearer t' });
    await page.goto(`${shown.url}#/${view}`);
    await page.waitForSelector('main h1');
  };
  const text = (selector: string): Promise<string> =>
    page.$eval(selector, (element) => (element as unknown as { innerText: string }).innerText);

  /** Code of the page, which this project's types do not know, as text. */
  const until = (condition: string, timeout = 10_000): Promise<void> =>
    expect.poll(() => page.evaluate(condition), { timeout, interval: 50 }).toBe(true);
  const focused = (what: string): Promise<unknown> => page.evaluate(`document.activeElement?.${what}`);

  const picture = async (name: string): Promise<void> => {
    if (pictures === undefined) return;
    mkdirSync(pictures, { recursive: true });
    await page.screenshot({ path: join(pictures, `dashboard-${name}.png`) });
  };

  it('shows what waits for a person, and how the fleet is', async () => {
    await open();
    const main = await text('main');
    expect(main).toContain('AwaitingPromotion');
    expect(main).toContain('confirm-removals=8f2c');
    expect(main).toContain('Degraded');
    expect(await text('#about')).toContain('adaptlet-operator-6c9f7-x2x4v');
  });

  it('takes little: the bytes of all that it loads, and of what it asks while nothing changes', async () => {
    await open('fleet');
    const entries =
      "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]";
    const bytes = async () =>
      Number(
        await page.evaluate(`${entries}.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)`),
      );
    const first = await bytes();
    await page.evaluate('performance.clearResourceTimings()');
    const before = await bytes();
    await page.waitForResponse(
      (response) => response.url().includes('/api/runtimes') && response.status() === 304,
    );
    expect(first).toBeGreaterThan(20_000);
    expect(first).toBeLessThan(200_000);
    expect((await bytes()) - before).toBe(0);
  });

  it('groups the fleet by a label, and finds runtimes by state and name', async () => {
    await open('fleet');
    await page.select('select[name=by]', 'zone');
    await until("document.body.innerText.includes('warehouse')");
    await page.select('select[name=state]', 'Held');
    await page.type('input[name=text]', 'edge-0338');
    await until("document.querySelectorAll('section:last-of-type tbody tr').length === 1");
    expect(await text('section:last-of-type tbody')).toContain('adaptlet-system/edge-0338');
  });

  it('draws the weights of a rollout and the band of its judge', async () => {
    await open('rollout/team-a/sql');
    expect(await page.$$eval('path.line', (lines) => lines.length)).toBeGreaterThanOrEqual(4);
    expect(await page.$$eval('path.band', (bands) => bands.length)).toBeGreaterThanOrEqual(3);
    expect(await text('main')).toContain('remembered since');
  });

  it('cuts nothing off its charts, neither the sign of a number nor a line of a server whose clock is ahead', async () => {
    await page.evaluateOnNewDocument('Date.now = () => 0');
    await open('rollout/team-a/sql');
    const outside = `[...document.querySelectorAll('text.mark, path.line')].filter((one) => {
      const { x, width } = one.getBBox();
      return x < 0 || x + width > one.ownerSVGElement.viewBox.baseVal.width;
    }).map((one) => one.outerHTML)`;
    expect(await page.evaluate(outside)).toEqual([]);
  });

  it('counts adapters by where they are on each runtime: on their way, on the disk, in RAM, failed', async () => {
    // Of each of the 24 there should be 800: it failed on 3 of every sixth, and is on the disk of 790 and fewer, in the RAM of 600.
    const tiers = { Remote: '504', Stored: '4284', Resident: '14400', Failed: '12' };
    const tilesIn = (place: string): Promise<unknown> =>
      page.evaluate(
        `Object.fromEntries([...document.querySelectorAll('${place} .tile')].map(({ children: [name, count] }) => [name.textContent, count.textContent]))`,
      );
    await open();
    expect(await tilesIn('section[data-key="Adapters on runtimes"]')).toEqual(tiers);
    await open('adapters');
    await until("document.querySelector('h1').textContent === 'Adapters'");
    expect(await tilesIn('main')).toEqual(tiers);
    const rows = await page.evaluate(`(() => {
      const heads = [...document.querySelectorAll('main thead th')].map((head) => head.textContent);
      return [...document.querySelectorAll('main tbody tr')].slice(0, 5).map(({ children }) =>
        Object.fromEntries(heads.map((head, at) => [head, children[at].textContent])));
    })()`);
    const row = (i: number, counts: object) => ({ Adapter: `team-b/support-${i}-v2`, ...counts });
    const everywhere = { 'Base model': 'smollm2-135m', Resident: '600', Serving: '600' };
    expect(rows).toMatchObject([
      row(0, { ...everywhere, Remote: '7', Stored: '190', Failed: '3' }),
      row(12, { ...everywhere, Remote: '19', Stored: '178', Failed: '3' }),
      row(18, { ...everywhere, Remote: '25', Stored: '172', Failed: '3' }),
      row(6, { ...everywhere, Remote: '13', Stored: '184', Failed: '3' }),
      row(1, { ...everywhere, Remote: '11', Stored: '189', Failed: '0' }),
    ]);
  });

  it('tells what happened to a runtime', async () => {
    await open('node/adaptlet-system/edge-0000');
    expect(await text('.timeline')).toMatch(/Refused parts of its plan[^]*Plan taken[^]*Connected/);
  });

  it.each(['', 'rollouts', 'rollout/team-x/hostile', 'node/adaptlet-system/edge-0000', 'fleet'])(
    'shows what others wrote as text (#/%s)',
    async (view) => {
      await open(view);
      if (view === 'fleet') {
        await page.select('select[name=by]', 'zone');
        await until("document.body.innerText.includes('warehouse')");
      }
      expect(await page.evaluate("'hacked' in globalThis")).toBe(false);
      expect(await page.$('main img, main script')).toBeNull();
      if (view !== '')
        expect(await page.evaluate("document.querySelector('main').textContent")).toContain(hostile);
    },
  );

  it('asks who looks where nobody said so, and forgets that with the page', async () => {
    await page.goto(shown.url);
    await page.waitForSelector('#given');
    await page.type('#given', 't');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.tiles');
    expect(await page.evaluate('[localStorage.length, sessionStorage.length, document.cookie]')).toEqual([
      0,
      0,
      '',
    ]);
    // The browser itself says of a 401 that it came.
    complaints = complaints.filter((complaint) => !complaint.includes('401'));
  });

  it('is used by the keyboard alone, which keeps its place while the page is renewed', async () => {
    await open();
    await page.keyboard.press('Tab');
    expect(await focused('textContent')).toBe('Skip to the content');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await until("document.querySelector('h1').textContent === 'Fleet'");
    expect(await focused('id')).toBe('main');
    await page.focus('section:last-of-type tbody a');
    const at = await focused('textContent');
    await page.waitForResponse((response) => response.url().includes('/api/runtimes'));
    await page.waitForResponse((response) => response.url().includes('/api/runtimes'));
    expect(await focused('textContent')).toBe(at);
    await page.keyboard.press('Enter');
    await until(`document.querySelector('h1').textContent === 'Runtime ${String(at)}'`);
  });

  it('keeps the focus on a runtime while others come above it and go', async () => {
    await open('fleet');
    const rows = 'section:last-of-type tbody tr';
    await page.focus(`${rows}:nth-child(3) a`);
    const at = await focused('textContent');
    const other = runtimeKey('adaptlet-system/edge-0001-away');
    shown.cluster.apply(aRuntimeObject(other, {}, aRuntimeStatus(false)));
    shown.clock.advance(1_000);
    await until(`document.querySelectorAll('${rows} a')[3]?.textContent === '${String(at)}'`);
    expect(await focused('textContent')).toBe(at);
    shown.cluster.remove('AdapterRuntime', other);
    shown.clock.advance(1_000);
    await until(`document.querySelectorAll('${rows} a')[2]?.textContent === '${String(at)}'`);
    expect(await focused('textContent')).toBe(at);
  });

  it('shows in its choices what it shows in its lists', async () => {
    await open('fleet');
    const group = 'select[name=group]';
    // By keys, as a person: what somebody chose no longer follows what the page says of it.
    await page.focus(group);
    for (const key of ['ArrowDown', 'ArrowUp', 'ArrowDown'] as const) {
      await page.keyboard.press(key);
      await page.waitForResponse((response) => response.url().includes('/api/runtimes'));
    }
    await until("document.body.innerText.includes('adaptlet-system/edge-0210')");
    await page.select('select[name=by]', 'zone');
    await until("document.body.innerText.includes('warehouse')");
    expect(await page.$eval(group, (one) => (one as unknown as { value: string }).value)).toBe('all');
  });

  it('keeps no answer that broke off', async () => {
    await open();
    const said = await page.evaluate(`(async () => {
      const { ask } = await import('./ask.js');
      const real = fetch;
      const headers = { etag: '"t"' };
      globalThis.fetch = async () => new Response('{"total":', { headers });
      const first = await ask('adapters', { limit: 7 }).then(() => 'an answer', () => 'none');
      let sent;
      globalThis.fetch = async (_, init) => { sent = init.headers; return new Response('{}', { headers }); };
      await ask('adapters', { limit: 7 });
      globalThis.fetch = real;
      return [first, Object.keys(sent)];
    })()`);
    expect(said).toEqual(['none', []]);
  });

  it('keeps what it shows, and says from when it is, while the API server does not say who may see it', async () => {
    await open();
    shown.fails = true;
    shown.clock.advance(30_000);
    await until("/as it was at .*tried again/.test(document.querySelector('#trouble').textContent)", 60_000);
    expect(await page.$('.tiles')).not.toBeNull();
    shown.fails = false;
    complaints = complaints.filter((complaint) => !complaint.includes('503'));
  });

  it.each(
    ['light', 'dark'].flatMap((scheme) =>
      [
        ['overview', ''],
        ['fleet', 'fleet'],
        ['rollouts', 'rollouts'],
        ['adapters', 'adapters'],
        ['rollout', 'rollout/team-a/sql'],
        ['node', 'node/adaptlet-system/edge-0001'],
      ].map(([name = '', view = '']) => [name, scheme, view] as const),
    ),
  )('%s, %s: axe finds nothing that keeps anybody out', async (name, scheme, view) => {
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    await open(view);
    if (name === 'rollout') await page.setViewport({ width: 1280, height: 1160 });
    await picture(`${name}-${scheme}`);
    await page.evaluate(axe);
    const violations = await page.evaluate(async () => {
      type Axe = {
        run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }>;
      };
      const { axe: checker } = globalThis as unknown as { axe: Axe };
      return (await checker.run()).violations.map(
        ({ id, impact, nodes }) => `${impact} ${id}: ${nodes[0]?.html}`,
      );
    });
    expect(violations).toEqual([]);
  });

  it('says so when nothing answers any more, and keeps what it shows', async () => {
    await open();
    await page.setOfflineMode(true);
    await until("document.querySelector('#trouble').textContent.includes('Nothing answers')", 20_000);
    expect(await page.$('.tiles')).not.toBeNull();
    complaints = complaints.filter((complaint) => !complaint.includes('ERR_INTERNET_DISCONNECTED'));
  });
});
