import { createHash, createPublicKey } from 'node:crypto';
import { credentials, Metadata } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import type { DeviceSpec } from '../../api/runtime.ts';
import { ControlClient } from '../../gen/adaptlet/control/v1/control.ts';
import { EnrolmentClient } from '../../gen/adaptlet/enrolment/v1/enrolment.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeDevice, secret } from '../devices/devices.fixture.ts';
import { nodeToken, startReplica } from './fake-replica.ts';
import { FakeRuntime } from './fake-runtime.ts';
import { adapter, Stage } from './stage.fixture.ts';

const namespace = 'adaptlet-system';
const stage = new Stage();
const closers: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  // A server ends after those that are connected to it.
  for (const close of closers.splice(0).toReversed()) await close();
});

const spec = (more: Partial<DeviceSpec> = {}): DeviceSpec => ({
  id: '0a',
  tokenSha256: createHash('sha256').update(secret).digest('hex'),
  tokenExpires: new Date(stage.clock.now() + 3_600_000).toISOString(),
  // The fake API server knows nothing of it.
  keySha256: undefined,
  ...more,
});
const put = (more: Partial<DeviceSpec> = {}, labels: Record<string, string> = {}): void =>
  stage.replica.objects.runtime(namespace, 'camera', labels, {}, [], { device: spec(more) });

const channel = () => {
  const { server, devices } = stage.replica;
  const secure = credentials.createSsl(Buffer.from(devices.authority.credentials().bundle));
  return [server.deviceAddress ?? '', secure, { 'grpc.ssl_target_name_override': 'localhost' }] as const;
};

/** SHA-256 of a device's key. */
const keyOf = (pem: string): string =>
  createHash('sha256')
    .update(createPublicKey(pem).export({ type: 'spki', format: 'der' }))
    .digest('hex');

/** Enrols over TLS, with a token that this key used before. */
const enrol = async (device = new FakeDevice()) => {
  const fingerprint = createHash('sha256').update(device.publicKey).digest('hex');
  put({ keySha256: fingerprint }, { site: 'north' });
  const client = new EnrolmentClient(...channel());
  closers.push(() => client.close());
  const certificate = await new Promise<string>((resolve, reject) => {
    client.enrol(device.enrolment(), (error, answer) =>
      error === null ? resolve(answer.issued?.certificate ?? '') : reject(error),
    );
  });
  return { key: device.pem, certificate };
};

const connected = async () => {
  const own = await enrol();
  const runtime = stage.dialAsDevice(own);
  runtime.hello({}, 'camera');
  await stage.eventually('a Welcome', () => runtime.welcomed);
  return { own, runtime };
};

