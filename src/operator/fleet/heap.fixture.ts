import { setTimeout as sleep } from 'node:timers/promises';
import { fakeDigest } from '../../api/names.fixture.ts';
import { isDigest, objectKey } from '../../api/names.ts';
import { noRevision } from '../../control/revision.ts';
import { Report } from '../../gen/adaptlet/control/v1/control.ts';
import { ArmCounter, buckets } from '../../rollout/judge/counts.ts';
import { originOf } from '../../rollout/judge/elsewhere.ts';
import { type Elsewhere, ToldRewards } from '../../rollout/judge/told-rewards.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { anAdapterState, aRolloutState, aRuntimeState, runtimeKey } from '../testing/fake-fleet.ts';
import { FleetStore, local } from './store.ts';
import { runtimeToWire } from './to-wire.ts';
import { changeFromWire } from './update.ts';

/**
 * For a process of its own: `node --expose-gc heap.fixture.ts NODES ADAPTERS ROLLOUTS PROCESSES REWARDS WEIGHTS`. Prints the bytes of heap
 * and buffers that a store takes for each entry, when every node reports that many adapters and rollouts; or for each reward, where
 * each rollout has so many for each of so many processes that answered; or for the counts of each weight, where each rollout has
 * so many, with REWARDS for each answer. Reports come as bytes, as from a stream.
 */
const [nodes = 0, adapters = 0, rollouts = 0, processes = 0, rewards = 0, weights = 0] = process.argv
  .slice(2)
  .map(Number);

const digestOf = (at: number) => {
  const digest = `sha256:${at.toString(16).padStart(64, '0')}`;
  return isDigest(digest) ? digest : fakeDigest('0');
};
const toldOf = (process: number): Elsewhere => ({
  origin: originOf(`process ${process}`),
  weight: 5,
  seq: 1_000 + process,
  rewards: Array.from({ length: rewards }, (_, at) => ({
    number: 100_000 + at,
    bucket: at % 64,
    arm: 'canary',
    reward: at / 8,
  })),
});
/** Answers of both arms in all of their buckets, within 20 ms to 2 s. */
const countsOf = (weight: number) => {
  const arm = new ArmCounter();
  for (let at = 0; at < 8 * buckets; at++) {
    arm.answered(at % buckets, 20 * 100 ** ((at + weight / 100) / (8 * buckets)));
    if (rewards > 0) arm.rewarded(at % buckets, at / 8 + weight / 3);
  }
  return { weight, seq: 1, stable: arm.snapshot(), canary: arm.snapshot() };
};
const modules = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
const told =
  processes === 0
    ? {}
    : { elsewhere: ToldRewards.of(Array.from({ length: processes }, (_, at) => toldOf(at))) };
const reported = {
  adapters: new Map(
    Array.from({ length: adapters }, (_, at) => [
      objectKey('team-a', `adapter-${at}`),
      anAdapterState(`8a0e2f4c-0000-4000-8000-${at}`, digestOf(at), at % 2 === 0 ? 'Stored' : 'Resident', {
        storedBytes: 40_000_000 + at,
        neededBytes: 44_000_000 + at,
        rank: 16,
        targetModules: modules,
      }),
    ]),
  ),
  rollouts: new Map(
    Array.from({ length: rollouts }, (_, at) => [
      objectKey('team-a', `rollout-${at}`),
      aRolloutState(`7b0e2f4c-0000-4000-8000-${at}`, {
        stableDigest: digestOf(at),
        counts: [...Array(weights).keys()].map((percent) => countsOf(1 + percent)),
        ...told,
      }),
    ]),
  ),
};
const { report } = runtimeToWire(aRuntimeState(runtimeKey('any'), reported), 'Whole');
if (report === undefined) throw new Error('there is no report');
const bytes = Report.encode(report).finish();

/** The least of some looks: threads that sweep go on behind a collection where the machine is busy. */
const heap = async (): Promise<number> => {
  let least = Infinity;
  for (let look = 0; look < 10; look += 1) {
    globalThis.gc?.();
    await sleep(20);
    const { heapUsed, external } = process.memoryUsage();
    least = Math.min(least, heapUsed + external);
  }
  return least;
};

const fleet = new FleetStore({ clock: new FakeClock() });
const tell = (name: string): void => {
  const { key, kind, instance, connectionSeq, info, connectedAt } = aRuntimeState(runtimeKey(name));
  const change = changeFromWire(Report.decode(bytes));
  const opened = { info, connectedAt };
  fleet.update(local, { key, kind, instance, connectionSeq, opened, change, acknowledged: noRevision });
};
// What is there once for all of them, however many there are.
tell('first');
const before = await heap();
for (let node = 1; node < nodes; node++) tell(`node-${node}`);
const after = await heap();
const each = weights > 0 ? weights : processes * rewards;
const entries = each === 0 ? adapters + rollouts : rollouts * each;
process.stdout.write(`${(after - before) / ((nodes - 1) * entries)}\n`);
if (fleet.get(runtimeKey('first')) === undefined) throw new Error('the store was collected');
fleet.close();
