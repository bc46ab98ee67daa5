import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestNode, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

let node: TestNode;
beforeAll(async () => {
  node = await TestNode.start({ settings: { 'max-concurrent': '4', 'max-queue': '8' } });
  await node.write(
    'adapters.yaml',
    yaml.adapter('upper', 'adapters/upper') + yaml.adapter('reverse', 'adapters/reverse'),
  );
  await waitFor(
    'upper',
    async () => (await node.client.ask({ model: 'upper', prompt: 'moon:' })).text === ' MOON!',
  );
});
afterAll(() => node.dispose());

const inUse = async () => (await node.client.status()).adapters.map((a) => a.references);

describe('clients that leave', () => {
  it('give back their references: the adapter can be evicted after', async () => {
    for (let round = 0; round < 10; round++) {
      const leaving = Array.from({ length: 6 }, (_, i) => {
        const signal = AbortSignal.timeout(i * 3);
        return node.client
          .ask({ model: i % 2 === 0 ? 'upper' : 'reverse', prompt: 'moon:', maxTokens: 200, signal })
          .catch(() => undefined);
      });
      await Promise.all(leaving);
    }
    await waitFor('no reference', async () => (await inUse()).every((n) => n === 0));
    await new Promise<void>((resolve, reject) => {
      node.client.admin.evict({ adapter: 'upper' }, (error) => (error === null ? resolve() : reject(error)));
    });
    expect((await node.client.ask({ model: 'upper', prompt: 'moon:' })).text).toBe(' MOON!');
  });

  it('that come too many at once are told to wait, and the others are answered', async () => {
    const answers = await Promise.allSettled(
      Array.from({ length: 60 }, (_, i) =>
        node.client.ask({ model: 'upper', prompt: 'moon:', user: `u${i}` }),
      ),
    );
    const refused = answers
      .filter((a) => a.status === 'rejected')
      .map((a) => (a.reason as { code: string }).code);
    expect(new Set(refused)).toEqual(refused.length === 0 ? new Set() : new Set(['QUEUE_FULL']));
    for (const answer of answers) if (answer.status === 'fulfilled') expect(answer.value.text).toBe(' MOON!');
    expect(answers.filter((a) => a.status === 'fulfilled').length).toBeGreaterThanOrEqual(12);
  });

  it('with a deadline that is too short get DEADLINE_EXCEEDED and leave nothing behind', async () => {
    await Promise.all(
      Array.from({ length: 4 }, () =>
        node.client
          .ask({ model: 'upper', prompt: 'moon:', maxTokens: 200, timeoutMs: 1 })
          .catch((error: unknown) => {
            expect((error as { status: number }).status).toBe(4);
          }),
      ),
    );
    await waitFor('no reference', async () => (await inUse()).every((n) => n === 0));
  });
});
