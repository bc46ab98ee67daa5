import { generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { stat } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { credentials, Metadata } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { servingStatement } from '../../../src/control/serving-statement.ts';
import { Identity_Kind, type ServingCertificate } from '../../../src/gen/adaptlet/control/v1/control.ts';
import { GRPCInferenceServiceClient } from '../../../src/gen/inference/grpc_service.ts';
import { issueAuthority } from '../../../src/operator/identity/certificate.ts';
import { FakeRuntime } from '../../../src/operator/sync/fake-runtime.ts';
import { freePort } from '../../cluster/ports.ts';
import { systemNamespace, TestFleet } from '../../support/fleet.ts';
import type { TestNode } from '../../support/node.ts';
import { waitFor } from '../../support/wait.ts';

const service = `adaptlet-runtime.${systemNamespace}.svc`;
const operatorName = `adaptlet-operator.${systemNamespace}.svc`;
const account = { namespace: systemNamespace, serviceAccount: 'adaptlet-runtime' };

const stack = new AsyncDisposableStack();
let fleet: TestFleet;
let bundle: string;
let healthPort: number;
let tls: Readonly<Record<string, string>>;

/** A Node with the address that its kubelet would tell, and the pod of a runtime on it. */
const addNode = async (index: number, name: string, address: string): Promise<void> => {
  await fleet.cluster.createPod({ ...account, name: `adaptlet-runtime-${index}`, node: name });
  const status = JSON.stringify({ status: { addresses: [{ type: 'InternalIP', address }] } });
  await fleet.cluster.kubectlOk([
    'patch',
    'node',
    name,
    '--subresource=status',
    '--type=merge',
    '-p',
    status,
  ]);
};

beforeAll(async () => {
  fleet = stack.use(await TestFleet.start({ replicas: 1, runtimes: 0 }));
  const published = ['get', 'configmap', 'adaptlet-ca', '-o', 'jsonpath={.data.ca\\.crt}'];
  bundle = await fleet.cluster.kubectlOk(['-n', systemNamespace, ...published]);
  for (const index of [0, 1]) await addNode(index, `node-${index}`, `10.20.0.${index}`);
  healthPort = await freePort();
  tls = { tls: 'operator', 'http-listen': `127.0.0.1:${await freePort()}` };
});
afterAll(() => stack.disposeAsync());

type Answered = { readonly status: number; readonly serial: string; readonly names: string };

/** A request as of a client that trusts `ca` and looks for `name`, on a connection of its own. */
const ask = (node: TestNode, name: string, ca = bundle): Promise<Answered> =>
  new Promise((resolve, reject) => {
    const { port } = new URL(node.http);
    const sent = httpsRequest({
      host: '127.0.0.1',
      port,
      path: '/v1/completions',
      method: 'POST',
      headers: { host: name, 'content-type': 'application/json' },
      servername: name,
      ca,
      agent: false,
    });
    sent.on('response', (response: IncomingMessage) => {
      const { serialNumber, subjectaltname = '' } = (response.socket as TLSSocket).getPeerCertificate();
      response.resume();
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, serial: serialNumber, names: subjectaltname }),
      );
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(JSON.stringify({ model: 'tiny', prompt: 'moon:', max_tokens: 2 }));
  });
const codeOf = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    () => 'answered',
    ({ code }: NodeJS.ErrnoException) => String(code),
  );

/** When the certificate of a runtime ends, by its metrics; seconds. */
const endOf = async (port: number): Promise<number> => {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(/^adaptlet_tls_certificate_expiry_timestamp_seconds (\d+)$/m.exec(text)?.[1] ?? Number.NaN);
};

