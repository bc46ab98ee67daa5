import { once } from 'node:events';
import { Agent, request } from 'node:https';
import { connect } from 'node:net';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeApi } from '../../kube/testing/fake-api.ts';
import { aPolicy } from '../../plan/manifests.fixture.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { day, openAuthority } from '../identity/authority.fixture.ts';
import type { Authority } from '../identity/authority.ts';
import { Policies, podRefusal } from '../objects/policies.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import { type RunningWebhook, startWebhook } from './server.ts';
import { aPod, aSidecar } from './sidecar.fixture.ts';

type Answer = {
  readonly status: number;
  readonly text: string;
  readonly connection: string | undefined;
  readonly certificate: PeerCertificate;
};
type Asking = {
  readonly path?: string;
  readonly method?: string;
  readonly verify?: boolean;
  readonly agent?: Agent;
};

let clock: FakeClock;
let authority: Authority;
let webhook: RunningWebhook;
let published: string[];
let publishes: () => Promise<void>;
let reads: () => Promise<typeof aSidecar>;
let objects: FakeCluster;
let policies: Policies;

beforeEach(async () => {
  clock = new FakeClock(Date.now());
  authority = await openAuthority('a', { api: new FakeApi(), clock, logger: silentLog });
  objects = new FakeCluster();
  policies = new Policies(objects.policies);
  published = [];
  publishes = async () => undefined;
  reads = async () => aSidecar;
  webhook = await startWebhook({
    address: '127.0.0.1:0',
    authority,
    sidecar: () => reads(),
    denied: (namespace) => podRefusal(policies.of(namespace), 'the sidecar'),
    publishIn: (namespace) => {
      published.push(namespace);
      return publishes();
    },
    clock,
    logger: silentLog,
  });
});
afterEach(async () => {
  const closing = webhook.close();
  clock.advance(3_000);
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(2_000);
  await closing;
  authority.close();
});

/** Where one asks, and whom one takes the answer from. */
const asker = (verify = true) => ({
  host: '127.0.0.1',
  port: webhook.port,
  servername: 'localhost',
  rejectUnauthorized: verify,
  ca: authority.credentials().bundle,
});

const post = (
  body: string,
  { path = '/inject', method = 'POST', verify = true, agent }: Asking = {},
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const options = { ...asker(verify), path, method, agent: agent ?? false };
    const sent = request(options, (response) => {
      const certificate = (response.socket as TLSSocket).getPeerCertificate();
      let text = '';
      response.on('data', (part: Buffer) => (text += part.toString()));
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          text,
          connection: response.headers.connection,
          certificate,
        }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });

const review = (pod: unknown, more: Record<string, unknown> = {}): string =>
  JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'u-1',
      namespace: 'team-a',
      operation: 'CREATE',
      kind: { group: '', version: 'v1', kind: 'Pod' },
      object: pod,
      ...more,
    },
  });

/** A connection of `from` that says nothing. */
const silent = async (from: string) => {
  const socket = connect({ port: webhook.port, host: '127.0.0.1', localAddress: from });
  socket.on('error', () => undefined).resume();
  await once(socket, 'connect');
  return socket;
};

