import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { AdapterReport, type Report } from '../../gen/adaptlet/control/v1/control.ts';
import type { FakeRuntime } from './fake-runtime.ts';
import { Stage } from './stage.fixture.ts';

const stage = new Stage();
const { connected, eventually, ended } = stage;
const key = objectKey('adaptlet-system', 'node-1');
const known = () => stage.replica.fleet.get(key);
const adapter = (name: string, state = 'Stored') =>
  AdapterReport.fromPartial({ key: `team-a/${name}`, uid: 'u', state });
const resumed = (more: Partial<Report> = {}): Partial<Report> => ({ resumes: true, ready: true, ...more });
const keptFor = (runtime: FakeRuntime) => runtime.of('welcome')[0]?.reportsKept;

/** A runtime that told of two adapters in two reports. */
const told = async (): Promise<FakeRuntime> => {
  const runtime = await connected();
  runtime.report({ whole: true, ready: true, adapters: [adapter('a')] });
  runtime.report({ adapters: [adapter('b')] });
  await eventually('the reports', () => known()?.adapters.size === 2);
  return runtime;
};

describe('a runtime that comes back', () => {
  it('hears which of its reports are here, and goes on from them', async () => {
    expect(keptFor(await told())).toBeUndefined();
    const again = await connected({ connectionSeq: 2n });
    expect(keptFor(again)).toEqual({ connectionSeq: 1n, count: 2n });
    again.report(resumed({ adapters: [adapter('b', 'Resident')], gone: [] }));
    await eventually('the report', () => known()?.connectionSeq === 2n);
    expect([...(known()?.adapters ?? [])].map(([name, { state }]) => [name, state])).toEqual([
      ['team-a/a', 'Stored'],
      ['team-a/b', 'Resident'],
    ]);
    again.report({ gone: ['team-a/a'] });
    await eventually('what it says after that', () => known()?.adapters.size === 1);
    expect(keptFor(await connected({ connectionSeq: 3n }))).toEqual({ connectionSeq: 2n, count: 2n });
  });

  it('may say everything all the same', async () => {
    await told();
    const again = await connected({ connectionSeq: 2n });
    again.report({ whole: true, adapters: [adapter('c')] });
    await eventually('the report', () => known()?.connectionSeq === 2n);
    expect([...(known()?.adapters.keys() ?? [])]).toEqual(['team-a/c']);
  });

  it('hears of nothing when it is another process', async () => {
    await told();
    expect(keptFor(await connected({ connectionSeq: 2n, instance: 'instance-2' }))).toBeUndefined();
  });

  it('is ended where something else is known by then, and dials again', async () => {
    await told();
    const again = await connected({ connectionSeq: 2n });
    const [state] = [...stage.replica.fleet.all()];
    if (state === undefined) throw new Error('a runtime is known');
    const { info } = state;
    const change = { whole: true, adapters: new Map(), gone: [], rollouts: new Map(), goneRollouts: [] };
    const opened = { info, connectedAt: 1 };
    const elsewhere = {
      key,
      kind: 'Node' as const,
      instance: 'instance-1',
      connectionSeq: 9n,
      opened,
      change,
    };
    stage.replica.fleet.update({ name: 'other' }, elsewhere);
    again.report(resumed());
    expect(await ended(again)).toMatchObject({ error: 'REPLICA_UNAVAILABLE' });
    expect(known()?.connectionSeq).toBe(9n);
  });
});

describe('a runtime that lies', () => {
  it.each<[string, Partial<Report>]>([
    ['goes on from reports that nobody has', resumed()],
    ['goes on and has everything at once', resumed({ whole: true })],
  ])('is ended when it %s', async (_, report) => {
    const runtime = await connected();
    runtime.report(report);
    expect(await ended(runtime)).toMatchObject({ error: 'HELLO_INVALID' });
    expect(known()).toBeUndefined();
  });

  it('is ended when it goes on in the middle of a stream', async () => {
    await told();
    const again = await connected({ connectionSeq: 2n });
    again.report(resumed());
    again.report(resumed({ adapters: [adapter('c')] }));
    expect(await ended(again)).toMatchObject({ error: 'HELLO_INVALID' });
    expect(known()?.adapters.has(objectKey('team-a', 'c'))).toBe(false);
  });

  it('harms nobody but itself when it goes on from what it did not say', async () => {
    await told();
    const again = await connected({ connectionSeq: 2n });
    again.report(resumed({ gone: ['team-a/never'], adapters: [] }));
    await eventually('the report', () => known()?.connectionSeq === 2n);
    expect(known()?.adapters.size).toBe(2);
    const next = await connected({}, 'node-2');
    expect(keptFor(next)).toBeUndefined();
  });
});
