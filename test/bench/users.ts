import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../../src/runtime/engine/random.ts';
import { smollm } from '../support/models.ts';
import { TestNode, tiny } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';
import { shuffled, zipf, zipfShares } from './cache/trace.ts';
import { type Report, report, variant } from './report.ts';
import { roundsOf } from './rounds.ts';

const exponent = 1;
const places = ['ram', 'disk', 'source'] as const;
type Place = (typeof places)[number];

type Population = {
  readonly model: string;
  /** PEFT folder that the adapters of the users are copies of. */
  readonly adapter: string;
  readonly prompt: string;
  readonly users: number;
  /** Adapters for which there is room. */
  readonly inRam: number;
  readonly onDisk: number;
  readonly requests: number;
};

const manifests = `apiVersion: adaptlet.io/v1alpha1
kind: AdapterPolicy
metadata: {name: default}
spec: {clients: {anonymous: Allow}, sources: {paths: [people]}}
---
apiVersion: adaptlet.io/v1alpha1
kind: AdapterRoute
metadata: {name: personal}
spec:
  model: personal
  rules:
  - name: own
    perUser: {baseModel: bench, source: {path: {path: "people/{user}"}}}
    fallback: [{base: true}]
`;

const userName = (index: number): string => `user-${index}`;

/** A folder for each user; no two have the same bytes. Lowest bytes of values change, so that they stay finite. */
const writeAdapters = async ({ adapter, users }: Population, folder: string): Promise<void> => {
  const config = await readFile(join(adapter, 'adapter_config.json'));
  const weights = await readFile(join(adapter, 'adapter_model.safetensors'));
  for (let index = 0; index < users; index++) {
    const own = join(folder, userName(index));
    await mkdir(own, { recursive: true });
    weights.writeUInt8(index % 256, weights.length - 4);
    weights.writeUInt8(Math.floor(index / 256) % 256, weights.length - 8);
    await writeFile(join(own, 'adapter_config.json'), config);
    await writeFile(join(own, 'adapter_model.safetensors'), weights);
  }
};

/**
 * Says where the adapter of the request came from that was answered last, by the log of a node that is asked one request after the
 * other. Its metrics say that too, but are a page of 400 KB, which is too much to make for each request.
 */
const watchPlaces = (log: readonly string[]): (() => Promise<Place>) => {
  let before: string | undefined;
  return async () => {
    for (let tries = 0; tries < 1_000; tries++) {
      const end = log.findLastIndex((line) => line.includes('"request answered"'));
      const last = log[end];
      if (last !== undefined && last !== before) {
        const lines = log.slice(before === undefined ? 0 : log.lastIndexOf(before, end), end);
        before = last;
        const isThere = (state: string): boolean => lines.some((line) => line.includes(`"to":"${state}"`));
        if (isThere('Fetching')) return 'source';
        return isThere('Loaded') ? 'disk' : 'ram';
      }
      await sleep(1);
    }
    throw new Error('the node did not log its answer');
  };
};

/** Bytes of one adapter in RAM, and on the disk with its compiled file. */
const sizesOf = async (start: (settings: Readonly<Record<string, string>>) => Promise<TestNode>) => {
  const node = await start({});
  try {
    await node.client.ask({ model: 'personal', prompt: 'x', user: userName(0), maxTokens: 1 });
    const { memory, disk } = await node.client.status();
    return { ram: Number(memory?.usedBytes ?? 0), disk: Number(disk?.usedBytes ?? 0) };
  } finally {
    await node.end();
    await rm(node.data, { recursive: true, force: true });
  }
};

