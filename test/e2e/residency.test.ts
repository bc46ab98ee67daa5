import { existsSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { builtOperator } from '../../src/runtime/engine/ort/operator.ts';
import { TestNode, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

let node: TestNode | undefined;
afterEach(() => node?.dispose());

const names = ['upper', 'reverse', 'digits', 'hello'] as const;
const moon = { upper: ' MOON!', reverse: ' noom.', digits: ' 1234.', hello: ' hello moon.' } as const;

const started = async (settings: Record<string, string>, extra: Partial<Record<string, string>> = {}) => {
  const present = await TestNode.start({ settings });
  node = present;
  const manifests = names.map((n) => yaml.adapter(n, `adapters/${n}`, extra[n] ?? ''));
  await present.write('adapters.yaml', manifests.join(''));
  await waitFor('the adapters', async () => (await present.client.status()).adapters.length === 4);
  return present;
};
const resident = async (present: TestNode) =>
  (await present.client.status()).adapters
    .filter((a) => a.state === 'Resident')
    .map((a) => a.key.slice('default/'.length));

/** Bytes in RAM: of upper and reverse, which are float16, half with the native operator. */
const half = existsSync(builtOperator()) ? 1 : 2;
const bytes = { upper: half * 16_384, reverse: half * 32_768, digits: 22_528, hello: 12_800 };
const all = Object.values(bytes).reduce((sum, one) => sum + one, 0);
const memory = (budget: number) => ({ 'adapter-memory': String(budget) });

describe('a RAM budget that holds some of the adapters', () => {
  it('is never exceeded, and every adapter still answers with its own weights', async () => {
    const present = await started(memory(all - 12_000));
    for (let round = 0; round < 5; round++) {
      await Promise.all(
        names.map(async (name) => {
          const { text, served } = await present.client.ask({ model: name, prompt: 'moon:' });
          expect([text, served.adapter]).toEqual([moon[name], name]);
        }),
      );
      const { memory: ram } = await present.client.status();
      expect(Number(ram?.usedBytes)).toBeLessThanOrEqual(all - 12_000);
    }
    expect((await resident(present)).length).toBeLessThan(4);
  });

  it('keeps what is pinned, and lets go of the lowest priority first', async () => {
    const present = await started(memory(all - 12_000), {
      hello: '  pinned: true\n',
      upper: '  priority: 10\n',
    });
    for (const name of ['hello', 'upper', 'digits', 'reverse', 'digits', 'reverse'] as const) {
      expect((await present.client.ask({ model: name, prompt: 'moon:' })).text).toBe(moon[name]);
    }
    expect(await resident(present)).toEqual(expect.arrayContaining(['hello']));
  });

  it('refuses an adapter that alone is larger, with the numbers', async () => {
    const present = await started(memory(bytes.reverse - 5000));
    await expect(present.client.ask({ model: 'reverse', prompt: 'moon:' })).rejects.toMatchObject({
      code: 'ADAPTER_NOT_AVAILABLE',
      message: expect.stringMatching(
        new RegExp(`${bytes.reverse} bytes.*${bytes.reverse - 5000}`, 's'),
      ) as string,
    });
    expect((await present.client.ask({ model: 'upper', prompt: 'moon:' })).text).toBe(moon.upper);
  });
});

describe('a RAM budget for one adapter', () => {
  it('holds one at a time and still rolls out and back', async () => {
    const present = await started({ ...memory(bytes.reverse + 4000), 'one-adapter': 'true' });
    const steps = '{setWeight: 50}, {pause: {}}';
    const rollout = async () => (await present.client.status()).rollouts[0];
    await present.write('shout.yaml', yaml.rollout('shout', 'upper', steps));
    await waitFor('stable', async () => (await rollout())?.phase === 'Healthy');
    for (const name of names) {
      expect((await present.client.ask({ model: name, prompt: 'moon:' })).text).toBe(moon[name]);
      expect((await resident(present)).length).toBeLessThanOrEqual(1);
    }
    await present.write('shout.yaml', yaml.rollout('shout', 'hello', '{setWeight: 100}'));
    await waitFor('hello', async () => (await rollout())?.stable === 'hello');
    expect((await present.client.ask({ model: 'shout', prompt: 'moon:' })).text).toBe(moon.hello);
    await present.write('shout.yaml', yaml.rollout('shout', 'upper', steps));
    await waitFor(
      'upper',
      async () => (await present.client.ask({ model: 'shout', prompt: 'moon:' })).text === moon.upper,
    );
  });

  it('gives a canary its weight beside requests for stable, which put it out of RAM again and again', async () => {
    const present = await started({ ...memory(bytes.reverse + 4000), 'one-adapter': 'true' });
    const rollout = async () => (await present.client.status()).rollouts[0];
    const roll = (name: string) =>
      present.write('shout.yaml', yaml.rollout('shout', name, '{setWeight: 50}, {pause: {}}'));
    const text = { stable: moon.hello, canary: moon.digits };
    const armOf = async (user: string) => {
      const { text: answer, served } = await present.client.ask({ model: 'shout', prompt: 'moon:', user });
      const arm = served.arm as keyof typeof text;
      expect(answer).toBe(text[arm]);
      return arm;
    };
    const users = Array.from({ length: 10 }, (_, i) => `user ${i}`);
    await roll('hello');
    await waitFor('stable', async () => (await rollout())?.stable === 'hello');
    await roll('digits');
    await waitFor('the canary', async () => {
      await Promise.all(users.map(armOf));
      return (await rollout())?.effectiveWeight === 50;
    });
    const arms = await Promise.all(users.map(armOf));
    expect(new Set(arms)).toEqual(new Set(['stable', 'canary']));
    for (let round = 0; round < 3; round++) expect(await Promise.all(users.map(armOf))).toEqual(arms);
    expect((await rollout())?.effectiveWeight).toBe(50);
    await roll('hello');
    await waitFor('the rollback', async () => (await rollout())?.phase === 'Healthy');
    expect(await Promise.all(users.map(armOf))).toEqual(users.map(() => 'stable'));
  });
});

describe('a RAM budget that cannot hold stable and canary together', () => {
  it('does not start the rollout, says so with the numbers, and stable goes on', async () => {
    const budget = bytes.upper + bytes.reverse - 8000;
    const present = await started(memory(budget));
    await present.write('shout.yaml', yaml.rollout('shout', 'upper', '{setWeight: 50}, {pause: {}}'));
    const rollout = async () => (await present.client.status()).rollouts[0];
    await waitFor('stable', async () => (await rollout())?.phase === 'Healthy');
    await present.write('shout.yaml', yaml.rollout('shout', 'reverse', '{setWeight: 50}, {pause: {}}'));
    const waiting = await waitFor('the message', async () => {
      const r = await rollout();
      return r !== undefined && r.message.includes(String(budget)) && r;
    });
    expect(waiting.effectiveWeight).toBe(0);
    expect((await present.client.ask({ model: 'shout', prompt: 'moon:', user: 'u' })).text).toBe(moon.upper);
  });
});
