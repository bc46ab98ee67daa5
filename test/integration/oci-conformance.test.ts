import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { artifactOf, fileLayer } from '../../src/artifact/artifact.fixture.ts';
import { diskOfTests } from '../../src/artifact/disk-thread.fixture.ts';
import { FakeSite } from '../../src/runtime/peers/site.fixture.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { tool } from '../tools/build.ts';

const suite = await tool('conformance');

const artifact = artifactOf([
  fileLayer('adapter_config.json', '{"r": 8}'),
  fileLayer('adapter_model.safetensors', randomBytes(300_000)),
]);

/** The suite knows no certificates of clients: what it asks goes to the runtime with one. */
const withCertificate = async (
  address: string,
  credential: { certificate: string; key: string },
): Promise<Server> => {
  const { certificate: cert, key } = credential;
  const options = { cert, key, rejectUnauthorized: false, agent: false };
  const proxy = createServer((asked, answered) => {
    const { method, headers, url } = asked;
    const onward = request(`https://${address}${url}`, { ...options, method, headers }, (answer) => {
      answered.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(answered);
    });
    onward.on('error', () => answered.destroy());
    asked.pipe(onward);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return proxy;
};

describe.skipIf(suite === undefined)('the conformance suite of the OCI distribution specification', () => {
  const disk = diskOfTests();
  let site: FakeSite;
  let proxy: Server;
  const folder = folderOfTests();
  beforeAll(async () => {
    site = await FakeSite.start(disk);
    site.registry.put('team/sql', artifact);
    const node = await site.join();
    await node.fetch('team/sql');
    node.peers.tagged = (_, source, tag) =>
      source === 'oci:r.test/team/sql' && tag === 'latest' ? artifact.digest : undefined;
    proxy = await withCertificate(node.peers.address, await site.credentialOf(node, 'team/sql'));
  });
  afterAll(async () => {
    proxy.close();
    await site[Symbol.asyncDispose]();
  });

  it('passes what pull asks, against a runtime that gives blobs to its peers', async () => {
    const off = Object.fromEntries(
      [
        'API_PUSH',
        'API_REFERRER',
        'API_TAGS_LIST',
        'API_TAGS_DELETE',
        'API_TAGS_ATOMIC',
        'API_MANIFESTS_DELETE',
        'API_MANIFESTS_ATOMIC',
        'API_BLOBS_DELETE',
        'API_BLOBS_ATOMIC',
        'API_BLOBS_MOUNT_ANONYMOUS',
      ].map((name) => [`OCI_${name}`, 'false']),
    );
    const child = spawn(suite ?? '', [], {
      cwd: folder,
      env: {
        ...off,
        OCI_VERSION: '1.1',
        OCI_REGISTRY: `127.0.0.1:${(proxy.address() as AddressInfo).port}`,
        OCI_TLS: 'disabled',
        OCI_REPO1: 'team/sql',
        OCI_REPO2: 'team/sql',
        OCI_API_PULL: 'true',
        OCI_API_BLOBS_DIGEST_HEADER: 'true',
        OCI_RO_DATA_TAGS: 'latest',
        OCI_RO_DATA_MANIFESTS: artifact.digest,
        OCI_RO_DATA_BLOBS: [...artifact.blobs.keys()].join(' '),
        OCI_RESULTS_DIR: folder,
      },
    });
    const [said] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    // How it exits says nothing: this version ends in its own report files where nothing may be pushed.
    expect(said).toMatch(/^OCI Conformance Result: Pass$/m);
    expect(said).not.toMatch(/: +(FAIL|Error)$/im);
    // Each of them was asked, and answered as it should be.
    const asked = [
      'Ping',
      'Blob get',
      'Blob head',
      'Manifest get by digest',
      'Manifest get by tag',
      'Manifest head by digest',
      'Manifest head by tag',
    ];
    for (const api of asked) expect(said).toMatch(new RegExp(`^ *${api}\\.*: +Pass$`, 'm'));
  });
});
