import { getEventListeners } from 'node:events';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { FakeApi } from '../../kube/testing/fake-api.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { day, openAuthority } from './authority.fixture.ts';
import type { Authority, Credentials } from './authority.ts';
import { endOf } from './certificate.ts';

const secretPath = '/api/v1/namespaces/adaptlet-system/secrets/adaptlet-ca';
const bundlePath = '/api/v1/namespaces/adaptlet-system/configmaps/adaptlet-ca';

let api: FakeApi;
let clock: FakeClock;
let open: Authority[];
const lines: string[] = [];
const note = (_: object, message: string): void => void lines.push(message);
const logger = { debug: note, info: note, warn: note, error: note };

const replica = async (name: string, signal?: AbortSignal): Promise<Authority> => {
  const authority = await openAuthority(name, { api, clock, logger }, signal);
  open.push(authority);
  return authority;
};

beforeEach(() => {
  api = new FakeApi();
  clock = new FakeClock(Date.now());
  open = [];
  lines.length = 0;
});
afterEach(() => {
  for (const authority of open) authority.close();
});

const published = (): string =>
  String((api.objects.get(bundlePath)?.['data'] as Record<string, string> | undefined)?.['ca.crt']);
const authorities = (bundle: string): number => bundle.split('BEGIN CERTIFICATE').length - 1;

/** What TLS says to a server with these credentials, for a client that trusts this bundle. */
const handshake = async (server: Credentials, trusted: string): Promise<string> => {
  const listening = createServer({ key: server.key, cert: server.certificate }, (socket) => socket.end());
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const { port } = listening.address() as { port: number };
  try {
    return await new Promise<string>((resolve) => {
      const socket: TLSSocket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: trusted });
      socket.once('secureConnect', () => {
        resolve('ok');
        socket.destroy();
      });
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    });
  } finally {
    listening.close();
  }
};

/** Moves time on and lets every replica look. */
const pass = async (ms: number): Promise<void> => {
  clock.advance(ms);
  for (const authority of open) await authority.refresh();
  for (const authority of open) await authority.refresh();
};

