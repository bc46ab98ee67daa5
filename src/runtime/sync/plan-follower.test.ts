import { pino } from 'pino';
import { expect, it } from 'vitest';
import { adapter, at } from '../../control/plans.fixture.ts';
import { Receiver } from '../../control/receiver.ts';
import { revisionToWire } from '../../control/revision.ts';
import { resourceToWire } from '../../control/wire.ts';
import { versioned } from '../../plan/resources.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { PlanFollower } from './plan-follower.ts';

it('says whether the disk has the plan, also of the one that it is putting in force', async () => {
  const clock = new FakeClock();
  const receiver = new Receiver({ clock });
  receiver.hello();
  receiver.welcome('cluster-1');
  const disk = { fails: false, adapters: 0 };
  let asked: Promise<readonly [isSaved: boolean, adapters: number]> | undefined;
  const ask = async () => [await follower.saved(), disk.adapters] as const;
  const follower = new PlanFollower({
    receiver,
    clock,
    logger: pino({ enabled: false }),
    write: async ({ resources }) => {
      if (disk.fails) throw new Error('ENOSPC');
      disk.adapters = resources.length;
    },
    apply: () => {
      asked = ask();
    },
    changed: () => undefined,
  });
  /** What is said of a plan from the moment that it is put in force. */
  const commit = async (name: string, number: number) => {
    follower.put(resourceToWire(versioned(adapter(name))));
    const revision = revisionToWire(at(number));
    await follower.commit({ nonce: BigInt(number), revision, confirmedRemovals: '' });
    return await asked;
  };
  expect(await follower.saved()).toBe(true);
  expect(await commit('a', 1)).toEqual([true, 1]);
  disk.fails = true;
  expect(await commit('b', 2)).toEqual([false, 1]);
  disk.fails = false;
  expect(await commit('c', 3)).toEqual([true, 3]);
  await follower.close();
});
