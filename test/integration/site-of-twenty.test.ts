import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { artifactOf, fileLayer } from '../../src/artifact/artifact.fixture.ts';
import { digestOf } from '../../src/artifact/digest.ts';
import { diskOfTests } from '../../src/artifact/disk-thread.fixture.ts';
import { FakeSite, type SiteNode } from '../../src/runtime/peers/site.fixture.ts';
import { waitFor } from '../support/wait.ts';

const disk = diskOfTests();
let site: FakeSite | undefined;
afterEach(async () => {
  await site?.[Symbol.asyncDispose]();
  site = undefined;
});

const weights = randomBytes(700_000);
const artifact = artifactOf([
  fileLayer('adapter_config.json', '{"r": 8}'),
  fileLayer('adapter_model.safetensors', weights),
]);

const start = async (count: number, options = {}): Promise<FakeSite> => {
  site = await FakeSite.start(disk, count, options);
  site.registry.put('team/sql', artifact);
  return site;
};

const has = async (node: SiteNode): Promise<void> => {
  const folder = node.artifacts.folder(artifact.digest);
  expect(await readFile(join(folder, 'adapter_model.safetensors'))).toEqual(weights);
};

const isOnceOrTwice = (at: FakeSite): void => {
  const counts = at.blobReads();
  expect([...counts.keys()].toSorted()).toEqual([...artifact.blobs.keys()].toSorted());
  for (const count of counts.values()) expect(count).toBeLessThanOrEqual(2);
};

/** The registry sends who asks first half of the weights and then nothing more. `begun`: who that was. */
const hangingFor = (at: FakeSite) => {
  const state: { begun: string | undefined } = { begun: undefined };
  const fetchOf =
    (name: string): typeof fetch =>
    async (input, init) => {
      const answer = await at.registry.fetch(input, init);
      const { url } = new Request(input, init);
      if (!url.endsWith(digestOf(weights)) || state.begun !== undefined) return answer;
      state.begun = name;
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => {
          controller.enqueue(weights.subarray(0, weights.length / 2));
          init?.signal?.addEventListener('abort', () => controller.error(init.signal?.reason));
        },
      });
      return new Response(body, { status: 200 });
    };
  return { state, fetchOf };
};

describe('a site of twenty runtimes', () => {
  it('reads each blob of the registry once or twice when all fetch at once', async () => {
    const at = await start(20);
    await Promise.all(at.nodes.map((node) => node.fetch('team/sql')));
    isOnceOrTwice(at);
    for (const node of at.nodes) await has(node);
    const came = at.nodes.map(({ peers }) => peers.tally.totals().came);
    const sum = (from: 'peer' | 'source') => came.reduce((total, one) => total + one[from], 0);
    expect(sum('source')).toBeLessThanOrEqual(2 * (weights.length + 100));
    expect(sum('peer') + sum('source')).toBe(
      20 * [...artifact.blobs.values()].reduce((total, { length }) => total + length, 0),
    );
    expect(at.nodes.map(({ peers }) => peers.tally.totals().sent).reduce((a, b) => a + b)).toBe(sum('peer'));
  });

  it('reads each blob once or twice when the first fetcher is killed in the middle', async () => {
    const at = await start(0);
    const { state, fetchOf } = hangingFor(at);
    for (let i = 1; i <= 20; i++) await at.join({ fetch: fetchOf(`node-${i}`) });
    const fetches = at.nodes.map((node) => ({
      node,
      done: node.fetch('team/sql').then(
        () => true,
        () => false,
      ),
    }));
    const first = await waitFor('somebody who fetches', () =>
      at.nodes.find(({ name }) => name === state.begun),
    );
    // The others ask it meanwhile, and wait.
    await waitFor('others who wait', () =>
      at.nodes.some(({ outcomes, name }) => name !== first.name && outcomes.length >= 1),
    );
    await first.die();
    for (const { node, done } of fetches) expect(await done).toBe(node !== first);
    isOnceOrTwice(at);
    for (const node of at.nodes) if (node !== first) await has(node);
  });
});
