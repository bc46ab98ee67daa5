import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../cluster/ports.ts';
import { TestFleet } from '../../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import type { TestNode } from '../../support/node.ts';
import type { TestOperator } from '../../support/operator.ts';
import { hasRegistry, TestRegistry } from '../../support/registry.ts';
import { waitFor } from '../../support/wait.ts';

const reason = hasRegistry ? '' : ' (SKIPPED: go is not installed, so the registry and oras cannot be built)';

// A machine that boots starts everything at once. What comes first waits, and needs nobody to start it again.
describe.skipIf(!hasRegistry)(`what starts before what it needs${reason}`, () => {
  const stack = new AsyncDisposableStack();
  let fleet: TestFleet;
  let registry: TestRegistry;
  let readyz: string;
  beforeAll(async () => {
    registry = stack.use(await TestRegistry.start());
    const port = await freePort();
    readyz = `http://127.0.0.1:${port}/readyz`;
    const operatorSettings = { 'http-listen': `127.0.0.1:${port}` };
    fleet = stack.use(await TestFleet.start({ replicas: 1, runtimes: 0, operatorSettings }));
    const digest = await registry.push('team/upper:v1', 'upper');
    registry.shut();
    await fleet.apply(
      `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: upper}\nspec:\n  baseModel: tiny\n  source: {oci: {image: "${registry.host}/team/upper:v1"}}\n  digest: ${digest}\n  preload: {tier: Memory}\n---\n${rolloutYaml('shout', 'upper', '{setWeight: 100}')}`,
    );
    await fleet.operators[0]?.end('SIGKILL');
  });
  afterAll(() => stack.disposeAsync());
  const node = () => fleet.nodes[0] as TestNode;

  it('a runtime serves without an operator and says that it is not there', async () => {
    await fleet.startNode(0);
    const { operator } = await waitFor('a try', async () => {
      const status = await node().client.status();
      return status.operator?.lastError !== '' && status;
    });
    expect(operator?.state).not.toBe('connected');
    expect((await askMoon(node(), 'tiny')).text).toBe(moon.base);
  });

  let starting: Promise<TestOperator>;
  it('an operator waits for an API server that refuses connections, and is ready when it is there', async () => {
    await fleet.cluster.stopApiServer('SIGKILL');
    starting = fleet.restartOperator(0);
    const said = await Promise.race([
      starting,
      waitFor('an operator that waits', async () => {
        const answer = await fetch(readyz);
        const text = await answer.text();
        return text.includes('ECONNREFUSED') && { status: answer.status, text };
      }),
    ]);
    expect(said).toMatchObject({ status: 503, text: expect.stringContaining('no list was read yet') });
    expect((await fetch(readyz.replace('readyz', 'livez'))).ok).toBe(true);
    await fleet.cluster.startApiServer();
    await starting;
    await waitFor('it to be ready', async () => (await fetch(readyz)).ok);
  });

  it('the runtime connects to the operator by itself, and waits for a registry that refuses connections', async () => {
    const adapter = await waitFor('a try', async () => {
      const { operator, adapters } = await node().client.status();
      return operator?.state === 'connected' && adapters.find(({ message }) => message !== '');
    });
    expect(adapter).toMatchObject({ key: `${fleet.namespace}/upper` });
    registry.open();
    // Nobody asks for it meanwhile: a request would start the next try.
    await waitFor('the next try', async () => {
      const { adapters } = await node().client.status();
      return adapters.some(({ state }) => state === 'Resident');
    });
    await waitFor('upper', async () => (await askMoon(node(), 'shout')).text === moon.upper, 60_000);
  });
});
