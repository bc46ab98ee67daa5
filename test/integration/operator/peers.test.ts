import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AdapterStatus } from '../../../src/api/adapter-status.ts';
import { systemNamespace, TestFleet } from '../../support/fleet.ts';
import { askMoon, moon } from '../../support/moon.ts';
import { hasRegistry, TestRegistry } from '../../support/registry.ts';
import { waitFor } from '../../support/wait.ts';

const reason = hasRegistry ? '' : ' (SKIPPED: go is not installed, so the registry and oras cannot be built)';
const zone = 'topology.kubernetes.io/zone';
const annotation = 'adaptlet.io/peer-address';
const count = 4;

type Runtime = {
  readonly metadata: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
};

describe.skipIf(!hasRegistry)(`runtimes of a site${reason}`, () => {
  const stack = new AsyncDisposableStack();
  let registry: TestRegistry;
  let fleet: TestFleet;
  beforeAll(async () => {
    registry = stack.use(await TestRegistry.start());
    const nodeSettings = { 'peers-listen': '127.0.0.1:0', 'peers-host': '127.0.0.1' };
    fleet = stack.use(await TestFleet.start({ replicas: 2, runtimes: count, nodeSettings }));
    for (let i = 0; i < count; i++)
      await fleet.cluster.kubectlOk(['label', 'node', `node-${i}`, `${zone}=hall-1`]);
    for (let i = 0; i < count; i++) {
      const labelled = async () => (await runtime(i))?.metadata.labels?.[zone] === 'hall-1';
      await waitFor(`the label of node-${i}`, labelled);
      await fleet.nodes[i]?.end();
      await fleet.restartNode(i);
    }
  });
  afterAll(() => stack.disposeAsync());

  const runtime = (index: number) => fleet.get<Runtime>('adr', `node-${index}`, systemNamespace);
  const metric = async (index: number, name: string): Promise<number> => {
    const text = await (await fetch(`${fleet.nodes[index]?.http}/metrics`)).text();
    return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
  };
  const sumOf = async (name: string): Promise<number> => {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += await metric(i, name);
    return sum;
  };

  it('say where they are, by their AdapterRuntimes', async () => {
    const places = new Set<string>();
    for (let i = 0; i < count; i++) {
      const found = await waitFor(`the address of node-${i}`, async () => {
        const { annotations, labels } = (await runtime(i))?.metadata ?? {};
        return labels?.[zone] === 'hall-1' && annotations?.[annotation];
      });
      expect(found).toMatch(/^127\.0\.0\.1:\d+$/);
      places.add(found);
    }
    expect(places.size).toBe(count);
  });

  it('read each blob of an adapter over the uplink once or twice, and all serve it', async () => {
    await registry.push('team-a/sql:v1', 'upper');
    await fleet.apply(
      `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: sql}\nspec:\n  baseModel: tiny\n  source: {oci: {image: "${registry.host}/team-a/sql:v1"}}\n  preload: {tier: Memory}\n`,
    );
    await waitFor('the adapter on every runtime', async () => {
      const { status } = (await fleet.get<{ status?: AdapterStatus }>('ad', 'sql')) ?? {};
      return status?.conditions.some(({ type, status: is }) => type === 'Ready' && is === 'True');
    });
    for (const node of fleet.nodes)
      expect(await waitFor('an answer', () => askMoon(node, 'sql'))).toMatchObject({ text: moon.upper });
    const reads = new Map<string, number>();
    for (const path of registry.reads.filter((one) => one.startsWith('/v2/team-a/sql/blobs/')))
      reads.set(path, (reads.get(path) ?? 0) + 1);
    expect(reads.size).toBeGreaterThan(1);
    for (const times of reads.values()) expect(times).toBeLessThanOrEqual(2);
    const came = await sumOf('adaptlet_blob_bytes_total\\{result="peer"\\}');
    expect(came).toBeGreaterThan(0);
    expect(await sumOf('adaptlet_peer_sent_bytes_total')).toBe(came);
  });
});
