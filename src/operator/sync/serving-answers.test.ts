import { generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { servingStatement } from '../../control/serving-statement.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { Identity_Kind, type ServingCertificateRequest } from '../../gen/adaptlet/control/v1/control.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { podToken } from './fake-replica.ts';
import type { FakeRuntime } from './fake-runtime.ts';
import { Stage } from './stage.fixture.ts';

const stage = new Stage();
const { connected, eventually, dial, quiet } = stage;

const own = 'adaptlet-system/node-1';
const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pair = newKey();
const spkiOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' });
const publicKey = spkiOf(pair.publicKey);
const proofFor = (runtime: string, key = pair.privateKey): Buffer =>
  sign('sha256', servingStatement(runtime, publicKey), key);
const request: ServingCertificateRequest = { id: 7n, publicKey, signature: proofFor(own) };

const send = (runtime: FakeRuntime, more: Partial<ServingCertificateRequest> = {}): void =>
  runtime.send({ $case: 'servingCertificate', value: { ...request, ...more } });
const ask = async (runtime: FakeRuntime, more: Partial<ServingCertificateRequest> = {}) => {
  const before = runtime.of('servingCertificate').length;
  send(runtime, more);
  return await eventually('an answer', () => runtime.of('servingCertificate')[before]);
};

describe('a runtime that asks for a certificate of its request ports', () => {
  it('gets one for its key, by the names that are known to be its own, which is nothing but a server', async () => {
    stage.api.addresses.set('node-1', ['10.0.0.1', '127.0.0.1', 'localhost']);
    stage.api.addresses.set('node-2', ['10.0.0.2']);
    const answer = await ask(await connected());
    expect(answer).toMatchObject({ id: 7n, reason: '' });
    // But for the part of a second that no certificate has.
    expect(30 * 86_400_000 - Number(answer.lifetimeMs)).toBeLessThan(1_000);
    const read = new X509Certificate(answer.certificate);
    expect(read.subjectAltName?.split(', ')).toEqual([
      'DNS:adaptlet-runtime.adaptlet-system.svc',
      'DNS:adaptlet-runtime.adaptlet-system.svc.cluster.local',
      'DNS:adaptlet-runtime.adaptlet-system',
      'DNS:llm.factory.example',
      'IP Address:192.0.2.7',
      'DNS:node-1',
      'IP Address:10.0.0.1',
    ]);
    expect(read.subject).toBe('CN=adaptlet runtime');
    expect(read.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(read.ca).toBe(false);
    const { bundle } = stage.replica.authority.credentials();
    expect(read.verify(new X509Certificate(bundle).publicKey)).toBe(true);
    expect(spkiOf(read.publicKey)).toEqual(publicKey);
  });

  it('gets the names of its Node as one of several of it', async () => {
    stage.api.addresses.set('node-1', ['10.0.0.1']);
    const name = 'node-1.model-qwen';
    const runtime = dial();
    runtime.hello({}, name);
    await eventually('a Welcome', () => runtime.welcomed);
    const answer = await ask(runtime, { signature: proofFor(`adaptlet-system/${name}`) });
    expect(new X509Certificate(answer.certificate).subjectAltName).toMatch(
      /DNS:node-1, IP Address:10\.0\.0\.1$/,
    );
  });

  it.each<[string, Partial<ServingCertificateRequest>]>([
    ['no proof', { signature: Buffer.alloc(0) }],
    ['the proof of another runtime', { signature: proofFor('adaptlet-system/node-2') }],
    ['a proof by another key', { signature: proofFor(own, newKey().privateKey) }],
    ['the key of somebody else', { publicKey: spkiOf(newKey().publicKey) }],
    ['a signature without end', { signature: Buffer.alloc(1000) }],
    ['a key without end', { publicKey: Buffer.alloc(1000) }],
    ['a key that is none', { publicKey: Buffer.from('key') }],
    [
      'a key of another kind',
      { publicKey: spkiOf(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey) },
    ],
  ])('gets none with %s, and is told why', async (_, more) => {
    const runtime = await connected();
    const answer = await ask(runtime, more);
    expect(answer.certificate).toBe('');
    expect(answer.reason).toMatch(/public key|longer than 256/);
    expect((await ask(runtime)).certificate).not.toBe('');
  });

  it('gets none as a pod, also with the name of the Service of runtimes', async () => {
    const name = 'adaptlet-runtime';
    const pod = dial(podToken(name));
    pod.hello({ identity: { namespace: 'team-a', name, kind: Identity_Kind.POD } }, name);
    await eventually('a Welcome', () => pod.welcomed);
    const answer = await ask(pod, { signature: proofFor(`team-a/${name}`) });
    expect(answer).toMatchObject({ certificate: '', reason: expect.stringContaining('runtimes of Nodes') });
  });

  it('gets none while its Node cannot be read: a certificate with fewer names would take the place of a good one', async () => {
    const runtime = await connected();
    stage.api.down = new AdaptletError('KUBE_UNAVAILABLE', 'the API server is away');
    expect(await ask(runtime)).toMatchObject({ certificate: '', reason: 'the API server is away' });
    stage.api.down = undefined;
    expect((await ask(runtime)).certificate).not.toBe('');
  });

  it.each([
    ['is not there', ''],
    ['is another one by now', 'uid-of-another'],
  ])('gets none while its Node %s', async (_, uid) => {
    const runtime = await connected();
    stage.api.uids.set('node-1', uid);
    expect(await ask(runtime)).toMatchObject({
      certificate: '',
      reason: expect.stringContaining('its Node is not there'),
    });
    stage.api.uids.delete('node-1');
    expect((await ask(runtime)).certificate).not.toBe('');
  });

  it('is answered eight times at once, and one at a time from then on', async () => {
    const runtime = await connected();
    const looks = (): number => stage.api.requests.filter(({ path }) => path === '/api/v1/nodes').length;
    for (let id = 1n; id <= 40n; id++) send(runtime, { id });
    await eventually('the first answers', () => runtime.of('servingCertificate').length === 8);
    await quiet();
    expect(looks()).toBe(8);
    stage.clock.advance(5_000);
    await eventually('the next one', () => runtime.of('servingCertificate').length === 9);
    expect(looks()).toBe(9);
    // What is beyond that is refused, without a word in the log of each.
    using said = vi.spyOn(silentLog, 'info');
    using spoken = vi.spyOn(silentLog, 'debug');
    for (let id = 41n; id <= 80n; id++) send(runtime, { id });
    await eventually('refusals', () => runtime.of('servingCertificate').some(({ reason }) => reason !== ''));
    expect(said).not.toHaveBeenCalled();
    expect(spoken).toHaveBeenCalled();
    // Another one is not kept from its certificate.
    expect(
      (await ask(await connected({}, 'node-2'), { signature: proofFor('adaptlet-system/node-2') })).reason,
    ).toBe('');
  });
});
