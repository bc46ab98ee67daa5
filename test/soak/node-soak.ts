import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { EngineClient } from '../../src/runtime/engine/client/client.ts';
import { enginePid, TestNode, yaml } from '../support/node.ts';
import type { Seeded } from '../support/random.ts';
import { waitFor } from '../support/wait.ts';
import { Disturbance, type DisturbanceOptions, exponential, type Pause } from './disturbance.ts';
import { adapterFolders, epsilonOf, type SoakModel } from './models.ts';
import { nodeSubject } from './node-subject.ts';
import { Reference } from './reference.ts';
import { Report } from './report.ts';
import { Requests } from './requests.ts';
import { choices } from './soak.ts';
import { loadAll, proveDifferent, startFor } from './stage.ts';
import { Traffic } from './traffic.ts';

export type NodeSoakOptions = Omit<DisturbanceOptions, 'evenRate'> & {
  readonly model: SoakModel;
  readonly seed: number;
};

const rollouts = ['first', 'second'] as const;
/** Adapters that rollouts switch between. */
const switched = ['upper', 'reverse', 'digits', 'hello'] as const;
/** Share of the bytes of all adapters that the budget of the node has. */
const memoryShare = 0.6;
const evictEveryMs = 400;
const steps = '{setWeight: 0}, {pause: {duration: 1s}}, {setWeight: 100}, {pause: {}}';
const limitMs = 90_000;

const rolloutOf = async (node: TestNode, name: string) =>
  (await node.client.status()).rollouts.find(({ key }) => key === `default/${name}`);

const promoted = (node: TestNode, rollout: string): Promise<unknown> =>
  new Promise((resolve, reject) => {
    node.client.admin.promote({ rollout, full: false }, (error, value) =>
      error === null ? resolve(value) : reject(error),
    );
  });

const aborted = (node: TestNode, rollout: string): Promise<unknown> =>
  new Promise((resolve, reject) => {
    node.client.admin.abort({ rollout }, (error, value) => (error === null ? resolve(value) : reject(error)));
  });

/** Sends a rollout to 0, 100 and back to 0 % of a canary, or promotes it, again and again. */
const switches =
  (node: TestNode, name: string, report: Report, random: Seeded) =>
  async (pause: Pause): Promise<void> => {
    let [stable, given]: [string, string] = [switched[0], ''];
    do {
      const next = random.pick(switched.filter((adapter) => adapter !== stable && adapter !== given));
      await node.write(`${name}.yaml`, yaml.rollout(name, next, steps));
      // What was stable before is so at once.
      const there = await waitFor(
        `${next} of ${name}`,
        async () => {
          const rollout = await rolloutOf(node, name);
          return (rollout?.stable === next || rollout?.effectiveWeight === 100) && rollout;
        },
        limitMs,
      );
      report.counts.switches += 1;
      await pause(random.between(200, 1500));
      if (there.stable === next) stable = next;
      else if (random.next() < 0.4) {
        await promoted(node, name);
        await waitFor(
          `${next} as stable`,
          async () => (await rolloutOf(node, name))?.stable === next,
          limitMs,
        );
        [stable, given] = [next, ''];
      } else {
        await aborted(node, name);
        await waitFor(
          'the way back',
          async () => (await rolloutOf(node, name))?.effectiveWeight === 0,
          limitMs,
        );
        given = next;
      }
      report.counts.switches += 1;
    } while (await pause(random.between(200, 1500)));
  };

const evictions =
  (node: TestNode, names: readonly string[], report: Report, random: Seeded) =>
  async (pause: Pause): Promise<void> => {
    while (await pause(exponential(random, evictEveryMs))) {
      const evicted = await new Promise<boolean>((resolve) => {
        // Refused for what a rollout holds, and for what is not in memory.
        node.client.admin.evict({ adapter: random.pick(names) }, (error) => resolve(error === null));
      });
      if (evicted) report.counts.evictions += 1;
    }
  };