describe('the certificate authority', () => {
  it('is one for replicas that start at the same time', async () => {
    const [a, b, c] = await Promise.all([replica('a'), replica('b'), replica('c')]);
    expect(new Set([a, b, c].map((one) => one.credentials().bundle)).size).toBe(1);
    expect(published()).toBe(a.credentials().bundle);
    expect(await handshake(b.credentials(), a.credentials().bundle)).toBe('ok');
  });

  it('writes nothing when there is nothing to do', async () => {
    await replica('a');
    const before = api.requests.length;
    await pass(day / 10);
    const methods = api.requests.slice(before).map(({ method }) => method);
    expect(methods.length).toBeGreaterThan(0);
    expect(new Set(methods)).toEqual(new Set(['GET']));
  });

  // Each stage of a rotation is simulated so that its end is now: TLS verifies by the machine's clock.
  const stages = [0, 1, 19, 19.5, 20, 20.5, 21, 24.5, 25, 25.5, 26, 26.5, 27, 27.5, 28, 28.5, 29, 34, 44, 46];
  it.each(stages)('is trusted on day %d by everyone who read the bundle within a day', async (age) => {
    const half = day / 2;
    clock = new FakeClock(Date.now() - age * day - 1_000);
    const [a, b] = await Promise.all([replica('a'), replica('b')]);
    const past = [{ credentials: a.credentials(), bundle: published() }];
    for (let passed = 0; passed < age; passed += 0.5) {
      await pass(half);
      past.push({ credentials: a.credentials(), bundle: published() });
    }
    clock.advance(1_000);
    const [own, bundle] = [b.credentials(), published()];
    expect(await handshake(own, bundle)).toBe('ok');
    for (const earlier of past.slice(-3)) {
      expect(await handshake(own, earlier.bundle)).toBe('ok');
      const inUse = endOf(earlier.credentials.certificate) > Date.now();
      if (inUse) expect(await handshake(earlier.credentials, bundle)).toBe('ok');
    }
    expect(a.credentials().bundle).toBe(b.credentials().bundle);
    expect(authorities(bundle)).toBe(age < 20 ? 1 : age < 28 ? 2 : age < 40 ? 1 : 1 + Number(age < 48));
  });

  it('is another one after a rotation', async () => {
    clock = new FakeClock(Date.now() - 30 * day);
    const a = await replica('a');
    const first = a.credentials();
    for (let passed = 0; passed < 30; passed++) await pass(day);
    expect(authorities(published())).toBe(1);
    expect(await handshake(a.credentials(), published())).toBe('ok');
    expect(await handshake(a.credentials(), first.bundle)).not.toBe('ok');
    expect(lines.filter((line) => line.includes('rotated'))).toHaveLength(3);
  });

  it('gives what keys of feedback are made of: all replicas the same, and the next one before it signs', async () => {
    const [a, b] = await Promise.all([replica('a'), replica('b')]);
    const [first] = a.feedbackRoots();
    expect(a.feedbackRoots()).toEqual([first]);
    expect(first).toHaveLength(32);
    for (let passed = 0; passed < 21; passed++) await pass(day);
    const [now, next] = a.feedbackRoots();
    expect(now).toEqual(first);
    expect(next).toHaveLength(32);
    expect(next).not.toEqual(first);
    expect(b.feedbackRoots()).toEqual([now, next]);
    for (let passed = 21; passed < 30; passed++) await pass(day);
    expect(a.feedbackRoots()).toEqual([next]);
  });

  it('does not sign before the bundle with it is really there', async () => {
    const a = await replica('a');
    const denied = new AdaptletError('KUBE_FORBIDDEN', 'configmaps');
    api.before = ({ method, path }) => {
      if (method === 'PUT' && path === bundlePath) throw denied;
    };
    for (let passed = 0; passed < 30; passed++) await pass(day);
    expect(published()).toBe(a.credentials().bundle);
    expect(a.gauges().failures).toBeGreaterThan(0);
    const signer = authorities(published());
    expect(signer).toBe(1);
  });

  it('goes on without the API server: the certificate is renewed by the authority that is known', async () => {
    const a = await replica('a');
    const first = a.credentials();
    api.before = () => {
      throw new AdaptletError('KUBE_UNAVAILABLE', 'down');
    };
    for (let hour = 0; hour < 40; hour++) await pass(3_600_000);
    expect(a.credentials().certificate).not.toBe(first.certificate);
    expect(a.credentials().bundle).toBe(first.bundle);
    expect(endOf(a.credentials().certificate)).toBeGreaterThan(clock.now());
    api.before = () => undefined;
    await pass(60_000);
    expect(a.gauges().failures).toBe(0);
  });

  it('waits for an API server that does not answer yet', async () => {
    let refused = 0;
    api.before = () => {
      if (refused >= 3) return undefined;
      refused += 1;
      throw new AdaptletError('KUBE_UNAVAILABLE', 'starting');
    };
    const { signal } = new AbortController();
    const opening = replica('a', signal);
    let opened = false;
    const done = (async () => {
      await opening;
      opened = true;
    })();
    for (let tries = 0; tries < 1_000 && !opened; tries++) {
      clock.advance(1_000);
      await new Promise(setImmediate);
    }
    expect(refused).toBe(3);
    await done;
    expect((await opening).credentials().bundle).toBe(published());
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('is written anew from memory when the Secret or the bundle vanished', async () => {
    const a = await replica('a');
    const { bundle } = a.credentials();
    api.objects.delete(secretPath);
    api.objects.delete(bundlePath);
    await pass(60_000);
    expect(published()).toBe(bundle);
    const b = await replica('b');
    expect(await handshake(b.credentials(), bundle)).toBe('ok');
  });

  it('keeps what works when somebody damages the Secret, and says so', async () => {
    const a = await replica('a');
    const before = a.credentials();
    const secret = api.objects.get(secretPath);
    const data = { ...(secret?.['data'] as object), 'current.key': Buffer.from('x').toString('base64') };
    api.put(secretPath, { ...secret, data });
    await pass(60_000);
    expect(a.credentials()).toEqual(before);
    expect(a.gauges().failures).toBe(2);
    expect(lines).toContain('the certificate authority could not be read; it is tried again');
  });

  it('is replaced when the operator was away until it was over', async () => {
    const a = await replica('a');
    const before = a.credentials();
    await pass(100 * day);
    expect(a.credentials().bundle).not.toBe(before.bundle);
    expect(authorities(published())).toBe(1);
  });
});
