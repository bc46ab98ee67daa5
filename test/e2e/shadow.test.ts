import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseManifests } from '../../src/api/parse.ts';
import { codeBlocks } from '../support/code-blocks.ts';
import { minilm } from '../support/models.ts';
import { askMoon, moon } from '../support/moon.ts';
import { TestNode, yaml } from '../support/node.ts';
import { repositoryRoot } from '../support/process.ts';
import { waitFor } from '../support/wait.ts';

const page = readFileSync(join(repositoryRoot, 'docs/how-to/shadow-traffic.md'), 'utf8');
const [shadow = '', steps = ''] = codeBlocks(page, 'yaml');

const real = minilm();
let node: TestNode;

/** A rollout that mirrors everything to its canary, and nothing else, until somebody promotes. */
const mirroring = (adapter: string, extra = ''): string =>
  yaml.rollout('shout', adapter, '{setMirrorRoute: {percentage: 100}}, {pause: {}}', extra);

const rollout = async () => (await node.client.status()).rollouts[0];

const metrics = async (): Promise<Record<string, number>> => {
  const text = await (await fetch(`${node.http}/metrics`)).text();
  const lines = text.matchAll(/^adaptlet_mirrored_requests_total\{result="(\w+)"\} (\d+)$/gm);
  return Object.fromEntries([...lines].map(([, result = '', value]) => [result, Number(value)]));
};
const since = async (before: Record<string, number>): Promise<Record<string, number>> =>
  Object.fromEntries(
    Object.entries(await metrics()).map(([result, value]) => [result, value - (before[result] ?? 0)]),
  );
const sum = (counts: Record<string, number>): number =>
  Object.values(counts).reduce((total, value) => total + value, 0);

const settledOn = async (adapter: string, text: string): Promise<void> => {
  await node.write('shout.yaml', yaml.rollout('shout', adapter, ''));
  await waitFor(adapter, async () => (await askMoon(node, 'shout')).text === text);
  await waitFor('a settled rollout', async () => (await rollout())?.phase === 'Healthy');
};

const mirrorsTo = async (adapter: string, extra = ''): Promise<void> => {
  await node.write('shout.yaml', mirroring(adapter, extra));
  await waitFor('mirroring', async () => {
    const found = await rollout();
    return found?.canary === adapter && found.message.includes('100 % mirrored');
  });
};

beforeAll(async () => {
  node = await TestNode.start();
  await node.write(
    'adapters.yaml',
    yaml.adapter('upper', 'adapters/upper') +
      yaml.adapter('twin', 'adapters/upper') +
      yaml.adapter('reverse', 'adapters/reverse') +
      yaml.adapter('brittle', 'variants/brittle'),
  );
  await node.write('shout.yaml', yaml.rollout('shout', 'upper', ''));
  await waitFor('stable', async () => (await rollout())?.phase === 'Healthy');
});
afterAll(() => node.dispose());

