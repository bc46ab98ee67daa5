import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Digest } from '../../src/api/names.ts';
import { connectKube, type KubeConnection } from '../../src/kube/client/client.ts';
import { systemClock } from '../../src/time/clock.ts';
import { enlist, enlistPods } from '../hollow/enlist.ts';
import { HollowFleet } from '../hollow/hosts.ts';
import type { Lie } from '../hollow/lies.ts';
import type { Enlisted } from '../hollow/orders.ts';
import { quick } from '../hollow/ports.ts';
import { systemNamespace, TestFleet } from '../support/fleet.ts';
import { HeapsInUse } from '../support/heap-in-use.ts';
import { type TestNode, tiny } from '../support/node.ts';
import { operatorMemory } from '../support/operator.ts';
import { hasRegistry } from '../support/registry.ts';
import { Calm } from './calm.ts';
import { rolloutsOf, type SoakRollout } from './names.ts';
import { Objects } from './objects.ts';
import { makePool, type Pool } from './pool.ts';
import type { Story } from './story.ts';

export const [replicas, realNodes] = [2, 3] as const;
/** For which an API server may be away. */
const patienceMs = 120_000;
/** Longer than any soak. */
const tokenSeconds = 6 * 3600;
/** So many fail at most, and a tenth of the runtimes may. */
const liesOf = (hollows: number): readonly Lie[] =>
  hollows >= 30 ? ['states', 'counts', 'names'] : ['states'];

/** A process of a real node: a killed one begins the next life. */
export type Living = { readonly node: TestNode; readonly life: number };

/** All that runs in a soak, and what was done to it. */
export type Stage = AsyncDisposable & {
  readonly story: Story;
  readonly calm: Calm;
  readonly fleet: TestFleet;
  readonly heaps: HeapsInUse;
  readonly api: KubeConnection;
  readonly objects: Objects;
  readonly hollows: HollowFleet;
  /** Those that tell the truth. */
  readonly honest: readonly Enlisted[];
  readonly pool: Pool;
  readonly rollouts: readonly SoakRollout[];
  readonly tenants: readonly string[];
  readonly noisy: string;
  /** Of each real node; undefined while it is away on purpose. */
  readonly living: (Living | undefined)[];
};

const modelOf = async (node: TestNode | undefined) => {
  const status = await node?.client.status();
  if (status?.model === undefined) throw new Error('a node says nothing of its base model');
  return {
    name: status.baseModel,
    source: status.model.source,
    digest: status.baseDigest as Digest,
    manifestDigest: status.model.manifestDigest as Digest | '',
  };
};

const enlisted = async (
  api: KubeConnection,
  fleet: TestFleet,
  hollows: number,
  namespaces: readonly string[],
) => {
  const names = Array.from({ length: hollows }, (_, i) => `hollow-${i}`);
  const nodes = await enlist(api, { namespace: systemNamespace, names, folder: fleet.folder });
  const lies = liesOf(hollows);
  const all: Enlisted[] = nodes.map((each, i) => {
    const lie = lies[i];
    return lie === undefined ? each : { ...each, lie };
  });
  for (const [i, namespace] of namespaces.entries()) {
    const place = { namespace, names: [`side-${i}`], folder: fleet.folder, node: names.at(-1) ?? '' };
    all.push(...(await enlistPods(api, place)));
  }
  return all;
};

/** Starts everything; resolves when all runtimes are connected. `hollows`: runtimes of nodes without an engine. */
export const startStage = async (
  story: Story,
  { hollows: count, say }: { readonly hollows: number; readonly say: (text: string) => void },
): Promise<Stage> => {
  await using stack = new AsyncDisposableStack();
  const root = await mkdtemp(join(tmpdir(), 'adaptlet-soak-'));
  stack.defer(() => rm(root, { recursive: true, force: true }));
  const heaps = stack.use(await HeapsInUse.open());
  const fleet = stack.use(
    await TestFleet.start({
      replicas,
      runtimes: realNodes,
      say,
      endWithUs: true,
      tokenSeconds,
      operatorSettings: { 'lease-duration': '6s', 'log-level': 'info' },
      operatorEnv: heaps.env(operatorMemory()),
      nodeEnv: heaps.env(),
      nodeSettings: { 'import-roots': `${tiny.root},${root}`, 'log-level': 'info' },
    }),
  );
  const { cluster } = fleet;
  const api = connectKube({
    kubeconfig: cluster.kubeconfig,
    clock: systemClock,
    logger: pino({ enabled: false }),
  });
  stack.defer(() => api.close());
  const tenants = [fleet.namespace, await cluster.createNamespace('other')];
  const noisy = await cluster.createNamespace('noisy');
  const rollouts = rolloutsOf(tenants, hasRegistry);
  const pool = stack.use(await makePool(root, rollouts));
  say(`${rollouts.length} rollouts, ${pool.texts.size} contents, ${hasRegistry ? 'a' : 'no'} registry`);
  const runtimes = await enlisted(api, fleet, count, [...tenants, noisy]);
  const hollows = stack.use(
    await HollowFleet.open({
      addresses: [await fleet.door.addressOf('hollows')],
      caFile: await fleet.authority(),
      model: await modelOf(fleet.nodes[0]),
      behaviour: quick,
      runtimes,
      env: heaps.env(),
    }),
  );
  await hollows.connect();
  say(`${runtimes.length} hollow runtimes`);
  const objects = new Objects(api, patienceMs);
  const kept = stack.move();
  return {
    story,
    calm: new Calm(story.now),
    fleet,
    heaps,
    api,
    objects,
    hollows,
    honest: runtimes.filter(({ lie }) => lie === undefined),
    pool,
    rollouts,
    tenants,
    noisy,
    living: fleet.nodes.map((node) => ({ node, life: 0 })),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
};
