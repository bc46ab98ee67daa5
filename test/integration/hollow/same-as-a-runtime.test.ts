import { isDeepStrictEqual } from 'node:util';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Digest } from '../../../src/api/names.ts';
import { connectKube, type KubeConnection } from '../../../src/kube/client/client.ts';
import { systemClock } from '../../../src/time/clock.ts';
import { enlist } from '../../hollow/enlist.ts';
import { HollowFleet } from '../../hollow/hosts.ts';
import { clusterAdapter, digestOfFolder, systemNamespace, TestFleet } from '../../support/fleet.ts';
import { rolloutYaml } from '../../support/moon.ts';
import { tiny } from '../../support/node.ts';
import { waitFor } from '../../support/wait.ts';
import { disorder, type Trace, traceOf } from './trace.ts';
import { type Tapped, Wiretap } from './wiretap.ts';

const real = 'node-0';
const hollow = Array.from({ length: 49 }, (_, index) => `hollow-${index}`);
/** A load of the real runtime takes about so long. */
const delayMs = 200;

let fleet: TestFleet;
let api: KubeConnection;
let tap: Wiretap;
let hollows: HollowFleet;
/** How far the present stream of each runtime was looked at. */
const seen = new Map<string, number>();

const streamOf = (name: string): readonly Tapped[] => tap.streams.get(name)?.at(-1) ?? [];
const sinceThen = (name: string): Trace => traceOf(streamOf(name).slice(seen.get(name) ?? 0));

const baseModelOf = (name: string) =>
  streamOf(name).flatMap(({ message }) =>
    message.$case === 'report' && message.value.baseModel !== undefined ? [message.value.baseModel] : [],
  );

beforeAll(async () => {
  fleet = await TestFleet.start({ replicas: 1, runtimes: 0 });
  api = connectKube({
    kubeconfig: fleet.cluster.kubeconfig,
    clock: systemClock,
    logger: pino({ enabled: false }),
  });
  const [operator] = fleet.operators;
  tap = await Wiretap.start(fleet.folder, { address: operator?.grpc ?? '', caFile: await fleet.authority() });
  await fleet.startNode(0, { operator: tap.address, 'operator-ca': tap.caFile });
  const model = await waitFor('the base model', () =>
    baseModelOf(real).find(({ state, manifestDigest }) => state === 'Ready' && manifestDigest !== ''),
  );
  hollows = await HollowFleet.open({
    addresses: [tap.address],
    caFile: tap.caFile,
    model: {
      name: 'tiny',
      source: tiny.model,
      digest: model.baseDigest as Digest,
      manifestDigest: model.manifestDigest as Digest,
    },
    behaviour: { delayMs, failShare: 0, refused: [await digestOfFolder('variants/broken-nan')] },
    runtimes: await enlist(api, { namespace: systemNamespace, names: hollow, folder: fleet.folder }),
  });
  await hollows.connect();
});
afterAll(async () => {
  await hollows?.[Symbol.asyncDispose]();
  await tap?.[Symbol.asyncDispose]();
  api?.close();
  await fleet?.[Symbol.asyncDispose]();
});

/** Ends every stream, and waits for the next one of each. What comes then is looked at from its beginning. */
const reconnect = async (): Promise<void> => {
  const before = new Map([...tap.streams].map(([name, streams]) => [name, streams.length]));
  tap.cut();
  seen.clear();
  await waitFor('a new stream of each', () =>
    [real, ...hollow].every((name) => (tap.streams.get(name)?.length ?? 0) > (before.get(name) ?? 0)),
  );
};

/**
 * Waits until the real runtime said what is expected and every hollow one the same, and gives what the real one said. What
 * follows is looked at from there.
 */
const saidBy = async (what: string, isAll: (trace: Trace) => boolean): Promise<Trace> => {
  const isSame = (): boolean => {
    const expected = sinceThen(real);
    if (!isAll(expected) || disorder(streamOf(real)).length > 0) return false;
    return hollow.every(
      (name) => isDeepStrictEqual(sinceThen(name), expected) && disorder(streamOf(name)).length === 0,
    );
  };
  const failed = await waitFor(what, isSame, 20_000).then(
    () => undefined,
    (error: unknown) => error,
  );
  const expected = sinceThen(real);
  for (const name of hollow) {
    const trace = sinceThen(name);
    const things = Object.keys({ ...expected, ...trace });
    const told = things
      .filter((thing) => !isDeepStrictEqual(trace[thing], expected[thing]))
      .map((thing) => `${thing}: ${trace[thing]?.join(' ')}, not ${expected[thing]?.join(' ')}`);
    expect(trace, `${what}: ${name}: ${told.join('; ')}`).toEqual(expected);
  }
  if (failed !== undefined) expect(expected, what).toBe('what was expected');
  for (const name of [real, ...hollow]) {
    expect(disorder(streamOf(name)), `${what}: ${name}`).toEqual([]);
    seen.set(name, streamOf(name).length);
  }
  return expected;
};