/** An answer as it comes over the wire, without what is different each time. */
const raw = async (): Promise<string> => {
  const response = await fetch(`${node.http}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-adaptlet-user': 'u1' },
    body: JSON.stringify({ model: 'shout', prompt: 'moon:', temperature: 0, max_tokens: 16, stream: true }),
  });
  const own = [...response.headers].filter(([name]) => !/date|request-id/.test(name));
  const body = (await response.text()).replaceAll(/"id":"[^"]*"/g, '').replaceAll(/"created":\d+/g, '');
  return JSON.stringify([response.status, own, body]);
};

describe('shadow traffic on a node', () => {
  it('leaves every byte of the answers as it is', async () => {
    const alone = await raw();
    expect(alone).toContain('"x-adaptlet-arm","stable"');
    await mirrorsTo('reverse');
    const before = await metrics();
    for (let i = 0; i < 10; i++) expect(await raw()).toBe(alone);
    await waitFor('copies', async () => sum(await since(before)) === 10);
    expect(await since(before)).toMatchObject({ equal: 0, failed: 0, unchecked: 0 });
  });

  it('tells how different the answers of the canary are, which nobody ever sees', async () => {
    const before = await metrics();
    for (let i = 0; i < 20; i++) {
      const { text, served } = await askMoon(node, 'shout', `u${i}`);
      expect([text, served.adapter, served.arm]).toEqual([moon.upper, 'upper', 'stable']);
    }
    await waitFor('copies', async () => sum(await since(before)) === 20);
    const { different = 0 } = await since(before);
    expect(different).toBeGreaterThan(0);
    const { mirrored, ...found } = await waitFor('the status', async () => {
      const now = await rollout();
      return now !== undefined && (now.mirrored?.compared ?? 0n) > 0n && now;
    });
    expect(found).toMatchObject({ weight: 0, effectiveWeight: 0, servedCanary: 0n });
    expect(mirrored).toMatchObject({ percentage: 100, failed: 0n, equal: 0 });
    expect(mirrored?.similarity).toBeLessThan(0.9);
    expect(mirrored?.latencyRatio).toBeGreaterThan(0);
  });

  it('gives copies only of answers that were complete', async () => {
    const before = await metrics();
    let answered = 0;
    await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const leaving = new AbortController();
        const answer = node.client.ask({ model: 'shout', prompt: 'moon:', signal: leaving.signal });
        if (i % 2 === 0) setImmediate(() => leaving.abort());
        await answer.then(
          () => answered++,
          () => undefined,
        );
      }),
    );
    expect(answered).toBeGreaterThanOrEqual(10);
    await waitFor('copies', async () => sum(await since(before)) >= 10);
    // Of an answer that was complete when its client left, the client says that it had none.
    expect(sum(await since(before))).toBeLessThanOrEqual(20);
    expect((await since(before)).failed).toBe(0);
  });

  it('finds a canary equal that has the weights of stable', async () => {
    await mirrorsTo('twin');
    const before = await metrics();
    for (let i = 0; i < 10; i++) await askMoon(node, 'shout', `u${i}`);
    await waitFor('copies', async () => sum(await since(before)) === 10);
    expect(await since(before)).toMatchObject({ different: 0, failed: 0 });
    expect((await since(before)).equal).toBeGreaterThan(0);
  });

  it('takes a canary out that cannot answer, and no client notices', async () => {
    const { text: stableSays } = await node.client.ask({ model: 'upper', prompt: '=moon:' });
    await mirrorsTo('brittle', '  guard: {maxConsecutiveErrors: 2}\n');
    const texts = new Set<string>();
    const held = await waitFor('the guard', async () => {
      texts.add((await node.client.ask({ model: 'shout', prompt: '=moon:' })).text);
      const found = await rollout();
      return found?.held !== '' && found;
    });
    expect([...texts]).toEqual([stableSays]);
    expect(held.held).toContain('2 consecutive errors');
    const given = await waitFor('the decision', async () => {
      const now = await rollout();
      return now?.phase === 'Degraded' && now;
    });
    expect(given).toMatchObject({ weight: 0, mirrored: { percentage: 0 } });
    const before = await metrics();
    await askMoon(node, 'shout');
    expect(sum(await since(before))).toBe(0);
  });

  it('makes the new adapter stable at the end of a shadow that says so, without a step between', async () => {
    await settledOn('upper', moon.upper);
    const short = shadow
      .replace('shout-v2', 'reverse')
      .replace('duration: 1h', 'duration: 2s, promote: true');
    await node.write('shout.yaml', short);
    const seen = new Set<string>();
    await waitFor('the end', async () => {
      const { text, served } = await askMoon(node, 'shout');
      seen.add(`${served.arm} ${text}`);
      return (await rollout())?.stable === 'reverse';
    });
    seen.add(`stable ${moon.reverse}`);
    expect(seen).toEqual(new Set([`stable ${moon.upper}`, `stable ${moon.reverse}`]));
    expect((await askMoon(node, 'shout')).text).toBe(moon.reverse);
    expect((await rollout())?.mirrored).toMatchObject({ percentage: 0, failed: 0n });
  });

  it('takes the steps of docs/how-to/shadow-traffic.md', () => {
    const rolloutOf = `apiVersion: adaptlet.io/v1alpha1\nkind: AdapterRollout\nmetadata: {name: a}\nspec:\n  adapter: b\n`;
    const manifest = rolloutOf + steps.replaceAll(/^/gm, '  ');
    expect(steps).toContain('setMirrorRoute');
    expect(parseManifests(manifest, 'a.yaml', { defaultNamespace: 'default' }).problems).toEqual([]);
  });
});

describe.skipIf(real === undefined)(
  'shadow traffic on MiniLM int8 (ADAPTLET_MODELS or ../shared/models)',
  () => {
    const texts = ['will it rain tomorrow', 'play some jazz', 'transfer 5 dollars to anna'];
    const ask = async (path: string): Promise<string> => {
      const response = await fetch(`${node.http}/v1/${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'shout', input: texts }),
      });
      expect([response.status, response.headers.get('x-adaptlet-arm')]).toEqual([200, 'stable']);
      const { data } = (await response.json()) as { data: unknown };
      return JSON.stringify(data);
    };

    beforeAll(async () => {
      if (real === undefined) return;
      await node.dispose();
      node = await TestNode.start({
        model: real.modelDir,
        importRoots: real.adapters,
        settings: { threads: '1' },
      });
      const both = yaml.adapter('intent', 'intent') + yaml.adapter('twin', 'intent');
      await node.write('adapters.yaml', both);
      await node.write('shout.yaml', yaml.rollout('shout', 'intent', ''));
      await waitFor('stable', async () => (await rollout())?.phase === 'Healthy');
    });

    it('compares labels and embeddings, and finds those of a twin equal', async () => {
      const alone = [await ask('classify'), await ask('embeddings')];
      await mirrorsTo('twin');
      const before = await metrics();
      for (let i = 0; i < 4; i++) expect([await ask('classify'), await ask('embeddings')]).toEqual(alone);
      await waitFor('copies', async () => sum(await since(before)) === 8);
      expect(await since(before)).toMatchObject({ different: 0, failed: 0, unchecked: 0 });
      expect((await since(before)).equal).toBeGreaterThan(0);
    });
  },
);