const kill = (node: TestNode) => async (): Promise<void> => {
  const pid = await waitFor('a process to kill', () => enginePid(node));
  process.kill(pid, 'SIGKILL');
  await waitFor(
    'the engine after a kill',
    async () => (await node.client.status()).engine === 'ready',
    limitMs,
  );
};

/** Writes the manifests; gives the name of each adapter by its digest. */
const deploy = async (node: TestNode, names: readonly string[]) => {
  await node.write('adapters.yaml', names.map((name) => yaml.adapter(name, name)).join(''));
  for (const name of rollouts) await node.write(`${name}.yaml`, yaml.rollout(name, switched[0], steps));
  for (const name of rollouts)
    await waitFor(name, async () => (await rolloutOf(node, name))?.phase === 'Healthy');
  const known = new Map<string, string>();
  for (const name of names) {
    const ask = () => node.client.ask({ model: name, prompt: 'moon:', maxTokens: 1 });
    const { served } = await waitFor(`an answer of ${name}`, ask);
    known.set(served.digest, name);
  }
  return known;
};

const disturb = async (
  node: TestNode,
  { quiet, names, report }: { quiet: EngineClient; names: readonly string[]; report: Report },
  options: NodeSoakOptions,
): Promise<void> => {
  const { model, seed } = options;
  const { evenRate } = model;
  const { baseDigest, contextLength, vocabSize } = quiet.info();
  const known = await deploy(node, names);
  const adapterOf = (digest: string): string | null => {
    if (digest === baseDigest) return null;
    const name = known.get(digest);
    if (name === undefined) throw new Error(`an answer names the digest ${digest}, which nothing has`);
    return name;
  };
  const reference = new Reference(quiet);
  report.different = await proveDifferent(model, reference, { names, random: choices(seed, 0), vocabSize });
  const requests = new Requests(model, quiet.info(), choices(seed, 1));
  const random = choices(seed, 3);
  const finished = requests.finished.bind(requests);
  const subject = nodeSubject(node, adapterOf, report);
  const traffic = new Traffic({ subject, reference, report, contextLength, finished });
  const models = ['tiny', ...rollouts, ...rollouts, ...rollouts, ...names.slice(0, 8)];
  const send = (hot: number): Promise<void> => {
    const plan = requests.next();
    const chosen = random.next() < hot ? rollouts[0] : random.pick(models);
    return traffic.send(plan, plan.same ?? chosen, () => {});
  };
  const others = [
    switches(node, rollouts[0], report, choices(seed, 5)),
    switches(node, rollouts[1], report, choices(seed, 6)),
    evictions(node, names, report, choices(seed, 7)),
  ];
  const parts = { reference, report, random, send, isReady: () => true, kill: kill(node), others };
  await new Disturbance(parts, { ...options, evenRate }).run();
};

/**
 * The same as {@link soak}, through a whole node: requests come by gRPC, residency loads and evicts, two rollouts switch
 * between adapters. What an answer must be follows from the digest that it names.
 */
export const soakNode = async (options: NodeSoakOptions): Promise<Report> => {
  const { model, seed } = options;
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-soak-node-'));
  const imports = join(folder, 'imports');
  const quiet = await startFor(model, folder, { adapterBudgetBytes: model.memoryBytes });
  try {
    const report = new Report(`${model.name}, whole node`, seed, epsilonOf(model, quiet.info()));
    const { ramBytes } = await loadAll(model, quiet, folder);
    const folders = await adapterFolders(model, imports);
    for (const path of model.trained) await cp(path, join(imports, basename(path)), { recursive: true });
    const node = await TestNode.start({
      importRoots: imports,
      settings: { 'adapter-memory': String(Math.floor(ramBytes * memoryShare)), 'log-level': 'info' },
    });
    try {
      await disturb(node, { quiet, names: [...folders.keys()], report }, options);
      return report;
    } finally {
      await node.dispose();
    }
  } finally {
    await quiet.close();
    await rm(folder, { recursive: true, force: true });
  }
};
