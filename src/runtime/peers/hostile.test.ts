import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '../../../test/support/wait.ts';
import type { Digest } from '../../api/names.ts';
import { artifactOf, fileLayer } from '../../artifact/artifact.fixture.ts';
import { digestOf } from '../../artifact/digest.ts';
import { type DiskThread, startDiskThread } from '../../artifact/disk-thread.ts';
import { PeerDesk } from '../../artifact/peer-desk.ts';
import { PeerBusy, peerOrder } from '../../artifact/peer-site.ts';
import { grantUri, type PeerGrant, peerUri } from '../../control/peer-names.ts';
import {
  certifyClient,
  certifyHost,
  certifyServer,
  issueAuthority,
  issueCertificate,
  type KeyPair,
} from '../../operator/identity/certificate.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { Bandwidth } from '../../time/bandwidth.ts';
import { systemClock } from '../../time/clock.ts';
import { connectPeer } from './client.ts';
import type { PeerHoldings } from './holdings.ts';
import { type PeerCredential, PeerServer } from './server.ts';
import { FakeSite, type SiteNode } from './site.fixture.ts';

let disk: DiskThread;
let site: FakeSite | undefined;
beforeAll(() => {
  disk = startDiskThread();
});
afterAll(() => disk[Symbol.asyncDispose]());
afterEach(async () => {
  await site?.[Symbol.asyncDispose]();
  site = undefined;
});

const weights = randomBytes(700_000);
const artifact = artifactOf([fileLayer('adapter_model.safetensors', weights)]);
const digest = digestOf(weights);
const never = new AbortController().signal;

