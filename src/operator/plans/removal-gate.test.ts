import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { FakeApi } from '../../kube/testing/fake-api.ts';
import { anAdapter, aRoute } from '../../plan/manifests.fixture.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { FakeObjects } from './fake-objects.ts';
import { RemovalGate } from './removal-gate.ts';

const key = 'AdapterSpec team-a/sql';
const sql = anAdapter({ name: 'sql' });
const established = { status: { conditions: [{ type: 'Established', status: 'True' }] } };

let objects: FakeObjects;
let clock: FakeClock;
let api: FakeApi;
let gate: RemovalGate;
let answers: (name: string) => unknown;
let warnings: number;
let opened: number;

beforeEach(() => {
  objects = new FakeObjects();
  clock = new FakeClock();
  api = new FakeApi();
  answers = () => established;
  warnings = 0;
  opened = 0;
  api.before = ({ path }) => answers(path.split('/').at(-1) ?? '');
  const warn = (): void => {
    warnings += 1;
  };
  gate = new RemovalGate({
    api,
    objects,
    clock,
    random: () => 0,
    logger: { ...silentLog, warn },
  });
  gate.onOpen(() => {
    opened += 1;
  });
});
afterEach(() => gate.close());

/** Lets answers come in. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
};
const pass = async (ms: number): Promise<void> => {
  clock.advance(ms);
  await settle();
};
const vanish = (): void => {
  objects.adapters.put(sql);
  objects.adapters.delete(objectKey('team-a', 'sql'));
};

describe('the removal gate', () => {
  it('lets go what has been missing for 3 seconds when the CRDs are found in order after that', async () => {
    vanish();
    expect(gate.mayRemove(key)).toBe(false);
    await pass(2_999);
    expect(gate.mayRemove(key)).toBe(false);
    expect(api.requests).toHaveLength(0);
    await pass(1);
    expect(opened).toBe(1);
    expect(gate.mayRemove(key)).toBe(true);
    expect(gate.gauges()).toEqual({ waiting: 0, failures: 0 });
    expect(api.requests.map(({ path }) => path.split('/').at(-1))).toEqual([
      'adapters.adaptlet.io',
      'adapterrollouts.adaptlet.io',
      'adapterroutes.adaptlet.io',
      'adapterpolicies.adaptlet.io',
      'adapterruntimes.adaptlet.io',
    ]);
  });

  it('looks at once when nobody asked for a while', async () => {
    vanish();
    await pass(60_000);
    expect(gate.mayRemove(key)).toBe(false);
    await pass(0);
    expect(gate.mayRemove(key)).toBe(true);
  });

  it('looks once for everything that waits', async () => {
    for (let n = 0; n < 100; n++) expect(gate.mayRemove(`Split team-a/r-${n}`)).toBe(false);
    await pass(3_000);
    for (let n = 0; n < 100; n++) expect(gate.mayRemove(`Split team-a/r-${n}`)).toBe(true);
    expect(api.requests).toHaveLength(5);
  });

  it('looks again for what went missing too late for the last look', async () => {
    vanish();
    gate.mayRemove(key);
    await pass(2_000);
    gate.mayRemove('Route team-a/x');
    await pass(1_000);
    expect([gate.mayRemove(key), gate.mayRemove('Route team-a/x')]).toEqual([true, false]);
    await pass(2_000);
    expect(gate.mayRemove('Route team-a/x')).toBe(true);
    expect(opened).toBe(2);
  });

  const denied = (code: 'KUBE_FORBIDDEN' | 'KUBE_NOT_FOUND' | 'KUBE_UNAVAILABLE') => () => {
    throw new AdaptletError(code, 'no');
  };
  it.each<[string, () => unknown]>([
    ['access to the CRDs is denied', denied('KUBE_FORBIDDEN')],
    ['there is no CRD', denied('KUBE_NOT_FOUND')],
    ['the API server does not answer', denied('KUBE_UNAVAILABLE')],
    [
      'a CRD is being deleted',
      () => ({ ...established, metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }),
    ],
    [
      'a CRD is terminating',
      () => ({
        status: { conditions: [...established.status.conditions, { type: 'Terminating', status: 'True' }] },
      }),
    ],
    [
      'a CRD is not established',
      () => ({ status: { conditions: [{ type: 'Established', status: 'False' }] } }),
    ],
    ['the answer is empty', () => ({})],
  ])('lets nothing go while %s, says so, and tries again', async (_, answer) => {
    answers = (name) => (name === 'adapterroutes.adaptlet.io' ? answer() : established);
    vanish();
    gate.mayRemove(key);
    await pass(3_000);
    expect(gate.mayRemove(key)).toBe(false);
    expect(gate.gauges()).toEqual({ waiting: 1, failures: 1 });
    await pass(1_000);
    await pass(2_000);
    expect(gate.gauges().failures).toBe(3);
    expect(warnings).toBe(3);
    answers = () => established;
    await pass(60_000);
    expect(gate.mayRemove(key)).toBe(true);
    expect(gate.gauges().failures).toBe(0);
  });

  it('lets nothing go while the collections are not in order', async () => {
    vanish();
    gate.mayRemove(key);
    await pass(3_000);
    objects.state = { ok: false, reason: 'Adapter: silent' };
    expect(gate.mayRemove(key)).toBe(false);
    objects.state = { ok: true, reason: '' };
    expect(gate.mayRemove(key)).toBe(true);
  });

  it('starts anew when the object came back', async () => {
    vanish();
    gate.mayRemove(key);
    await pass(3_000);
    vanish();
    expect(gate.mayRemove(key)).toBe(false);
    await pass(2_999);
    expect(gate.mayRemove(key)).toBe(false);
  });

  it('does not ask about an object that is there and has no place in the plan', () => {
    objects.routes.put(aRoute({ name: 'loser' }));
    expect(gate.mayRemove('Route team-a/loser')).toBe(true);
  });

  it.each(['Quota team-a/x', 'x', '', 'AdapterSpec ../x'])(
    'never lets go what it does not know: %s',
    async (unknown) => {
      expect(gate.mayRemove(unknown)).toBe(false);
      await pass(100_000);
      expect(gate.mayRemove(unknown)).toBe(false);
      expect(gate.gauges().waiting).toBe(0);
    },
  );
});
