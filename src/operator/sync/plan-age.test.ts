import { expect, it } from 'vitest';
import { adapter, Stage } from './stage.fixture.ts';

const stage = new Stage();
const { connected, eventually, quiet } = stage;
const ages = () => stage.replica.server.gauges().plans.ages;

it('the age of a plan grows until the runtime has answered all of it', async () => {
  stage.replica.objects.adapters.put(adapter('one'));
  const [quick, slow] = [await connected({}, 'node-1'), await connected({}, 'node-2')];
  await eventually('both commits', () => quick.commits + slow.commits === 2);
  quick.ack(1n);
  await quiet();
  stage.clock.advance(20_000);
  expect(ages().p50).toBe(0);
  expect(ages().max).toBeGreaterThanOrEqual(20_000);
  stage.replica.objects.adapters.put(adapter('two'));
  await eventually('the second commit', () => quick.commits === 2);
  quick.ack(2n);
  // What came meanwhile is one more commit: only then has it everything.
  slow.ack(1n);
  await eventually('the second commit of the slow one', () => slow.commits === 2);
  expect(ages().max).toBeGreaterThanOrEqual(20_000);
  slow.ack(2n);
  await eventually('all ages to be 0', () => ages().max === 0);
});
