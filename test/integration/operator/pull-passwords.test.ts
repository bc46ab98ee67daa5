import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClosedRegistry } from '../../support/closed-registry.ts';
import { letReadSecrets, TestFleet } from '../../support/fleet.ts';
import { leaksBelow, leaksIn } from '../../support/leaks.ts';
import { askMoon, moon } from '../../support/moon.ts';
import type { TestNode } from '../../support/node.ts';
import { hasRegistry } from '../../support/registry.ts';
import { waitFor } from '../../support/wait.ts';

const reason = hasRegistry ? '' : ' (SKIPPED: go is not installed, so the registry and oras cannot be built)';

describe.skipIf(!hasRegistry)(`a pullSecretRef for a registry without tokens${reason}`, () => {
  const stack = new AsyncDisposableStack();
  const auth = { kind: 'basic', user: 'edge', password: randomBytes(18).toString('base64url') } as const;
  let registry: ClosedRegistry;
  let fleet: TestFleet;
  let node: TestNode;
  let digest: string;
  beforeAll(async () => {
    registry = stack.use(await ClosedRegistry.start(auth));
    fleet = stack.use(await TestFleet.start({ replicas: 1, runtimes: 1 }));
    node = fleet.nodes[0] as TestNode;
    await letReadSecrets(fleet);
    digest = await registry.push('team/sql:v1', 'upper');
    await fleet.apply(registry.secret('login', fleet.namespace, auth.password));
    await fleet.apply(registry.adapter('sql', fleet.namespace, 'team/sql:v1', 'login'));
  });
  afterAll(() => stack.disposeAsync());

  const status = async (): Promise<string> => JSON.stringify(await fleet.get('ad', 'sql'));

  it('resolves tags, and gives nodes nothing', async () => {
    const text = await waitFor('the failure', async () => {
      const now = await status();
      return now.includes('gives no tokens, and nodes get no passwords') && now;
    });
    expect(text).toContain(`"digest":"${digest}"`);
    expect(text).toContain('credentials.passwords: allow');
    expect(leaksIn(node.log.join('\n'), new Map([['password', auth.password]]))).toEqual([]);
  });

  it('gives nodes the password where the administrator allows it, who write it nowhere', async () => {
    await fleet.operators[0]?.end();
    await fleet.startOperator(0, { 'registry-passwords': 'allow' });
    await waitFor('the adapter', async () => (await askMoon(node, 'sql')).text === moon.upper, 60_000);
    const secrets = new Map([['password', auth.password]]);
    expect(leaksIn(await status(), secrets)).toEqual([]);
    const logs = [...node.log, ...(fleet.operators[0]?.log ?? [])].join('\n');
    expect(leaksIn(logs, secrets)).toEqual([]);
    const { leaks, files } = await leaksBelow(node.data, secrets);
    expect([leaks, files > 3]).toEqual([[], true]);
  });
});
