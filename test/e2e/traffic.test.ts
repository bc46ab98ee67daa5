import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestNode, yaml } from '../support/node.ts';
import { traffic } from '../support/traffic.ts';
import { waitFor } from '../support/wait.ts';

let node: TestNode;
beforeAll(async () => {
  node = await TestNode.start();
  const names = ['upper', 'reverse', 'digits', 'hello'];
  await node.write('adapters.yaml', names.map((n) => yaml.adapter(n, `adapters/${n}`)).join(''));
  await node.write('broken.yaml', yaml.adapter('broken', 'variants/broken-shape'));
  await node.write('shout.yaml', yaml.rollout('shout', 'upper', steps));
  await waitFor('stable', async () => (await rollout())?.phase === 'Healthy');
});
afterAll(() => node.dispose());

const steps = '{setWeight: 30}, {pause: {}}, {setWeight: 80}, {pause: {}}';
const rollout = async () => (await node.client.status()).rollouts.find((r) => r.key === 'default/shout');
const steer = (verb: 'promote' | 'abort' | 'rollback' | 'retry') =>
  new Promise((resolve, reject) => {
    node.client.admin[verb]({ rollout: 'shout', full: false }, (error, value) =>
      error === null ? resolve(value) : reject(error),
    );
  });

describe('under traffic', () => {
  it('no request fails and none is answered by weights that no rollout asked for', async () => {
    const allowed = new Set([' MOON!', ' noom.', ' 1234.', ' hello moon.']);
    const load = traffic(() => node, { model: 'shout', prompt: 'moon:', allowed, width: 6 });
    const some = async () => {
      const before = load.answered();
      await waitFor('answers', () => load.answered() > before + 20);
    };
    const weight = (percent: number) =>
      waitFor(`${percent} %`, async () => (await rollout())?.effectiveWeight === percent);
    const phase = (name: string) => waitFor(name, async () => (await rollout())?.phase === name);

    for (const [next, back] of [
      ['reverse', 'upper'],
      ['digits', 'reverse'],
    ] as const) {
      await node.write('shout.yaml', yaml.rollout('shout', next, steps));
      await weight(30);
      await some();
      await steer('promote');
      await weight(80);
      await some();
      await steer('promote');
      await phase('Healthy');
      await some();
      await node.write('shout.yaml', yaml.rollout('shout', back, steps));
      await waitFor(back, async () => (await rollout())?.stable === back);
      await some();
      await node.write('shout.yaml', yaml.rollout('shout', next, steps));
      await waitFor(next, async () => (await rollout())?.stable === next);
    }
    await node.write('shout.yaml', yaml.rollout('shout', 'broken', steps));
    await phase('Degraded');
    await some();
    await node.write('shout.yaml', yaml.rollout('shout', 'hello', steps));
    await weight(30);
    await steer('rollback');
    await some();
    await steer('retry');
    await weight(30);
    await steer('abort');
    await some();
    // Removed while it serves: its rollout keeps it.
    await node.write('adapters.yaml', yaml.adapter('hello', 'adapters/hello'));
    await some();
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(load.wrong).toEqual([]);
    expect(load.answered()).toBeGreaterThan(200);
  });

  it('switching adapters with every request answers each with its own weights', async () => {
    const moon = { upper: ' MOON!', reverse: ' noom.', digits: ' 1234.', hello: ' hello moon.' } as const;
    await node.write(
      'adapters.yaml',
      Object.keys(moon)
        .map((n) => yaml.adapter(n, `adapters/${n}`))
        .join(''),
    );
    await waitFor('all', async () => (await node.client.status()).adapters.length >= 5);
    const lanes = Object.entries(moon).map(async ([name, text]) => {
      for (let i = 0; i < 50; i++) {
        const answer = await node.client.ask({ model: name, prompt: 'moon:' });
        expect([answer.text, answer.served.adapter]).toEqual([text, name]);
      }
    });
    await Promise.all(lanes);
  });
});