const measure = async (population: Population) => {
  const { model, prompt, users, inRam, onDisk, requests } = population;
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-bench-'));
  const roots = join(folder, 'roots');
  const start = async (settings: Readonly<Record<string, string>>): Promise<TestNode> => {
    const common = { 'log-level': 'debug', 'import-roots': roots, prefetch: 'off' };
    const node = await TestNode.start({
      folder,
      model,
      modelName: 'bench',
      settings: { ...common, ...settings },
    });
    await node.write('personal.yaml', manifests);
    await waitFor('the route', async () => (await node.client.status()).routes.some((one) => one.accepted));
    return node;
  };
  try {
    await writeAdapters(population, join(roots, 'people'));
    console.error(`users: ${users} adapters are written`);
    const sizes = await sizesOf(start);
    const node = await start({
      'adapter-memory': String(Math.ceil(sizes.ram * inRam)),
      'adapter-disk': String(Math.ceil(sizes.disk * onDisk)),
    });
    const random = seededRandom(1);
    const order = shuffled(users, random);
    const draw = zipf(users, exponent, random);
    const firstMs: Record<Place, number[]> = { ram: [], disk: [], source: [] };
    let fallbacks = 0;
    const lastPlace = watchPlaces(node.log);
    for (let asked = 0; asked < requests; asked++) {
      const user = userName(order[draw()] ?? 0);
      const answer = await node.client.ask({ model: 'personal', prompt, user, maxTokens: 1 });
      const place = await lastPlace();
      // The first third fills RAM and disk.
      if (asked >= requests / 3) {
        firstMs[place].push(answer.firstMs);
        if (answer.served.arm === 'base') fallbacks += 1;
      }
      if ((asked + 1) % 1000 === 0) console.error(`users: ${asked + 1} of ${requests} requests`);
    }
    await node.end();
    const counted = places.reduce((sum, place) => sum + firstMs[place].length, 0);
    const top = (room: number): number =>
      zipfShares(users, exponent)
        .slice(0, room)
        .reduce((sum, share) => sum + share, 0);
    return {
      firstMs,
      ratios: {
        in_ram: firstMs.ram.length / counted,
        in_ram_or_on_disk: (firstMs.ram.length + firstMs.disk.length) / counted,
        // What a cache has that always holds the most popular ones.
        best_in_ram: top(inRam),
        best_on_disk: top(onDisk),
        fallback_to_base: fallbacks / counted,
      },
      setup: { users, room_in_ram: inRam, room_on_disk: onDisk, requests, counted, ...sizes },
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/**
 * Users with an adapter of their own each, through one rule with `perUser`, one request after the other, who asks drawn by Zipf.
 * `tiny`: 10,000 users, for the hit ratios. `smollm`, where that model is found: 200 users with artifacts of 5 MB, for what a
 * miss costs. Adapters come from a folder of the node; prefetch is off.
 */
export const usersBench = async (): Promise<Report> => {
  const requests = roundsOf(15_000);
  const real = smollm();
  const populations: Readonly<Record<string, Population>> = {
    tiny: {
      model: tiny.model,
      adapter: join(tiny.adapters, 'upper'),
      prompt: 'moon:',
      users: Number(process.env['ADAPTLET_BENCH_USERS'] ?? 10_000),
      // A node registers 256 adapters of users at a time.
      inRam: 200,
      onDisk: 2_500,
      requests,
    },
    ...(real === undefined
      ? {}
      : {
          smollm: {
            model: real.modelDir,
            adapter: join(real.adapters, 'json-extract-v1'),
            prompt:
              '<|im_start|>user\nPlease ship 4 chairs to Maria in Lisbon.<|im_end|>\n<|im_start|>assistant\n',
            users: 200,
            inRam: 20,
            onDisk: 80,
            requests: Math.min(requests, 1_500),
          },
        }),
  };
  const results: Record<string, Report['results'][string]> = {};
  const ratios: Record<string, number> = {};
  const setup: Record<string, string | number> = { zipf: exponent, threads: 1 };
  for (const [name, population] of Object.entries(populations)) {
    const measured = await measure(population);
    for (const place of places) {
      const values = measured.firstMs[place];
      if (values.length > 0) results[`first_token_${name}_${place}`] = variant(values);
    }
    for (const [what, value] of Object.entries(measured.ratios)) ratios[`${name}_${what}`] = value;
    for (const [what, value] of Object.entries(measured.setup)) setup[`${name}_${what}`] = value;
    console.error(`users: ${name} done`);
  }
  return report('users', 'ms to the first token', { results, ratios, setup });
};
