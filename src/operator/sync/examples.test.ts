import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { Report, type ReportLike } from '../../gen/adaptlet/control/v1/control.ts';
import { likeReport } from '../../runtime/sync/report-like.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { AdapterState } from '../fleet/fleet.ts';
import { runtimeToWire } from '../fleet/to-wire.ts';
import { changeFromWire } from '../fleet/update.ts';
import { anAdapterState, aRuntimeState, runtimeKey } from '../testing/fake-fleet.ts';
import { Examples } from './examples.ts';
import { nodeToken } from './fake-replica.ts';
import { Stage } from './stage.fixture.ts';

const digest = `sha256:${'a'.repeat(64)}` as const;
const keyOf = (at: number) => objectKey('team-a', `adapter-${at}`);
const stateOf = (at: number, state = 'Stored'): AdapterState =>
  anAdapterState(`8a0e2f4c-0000-4000-8000-${at}`, digest as never, state, {
    storedBytes: 40_000_000 + at,
    rank: 16,
    targetModules: ['q_proj', 'v_proj'],
  });
/** What a runtime says that has some of its adapters in RAM. */
const adaptersOf = (count: number, resident: readonly number[] = []) =>
  new Map(
    Array.from({ length: count }, (_, at) => [
      keyOf(at),
      stateOf(at, resident.includes(at) ? 'Resident' : 'Stored'),
    ]),
  );
const reportOf = (adapters: ReadonlyMap<ReturnType<typeof keyOf>, AdapterState>): Report =>
  runtimeToWire(aRuntimeState(runtimeKey('any'), { adapters }), 'Whole').report ?? expect.fail();
const bytes = (report: Report) => Report.encode(report).finish().length;
const sorted = <T>(map: ReadonlyMap<string, T>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));

describe('an example of what runtimes report', () => {
  const examples = new Examples(new FakeClock());
  examples.learn(undefined, 'tiny', adaptersOf(10_000, [1, 2, 3]), 0);
  const example = examples.of(undefined, 'tiny') ?? expect.fail();
  const like: ReportLike = { partHashes: [...example.partHashes] };

  it.each([
    ['says the same', adaptersOf(10_000, [1, 2, 3]), 1_000],
    ['has three others in RAM', adaptersOf(10_000, [4_001, 5_002, 9_003]), 60_000],
    ['has an adapter less', adaptersOf(9_999, [1, 2, 3]), 15_000],
  ])('makes the first report of a runtime that %s short, and it says the same', (_, adapters, most) => {
    const report = reportOf(adapters);
    expect(bytes(report)).toBeGreaterThan(1_500_000);
    const short = Report.decode(Report.encode(likeReport(report, like)).finish());
    expect(bytes(short)).toBeLessThan(most);
    const { likeParts } = short;
    expect(sorted(example.complete(changeFromWire(short), likeParts).adapters)).toEqual(sorted(adapters));
  });

  it('is none for another base model, or for pods', () => {
    expect(examples.of(undefined, 'other')).toBeUndefined();
    expect(examples.of('team-a', 'tiny')).toBeUndefined();
  });

  it('refuses parts that there are not, adapters twice, and a report that has not everything', () => {
    const whole = changeFromWire(reportOf(adaptersOf(1)));
    const refused = expect.objectContaining({ code: 'HELLO_INVALID' });
    expect(() => example.complete(whole, [4_000])).toThrow(refused);
    expect(() => example.complete(whole, [1, 1])).toThrow(refused);
    expect(() =>
      example.complete(
        whole,
        Array.from({ length: 256 }, (_, part) => part),
      ),
    ).toThrow(refused);
    expect(() => example.complete({ ...whole, whole: false }, [1])).toThrow(refused);
  });

  it('is replaced once others say something else, and not by each of them', () => {
    const clock = new FakeClock();
    const learning = new Examples(clock);
    const learn = (count: number, likeParts: number) => {
      learning.learn(undefined, 'tiny', adaptersOf(count), likeParts);
      return learning.of(undefined, 'tiny');
    };
    expect([learn(255, 0), learning.areShort(undefined, 'tiny')]).toEqual([undefined, true]);
    const first = learn(300, 0);
    expect([learn(255, 0), learning.areShort(undefined, 'tiny')]).toEqual([first, false]);
    expect(learn(400, 0)).toBe(first);
    clock.advance(10_000);
    expect(learn(400, 16)).toBe(first);
    expect(learn(400, 3)).not.toBe(first);
  });

  it('is kept for sixteen kinds of runtimes', () => {
    const learning = new Examples(new FakeClock());
    for (let at = 0; at < 20; at += 1) learning.learn(`team-${at}`, 'tiny', adaptersOf(300), 0);
    const kept = Array.from({ length: 20 }, (_, at) => learning.of(`team-${at}`, 'tiny')).filter(Boolean);
    expect(kept).toHaveLength(16);
  });
});

describe('runtimes that come anew to a replica that knows nothing', () => {
  const stage = new Stage();
  const { connected, eventually } = stage;

  it('are known with everything, and only the first of them says it', async () => {
    const report = reportOf(adaptersOf(1_000));
    let sent = 0;
    for (const name of ['node-1', 'node-2', 'node-3', 'node-4']) {
      const runtime = await connected({}, name);
      const { reportLike } = runtime.of('welcome')[0] ?? expect.fail();
      expect(reportLike === undefined).toBe(name === 'node-1');
      const told = reportLike === undefined ? report : likeReport(report, reportLike);
      sent += bytes(told);
      runtime.report(told);
      const state = await eventually('its report', () =>
        stage.replica.fleet.get(objectKey('adaptlet-system', name)),
      );
      expect(sorted(state.adapters)).toEqual(sorted(adaptersOf(1_000)));
    }
    expect(sent).toBeLessThan(bytes(report) + 3 * 500);
    expect(stage.replica.server.gauges().likeParts).toBe(3 * 32);
  });

  it('say everything sixteen at a time, until one is known whose report is an example or short', async () => {
    const runtimes = Array.from({ length: 40 }, (_, at) => {
      const runtime = stage.dial(nodeToken(`node-${at}`));
      runtime.hello({}, `node-${at}`);
      return runtime;
    });
    const welcomed = () => runtimes.filter((runtime) => runtime.welcomed);
    await eventually('the first', () => welcomed().length === 16);
    await stage.quiet();
    expect(welcomed()).toHaveLength(16);
    welcomed()[0]?.report({ whole: true });
    // Nobody else has reported: one turn is enough for all the others, who keep it for no longer than a greeting.
    await eventually('the others', () => welcomed().length === 40);
    expect(stage.replica.server.gauges().reports).toBe(1);
  });

  it('are ended where they say that they are like one that nobody told them of', async () => {
    const runtime = await connected();
    runtime.report({ whole: true, likeParts: [0] });
    expect(await stage.ended(runtime)).toMatchObject({ error: 'HELLO_INVALID' });
  });
});
