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

  it('finds nothing wrong with a last plan that is followed without an operator', () => {
    expect(problemsOf(statusOf({ state: 'none', since: 'x' }))).toEqual([]);
    expect(renderStatus(statusOf({ state: 'none', since: 'x' }))).toContain('operator (none): none since x');
  });
});
