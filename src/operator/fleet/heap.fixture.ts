import { fakeDigest } from '../../api/names.fixture.ts';
import { isDigest, objectKey } from '../../api/names.ts';
import { noRevision } from '../../control/revision.ts';
import { Report } from '../../gen/adaptlet/control/v1/control.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { anAdapterState, aRolloutState, aRuntimeState, runtimeKey } from '../testing/fake-fleet.ts';
import { FleetStore, local } from './store.ts';
import { runtimeToWire } from './to-wire.ts';
import { changeFromWire } from './update.ts';

/**
 * For a process of its own: `node --expose-gc heap.fixture.ts NODES ADAPTERS ROLLOUTS`. Prints the bytes of heap and
 * buffers that a store takes for each entry, when every node reports that many. Reports come as bytes, as from a stream.
 */
const [nodes = 0, adapters = 0, rollouts = 0] = process.argv.slice(2).map(Number);

const digestOf = (at: number) => {
  const digest = `sha256:${at.toString(16).padStart(64, '0')}`;
  return isDigest(digest) ? digest : fakeDigest('0');
};
const modules = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
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
      aRolloutState(`7b0e2f4c-0000-4000-8000-${at}`, { stableDigest: digestOf(at) }),
    ]),
  ),
};
const { report } = runtimeToWire(aRuntimeState(runtimeKey('any'), reported), 'Whole');
if (report === undefined) throw new Error('there is no report');
const bytes = Report.encode(report).finish();

const heap = (): number => {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
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
const before = heap();
for (let node = 1; node < nodes; node++) tell(`node-${node}`);
const after = heap();
process.stdout.write(`${(after - before) / ((nodes - 1) * (adapters + rollouts))}\n`);
if (fleet.get(runtimeKey('first')) === undefined) throw new Error('the store was collected');
fleet.close();
