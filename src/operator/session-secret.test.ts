import { beforeEach, describe, expect, it } from 'vitest';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { FakeApi } from '../kube/testing/fake-api.ts';
import { silentLog } from '../telemetry/log.fixture.ts';
import { FakeClock } from '../time/fake-clock.ts';
import { openSessionSecret } from './session-secret.ts';

const path = '/api/v1/namespaces/adaptlet-system/secrets/adaptlet-sessions';
const never = new AbortController().signal;
let api: FakeApi;
let clock: FakeClock;
let errors: string[];

beforeEach(() => {
  api = new FakeApi();
  clock = new FakeClock();
  errors = [];
});

const open = (signal = never) => {
  const logger = { ...silentLog, error: (_: object, message: string) => void errors.push(message) };
  return openSessionSecret({ api, namespace: 'adaptlet-system', clock, random: () => 0, logger }, signal);
};

describe('the secret of sessions', () => {
  it('is one for replicas that start at the same time, and after a restart', async () => {
    const [one, ...others] = await Promise.all([open(), open(), open()]);
    expect(one).toMatch(/^[\w-]{43}$/);
    expect(others).toEqual([one, one]);
    expect(await open()).toBe(one);
    expect(errors).toEqual([]);
  });

  it('is another one once somebody deleted it', async () => {
    const before = await open();
    api.objects.delete(path);
    expect(await open()).not.toBe(before);
  });

  it('is waited for while the API server does not answer', async () => {
    let failures = 3;
    api.before = () => {
      if (failures-- > 0) throw new AdaptletError('KUBE_UNAVAILABLE', 'away');
    };
    const opened = open();
    for (let round = 0; round < 20; round++) {
      clock.advance(60_000);
      await new Promise(setImmediate);
    }
    expect(await opened).toMatch(/^[\w-]{43}$/);
  });

  it('ends its wait with the start of the operator', async () => {
    api.before = () => {
      throw new AdaptletError('KUBE_UNAVAILABLE', 'away');
    };
    const controller = new AbortController();
    const opened = open(controller.signal);
    await new Promise(setImmediate);
    controller.abort(new Error('stopping'));
    await expect(opened).rejects.toThrow('stopping');
  });

  it('that cannot be used, or not be read, costs the tokens and nothing else, and is said', async () => {
    api.put(path, {
      kind: 'Secret',
      apiVersion: 'v1',
      metadata: { name: 'adaptlet-sessions' },
      data: { secret: 'c2hvcnQ=' },
    });
    expect(await open()).toBeUndefined();
    for (const code of ['KUBE_FORBIDDEN', 'KUBE_INVALID'] as const) {
      api.before = () => {
        throw new AdaptletError(code, 'no');
      };
      expect(await open()).toBeUndefined();
    }
    expect(errors).toHaveLength(3);
  });
});
