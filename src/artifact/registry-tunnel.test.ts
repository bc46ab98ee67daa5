import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { folderOfTests } from '../../test/support/temporary-folder.ts';
import { useProxies } from '../cli/registry/proxies.ts';
import { createGuardedFetch } from '../egress/guarded-fetch.ts';
import { EgressPolicy } from '../egress/policy.ts';
import { proxiesOf } from '../egress/proxy.ts';
import { issueAuthority, issueCertificate, type KeyPair } from '../operator/identity/certificate.ts';
import { filesArtifact } from './artifact.fixture.ts';
import { FakeRegistry } from './fake-registry.ts';
import { blobsOf, defaultLimits, parseManifest } from './manifest.ts';
import { parseReference } from './reference.ts';
import { Registry } from './registry.ts';
import { registryOptions } from './registry-options.fixture.ts';

const host = 'registry.example';
const image = parseReference(`${host}/team/sql:latest`);
const weights = 'weights '.repeat(50_000);
const artifact = filesArtifact({ 'adapter_config.json': '{}', 'adapter_model.safetensors': weights });
const never = new AbortController().signal;
const validity = { from: Date.now() - 60_000, until: Date.now() + 3_600_000 };

const root = folderOfTests();
let authority: KeyPair;
let own: KeyPair;
const trusted = getCACertificates('default');
beforeAll(async () => {
  authority = await issueAuthority('site', validity);
  own = await issueCertificate(authority, { subject: { name: host }, names: [host], validity });
});

/** A registry with TLS, which nobody finds by its name, and a proxy that knows where it is. */
const start = async () => {
  const registry = new FakeRegistry();
  registry.put('team/sql', artifact);
  registry.allow('team/sql', ['u']);
  const seen: { readonly names: unknown[]; readonly headers: string[] } = { names: [], headers: [] };
  const behind = createTlsServer({ key: own.key, cert: own.certificate }, (request, response) => {
    seen.headers.push(...Object.keys(request.headers));
    const headers = new Headers({ authorization: request.headers.authorization ?? '' });
    if (request.headers.range !== undefined) headers.set('range', request.headers.range);
    const answer = registry.answer(request.url ?? '', headers);
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    if (answer.body === null) response.end();
    else
      Readable.fromWeb(answer.body as ReadableStream<Uint8Array>)
        .on('error', () => {
          // Once.
          registry.cutAfter = Number.POSITIVE_INFINITY;
          response.destroy();
        })
        .pipe(response);
  });
  behind.on('secureConnection', (socket: TLSSocket) => seen.names.push(socket.servername));
  const asked: string[] = [];
  const proxy = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.writeHead(500).end();
  });
  proxy.on('connect', (request, socket) => {
    asked.push(`CONNECT ${request.url} ${request.headers['proxy-authorization']}`);
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    const inside = connect((behind.address() as AddressInfo).port, '127.0.0.1');
    for (const [from, to] of [
      [socket, inside],
      [inside, socket],
    ] as const)
      from.on('error', () => to.destroy()).pipe(to);
  });
  for (const server of [behind, proxy]) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
  }
  const { port } = proxy.address() as AddressInfo;
  return { registry, seen, asked, HTTPS_PROXY: `http://me:secret@127.0.0.1:${port}` };
};
const tunnel = `CONNECT ${host}:443 Basic ${Buffer.from('me:secret').toString('base64')}`;

const trust = (): void => {
  setDefaultCACertificates([...trusted, authority.certificate]);
  onTestFinished(() => setDefaultCACertificates(trusted));
};

describe.each<[string, (HTTPS_PROXY: string) => typeof fetch]>([
  [
    'a node',
    (HTTPS_PROXY) => {
      const policy = new EgressPolicy({ allow: [host], deny: [], apiServer: [] });
      const lookup = () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' }));
      return createGuardedFetch(policy, lookup, proxiesOf({ HTTPS_PROXY }));
    },
  ],
  [
    'a command',
    (HTTPS_PROXY) => {
      onTestFinished(useProxies({ HTTPS_PROXY }));
      return fetch;
    },
  ],
])('%s whose registry has a private authority and is behind a proxy', (_, fetchThrough) => {
  const client = (HTTPS_PROXY: string, attempts = 3): Registry =>
    new Registry({
      fetch: fetchThrough(HTTPS_PROXY),
      ...registryOptions,
      attempts,
      idleMs: 10_000,
      credentials: async () => ({ username: 'u', password: 'p' }),
    });

  it('pulls by tunnels alone, goes on after a cut, and shows the proxy nothing that is for the registry', async () => {
    trust();
    const { registry, seen, asked, HTTPS_PROXY } = await start();
    const pulling = client(HTTPS_PROXY);
    const manifest = await pulling.manifest(image, 'latest', never);
    const blobs = blobsOf(parseManifest(manifest, defaultLimits, artifact.digest));
    const large = blobs.find(({ size }) => size === weights.length);
    if (large === undefined) throw new Error('the weights are no blob of the manifest');
    registry.cutAfter = 300_000;
    const path = join(root, 'weights');
    await pulling.blob(image, large, { path, have: 0 }, never, () => {});
    expect(await readFile(path, 'utf8')).toBe(weights);
    // Once whole up to the cut, and once from there.
    expect(registry.count('blobs')).toBe(2);
    expect(new Set(asked)).toEqual(new Set([tunnel]));
    expect(new Set(seen.names)).toEqual(new Set([host]));
    expect(seen.headers.filter((name) => name.startsWith('proxy-'))).toEqual([]);
  });

  it('believes nobody behind the tunnel without that authority, and the message says which one is missing', async () => {
    const { registry, asked, HTTPS_PROXY } = await start();
    const pulled = client(HTTPS_PROXY, 1).manifest(image, 'latest', never);
    await expect(pulled).rejects.toMatchObject({
      code: 'REGISTRY_UNAVAILABLE',
      message: expect.stringMatching(
        /the certificate of https:\/\/registry\.example is not accepted \(\w+\).*NODE_EXTRA_CA_CERTS/,
      ),
    });
    expect([registry.reads, asked]).toEqual([[], [tunnel]]);
  });
});