const lastOf = (trace: Trace, thing: string): string => trace[thing]?.at(-1) ?? '';
const rollout = (): string => `rollout ${fleet.namespace}/shout`;
const adapter = (name: string): string => `adapter ${fleet.namespace}/${name}`;
/** What the node gives the canary, as it was told last; undefined: not told. */
const weightIn = (trace: Trace): number | undefined =>
  (JSON.parse(lastOf(trace, rollout()) || '{}') as { effectiveWeight?: number }).effectiveWeight;
const point = (name: string, weight: number) =>
  fleet.apply(rolloutYaml('shout', name, `{setWeight: ${weight}}, {pause: {}}`));

describe('a hollow runtime tells and is told what a runtime is', () => {
  it('when it connects with nothing', async () => {
    await reconnect();
    const trace = await saidBy('Hello and a first report', (said) => 'base model' in said);
    expect(Object.keys(trace)).toEqual(['base model', 'hello', 'runtime', 'welcome']);
    expect((await hollows.census()).connected).toBe(hollow.length);
  });

  it('of adapters that are preloaded, and of one that it refuses', async () => {
    const preload = (tier: string): string => `  preload: {tier: ${tier}}\n`;
    await fleet.apply(await clusterAdapter('hello', 'adapters/hello', preload('Memory')));
    await fleet.apply(await clusterAdapter('digits', 'adapters/digits', preload('Disk')));
    await fleet.apply(await clusterAdapter('broken', 'variants/broken-nan', preload('Memory')));
    const trace = await saidBy(
      'three adapters',
      (said) =>
        lastOf(said, adapter('hello')).includes('"Resident"') &&
        lastOf(said, adapter('digits')).includes('"Compiled"') &&
        lastOf(said, adapter('broken')).includes('"Failed"'),
    );
    expect(lastOf(trace, adapter('broken'))).toContain('"reason":"ADAPTER_NOT_FINITE","isFinal":true');
  });

  it('of a rollout that begins, and of a canary, also where its answers take long', async () => {
    tap.slow.add('hollow-1');
    await fleet.apply(await clusterAdapter('upper', 'adapters/upper'));
    await fleet.apply(await clusterAdapter('reverse', 'adapters/reverse'));
    await point('upper', 20);
    await saidBy('a stable adapter', (said) => lastOf(said, adapter('upper')).includes('"Resident"'));
    await point('reverse', 20);
    await saidBy('a canary', (said) => weightIn(said) === 20);
    await point('reverse', 60);
    await saidBy('more weight', (said) => weightIn(said) === 60);
    tap.slow.clear();
  });

  it('of an abort', async () => {
    await fleet.plugin('abort', 'shout');
    await saidBy('no canary', (said) => weightIn(said) === 0);
  });

  it('when it comes back with its plan, of which nothing is sent again', async () => {
    await reconnect();
    const trace = await saidBy('Hello and a first report', (said) => 'base model' in said);
    // Its reports go on as well: it tells of no adapter again.
    expect(Object.keys(trace)).toEqual(['base model', 'hello', 'runtime', 'welcome']);
    expect(lastOf(trace, 'hello')).toContain('"held":[]');
    expect(lastOf(trace, 'welcome')).toContain('"isKept":true');
  });

  it('of an adapter that is deleted', async () => {
    await fleet.cluster.kubectlOk(['-n', fleet.namespace, 'delete', 'ad', 'hello']);
    await saidBy('a removal', (said) => lastOf(said, adapter('hello')) === 'gone');
  });

  it('and counts the bytes that its socket carried', async () => {
    const { traffic } = await hollows.census();
    // TLS alone takes about 2 kB of each connection.
    expect(traffic.connections).toBeGreaterThanOrEqual(2 * hollow.length);
    expect(traffic.receivedBytes).toBeGreaterThan(2_000 * traffic.connections);
    expect(traffic.sentBytes).toBeGreaterThan(1_000 * traffic.connections);
    expect(traffic.sentMessages).toBeGreaterThan(8 * hollow.length);
  });

  it('and is away while its link is cut', async () => {
    await hollows.cut(['hollow-3']);
    await waitFor('one that is away', async () => (await hollows.census()).connected === hollow.length - 1);
    await hollows.restore(['hollow-3']);
    expect((await hollows.whenConnected(20_000)).missing).toEqual([]);
  });
});
