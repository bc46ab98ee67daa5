import { expect, it } from 'vitest';
import { aPolicy } from '../../plan/manifests.fixture.ts';
import { RolloutWorld, steps } from './world.fixture.ts';

it('a rollout waits for the nodes that the policy of its namespace leaves it, and for no other', async () => {
  const world = new RolloutWorld();
  world.cluster.apply(aPolicy('team-a', { runtimes: { nodes: { matchLabels: { pool: 'edge' } } } }));
  world.adapter('v1');
  world.join('a', { pool: 'edge' }).join('b', { pool: 'core' }).join('team-a/pod', {});
  world.spec({ adapter: 'v1', ...steps(10) });
  await world.settle();
  expect(world.status.runtimes).toMatchObject({ desired: 2 });
  world.cluster.apply(aPolicy('team-a'));
  world.advance(10_000);
  await world.settle();
  expect(world.status.runtimes).toMatchObject({ desired: 3 });
});