describe('a runtime with certificates of its operator', () => {
  it('answers clients that trust what is published and know it by its Service, and by no other name', async () => {
    const node = await fleet.startNode(0, tls);
    const { status, names } = await waitFor('an answer over TLS', () => ask(node, service));
    expect(status).toBe(200);
    expect(names).toBe(
      `DNS:${service}, DNS:${service}.cluster.local, DNS:adaptlet-runtime.${systemNamespace}, DNS:node-0, IP Address:10.20.0.0`,
    );
    for (const name of [`adaptlet-runtime.${systemNamespace}`, 'node-0'])
      expect((await ask(node, name)).status).toBe(200);
    for (const name of [operatorName, 'node-1', 'localhost', `other.${systemNamespace}.svc`])
      expect([name, await codeOf(ask(node, name))]).toEqual([name, 'ERR_TLS_CERT_ALTNAME_INVALID']);
    const other = await issueAuthority('other', { from: Date.now() - 1_000, until: Date.now() + 60_000 });
    expect(await codeOf(ask(node, service, other.certificate))).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    await expect(fetch(node.http.replace('https', 'http'))).rejects.toThrow();
  });

  it('answers over gRPC in the same way', async () => {
    const [node] = fleet.nodes;
    const isLive = (name: string): Promise<boolean> => {
      const client = new GRPCInferenceServiceClient(
        node?.grpc ?? '',
        credentials.createSsl(Buffer.from(bundle)),
        {
          'grpc.ssl_target_name_override': name,
          'grpc.use_local_subchannel_pool': 1,
        },
      );
      return new Promise<boolean>((resolve) => {
        const deadline = { deadline: Date.now() + 10_000 };
        client.serverLive({}, new Metadata(), deadline, (error, answer) =>
          resolve(error === null && answer.live),
        );
      }).finally(() => client.close());
    };
    expect([await isLive(service), await isLive(operatorName)]).toEqual([true, false]);
  });

  it('keeps key and certificate to its owner, and serves on with them over a restart without an operator', async () => {
    const [before] = fleet.nodes;
    const { serial } = await ask(before as TestNode, service);
    expect((await stat(join(before?.data ?? '', 'state/serving.pem'))).mode & 0o777).toBe(0o600);
    await fleet.operators[0]?.end();
    await before?.end();
    const node = await fleet.restartNode(0);
    expect(await ask(node, service)).toMatchObject({ status: 200, serial });
  });

  it('waits for its first one, and says so', async () => {
    // The operator is away.
    const node = await fleet.startNode(1, { tls: 'operator', 'health-listen': `127.0.0.1:${healthPort}` });
    expect(await codeOf(ask(node, service))).not.toBe('answered');
    const readyz = await fetch(`http://127.0.0.1:${healthPort}/readyz`);
    expect([readyz.status, await readyz.text()]).toEqual([
      503,
      expect.stringContaining('no certificate of the operator yet'),
    ]);
    expect(await endOf(healthPort)).toBeNaN();
    expect((await node.client.status()).limits.join()).toContain('no certificate of the operator yet');
    expect(node.log.some((line) => line.includes('wait for their first certificate'))).toBe(true);
  });

  it('has the next one without a restart, and no request fails meanwhile', async () => {
    const [node, waiting] = fleet.nodes as [TestNode, TestNode];
    const { serial } = await ask(node, service);
    let isRunning = true;
    const answers: Answered[] = [];
    const failures: unknown[] = [];
    const lane = async (): Promise<void> => {
      while (isRunning)
        await ask(node, service).then(
          (answer) => answers.push(answer),
          (error) => failures.push(error),
        );
    };
    const lanes = Promise.all([lane(), lane()]);
    // What the administrator names is in the next one.
    await fleet.startOperator(0, { 'runtime-names': 'llm.factory.example' });
    await waitFor('another certificate', async () => (await ask(node, service)).serial !== serial, 120_000);
    const seen = answers.length;
    await waitFor('more requests', () => answers.length > seen + 10);
    isRunning = false;
    await lanes;
    expect(failures).toEqual([]);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(answers.map((one) => one.serial)).size).toBe(2);
    expect((await ask(node, 'llm.factory.example')).status).toBe(200);
    // The one that waited has its first one.
    expect((await waitFor('the first certificate', () => ask(waiting, 'node-1'))).status).toBe(200);
    expect((await fetch(`http://127.0.0.1:${healthPort}/readyz`)).status).toBe(200);
    expect((await endOf(healthPort)) - Date.now() / 1000).toBeGreaterThan(29 * 86_400);
  });
});

