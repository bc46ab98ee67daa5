import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { seededRandom } from '../../src/runtime/engine/random.ts';
import { systemClock } from '../../src/time/clock.ts';
import { CallError } from '../support/client.ts';
import { smollm } from '../support/models.ts';
import { TestNode } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';
import { benchBase, scratchFolder } from './base.ts';
import { bytesInRam } from './bytes-in-ram.ts';
import { writePerturbed } from './perturbed-adapters.ts';
import { quantile, type Report, report, variant } from './report.ts';
import { roundsOf, shuffler } from './rounds.ts';
import { exponentialMs, pick } from './traffic/random-arrivals.ts';

const rows = 8;
/** Of RAM, in adapters. */
const room = 12;
/** The tiny model has less room: a token is a letter there. */
const isReal = smollm() !== undefined;
const greedy = { adapters: 100, open: 64, words: isReal ? 200 : 4, answerTokens: isReal ? 64 : 16 };
const modest = { adapters: 4, words: isReal ? 20 : 1, answerTokens: 16, meanWaitMs: 200 };
const rounds = roundsOf(4);
const requestsPerBlock = 25;
const settleMs = 3000;
const watchMs = 250;

const wait = (ms: number): Promise<void> => new Promise((resolve) => systemClock.after(ms, resolve));

const manifest = (namespace: string, name: string, path: string): string => `apiVersion: adaptlet.io/v1alpha1
kind: Adapter
metadata: {name: ${name}, namespace: ${namespace}}
spec: {baseModel: bench, source: {path: {path: ${path}}}, preload: {tier: Disk}}
---
`;
const policy = (
  namespace: string,
  bytes: number,
  requests: number,
): string => `apiVersion: adaptlet.io/v1alpha1
kind: AdapterPolicy
metadata: {name: default, namespace: ${namespace}}
spec:
  clients: {anonymous: Allow}
  limits: {adapterMemory: {guarantee: "${bytes}"}, requests: {guarantee: ${requests}}}
---
`;

type Namespace = { readonly name: string; readonly adapters: readonly string[] };

const namespaceOf = (name: string, adapters: number): Namespace => ({
  name,
  adapters: Array.from({ length: adapters }, (_, index) => `${name}-${index}`),
});

/** A node with the adapters of both on its disk, and room for few of them. */
const startNode = async (folder: string, both: readonly Namespace[]) => {
  const model = benchBase('tenants');
  const sources = join(folder, 'sources');
  await mkdir(sources);
  const paths = await writePerturbed(model.allLinear, sources, 20);
  const adapterBytes = await bytesInRam({
    modelDir: model.modelDir,
    importRoots: sources,
    path: paths[0] ?? '',
    folder: join(folder, 'sizing'),
    prompt: 'ship',
  });
  const node = await TestNode.start({
    model: model.modelDir,
    modelName: 'bench',
    folder: join(folder, 'node'),
    importRoots: sources,
    settings: {
      'adapter-memory': `${adapterBytes * room}`,
      'adapter-disk': '8Gi',
      'max-concurrent': `${rows}`,
      'log-level': 'error',
    },
  });
  const adapters = both.flatMap(({ name, adapters: names }) =>
    names.map((own) => ({ namespace: name, own })),
  );
  const manifests = adapters.map(({ namespace, own }, index) =>
    manifest(namespace, own, paths[index % paths.length] ?? ''),
  );
  const policies = both.map(({ name }) => policy(name, adapterBytes * modest.adapters, 2));
  await node.write('tenants.yaml', [...policies, ...manifests].join(''));
  const allCompiled = async (): Promise<boolean> => {
    const { adapters: known } = await node.client.status();
    return known.length === adapters.length && known.every(({ state }) => state === 'Compiled');
  };
  await waitFor('all adapters to be compiled', allCompiled, 180_000);
  return { node, model };
};

const words = (random: () => number, count: number): string =>
  Array.from({ length: count }, () =>
    pick(random, ['ship', 'chairs', 'Lisbon', 'please', 'four', 'today']),
  ).join(' ');

