import { expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { type Digest, objectKey } from '../../api/names.ts';
import { Report } from '../../gen/adaptlet/control/v1/control.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { aRolloutState, aRuntimeState, runtimeKey } from '../testing/fake-fleet.ts';
import { RelayNews } from './relay-news.ts';
import { FleetStore, local } from './store.ts';
import { runtimeToWire } from './to-wire.ts';
import { changeFromWire } from './update.ts';

const sql = objectKey('team-a', 'sql');

it('tells of runtimes with a canary first, then of the others, each once', () => {
  const fleet = new FleetStore({ clock: new FakeClock() });
  const connect = (name: string, canaryDigest: Digest | ''): void => {
    const key = runtimeKey(name);
    const state = aRuntimeState(key, { rollouts: new Map([[sql, aRolloutState('uid', { canaryDigest })]]) });
    const { report = Report.create() } = runtimeToWire(state, 'Whole');
    const { kind, instance, connectionSeq, connectedAt, info } = state;
    const opened = { connectedAt, info };
    fleet.update(local, { key, kind, instance, connectionSeq, opened, change: changeFromWire(report) });
  };
  for (const name of ['a', 'b', 'c', 'd']) connect(name, name === 'b' || name === 'd' ? fakeDigest('1') : '');
  const told = [...new RelayNews(fleet).messages()].map(
    (message) => message.$case === 'runtime' && message.value.identity?.name,
  );
  expect(told).toEqual(['b', 'd', 'a', 'c']);
});
