import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Metadata } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateRequest } from '../../src/gen/adaptlet/inference/v1/inference.ts';
import { TestNode, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

/** Routes as Gateway API asks of HTTPRoutes (its conformance tests HTTPRouteWeight and HTTPRouteMatching), and of sessions. */

/** Points of a hundred that a share may be off. */
const tolerance = 5;

const twoByWeight =
  '[{adapter: upper, weight: 70}, {adapter: reverse, weight: 30}, {adapter: digits, weight: 0}]';

const manifests =
  ['upper', 'reverse', 'digits'].map((name) => yaml.adapter(name, `adapters/${name}`)).join('') +
  yaml.route('weighted', `  - {name: all, hashOn: Request, targets: ${twoByWeight}}\n`) +
  yaml.route('by-user', `  - {name: all, targets: ${twoByWeight}}\n`) +
  yaml.route(
    'nothing',
    '  - {name: all, targets: [{adapter: upper, weight: 0}], fallback: [{base: true}]}\n',
  ) +
  yaml.route('refused', '  - {name: all, targets: [{adapter: upper, weight: 0}]}\n') +
  yaml.route(
    'ordered',
    `  - name: both
    matches: [{headers: [{name: x-a, value: "1"}, {name: x-b, value: "1"}]}]
    targets: [{adapter: digits}]
  - name: exact
    matches: [{headers: [{name: x-a, value: "1"}]}]
    targets: [{adapter: upper}]
  - name: prefix
    matches: [{headers: [{name: x-a, type: Prefix, value: "2"}]}, {user: {in: [vip]}}]
    targets: [{adapter: reverse}]
  - name: never
    matches: [{headers: [{name: x-a, value: "1"}]}]
    targets: [{base: true}]
  - name: everyone
    targets: [{base: true}]
`,
  ) +
  yaml.route(
    'talk',
    `  - name: medical
    matches: [{headers: [{name: x-topic, value: medical}]}]
    targets: [{adapter: upper}]
    stickyDecision: {idleTimeout: 1h}
  - name: everyone
    hashOn: Request
    targets: [{adapter: reverse}, {adapter: digits}]
    stickyDecision: {}
`,
  ) +
  yaml.route(
    'by-prompt',
    `  - name: secrets
    matches: [{promptRegex: password}]
    targets: [{base: true}]
    stickyDecision: {keeps: Nothing}
  - name: invoices
    matches: [{promptRegex: invoice}]
    targets: [{adapter: upper}]
  - {name: everyone, targets: [{adapter: reverse}]}
`,
  );

type Answer = { readonly status: number; readonly headers: Headers; readonly text: string };

const ask = async (
  node: TestNode,
  model: string,
  headers: Readonly<Record<string, string>> = {},
  body: object = {},
): Promise<Answer> => {
  const response = await fetch(`${node.http}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model, prompt: 'moon:', max_tokens: 1, temperature: 0, ...body }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
};
const adapterOf = ({ headers }: Answer): string => headers.get('x-adaptlet-adapter') ?? 'base';
const session = (name: string) => ({ 'x-adaptlet-session': name, 'x-adaptlet-user': 'u1' });
const withToken = ({ headers }: Answer) => ({
  'x-adaptlet-session-token': headers.get('x-adaptlet-session-token') ?? '',
});

let node: TestNode;
let folders: string[];

const ready = (one: TestNode): Promise<unknown> =>
  waitFor('every route and adapter', async () => {
    for (const adapter of ['upper', 'reverse', 'digits'])
      if ((await ask(one, adapter)).status !== 200) return false;
    return (await ask(one, 'talk')).status === 200;
  });

beforeAll(async () => {
  folders = [];
  node = await TestNode.start();
  await node.write('routes.yaml', manifests);
  await ready(node);
});
afterAll(async () => {
  await node.dispose();
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
});

/** Percent of the requests that each adapter answered. */
const sharesOf = async (
  model: string,
  requests: number,
  headersOf: (index: number) => Readonly<Record<string, string>>,
) => {
  const counts = new Map<string, number>();
  for (let from = 0; from < requests; from += 20) {
    const some = Array.from({ length: 20 }, (_, index) => ask(node, model, headersOf(from + index)));
    for (const answer of await Promise.all(some)) {
      expect(answer.status).toBe(200);
      counts.set(adapterOf(answer), (counts.get(adapterOf(answer)) ?? 0) + 1);
    }
  }
  return Object.fromEntries([...counts].map(([name, count]) => [name, (100 * count) / requests]));
};

describe('weights of a rule', () => {
  // Chance is drawn anew in each run, by random ids of requests: of 500 requests a share of 70 % is off by 5 points or more in 1 of 60
  // runs (binomial distribution), of 2,000 in 1 of 800,000. The names of users always give the same shares.
  it.each([
    ['for each request', 'weighted', 2000, () => ({})],
    ['for each user', 'by-user', 500, (index: number) => ({ 'x-adaptlet-user': `user-${index}` })],
  ] as const)(
    `are the shares of the requests, within ${tolerance} points, and 0 is none: %s`,
    async (_, model, requests, headersOf) => {
      const shares = await sharesOf(model, requests, headersOf);
      expect(Object.keys(shares).toSorted()).toEqual(['reverse', 'upper']);
      expect(Math.abs((shares['upper'] ?? 0) - 70)).toBeLessThan(tolerance);
      expect(Math.abs((shares['reverse'] ?? 0) - 30)).toBeLessThan(tolerance);
    },
  );

  it('that are all 0 lead to the fallback, and without one to nobody', async () => {
    expect(adapterOf(await ask(node, 'nothing'))).toBe('base');
    const refused = await ask(node, 'refused');
    expect([refused.status, refused.headers.get('x-adaptlet-error')]).toEqual([503, 'ADAPTER_NOT_AVAILABLE']);
    expect(refused.text).toContain('has no target with a weight');
  });
});

describe('the first rule that matches', () => {
  it.each([
    [{ 'x-a': '1', 'x-b': '1' }, 'both', 'digits'],
    [{ 'x-a': '1' }, 'exact', 'upper'],
    [{ 'x-a': '1', 'x-b': '2' }, 'exact', 'upper'],
    [{ 'x-a': '2' }, 'prefix', 'reverse'],
    [{ 'x-adaptlet-user': 'vip' }, 'prefix', 'reverse'],
    [{ 'x-b': '1' }, 'everyone', 'base'],
    [{}, 'everyone', 'base'],
  ] as const)('takes the request, and no other: %j', async (headers, rule, adapter) => {
    const answer = await ask(node, 'ordered', headers);
    expect([answer.headers.get('x-adaptlet-rule'), adapterOf(answer)]).toEqual([rule, adapter]);
  });
});

describe('a session', () => {
  it('keeps its rule and its adapter for all its turns', async () => {
    const first = await ask(node, 'talk', { ...session('a'), 'x-topic': 'medical' });
    expect(adapterOf(first)).toBe('upper');
    for (let turn = 0; turn < 10; turn++) {
      const next = await ask(node, 'talk', session('a'));
      expect([adapterOf(next), next.headers.get('x-adaptlet-rule')]).toEqual(['upper', 'medical']);
    }
    const other = await ask(node, 'talk', session('b'));
    for (let turn = 0; turn < 10; turn++)
      expect(adapterOf(await ask(node, 'talk', session('b')))).toBe(adapterOf(other));
  });

  it('keeps what its first prompt decided without being asked to, and is no way past a rule that keeps nothing', async () => {
    const says = async (prompt: string, headers: Readonly<Record<string, string>>) =>
      (await ask(node, 'by-prompt', headers, { prompt })).headers.get('x-adaptlet-rule');
    const [one, other] = [session('invoices'), session('others')];
    expect(await says('an invoice', one)).toBe('invoices');
    expect(await says('moon:', one)).toBe('invoices');
    expect(await says('moon:', other)).toBe('everyone');
    expect(await says('an invoice', other)).toBe('everyone');
    expect(await says('a password', other)).toBe('secrets');
    expect(await says('an invoice', other)).toBe('everyone');
    expect(await says('an invoice', {})).toBe('invoices');
    expect(await says('moon:', {})).toBe('everyone');
  });

  it('goes over a restart by its token, and without it is a new one', async () => {
    const sessions = Array.from({ length: 12 }, (_, index) => session(`restart-${index}`));
    const before = await Promise.all(sessions.map((one) => ask(node, 'talk', one)));
    const medical = { ...session('restart-medical'), 'x-topic': 'medical' };
    expect(adapterOf(await ask(node, 'talk', medical))).toBe('upper');
    const { folder } = node;
    await node.end();
    node = await TestNode.start({ folder });
    await ready(node);
    for (const [index, one] of sessions.entries()) {
      const first = before[index];
      if (first === undefined) throw new Error('there is an answer for each');
      const again = await ask(node, 'talk', { ...one, ...withToken(first) });
      expect(adapterOf(again)).toBe(adapterOf(first));
    }
    expect(adapterOf(await ask(node, 'talk', session('restart-medical')))).not.toBe('upper');
  });

  it('goes to another node of the same secret by its token, of which a node with another secret knows nothing', async () => {
    const first = await ask(node, 'talk', { ...session('moves'), 'x-topic': 'medical' });
    const folder = await mkdtemp(join(tmpdir(), 'adaptlet-node-'));
    folders.push(folder);
    await mkdir(join(folder, 'data', 'state'), { recursive: true });
    const secret = join('data', 'state', 'sessions.json');
    await copyFile(join(node.folder, secret), join(folder, secret));
    await using stack = new AsyncDisposableStack();
    const other = await TestNode.start({ folder });
    stack.defer(() => other.dispose());
    await other.write('routes.yaml', manifests);
    await ready(other);
    expect(adapterOf(await ask(other, 'talk', { ...session('moves'), ...withToken(first) }))).toBe('upper');
    const stranger = await TestNode.start();
    stack.defer(() => stranger.dispose());
    await stranger.write('routes.yaml', manifests);
    await ready(stranger);
    const asked = await ask(stranger, 'talk', { ...session('moves'), ...withToken(first) });
    expect(['reverse', 'digits']).toContain(adapterOf(asked));
    const metrics = await (await fetch(`${stranger.http}/metrics`)).text();
    expect(metrics).toContain('adaptlet_session_tokens_total{result="foreign"} 1');
  });

  it("is nobody else's, and no token makes it so", async () => {
    const first = await ask(node, 'talk', { ...session('mine'), 'x-topic': 'medical' });
    for (const headers of [{ ...session('mine'), 'x-adaptlet-user': 'u2' }, session('theirs')]) {
      const answer = await ask(node, 'talk', { ...headers, ...withToken(first) });
      expect(answer.status).toBe(200);
      expect(adapterOf(answer)).not.toBe('upper');
    }
  });

  it('has nothing of the adapter that it leaves when an administrator empties that one', async () => {
    const weights = (upper: number, reverse: number) =>
      node.write(
        'emptied.yaml',
        yaml.route(
          'emptied',
          `  - {name: all, targets: [{adapter: upper, weight: ${upper}}, {adapter: reverse, weight: ${reverse}}], stickyDecision: {}}\n`,
        ),
      );
    const ofNew = (user: string) => ask(node, 'emptied', { ...session('new'), 'x-adaptlet-user': user });
    const turn = async (headers = {}, model = 'emptied') => {
      const body = { prompt: `${'moon '.repeat(8)}moon:`, max_tokens: 16 };
      const answer = await ask(node, model, { ...session('emptied'), ...headers }, body);
      const { choices, usage } = JSON.parse(answer.text) as {
        choices: readonly [{ text: string }];
        usage: { prompt_tokens_details?: { cached_tokens: number } };
      };
      return { answer, text: choices[0].text, cached: usage.prompt_tokens_details?.cached_tokens ?? 0 };
    };
    const other = { 'x-adaptlet-user': 'other' };
    const [upper, reverse] = [await turn(other, 'upper'), await turn(other, 'reverse')];
    expect(upper.text).not.toBe(reverse.text);
    await weights(1, 0);
    await waitFor('the route', async () => (await ofNew('first')).status === 200);
    await turn();
    const before = await turn();
    expect(before.text).toBe(upper.text);
    expect(before.cached).toBeGreaterThan(0);
    await weights(0, 1);
    let users = 0;
    await waitFor('the weights', async () => adapterOf(await ofNew(`u-${users++}`)) === 'reverse');
    expect(await turn(withToken(before.answer))).toMatchObject({ text: reverse.text, cached: 0 });
    expect(await turn()).toMatchObject({ text: reverse.text, cached: before.cached });
  });

  it('says its token over gRPC as well', async () => {
    const request: GenerateRequest = {
      namespace: '',
      model: 'talk',
      prompt: { $case: 'text', value: 'moon:' },
      maxTokens: 1,
      sampling: undefined,
      stop: [],
      stopTokenIds: [],
      badWords: [],
      structure: undefined,
      user: 'u1',
      session: 'grpc',
    };
    const stream = node.client.inference.generate(request, new Metadata(), { deadline: Date.now() + 30_000 });
    const { promise, resolve } = Promise.withResolvers<Metadata>();
    stream.once('metadata', resolve);
    for await (const _ of stream as AsyncIterable<unknown>);
    const [token] = (await promise).get('x-adaptlet-session-token');
    expect(token).toMatch(/^v1\.[\w-]+\.[\w-]{43}$/);
    const headers = { 'x-adaptlet-session-token': String(token) };
    const { served } = await node.client.ask({
      model: 'talk',
      prompt: 'moon:',
      user: 'u1',
      session: 'grpc',
      headers,
    });
    expect(served.rule).toBe('everyone');
  });
});