/** Keeps many requests open, each for an adapter that is likely not in RAM, until disposed of. */
const startGreedy = (node: TestNode, { name, adapters }: Namespace, seed: number) => {
  const over = new AbortController();
  const random = seededRandom(seed);
  const counts = { answers: 0, refused: 0 };
  const lane = async (): Promise<void> => {
    while (!over.signal.aborted) {
      try {
        const prompt = words(random, greedy.words);
        const model = pick(random, adapters);
        await node.client.ask({
          namespace: name,
          model,
          prompt,
          maxTokens: greedy.answerTokens,
          timeoutMs: 600_000,
          signal: over.signal,
        });
        counts.answers += 1;
      } catch (error) {
        if (!(error instanceof CallError)) throw error;
        counts.refused += over.signal.aborted ? 0 : 1;
        await wait(50);
      }
    }
  };
  const lanes = Promise.all(Array.from({ length: greedy.open }, lane));
  return {
    counts,
    async [Symbol.asyncDispose]() {
      over.abort();
      await lanes;
    },
  };
};

/** Milliseconds to the first tokens of short requests, one at a time at random moments. */
const askModestly = async (
  node: TestNode,
  { name, adapters }: Namespace,
  random: () => number,
): Promise<readonly number[]> => {
  const times: number[] = [];
  for (let count = 0; count < requestsPerBlock; count += 1) {
    await wait(exponentialMs(random, modest.meanWaitMs));
    const prompt = words(random, modest.words);
    const model = pick(random, adapters);
    const { firstMs } = await node.client.ask({
      namespace: name,
      model,
      prompt,
      maxTokens: modest.answerTokens,
      timeoutMs: 120_000,
    });
    times.push(firstMs);
  }
  return times;
};

/** How often an adapter of a namespace was found out of RAM, until disposed of. */
const watchResidents = (node: TestNode, { name }: Namespace) => {
  const seen = { looks: 0, missing: 0 };
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      const { adapters } = await node.client.status();
      const own = adapters.filter(({ key }) => key.startsWith(`${name}/`));
      seen.looks += own.length;
      seen.missing += own.filter(({ state }) => state !== 'Resident').length;
      await wait(watchMs);
    }
  })();
  return {
    seen,
    async [Symbol.asyncDispose]() {
      isOver = true;
      await watching;
    },
  };
};

/**
 * Time to the first token of a namespace with short requests for a few adapters, alone and beside another one that keeps 64 long
 * requests open for 100 adapters; RAM for 12, of which 4 are guaranteed to each. Counted is also how often an adapter of
 * the first was out of RAM.
 */
export const tenants = async (): Promise<Report> => {
  using scratch = scratchFolder();
  const [own, other] = [namespaceOf('modest', modest.adapters), namespaceOf('greedy', greedy.adapters)];
  const { node, model } = await startNode(scratch.path, [own, other]);
  const times: Record<'alone' | 'beside', number[]> = { alone: [], beside: [] };
  const residents = { looks: 0, missing: 0 };
  const greedyCounts = { answers: 0, refused: 0 };
  try {
    const random = seededRandom(1);
    // Each adapter once, unmeasured: they are in RAM from here on.
    for (const adapter of own.adapters)
      await node.client.ask({ namespace: own.name, model: adapter, prompt: 'ship', maxTokens: 2 });
    const shuffle = shuffler(1);
    for (let round = 1; round <= rounds; round += 1) {
      for (const arm of shuffle(['alone', 'beside'] as const)) {
        if (arm === 'alone') times.alone.push(...(await askModestly(node, own, random)));
        else {
          await using crowd = startGreedy(node, other, round);
          await wait(settleMs);
          await using watch = watchResidents(node, own);
          times.beside.push(...(await askModestly(node, own, random)));
          residents.looks += watch.seen.looks;
          residents.missing += watch.seen.missing;
          greedyCounts.answers += crowd.counts.answers;
          greedyCounts.refused += crowd.counts.refused;
        }
        // What was given up leaves the engine.
        await wait(settleMs);
        console.error(`tenants: ${arm}, round ${round} of ${rounds}`);
      }
    }
  } finally {
    await node.dispose();
  }
  const { alone, beside } = times;
  return report('tenants', 'ms to the first token', {
    results: { alone: variant(alone), beside: variant(beside) },
    ratios: {
      p99_beside_over_alone: quantile(beside, 0.99) / quantile(alone, 0.99),
      median_beside_over_alone: quantile(beside, 0.5) / quantile(alone, 0.5),
      residents_missing: residents.missing,
    },
    setup: {
      model: model.label,
      rows,
      room,
      residents_looked_at: residents.looks,
      greedy: `${greedy.open} open requests for ${greedy.adapters} adapters, prompts of ${greedy.words} words, answers of ${greedy.answerTokens} tokens`,
      greedy_answers: greedyCounts.answers,
      greedy_refused: greedyCounts.refused,
      modest: `1 request at a time for ${modest.adapters} adapters, prompts of ${modest.words} words, answers of ${modest.answerTokens} tokens`,
    },
  });
};