describe('a peer that', () => {
  /** One that has the artifact, and one that asks it. */
  const pair = async (first = {}, times = {}): Promise<readonly [FakeSite, SiteNode, SiteNode]> => {
    site = await FakeSite.start(disk);
    site.registry.put('team/sql', artifact);
    const one = await site.join(first);
    await one.fetch('team/sql');
    return [site, one, await site.join({ times })];
  };
  const isWhole = async (node: SiteNode): Promise<void> => {
    const folder = node.artifacts.folder(artifact.digest);
    expect(await readFile(join(folder, 'adapter_model.safetensors'))).toEqual(weights);
  };
  const aside = ({ outcomes }: SiteNode) =>
    outcomes.flatMap(({ result }) => (result === 'peer' || result === 'source' ? [] : [result]));

  it.each([
    ['other bytes', (bytes: Buffer) => Buffer.from(bytes).fill((bytes[1000] ?? 0) ^ 1, 1000, 1001)],
    ['more bytes', (bytes: Buffer) => Buffer.concat([bytes, bytes, bytes])],
    ['no bytes', () => Buffer.alloc(0)],
  ])('sends %s is left alone, and the blob comes from its source', async (_what, lie) => {
    const [at, one, two] = await pair();
    const lied = join(at.folder, 'lie');
    const bytes = lie(weights);
    await writeFile(lied, bytes);
    const file = { path: lied, bytes: bytes.length };
    const holdings = { blob: (_claim: object, asked: Digest) => (asked === digest ? file : undefined) };
    one.peers.holdings = holdings as unknown as PeerHoldings;
    const reads = at.registry.count('blobs');
    await two.fetch('team/sql');
    await isWhole(two);
    expect(at.registry.count('blobs')).toBe(reads + artifact.blobs.size);
    expect(aside(two).length).toBe(1);
    // It cost no more than the blob and what was under way.
    expect(one.peers.tally.totals().sent).toBeLessThan(3 * weights.length + 1);
    const { sent } = one.peers.tally.totals();
    await two.artifacts.remove(artifact.digest);
    await two.fetch('team/sql');
    expect(at.registry.count('blobs')).toBe(reads + 2 * artifact.blobs.size);
    expect(one.peers.tally.totals().sent).toBe(sent);
  });

  it('drips is given up', async () => {
    const [at, , two] = await pair({ bytesPerSecond: 20_000 }, { dripMs: 300 });
    await two.fetch('team/sql');
    await isWhole(two);
    expect(aside(two)).toEqual(['away']);
    expect(at.registry.count('blobs')).toBe(2 * artifact.blobs.size - 1);
  });

  it('sends slowly, and never so slowly that it is given up for that, is not waited for longer than for others', async () => {
    const [at, , two] = await pair({ bytesPerSecond: 100_000 }, { longestMs: 500 });
    const begun = performance.now();
    await two.fetch('team/sql');
    await isWhole(two);
    expect(performance.now() - begun).toBeLessThan(4_000);
    expect(aside(two)).toEqual([]);
    expect(at.registry.count('blobs')).toBe(2 * artifact.blobs.size - 1);
  });

  it('is gone is not waited for', async () => {
    const [at, one, two] = await pair();
    await one.die();
    await two.fetch('team/sql');
    await isWhole(two);
    expect(aside(two)).toEqual(['away']);
    expect(at.registry.count('blobs')).toBe(2 * artifact.blobs.size);
  });

  it('says that it fetches and gets nowhere is given up', async () => {
    const [, one, two] = await pair({}, { stallMs: 300 });
    one.peers.holdings = undefined;
    const want = one.peers.desk.want({ namespace: 'team-a', source: 'oci:r.test/team/sql' }, digest);
    want.coming(5);
    await two.fetch('team/sql');
    await isWhole(two);
  });

  it('says for ever that it fetches and gets on is waited for, and not for ever', async () => {
    const [, one, two] = await pair({}, { longestMs: 400 });
    one.peers.holdings = undefined;
    const want = one.peers.desk.want({ namespace: 'team-a', source: 'oci:r.test/team/sql' }, digest);
    let bytes = 0;
    const more = setInterval(() => {
      bytes += 1_000_000;
      want.coming(bytes);
    }, 5);
    const begun = performance.now();
    await two.fetch('team/sql');
    clearInterval(more);
    expect(performance.now() - begun).toBeGreaterThanOrEqual(400);
    await isWhole(two);
  });

  it('goes first and never begins is given up', async () => {
    const [at, one, two] = await pair({}, { wantedMs: 300 });
    const names = ['adaptlet-system/node-1', 'adaptlet-system/node-2'];
    let bytes = randomBytes(100);
    while (peerOrder(digestOf(bytes), names)[0] !== names[0]) bytes = randomBytes(100);
    const other = artifactOf([fileLayer('adapter_model.safetensors', bytes)]);
    at.registry.put('team/first', other);
    one.peers.desk.want({ namespace: 'team-a', source: 'oci:r.test/team/first' }, digestOf(bytes));
    const begun = performance.now();
    expect((await two.fetch('team/first')).digest).toBe(other.digest);
    expect(performance.now() - begun).toBeGreaterThanOrEqual(300);
  });
});

