import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enginePid, TestNode, yaml } from '../support/node.ts';
import { traffic } from '../support/traffic.ts';
import { waitFor } from '../support/wait.ts';

let node: TestNode;
beforeAll(async () => {
  node = await TestNode.start();
  await node.write(
    'adapters.yaml',
    yaml.adapter('upper', 'adapters/upper') + yaml.adapter('reverse', 'adapters/reverse'),
  );
  await waitFor(
    'an answer',
    async () => (await node.client.ask({ model: 'upper', prompt: 'moon:' })).text === ' MOON!',
  );
});
afterAll(() => node.dispose());

/** Requests that this runtime has taken and not answered. */
const underWay = async (): Promise<number> => {
  const text = await (await fetch(`${node.http}/metrics`)).text();
  const counts = [...text.matchAll(/^vllm:num_requests_(?:running|waiting) (\d+)$/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
};

const portOpen = (): Promise<boolean> =>
  new Promise((resolve) => {
    const [host, port] = node.grpc.split(':');
    const socket = connect(Number(port), host ?? '');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

describe('kill -9 of the engine process under load', () => {
  it('costs only the requests that ran on it; the port stays open and the adapters come back', async () => {
    await using load = traffic(() => node, {
      model: 'upper',
      prompt: 'moon:',
      allowed: new Set([' MOON!']),
      width: 6,
    });
    let closed = 0;
    for (let round = 0; round < 3; round++) {
      const before = load.answered();
      await waitFor('answers', () => load.answered() > before + 30);
      const pid = await waitFor('the engine', () => enginePid(node));
      // It finishes nothing more: what is under way then is lost with it.
      process.kill(pid, 'SIGSTOP');
      await waitFor('a request in each lane', async () => (await underWay()) === 6);
      process.kill(pid, 'SIGKILL');
      for (let i = 0; i < 20; i++) if (!(await portOpen())) closed++;
      await waitFor('another engine', () => enginePid(node) !== undefined && enginePid(node) !== pid);
      await waitFor(
        'answers again',
        async () => (await node.client.ask({ model: 'upper', prompt: 'moon:' })).text === ' MOON!',
      );
    }
    await load.stop();
    expect(closed).toBe(0);
    expect(load.wrong).toEqual([]);
    expect(new Set(load.failures.map((f) => f.code))).toEqual(new Set(['ENGINE_DOWN']));
    // Six lanes, three deaths: no request but those under way may fail.
    expect(load.failures.length).toBeLessThanOrEqual(18);
    expect((await node.client.status()).engine).toBe('ready');
  });

  it('has what is prepared of the base model counted anew', async () => {
    const used = async (): Promise<number> => {
      const text = await (await fetch(`${node.http}/metrics`)).text();
      return Number(/^adaptlet_node_disk_used_bytes (\d+)$/m.exec(text)?.[1]);
    };
    const before = await used();
    await writeFile(join(node.data, 'base/more'), Buffer.alloc(5_000_000));
    process.kill(await waitFor('the engine', () => enginePid(node)), 'SIGKILL');
    await waitFor('what is there', async () => (await used()) >= before + 5_000_000);
    await rm(join(node.data, 'base/more'));
  });

  it('does not trip the guard of a rollout', async () => {
    const steps = '{setWeight: 50}, {pause: {}}';
    await node.write('shout.yaml', yaml.rollout('shout', 'upper', steps));
    await waitFor('stable', async () => (await node.client.status()).rollouts[0]?.phase === 'Healthy');
    await node.write('shout.yaml', yaml.rollout('shout', 'reverse', steps));
    await waitFor('the canary', async () => (await node.client.status()).rollouts[0]?.effectiveWeight === 50);
    await using load = traffic(() => node, {
      model: 'shout',
      prompt: 'moon:',
      allowed: new Set([' MOON!', ' noom.']),
      width: 12,
    });
    await waitFor('answers', () => load.answered() > 30);
    process.kill(await waitFor('the engine', () => enginePid(node)), 'SIGKILL');
    const before = load.answered();
    await waitFor('answers', () => load.answered() > before + 30);
    await load.stop();
    expect(load.wrong).toEqual([]);
    await waitFor(
      'the canary again',
      async () => (await node.client.status()).rollouts[0]?.effectiveWeight === 50,
    );
    expect((await node.client.status()).rollouts[0]?.held).toBe('');
  });
});

describe('a prompt that ends the engine each time', () => {
  it.each([
    ['when the engine begins to work on it', 'poison'],
    ['with a token of its answer, beside an answer to another one', 'venom'],
  ])(
    '%s is refused the third time, with its reason, and ends it no more; others are answered',
    async (_, deadly) => {
      const preload = join(import.meta.dirname, '../support/preload/engine-ends-on-input.ts');
      const poisoned = await TestNode.start({ env: { NODE_OPTIONS: `--import=${preload}` } });
      try {
        await poisoned.write('adapters.yaml', yaml.adapter('upper', 'adapters/upper'));
        const ask = (prompt: string) => poisoned.client.ask({ model: 'upper', prompt });
        const answers = () =>
          waitFor('an answer', async () => (await ask('moon:').catch(() => undefined))?.text === ' MOON!');
        await answers();
        for (let time = 0; time < 2; time += 1) {
          const beside = ask('moon:').catch(() => undefined);
          await expect(ask(deadly)).rejects.toMatchObject({ code: 'ENGINE_DOWN' });
          await beside;
          await answers();
        }
        const pid = enginePid(poisoned);
        await expect(ask(deadly)).rejects.toMatchObject({
          code: 'INPUT_ENDS_ENGINE',
          message: expect.stringContaining('ended 2 times'),
        });
        expect((await ask('moon:')).text).toBe(' MOON!');
        expect(enginePid(poisoned)).toBe(pid);
      } finally {
        await poisoned.dispose();
      }
    },
  );
});

describe('an engine process that ends before it is ready for the first time', () => {
  it('is started again, and the runtime that waits for it comes up', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'adaptlet-node-'));
    const preload = join(import.meta.dirname, '../support/preload/engine-ends-once.ts');
    const env = { NODE_OPTIONS: `--import=${preload}`, ADAPTLET_TEST_ENDED: join(folder, 'ended') };
    const late = await TestNode.start({ folder, env });
    try {
      expect(late.log.some((line) => line.includes('the engine process ended'))).toBe(true);
      expect((await late.client.status()).engine).toBe('ready');
    } finally {
      await late.dispose();
    }
  });
});