describe('a device over TLS', () => {
  it('enrols, connects and gets its plan; its AdapterRuntime is left as it is, with the labels of its administrator', async () => {
    stage.replica.objects.adapters.put(
      adapter('a', { preload: { tier: 'Disk', runtimeSelector: { matchLabels: { site: 'north' } } } }),
    );
    const own = await enrol();
    const runtime = stage.dialAsDevice(own);
    runtime.hello({ labels: { site: 'south' } }, 'camera');
    await stage.eventually('a commit', () => runtime.commits > 0);
    expect(runtime.keys().some((key) => key.endsWith('team-a/a'))).toBe(true);
    expect(stage.api.requests.filter(({ method }) => method === 'PATCH')).toEqual([]);
  });

  it('gets nothing without a certificate, with a token, or as somebody else', async () => {
    const own = await enrol();
    for (const [runtime, name, error] of [
      [stage.dialAsDevice(), 'camera', 'RUNTIME_UNAUTHENTICATED'],
      [stage.dialAsDevice(undefined, nodeToken()), 'node-1', 'RUNTIME_UNAUTHENTICATED'],
      [stage.dialAsDevice(own), 'node-1', 'PEER_IDENTITY'],
    ] as const) {
      runtime.hello({}, name);
      expect(await stage.ended(runtime)).toMatchObject({ error });
    }
  });

  it('waits for nobody whose token is asked about', async () => {
    const { before } = stage.api;
    let asked = 0;
    stage.api.before = (request) => {
      if (!request.path.endsWith('/tokenreviews')) return before(request);
      asked += 1;
      return new Promise(() => undefined);
    };
    for (let i = 0; i < 33; i++) stage.dial(nodeToken(`stranger-${i}`));
    await stage.eventually('one that waits', () => stage.replica.server.gauges().waiting === 1);
    await connected();
    expect(asked).toBe(32);
  });

  it('with a certificate that somebody else made is nobody', async () => {
    const { certificate, key } = stage.replica.authority.credentials();
    const runtime = stage.dialAsDevice({ certificate, key });
    runtime.hello({}, 'camera');
    expect(await stage.ended(runtime)).toMatchObject({ error: 'RUNTIME_UNAUTHENTICATED' });
  });

  it('relays nothing', async () => {
    const own = await enrol();
    const [address, , options] = channel();
    const { bundle } = stage.replica.devices.authority.credentials();
    const [ca, key, chain] = [bundle, own.key, own.certificate].map((text) => Buffer.from(text));
    const client = new ControlClient(address, credentials.createSsl(ca, key, chain), options);
    closers.push(() => client.close());
    const call = client.relay(new Metadata());
    const code = await new Promise((resolve) => {
      call.on('error', () => undefined);
      call.on('status', ({ metadata }) => resolve(metadata.get('x-adaptlet-error')[0]));
    });
    expect(code).toBe('PEER_IDENTITY');
  });

  it.each([
    ['revoked', () => put({ revoked: true })],
    ['enrolled anew', () => put({ id: '0b' })],
    ['deleted', () => stage.replica.objects.runtimes.delete(objectKey(namespace, 'camera'))],
  ])('loses its stream when it is %s, and does not come back', async (_, change) => {
    const { own, runtime } = await connected();
    change();
    expect(await stage.ended(runtime)).toMatchObject({ error: 'DEVICE_REVOKED', code: 'PERMISSION_DENIED' });
    const again = stage.dialAsDevice(own);
    again.hello({ connectionSeq: 2n }, 'camera');
    // A replica waits a little for what others may have seen.
    await stage.quiet();
    stage.clock.advance(2_000);
    expect(await stage.ended(again)).toMatchObject({ error: 'DEVICE_REVOKED' });
    expect(stage.api.requests.filter(({ method }) => method === 'PATCH')).toEqual([]);
  });

  it('loses its stream at the end of its certificate', async () => {
    const { runtime } = await connected();
    stage.clock.advance(86_400_000);
    expect(await stage.ended(runtime)).toMatchObject({ error: 'RUNTIME_UNAUTHENTICATED' });
  });

  it('is kept out by a replica that starts beside a broken Secret, which serves all else, until the Secret is right', async () => {
    const { api, clock, lease } = stage;
    const path = `/api/v1/namespaces/${namespace}/secrets/adaptlet-devices`;
    const right = api.objects.get(path) ?? expect.fail('there is no Secret');
    api.put(path, { ...right, data: {} });
    const later = await startReplica('operator-b', { api, clock, lease, logger: silentLog });
    closers.push(async () => {
      const closing = later.server.close(1_000);
      clock.advance(5_000);
      await closing;
      later.authority.close();
      later.devices.authority.close();
    });
    const { bundle } = stage.replica.devices.authority.credentials();
    const dial = (address: string, ...as: [bundle: string, token: string, own?: typeof own]) => {
      const runtime = new FakeRuntime(address, ...as);
      closers.push(() => runtime.close());
      return runtime;
    };
    const own = await enrol();
    later.objects.runtime(namespace, 'camera', {}, {}, [], { device: spec({ keySha256: keyOf(own.key) }) });

    const runtime = dial(later.server.address, later.authority.credentials().bundle, nodeToken());
    runtime.hello({}, 'node-1');
    await stage.eventually('a Welcome', () => runtime.welcomed);
    const kept = dial(later.server.deviceAddress ?? '', bundle, '', own);
    kept.hello({}, 'camera');
    expect(await stage.ended(kept)).toMatchObject({ code: 'UNAVAILABLE' });
    const posing = dial(later.server.address, later.authority.credentials().bundle, nodeToken('camera'));
    posing.hello({}, 'camera');
    expect(await stage.ended(posing)).toMatchObject({ error: 'PEER_IDENTITY' });

    api.put(path, right);
    // The longest that it may still wait for its next try.
    clock.advance(3_000);
    await stage.eventually('the authority', () => later.devices.authority.isHeld);
    const device = dial(later.server.deviceAddress ?? '', bundle, '', own);
    device.hello({}, 'camera');
    await stage.eventually('a Welcome', () => device.welcomed);
  });

  it('has a name that no Node of the cluster takes over', async () => {
    put();
    const runtime = stage.dial(nodeToken('camera'));
    runtime.hello({}, 'camera');
    expect(await stage.ended(runtime)).toMatchObject({ error: 'PEER_IDENTITY' });
  });
});
