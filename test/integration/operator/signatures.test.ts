import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AdapterStatus } from '../../../src/api/adapter-status.ts';
import { conditionOf } from '../../../src/api/condition.ts';
import { adaptlet } from '../../support/cli.ts';
import { TestFleet } from '../../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import type { TestNode } from '../../support/node.ts';
import { hasRegistry, TestRegistry } from '../../support/registry.ts';
import { folderOfTests } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait.ts';

const kind = (name: string, metadata: string, spec: object): string =>
  JSON.stringify({ apiVersion: 'adaptlet.io/v1alpha1', kind: name, metadata: { name: metadata }, spec });
const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const waitMs = 90_000;

describe.skipIf(!hasRegistry)(
  'signed adapters in a cluster (needs go to build the registry and oras)',
  () => {
    const stack = new AsyncDisposableStack();
    const [old, next] = [newKey(), newKey()];
    let fleet: TestFleet;
    let registry: TestRegistry;
    let node: TestNode;
    const root = folderOfTests();

    beforeAll(async () => {
      registry = stack.use(await TestRegistry.start());
      fleet = stack.use(await TestFleet.start({ replicas: 1, runtimes: 1 }));
      node = fleet.nodes[0] as TestNode;
    });
    afterAll(() => stack.disposeAsync());

    const policy = (...keys: readonly ReturnType<typeof newKey>[]): Promise<string> =>
      fleet.apply(
        kind('AdapterPolicy', 'default', {
          clients: { anonymous: 'Allow' },
          signatures: {
            keys: keys.map(({ publicKey }, index) => ({
              name: `key-${index}`,
              publicKey: publicKey.export({ type: 'spki', format: 'pem' }),
            })),
          },
        }),
      );
    const sign = async ({ privateKey }: ReturnType<typeof newKey>): Promise<void> => {
      const file = join(root, 'cosign.key');
      await writeFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }));
      const signed = await adaptlet('sign', `${registry.host}/team/sql:v1`, '--key', file);
      expect(signed).toMatchObject({ code: 0, stderr: '' });
    };
    const saysCondition = (text: string): Promise<unknown> =>
      waitFor(
        `the Adapter to say: ${text}`,
        async () => {
          const found = await fleet.get<{ status?: AdapterStatus }>('ad', 'sql-v1');
          const condition = conditionOf(found?.status?.conditions, 'SignatureVerified');
          return condition !== undefined && `${condition.status} ${condition.reason}`.includes(text);
        },
        waitMs,
      );
    const isAnswered = async (): Promise<boolean> => {
      try {
        return (await askMoon(node, 'sql')).text === moon.upper;
      } catch {
        return false;
      }
    };

    it('are rolled out once they are signed, and served no more once their key is taken away', async () => {
      const digest = await registry.push('team/sql:v1', 'upper');
      await policy(old);
      const source = { oci: { image: `${registry.host}/team/sql:v1` } };
      await fleet.apply(kind('Adapter', 'sql-v1', { baseModel: 'tiny', source, digest }));
      await fleet.apply(rolloutYaml('sql', 'sql-v1', ''));
      await saysCondition('False SignatureMissing');
      expect((await fleet.rollout('sql'))?.stable).toBeUndefined();
      await sign(old);
      await saysCondition('True SignatureVerified');
      await waitFor('an answer of the signed adapter', isAnswered, waitMs);
      await policy(next);
      await saysCondition('False SignatureUntrusted');
      await waitFor('no answer any more', async () => !(await isAnswered()), waitMs);
      await policy(next, old);
      await saysCondition('True SignatureVerified');
      await waitFor('an answer by the key that is back', isAnswered, waitMs);
    });
  },
);
