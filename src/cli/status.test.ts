import { describe, expect, it } from 'vitest';
import { StatusResponse } from '../gen/adaptlet/inference/v1/admin.ts';
import { problemsOf, renderStatus } from './status.ts';

const connected = {
  address: 'operator:9443',
  state: 'connected',
  since: '2026-01-01T00:00:00Z',
  replica: 'operator-0',
  clusterUid: 'c1',
  revision: '1/2/3/4',
};

const statusOf = (operator: object | undefined) =>
  StatusResponse.fromPartial({
    baseModel: 'tiny',
    engine: 'ready',
    manifests: { folder: '/m', state: 'ok' },
    ...(operator === undefined ? {} : { operator }),
  });

describe('the status of a node', () => {
  it('says which folder it follows', () => {
    expect(renderStatus(statusOf(undefined))).toContain('manifests /m: ok');
  });

  it('says which operator it follows, and nothing of a folder', () => {
    const text = renderStatus(statusOf(connected));
    expect(text).toContain(
      'operator operator:9443: connected to operator-0 since 2026-01-01T00:00:00Z, cluster c1 at 1/2/3/4',
    );
    expect(text).not.toContain('manifests');
    expect(problemsOf(statusOf(connected))).toEqual([]);
  });

  it('has a line for each thing that is wrong with it', () => {
    const problems = problemsOf(
      statusOf({
        ...connected,
        state: 'waiting',
        lastError: 'UNAVAILABLE: gone',
        refused: [{ key: 'Route a/b', version: 'v', reason: 'bad' }],
        removalsHeld: { count: 9, remainingMs: 1_500n },
        notSaved: 'ENOSPC',
      }),
    );
    expect(problems).toEqual([
      'operator operator:9443 is not connected since 2026-01-01T00:00:00Z: UNAVAILABLE: gone',
      'Route a/b is refused, what it was before stays in force: bad',
      '9 removals are held back for 2 s: adaptlet confirm-removals lets them happen now',
      'the plan in force is not on the disk: ENOSPC',
    ]);
  });

  it('says what memory there is where it is short, and nothing of it else', () => {
    const bytes = { limitBytes: 1_073_741_824n, usedBytes: 1_048_576_000n };
    const memoryPressure = {
      phase: 'short',
      level: 'the memory limit of /sys/fs/cgroup',
      ...bytes,
      adapterBudgetBytes: 10_485_760n,
      adapterFullBytes: 104_857_600n,
      kvBudgetBytes: 0n,
      kvFullBytes: 536_870_912n,
      shrinks: 3n,
      refused: 2n,
      kills: 0n,
    };
    const status = (pressure: object) =>
      StatusResponse.fromPartial({ ...statusOf(undefined), memoryPressure: pressure });
    expect(renderStatus(status(memoryPressure))).toContain(
      'memory is short: 1000.0 MiB of 1024.0 MiB are in use (the memory limit of /sys/fs/cgroup); adapters may take 10.0 MiB of 100.0 MiB, keys and values 0.0 MiB of 512.0 MiB; since the start: shrunk 3 times, 2 requests refused, 0 processes killed by the kernel\n',
    );
    expect(problemsOf(status(memoryPressure))).toEqual([]);
    expect(problemsOf(status({ ...memoryPressure, phase: 'refusing' }))).toEqual([
      'requests are refused for lack of memory',
    ]);
    expect(renderStatus(status({ phase: 'ample', ...bytes }))).not.toContain('memory is');
  });

  it('says how many requests of how many tokens it has room for', () => {
    const keysAndValues = {
      precision: 'int8',
      bytesPerToken: 11_520n,
      budgetBytes: 67_108_864n,
      requests: 8,
      tokens: 704,
    };
    const status = StatusResponse.fromPartial({ engine: 'ready', keysAndValues });
    expect(renderStatus(status)).toContain(
      '\nthis node runs 8 requests of 704 tokens at once (keys and values: int8, 11,520 bytes per token, 64 MiB)\n',
    );
  });

  it('says whether adapters come by the native operator or in the portable way, once the base model is there', () => {
    const text = (loraOperator: string, state: string) =>
      renderStatus(StatusResponse.fromPartial({ baseDigest: 'sha256:aa', loraOperator, model: { state } }));
    expect(text('avx512', 'Ready')).toContain('adapters by the native operator (avx512)');
    expect(text('', 'Ready')).toContain(
      'adapters in the portable way: float32 in memory, one adapter a step',
    );
    expect(text('', 'Loading')).not.toContain('portable way');
  });

  it('says what the base model may not do, which is nothing wrong with the node', () => {
    const limited = StatusResponse.fromPartial({
      engine: 'ready',
      limits: ['requests run one by one: rows are mixed'],
    });
    expect(renderStatus(limited)).toContain('limited: requests run one by one: rows are mixed\n');
    expect(problemsOf(limited)).toEqual([]);
  });

  it('finds nothing wrong with a last plan that is followed without an operator', () => {
    expect(problemsOf(statusOf({ state: 'none', since: 'x' }))).toEqual([]);
    expect(renderStatus(statusOf({ state: 'none', since: 'x' }))).toContain('operator (none): none since x');
  });

  const measured = StatusResponse.fromPartial({
    rollouts: [
      {
        key: 'default/sql',
        phase: 'Paused',
        stable: 'sql-v1',
        canary: 'sql-v2',
        metrics: [
          { name: 'error-ratio', phase: 'Running', taken: 4, message: '12 requests, 100 are needed' },
          {
            name: 'reward',
            step: 3,
            phase: 'Inconclusive',
            taken: 9,
            inconclusive: 1,
            value: 0.1,
            bound: -0.05,
            message: 'mean reward of the canary',
            stable: { count: 812, mean: 0.61, low: 0.55, high: 0.67 },
            canary: { count: 790, mean: 0.71, low: 0.65, high: 0.77 },
          },
        ],
      },
    ],
  });

  it('says what was measured of its canaries, and what both sides of an A/B test earned', () => {
    const text = renderStatus(measured);
    expect(text).toMatch(/^default\/sql +error-ratio +beside the steps +Running +4 +12 requests/m);
    expect(text).toMatch(/^default\/sql +reward +step 3 +Inconclusive +9, 1 inconclusive +mean reward/m);
    expect(text).toContain(
      'A/B test by reward: cannot be told: the confidence interval of canary minus stable is -0.05 to 0.25',
    );
    expect(text).toMatch(/^ +canary sql-v2 +790 +0\.71 +0\.65 to 0\.77$/m);
  });

  it('says what mirroring found, and that it found nothing yet', () => {
    const mirrored = { percentage: 10, requests: 12n, failed: 1n, dropped: 2n, compared: 8n };
    const text = renderStatus(
      StatusResponse.fromPartial({
        rollouts: [
          { key: 'default/sql', mirrored: { ...mirrored, equal: 0.75, similarity: 0.9, latencyRatio: 1.5 } },
          { key: 'default/new', mirrored: { percentage: 5 } },
          { key: 'default/other' },
        ],
      }),
    );
    expect(text.split('\n').filter((line) => line.includes('mirrors'))).toEqual([
      "rollout default/sql mirrors 10 %: 12 copies, 1 failed, 2 dropped; 8 compared: 75 % equal, similarity 0.90, first token in 1.50 of stable's time",
      'rollout default/new mirrors 5 %: 0 copies, 0 failed, 0 dropped; none compared',
    ]);
  });

  it('says which budget of memory keeps requests from running together, and that this is no problem', () => {
    const shortage = {
      flag: '--kv-memory',
      effect: 'requests wait',
      neededBytes: 700n << 20n,
      budgetBytes: 512n << 20n,
    };
    const status = StatusResponse.fromPartial({ ...statusOf(undefined), shortages: [shortage] });
    expect(renderStatus(status)).toContain(
      'limited by --kv-memory: requests wait; up to 700.0 MiB were wanted at a time, it is 512.0 MiB\n',
    );
    expect(problemsOf(status)).toEqual([]);
    expect(renderStatus(statusOf(undefined))).not.toContain('limited by');
  });

  it('says nothing of analyses where none was made', () => {
    expect(renderStatus(StatusResponse.fromPartial({ rollouts: [{ key: 'default/sql' }] }))).not.toContain(
      'METRIC',
    );
  });
});