describe('the webhook', () => {
  it('answers the API server where another address has all connections that there may be', async () => {
    const flood = await Promise.all(Array.from({ length: 1024 }, () => silent('127.0.0.2')));
    const { status } = await post(review(aPod()));
    expect(status).toBe(200);
    expect(flood.filter(({ closed }) => !closed).length).toBeGreaterThan(1000);
    expect(webhook.ended()).toBeGreaterThan(0);
    for (const socket of flood) socket.destroy();
  });

  it('answers a review that is under way where others of its address come without end', async () => {
    const { promise: read, resolve: reading } = Promise.withResolvers<void>();
    const { promise: readable, resolve: goOn } = Promise.withResolvers<typeof aSidecar>();
    reads = () => {
      reading();
      return readable;
    };
    const answer = post(review(aPod()));
    await read;
    const flood = await Promise.all(Array.from({ length: 1100 }, () => silent('127.0.0.1')));
    await expect.poll(() => webhook.ended(), { timeout: 10_000 }).toBeGreaterThan(0);
    goOn(aSidecar);
    expect((await answer).status).toBe(200);
    for (const socket of flood) socket.destroy();
  });

  it('answers a review whose body comes slowly on a connection that was idle, where others of its address come', async () => {
    const agent = new Agent({ keepAlive: true });
    expect((await post(review(aPod()), { agent })).status).toBe(200);
    const flood = await Promise.all(Array.from({ length: 1023 }, () => silent('127.0.0.1')));
    const text = review(aPod());
    const headers = { expect: '100-continue', 'content-length': Buffer.byteLength(text) };
    const sent = request({ ...asker(), path: '/inject', method: 'POST', agent, headers });
    const answered = once(sent, 'response');
    await once(sent, 'continue');
    expect(sent.reusedSocket).toBe(true);
    flood.push(await silent('127.0.0.1'));
    await expect.poll(() => webhook.ended(), { timeout: 10_000 }).toBe(1);
    sent.end(text);
    expect(await answered).toMatchObject([{ statusCode: 200 }]);
    for (const socket of flood) socket.destroy();
    agent.destroy();
  });

  it.each([
    ['containers.0', review({ metadata: {}, spec: { containers: [1, 2, 3] } })],
    ['uid', review(aPod(), { uid: { length: { toString: null } } })],
  ])('says the first thing that is wrong and no more: %s', async (place, body) => {
    const { status, text } = await post(body);
    expect([status, text.includes(place), text.includes('containers.1')]).toEqual([400, true, false]);
  });

  it('answers with a patch for a pod that asks, and publishes the authority in its namespace first', async () => {
    const { status, text } = await post(review(aPod()));
    const { response, ...rest } = JSON.parse(text) as {
      response: { patch: string } & Record<string, unknown>;
    };
    expect({ status, ...rest }).toEqual({
      status: 200,
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
    });
    expect(response).toMatchObject({ uid: 'u-1', allowed: true, patchType: 'JSONPatch' });
    expect(JSON.parse(Buffer.from(response.patch, 'base64').toString())).toContainEqual({
      op: 'add',
      path: '/spec/initContainers',
      value: [aSidecar.container],
    });
    expect(published).toEqual(['team-a']);
    expect(webhook.counts()).toEqual({ Injected: 1, Unchanged: 0, Refused: 0, Failed: 0 });
  });

  it('refuses one that cannot have it, and says why', async () => {
    const { text } = await post(review(aPod({ hostNetwork: true })));
    expect(JSON.parse(text)).toMatchObject({
      response: { allowed: false, status: { code: 422, message: expect.stringContaining('hostNetwork') } },
    });
    expect(published).toEqual([]);
  });

  it('refuses one where the policy denies pods as runtimes, with what to do', async () => {
    objects.apply(aPolicy('team-a'));
    const refused = JSON.parse((await post(review(aPod()))).text);
    expect(refused).toMatchObject({
      response: { allowed: false, status: { code: 403, reason: 'Forbidden' } },
    });
    expect(JSON.stringify(refused)).toContain('the policy team-a/default has spec.runtimes.pods: Deny');
    expect(JSON.stringify(refused)).toContain('remove the sidecar, or the label adaptlet.io/inject');
    // One that does not ask is no matter of it, and so is another namespace.
    const other = { ...aPod(), metadata: {} };
    for (const body of [review(other), review(aPod(), { namespace: 'team-b' })])
      expect(JSON.parse((await post(body)).text)).toMatchObject({ response: { allowed: true } });
    objects.apply(aPolicy('team-a', { runtimes: { pods: 'Allow' } }));
    expect(JSON.parse((await post(review(aPod()))).text)).toMatchObject({ response: { allowed: true } });
    expect(published).toEqual(['team-b', 'team-a']);
  });

  it('refuses one also where nobody knows what the policy says', async () => {
    objects.apply(aPolicy('team-a'), {}, [{ path: ['spec'], reason: 'spec: is wrong' }]);
    const { text } = await post(review(aPod()));
    expect(JSON.parse(text)).toMatchObject({ response: { allowed: false } });
    expect(text).toContain('Ask the administrator to correct the AdapterPolicy team-a/default');
  });

  it('does nothing elsewhere for a dry run', async () => {
    expect(JSON.parse((await post(review(aPod(), { dryRun: true }))).text)).toMatchObject({
      response: { patchType: 'JSONPatch' },
    });
    expect(published).toEqual([]);
  });

  it('keeps a pod waiting for the authority for a second at most', async () => {
    publishes = () => new Promise(() => undefined);
    const answer = post(review(aPod()));
    while (published.length === 0) await new Promise((resolve) => setImmediate(resolve));
    clock.advance(1_000);
    expect((await answer).status).toBe(200);
  });

  it.each([
    ['no JSON', 'x', 400, 'no JSON'],
    ['no review', '{}', 400, 'AdmissionReviews'],
    ['another version', review(aPod()).replace('k8s.io/v1', 'k8s.io/v1beta1'), 400, 'apiVersion'],
    ['a change of a pod', review(aPod(), { operation: 'UPDATE' }), 400, 'operation'],
    ['no namespace', review(aPod(), { namespace: 'a/../../kube-system' }), 400, 'namespace'],
    ['another kind', review({ metadata: {}, spec: { containers: {} } }), 400, 'containers'],
    ['much too much', 'x'.repeat((4 << 20) + 1), 413, 'at most'],
  ])('answers %s with what it wants', async (_, body, status, text) => {
    const answer = await post(body).catch((error: NodeJS.ErrnoException) => error);
    // A client that goes on sending may see the end of the connection before the answer.
    if (status === 413 && answer instanceof Error) expect(answer.code).toMatch(/EPIPE|ECONNRESET/);
    else expect(answer).toMatchObject({ status, text: expect.stringContaining(text) });
    expect((await post(review(aPod()))).status).toBe(200);
  });

  it('reads 64 MiB at a time in all, and takes reviews again once who sent them is gone', async () => {
    const statuses: number[] = [];
    const half = Array.from({ length: 17 }, () => {
      const sent = request(
        {
          host: '127.0.0.1',
          port: webhook.port,
          path: '/inject',
          method: 'POST',
          agent: false,
          rejectUnauthorized: false,
        },
        (response) => statuses.push(response.statusCode ?? 0),
      );
      sent.on('error', () => undefined);
      sent.write(Buffer.alloc((4 << 20) - 1));
      return sent;
    });
    await vi.waitFor(() => expect(statuses).toContain(503), 10_000);
    for (const sent of half) sent.destroy();
    await vi.waitFor(async () => expect((await post(review(aPod()))).status).toBe(200), 10_000);
    expect(webhook.counts().Failed).toBe(0);
  });

  it('has nothing else', async () => {
    expect((await post('', { method: 'GET' })).status).toBe(404);
    expect((await post('', { path: '/' })).status).toBe(404);
  });

  it('says that it cannot while there is no sidecar to inject', async () => {
    reads = () => Promise.reject(new Error('no such file'));
    expect(await post(review(aPod()))).toMatchObject({
      status: 500,
      text: expect.stringContaining('the log'),
    });
    expect(webhook.counts().Failed).toBe(1);
  });

  it('takes a new certificate, and that of a new authority, without a restart', async () => {
    // Its times are those of the test, which OpenSSL does not know.
    const seen = async (): Promise<PeerCertificate> =>
      (await post(review(aPod()), { verify: false })).certificate;
    const first = await seen();
    clock.advance(1.5 * day);
    await authority.refresh();
    const second = await seen();
    expect(second.serialNumber).not.toBe(first.serialNumber);
    expect(second.issuer).toEqual(first.issuer);
    for (let days = 0; days < 30; days++) {
      clock.advance(day);
      await authority.refresh();
    }
    expect((await seen()).issuer).not.toEqual(first.issuer);
  });

  it('answers for three seconds more when its replica ends', async () => {
    const agent = new Agent({ keepAlive: true });
    const used = async () => (await post(review(aPod()), { agent })).connection;
    expect(await used()).toBe('keep-alive');
    const closing = webhook.close();
    // The API server is not to find the connection closed when it sends the next one.
    expect(await used()).toBe('close');
    clock.advance(3_000);
    await closing;
    agent.destroy();
    await expect(post(review(aPod()))).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});
