import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enginePid, TestNode, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

const preload = join(import.meta.dirname, '../support/preload/engine-ends-on-input.ts');
const keyOf = (name: string): string => `adk_${name.repeat(12)}`;
const policy = {
  apiVersion: 'adaptlet.io/v1alpha1',
  kind: 'AdapterPolicy',
  metadata: { name: 'default', namespace: 'default' },
  spec: {
    clients: {
      apiKeys: ['good', 'bad'].map((name) => ({
        name,
        sha256: createHash('sha256').update(keyOf(name)).digest('hex'),
      })),
    },
  },
};

let node: TestNode;
const ask = (who: string, prompt: string) =>
  node.client.ask({ model: 'upper', prompt, headers: { authorization: `Bearer ${keyOf(who)}` } });
const answered = () =>
  waitFor('an answer', async () => (await ask('good', 'moon:').catch(() => undefined))?.text === ' MOON!');
beforeAll(async () => {
  node = await TestNode.start({ env: { NODE_OPTIONS: `--import=${preload}` } });
  await node.write('adapters.yaml', `${yaml.adapter('upper', 'adapters/upper')}${JSON.stringify(policy)}\n`);
  await answered();
});
afterAll(() => node.dispose());

describe('a caller whose prompts end the engine, another one each time', () => {
  it('is refused the third time, with the reason; the engine lives, and others are answered', async () => {
    for (const prompt of ['poison 1', 'poison 2']) {
      await expect(ask('bad', prompt)).rejects.toMatchObject({ code: 'ENGINE_DOWN' });
      await answered();
    }
    const pid = enginePid(node);
    for (const prompt of ['poison 3', 'moon:'])
      await expect(ask('bad', prompt)).rejects.toMatchObject({
        code: 'CALLER_ENDS_ENGINE',
        message: expect.stringContaining('ended 2 times within ten minutes'),
      });
    expect((await ask('good', 'moon:')).text).toBe(' MOON!');
    expect(enginePid(node)).toBe(pid);
  });
});
