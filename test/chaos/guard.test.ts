import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enginePid, TestNode, yaml } from '../support/node.ts';
import { traffic } from '../support/traffic.ts';
import { waitFor } from '../support/wait.ts';

const steps = '{setWeight: 100}, {pause: {}}';
const strict = '  guard: {maxConsecutiveErrors: 1}\n';
let node: TestNode;
beforeAll(async () => {
  node = await TestNode.start();
  await node.write(
    'adapters.yaml',
    yaml.adapter('upper', 'adapters/upper') + yaml.adapter('reverse', 'adapters/reverse'),
  );
  await node.write('shout.yaml', yaml.rollout('shout', 'upper', steps, strict));
  await waitFor('stable', async () => (await rollout())?.phase === 'Healthy');
});
afterAll(() => node.dispose());
const rollout = async () => (await node.client.status()).rollouts[0];

describe('the guard of a rollout', () => {
  it('takes a canary whose requests fail out of service on this node, without anybody', async () => {
    await node.write('shout.yaml', yaml.rollout('shout', 'reverse', steps, strict));
    await waitFor('the canary', async () => (await rollout())?.effectiveWeight === 100);
    const load = traffic(() => node, {
      model: 'shout',
      prompt: 'moon:',
      allowed: new Set([' MOON!', ' noom.']),
    });
    await waitFor('answers', () => load.answered() > 20);
    // The only failure that can be made from outside: the engine dies under the canary's requests.
    process.kill(await waitFor('the engine', () => enginePid(node)), 'SIGKILL');
    const held = await waitFor('the guard', async () => {
      const r = await rollout();
      return r?.held !== '' && r;
    });
    expect(held).toMatchObject({ phase: 'Degraded', effectiveWeight: 0 });
    expect(held.held).toContain('consecutive errors');
    await load.stop();
    expect((await node.client.ask({ model: 'shout', prompt: 'moon:', user: 'u' })).served).toMatchObject({
      adapter: 'upper',
      arm: 'stable',
    });
  });

  it('stays tripped across a restart and a change of the steps', async () => {
    const { folder } = node;
    await node.end('SIGKILL');
    node = await TestNode.start({ folder });
    await node.write('shout.yaml', yaml.rollout('shout', 'reverse', '{setWeight: 50}, {pause: {}}', strict));
    await waitFor(
      'stable',
      async () => (await node.client.ask({ model: 'shout', prompt: 'moon:', user: 'u' })).text === ' MOON!',
    );
    expect(await rollout()).toMatchObject({ phase: 'Degraded', effectiveWeight: 0 });
  });

  it('lets the canary try again when a person says so', async () => {
    await new Promise((resolve, reject) => {
      node.client.admin.retry({ rollout: 'shout' }, (error, value) =>
        error === null ? resolve(value) : reject(error),
      );
    });
    await waitFor('the canary', async () => (await rollout())?.effectiveWeight === 50);
    expect((await rollout())?.held).toBe('');
  });
});