describe('a runtime that lies to its operator', () => {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKey = pair.publicKey.export({ type: 'spki', format: 'der' });
  const proofFor = (self: string, key: KeyObject = pair.privateKey): Buffer =>
    sign('sha256', servingStatement(self, publicKey), key);

  const connect = async (
    pod: { readonly namespace: string; readonly name: string; readonly serviceAccount: string },
    identity: { readonly namespace: string; readonly name: string; readonly kind: Identity_Kind },
  ): Promise<FakeRuntime> => {
    const { namespace, serviceAccount } = pod;
    const token = await fleet.cluster.token({
      namespace,
      serviceAccount,
      audience: 'adaptlet',
      boundPod: pod.name,
    });
    const runtime = new FakeRuntime(fleet.operators[0]?.grpc ?? '', bundle, token);
    stack.defer(() => runtime.close());
    runtime.hello({ identity, connectionSeq: 1n });
    await waitFor('an answer to the Hello', () => runtime.welcomed || runtime.ended !== undefined);
    return runtime;
  };
  const certificateOf = async (runtime: FakeRuntime, signature: Buffer): Promise<ServingCertificate> => {
    const before = runtime.of('servingCertificate').length;
    runtime.send({ $case: 'servingCertificate', value: { id: 1n, publicKey, signature } });
    return await waitFor('an answer', () => runtime.of('servingCertificate')[before]);
  };
  const kind = Identity_Kind.NODE;

  it('as another Node is refused its stream', async () => {
    await addNode(2, 'node-2', '10.20.0.2');
    const pod = { ...account, name: 'adaptlet-runtime-2' };
    const runtime = await connect(pod, { namespace: systemNamespace, name: 'node-1', kind });
    expect(runtime.ended?.error).toBe('PEER_IDENTITY');
  });

  it('about its key, or with what another one signed, gets no certificate', async () => {
    const pod = { ...account, name: 'adaptlet-runtime-2' };
    const runtime = await connect(pod, { namespace: systemNamespace, name: 'node-2', kind });
    const own = `${systemNamespace}/node-2`;
    const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    for (const signature of [
      Buffer.alloc(0),
      proofFor(`${systemNamespace}/node-1`),
      proofFor(own, stranger),
    ]) {
      const { certificate, reason } = await certificateOf(runtime, signature);
      expect([certificate, reason]).toEqual([
        '',
        expect.stringContaining('not of the holder of the public key'),
      ]);
    }
    const { certificate } = await certificateOf(runtime, proofFor(own));
    expect(new X509Certificate(certificate).subjectAltName).toContain('DNS:node-2, IP Address:10.20.0.2');
  });

  it('on a Node that is called like the operator, gets no name of it', async () => {
    await addNode(3, operatorName, '127.0.0.1');
    const pod = { ...account, name: 'adaptlet-runtime-3' };
    const runtime = await connect(pod, { namespace: systemNamespace, name: operatorName, kind });
    const { certificate } = await certificateOf(runtime, proofFor(`${systemNamespace}/${operatorName}`));
    const read = new X509Certificate(certificate);
    expect(read.checkHost(operatorName)).toBeUndefined();
    expect(read.checkIP('127.0.0.1')).toBeUndefined();
    expect(read.checkHost(service)).toBe(service);
  });

  it('as the pod of a tenant that is called like the Service gets no certificate', async () => {
    const { namespace } = fleet;
    const pod = { namespace, name: 'adaptlet-runtime', serviceAccount: 'default' };
    await fleet.cluster.createPod({ ...pod, node: 'node-0' });
    const runtime = await connect(pod, { namespace, name: pod.name, kind: Identity_Kind.POD });
    expect(await certificateOf(runtime, proofFor(`${namespace}/${pod.name}`))).toMatchObject({
      certificate: '',
      reason: expect.stringContaining('runtimes of Nodes'),
    });
  });
});
