import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AdapterStatus } from '../../../src/api/adapter-status.ts';
import { TestFleet } from '../../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import { hasRegistry, TestRegistry } from '../../support/registry.ts';
import { waitFor } from '../../support/wait.ts';

const reason = hasRegistry ? '' : ' (SKIPPED: go is not installed, so the registry and oras cannot be built)';

describe.skipIf(!hasRegistry)(`a tag in an Adapter${reason}`, () => {
  const stack = new AsyncDisposableStack();
  let registry: TestRegistry;
  let fleet: TestFleet;
  beforeAll(async () => {
    registry = stack.use(await TestRegistry.start());
    fleet = stack.use(await TestFleet.start({ replicas: 2, runtimes: 2 }));
  });
  afterAll(() => stack.disposeAsync());

  const apply = (name: string, image: string, more = ''): Promise<string> =>
    fleet.apply(
      `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: ${name}}\nspec:\n  baseModel: tiny\n  source: {oci: {image: "${registry.host}/${image}"}}\n  preload: {tier: Memory}\n${more}`,
    );
  const statusOf = async (name: string): Promise<AdapterStatus | undefined> =>
    (await fleet.get<{ status?: AdapterStatus }>('ad', name))?.status;
  const conditionOf = async (name: string, type: string) =>
    (await statusOf(name))?.conditions.find((condition) => condition.type === type);
  const ready = (name: string) =>
    waitFor(`${name} on every runtime`, async () => {
      const status = await statusOf(name);
      return status?.conditions.some(({ type, status: is }) => type === 'Ready' && is === 'True') && status;
    });
  /** How often somebody asked what the tag means. */
  const asked = (repository: string, tag: string): number =>
    registry.reads.filter((path) => path === `/v2/${repository}/manifests/${tag}`).length;
  /** Every runtime answers with the adapter of this digest. */
  const served = async (model: string, text: string, digest: string): Promise<void> => {
    for (const node of fleet.nodes) {
      const answer = await waitFor('an answer', () => askMoon(node, model));
      expect(answer).toMatchObject({ text, served: { digest } });
    }
  };

  let first: string;
  it('is resolved once, by the leader, and is that digest for every runtime', async () => {
    first = await registry.push('team-a/sql:v1', 'upper');
    await apply('sql', 'team-a/sql:v1');
    expect(await ready('sql')).toMatchObject({ digest: first });
    expect(await conditionOf('sql', 'Resolved')).toMatchObject({ status: 'True', reason: 'TagResolved' });
    await served('sql', moon.upper, first);
    expect(asked('team-a/sql', 'v1')).toBe(1);
    expect(asked('team-a/sql', first)).toBe(2);
    const { identity } = await fleet.leader();
    const event = await waitFor('the event', async () => {
      const text = await fleet.cluster.kubectlOk([
        '-n',
        fleet.namespace,
        'get',
        'events.events.k8s.io',
        '-o',
        'json',
      ]);
      type Event = {
        readonly note: string;
        readonly regarding: { readonly name: string };
        readonly reportingInstance: string;
      };
      const { items } = JSON.parse(text) as { readonly items: readonly Event[] };
      return items.find(({ regarding, note }) => regarding.name === 'sql' && note.includes(first));
    });
    expect(event.reportingInstance).toBe(identity);
  });

  let moved: string;
  it('means the same after it moved, also to the next leader and to a runtime that starts anew', async () => {
    moved = await registry.push('team-a/sql:v1', 'reverse');
    expect(moved).not.toBe(first);
    const leader = await fleet.leader();
    await leader.end('SIGKILL');
    await apply('sql', 'team-a/sql:v1', '  priority: 7\n');
    await waitFor(
      'the next leader to look at it',
      async () => (await statusOf('sql'))?.observedGeneration === 2,
    );
    await fleet.nodes[0]?.end('SIGTERM');
    await fleet.startNode(0);
    expect(await ready('sql')).toMatchObject({ digest: first });
    await served('sql', moon.upper, first);
    expect(asked('team-a/sql', 'v1')).toBe(1);
  });

  it('cannot be pointed elsewhere in an Adapter that exists', async () => {
    await expect(apply('sql', 'team-a/sql:v2')).rejects.toThrow(/immutable/);
  });

  it('means what it is now to a new Adapter, to which a rollout moves', async () => {
    await fleet.apply(rolloutYaml('shout', 'sql', '{setWeight: 100}'));
    await waitFor('stable', async () => (await fleet.rollout('shout'))?.stable?.digest === first);
    await apply('sql-2', 'team-a/sql:v1');
    expect(await ready('sql-2')).toMatchObject({ digest: moved });
    expect(asked('team-a/sql', 'v1')).toBe(2);
    await fleet.apply(rolloutYaml('shout', 'sql-2', '{setWeight: 100}'));
    await waitFor('the new stable', async () => (await fleet.rollout('shout'))?.stable?.digest === moved);
    await waitFor('it on every runtime', async () => {
      const answers = await Promise.all(fleet.nodes.map((node) => askMoon(node, 'shout')));
      return answers.every(({ text }) => text === moon.reverse);
    });
    await served('shout', moon.reverse, moved);
    await served('sql', moon.upper, first);
  });

  it('that does not exist is asked for again, and until then the Adapter says what to do', async () => {
    await apply('late', 'team-a/late:v1');
    const failed = await waitFor('the verdict', async () => {
      const condition = await conditionOf('late', 'Resolved');
      return condition?.reason === 'ResolveFailed' && condition;
    });
    expect(failed).toMatchObject({ status: 'False' });
    expect(failed.message).toContain('ARTIFACT_NOT_FOUND');
    expect(failed.message).toContain(`${registry.host}/team-a/late:v1`);
    expect(failed.message).toContain('Check the name and the tag, and that the artifact was pushed');
    const digest = await registry.push('team-a/late:v1', 'digits');
    expect(await ready('late')).toMatchObject({ digest });
    await served('late', moon.digits, digest);
  });

  it('of a registry that does not answer is asked for again, and until then the Adapter says what to do', async () => {
    const digest = await registry.push('team-a/far:v1', 'hello');
    registry.shut();
    await apply('far', 'team-a/far:v1');
    const failed = await waitFor('the verdict', async () => {
      const condition = await conditionOf('far', 'Resolved');
      return condition?.reason === 'ResolveFailed' && condition;
    });
    expect(failed.message).toContain('REGISTRY_UNAVAILABLE');
    expect(failed.message).toContain(registry.host);
    expect(failed.message).toContain('it is tried again. Check the network');
    expect(asked('team-a/far', 'v1')).toBe(0);
    await served('sql', moon.upper, first);
    registry.open();
    expect(await ready('far')).toMatchObject({ digest });
    await served('far', moon.hello, digest);
  });
});