describe('the server for peers', () => {
  const claim = { namespace: 'team-a', source: 'oci:r.test/team/sql' };
  const grant: PeerGrant = { site: 'hall-1', runtime: 'adaptlet-system/node-2', ...claim };
  const question = {
    image: { registry: 'r.test', repository: 'team/sql', tag: undefined, digest: undefined },
  };
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const publicKey = createPublicKey(pair.privateKey);
  const hour = 3_600_000;
  const validity = { from: Date.now() - hour, until: Date.now() + hour };
  const subject = { name: 'adaptlet peer' };
  let authority: KeyPair;
  let server: PeerServer;
  let blocked: PromiseWithResolvers<void> | undefined;
  let taken = 0;
  let folder: string;
  let path: string;
  const served = { site: 'hall-1', runtime: 'adaptlet-system/node-1' };

  beforeAll(async () => {
    authority = await issueAuthority('adaptlet test', validity);
    folder = await mkdtemp(join(tmpdir(), 'adaptlet-peers-'));
    path = join(folder, 'blob');
    await writeFile(path, weights);
    const bandwidth = new Bandwidth(
      { windows: [], otherwise: Number.POSITIVE_INFINITY, timeZone: 'UTC' },
      systemClock,
    );
    const take = bandwidth.take.bind(bandwidth);
    bandwidth.take = async (...all) => {
      taken += 1;
      await blocked?.promise;
      return await take(...all);
    };
    const isClaim = (of: { namespace: string; source: string }): boolean =>
      of.namespace === claim.namespace && of.source === claim.source;
    server = await PeerServer.listen('127.0.0.1:0', {
      desk: new PeerDesk(),
      holdings: () =>
        ({
          blob: (of: PeerGrant, asked: Digest) =>
            isClaim(of) && asked === digest ? { path, bytes: weights.length } : undefined,
        }) as unknown as PeerHoldings,
      tagged: () => undefined,
      bandwidth,
      sent: () => undefined,
      clock: systemClock,
      log: silentLog,
    });
  });
  afterAll(async () => {
    await server.close();
    await rm(folder, { recursive: true });
  });

  const show = (): void =>
    server.show({
      certificate: certifyServer(authority, { subject, uri: peerUri(served), validity, publicKey }),
      key,
      authorities: authority.certificate,
      site: served.site,
    });
  const asking = (certificate: string, more: Partial<PeerCredential> = {}): PeerCredential => {
    return { certificate, key, authorities: authority.certificate, site: 'hall-1', ...more };
  };
  const certificateOf = (more: Partial<PeerGrant> = {}): string =>
    certifyClient(authority, { subject, uri: grantUri({ ...grant, ...more }), validity, publicKey });

  type Asked = { readonly method?: string; readonly headers?: Record<string, string> };
  const ask = async (
    url: string,
    {
      certificate = certificateOf(),
      ...more
    }: Asked & { readonly certificate?: string; readonly key?: string } = {},
  ) => {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const options = {
      cert: certificate,
      key,
      ca: authority.certificate,
      checkServerIdentity: () => undefined,
    };
    request(`https://127.0.0.1:${server.port}${url}`, { ...options, agent: false, ...more })
      .on('response', resolve)
      .on('error', reject)
      .end();
    const message = await promise;
    return { status: message.statusCode, headers: message.headers, body: await text(message) };
  };
  const blob = `/v2/team/sql/blobs/${digest}`;

  it('gives nobody a connection before it has a certificate', async () => {
    await expect(ask(blob)).rejects.toThrow();
    show();
    expect((await ask(blob, { method: 'HEAD' })).status).toBe(200);
  });

  it('speaks TLS with certificates of its authority for asking, and with no others', async () => {
    const other = await issueAuthority('another', validity);
    const uri = grantUri(grant);
    const foreign = certifyClient(other, { subject, uri, validity, publicKey });
    const own = certifyServer(authority, { subject, uri: peerUri(served), validity, publicKey });
    const over = certifyClient(authority, {
      subject,
      uri,
      validity: { from: Date.now() - 2 * hour, until: Date.now() - hour },
      publicKey,
    });
    const ofPorts = certifyHost(authority, { subject, names: ['node-1'], validity, publicKey });
    for (const certificate of [foreign, own, over, ofPorts])
      await expect(ask(blob, { certificate })).rejects.toThrow();
    const replica = await issueCertificate(authority, {
      subject: { organization: 'adaptlet:replicas', name: 'operator-a' },
      names: ['localhost'],
      validity,
    });
    expect(await ask(blob, { certificate: replica.certificate, key: replica.key })).toMatchObject({
      status: 403,
    });
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    request(`https://127.0.0.1:${server.port}${blob}`, {
      ca: authority.certificate,
      agent: false,
      checkServerIdentity: () => undefined,
    })
      .on('response', reject)
      .on('error', resolve)
      .end();
    expect(await promise).toBeInstanceOf(Error);
  });

  it('gives what the certificate is for, and nothing else', async () => {
    const status = async (more: Partial<PeerGrant>, url = blob) =>
      (await ask(url, { certificate: certificateOf(more) })).status;
    expect(await status({})).toBe(200);
    expect(await status({ namespace: 'team-b' })).toBe(404);
    expect(await status({ source: 'oci:other.test/team/sql' })).toBe(404);
    expect(await status({ source: 'oci:r.test/team/other' })).toBe(404);
    expect(await status({ site: 'hall-2' })).toBe(403);
    expect(await status({}, `${blob}?ns=r.test`)).toBe(200);
    expect(await status({}, `${blob}?ns=other.test`)).toBe(404);
    expect(await status({}, `/v2/team/other/blobs/${digest}`)).toBe(404);
    expect(await status({}, '/v2/team/sql/blobs/..%2f..%2fetc')).toBe(400);
    expect(await status({}, `/v2/team/sql/blobs/sha256:${'0'.repeat(64)}`)).toBe(404);
    expect(await status({}, '/metrics')).toBe(404);
    for (const method of ['PUT', 'POST', 'DELETE']) expect((await ask(blob, { method })).status).toBe(404);
  });

  it('answers ranges as RFC 9110 says', async () => {
    const of = async (range: string) => {
      const { status, headers, body } = await ask(blob, { headers: { range } });
      return [status, headers['content-range'], body.length > 0 ? Number(headers['content-length']) : 0];
    };
    const size = weights.length;
    expect(await of('bytes=0-9')).toEqual([206, `bytes 0-9/${size}`, 10]);
    expect(await of(`bytes=${size - 5}-`)).toEqual([206, `bytes ${size - 5}-${size - 1}/${size}`, 5]);
    expect(await of('bytes=-7')).toEqual([206, `bytes ${size - 7}-${size - 1}/${size}`, 7]);
    expect(await of(`bytes=${size - 5}-${size + 100}`)).toEqual([
      206,
      `bytes ${size - 5}-${size - 1}/${size}`,
      5,
    ]);
    expect((await of(`bytes=${size}-`))[0]).toBe(416);
    for (const odd of ['bytes=9-2', 'bytes=0-1,5-6', 'lines=0-1', 'bytes=-', `bytes=${'9'.repeat(40)}-`])
      expect(await of(odd)).toEqual([200, undefined, size]);
  });

  it('sends to one runtime twice at a time, and to four together', async () => {
    taken = 0;
    blocked = Promise.withResolvers<void>();
    const urlOf = (runtime: string) => ask(blob, { certificate: certificateOf({ runtime }) });
    const under = ['a/1', 'a/1', 'a/2', 'a/2'].map(urlOf);
    await waitFor('four who have begun', () => taken === 4);
    const refused = await Promise.all(['a/1', 'a/3'].map(urlOf));
    expect(refused.map(({ status }) => status)).toEqual([429, 429]);
    const peer = connectPeer({
      name: served.runtime,
      address: `127.0.0.1:${server.port}`,
      credential: asking(certificateOf()),
      question,
      clock: systemClock,
    });
    await expect(peer.get(digest, {}, never)).rejects.toThrow(PeerBusy);
    blocked.resolve();
    blocked = undefined;
    expect((await Promise.all(under)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    await using answer = await peer.get(digest, {}, never);
    expect(answer.response.status).toBe(200);
    peer[Symbol.dispose]();
  });

  it('is known by its name and site: who asks speaks to no other one', async () => {
    const look = async (more: { readonly name?: string; readonly credential?: PeerCredential }) => {
      const { name = served.runtime, credential = asking(certificateOf()) } = more;
      using peer = connectPeer({
        name,
        address: `127.0.0.1:${server.port}`,
        credential,
        question,
        clock: systemClock,
      });
      return await peer.look(digest, never);
    };
    using peer = connectPeer({
      name: served.runtime,
      address: `127.0.0.1:${server.port}`,
      credential: asking(certificateOf()),
      question,
      clock: systemClock,
    });
    expect(await peer.look(digest, never)).toEqual({ state: 'here', bytes: weights.length });
    await expect(look({ name: 'adaptlet-system/node-9' })).rejects.toThrow('did not answer');
    await expect(look({ credential: asking(certificateOf(), { site: 'hall-2' }) })).rejects.toThrow();
    const other = await issueAuthority('another', validity);
    const distrusting = asking(certificateOf(), { authorities: other.certificate });
    await expect(look({ credential: distrusting })).rejects.toThrow('did not answer');
  });
});
