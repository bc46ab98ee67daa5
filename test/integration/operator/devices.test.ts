import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toolPath } from '../../cluster/index.ts';
import { codeBlocks } from '../../support/code-blocks.ts';
import { clusterAdapter, systemNamespace, TestFleet } from '../../support/fleet.ts';
import { TestNode, tiny } from '../../support/node.ts';
import { programFolder, repositoryRoot } from '../../support/process.ts';
import { type ProgramResult, runProgram } from '../../support/program.ts';
import { type SniProxy, startSniProxy } from '../../support/sni-proxy.ts';
import { waitFor } from '../../support/wait.ts';

const page = readFileSync(join(repositoryRoot, 'docs/how-to/devices-without-kubernetes.md'), 'utf8');
const [open = '', enrol = '', serve = '', connected = '', revoke = '', ...rest] = codeBlocks(page, 'sh');

/** Short, so that devices renew, and miss it, within a test. */
const lifetimeMs = 12_000;

let fleet: TestFleet;
let proxy: SniProxy;
let env: Record<string, string>;
let child: ChildProcess | undefined;
const nodes: TestNode[] = [];
beforeAll(async () => {
  fleet = await TestFleet.start({ replicas: 0, runtimes: 0 });
  proxy = await startSniProxy();
  const { kubeconfig } = fleet.cluster;
  const tools = [dirname(await toolPath('kubectl')), dirname(await toolPath('helm'))];
  const path = [...tools, programFolder(), process.env['PATH']];
  env = { KUBECONFIG: kubeconfig, PATH: path.join(':'), ADDRESS: `localhost:${proxy.port}` };
});
afterAll(async () => {
  child?.kill('SIGKILL');
  await Promise.all(nodes.map((node) => node.end('SIGKILL')));
  await proxy?.[Symbol.asyncDispose]();
  await fleet?.[Symbol.asyncDispose]();
});

const run = (script: string, cwd = fleet.folder): Promise<ProgramResult> =>
  runProgram('bash', ['-ec', script], { cwd, env });
const ok = async (script: string, cwd = fleet.folder): Promise<string> => {
  const result = await run(script, cwd);
  expect(result, script).toMatchObject({ code: 0 });
  return result.stdout;
};

/** A device of its own folder, which is told of a token. */
const start = async (name: string, token: string, more: Record<string, string> = {}): Promise<TestNode> => {
  const settings = { manifests: '', 'enrol-token-file': token, namespace: fleet.namespace, ...more };
  const node = await TestNode.start({ folder: join(fleet.folder, `device-${name}`), settings });
  nodes.push(node);
  return node;
};
const tokenFor = async (name: string, ...more: string[]): Promise<string> => {
  const file = join(fleet.folder, `${name}.token`);
  await ok(`kubectl adaptlet enrol ${name} ${more.join(' ')} > ${file}`);
  return file;
};
const isConnected = (name: string) =>
  waitFor(`${name} to connect`, async () => {
    const found = await fleet.get<{ status?: { conditions: { type: string; status: string }[] } }>(
      'adr',
      name,
      systemNamespace,
    );
    return found?.status?.conditions.some(({ type, status }) => type === 'Connected' && status === 'True');
  });
const logged = (node: TestNode, text: string | RegExp) =>
  waitFor(`${text} in the log`, () => node.log.some((line) => line.match(text) !== null));
const countOf = (node: TestNode, text: string): number =>
  node.log.filter((line) => line.includes(text)).length;
const certificateOf = async (node: TestNode): Promise<string> => {
  const { body } = JSON.parse(await readFile(join(node.data, 'state/device.json'), 'utf8')) as {
    body: string;
  };
  return (JSON.parse(body) as { certificate: string }).certificate;
};

describe('docs/how-to/devices-without-kubernetes.md', () => {
  it('opens the way in, with the rights that the operator needs', async () => {
    expect(rest).toEqual([]);
    await ok(open, repositoryRoot);
    const settings = {
      'device-listen': '127.0.0.1:0',
      'device-address': env['ADDRESS'] ?? '',
      'device-certificate-lifetime': `${lifetimeMs}ms`,
    };
    await Promise.all([fleet.startOperator(0, settings), fleet.startOperator(1, settings)]);
    proxy.route(
      'localhost',
      fleet.operators.map(({ devices }) => devices),
    );
    const service = await fleet.get<{ spec: { ports: { port: number }[] } }>(
      'service',
      'adaptlet-devices',
      systemNamespace,
    );
    expect(service?.spec.ports.map(({ port }) => port)).toEqual([9445]);
  });

  it('makes a token that a device uses to connect, through TLS that is passed on by its name', async () => {
    await ok(enrol);
    child = spawn('bash', ['-ec', `exec ${serve}`], {
      cwd: fleet.folder,
      stdio: 'ignore',
      env: {
        ...env,
        DATA: join(fleet.folder, 'camera-7'),
        MODEL: tiny.model,
        ADAPTLET_GRPC_LISTEN: '127.0.0.1:0',
        ADAPTLET_HTTP_LISTEN: '127.0.0.1:0',
      },
    });
    expect(await ok(connected)).toContain('condition met');
    expect(new Set(proxy.names)).toEqual(new Set(['localhost']));
  });

  it('revokes it', async () => {
    expect(await ok(revoke)).toContain('camera-7: revoked');
    await waitFor('the end of its stream', async () => {
      const text = await ok('kubectl -n adaptlet-system get adr camera-7 -o yaml');
      return /reason: Disconnected/.test(text);
    });
    child?.kill('SIGKILL');
  });
});

describe('a device', () => {
  it('gets what its labels choose, keeps its key to itself, and renews its certificate by itself', async () => {
    await fleet.apply(
      await clusterAdapter(
        'upper',
        'adapters/upper',
        '  preload: {tier: Memory, runtimeSelector: {matchLabels: {site: north}}}\n',
      ),
    );
    const node = await start('north', await tokenFor('north', '--labels site=north'));
    await isConnected('north');
    await waitFor('an answer of the adapter', async () => {
      const response = await fetch(`${node.http}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'upper', prompt: 'moon:', max_tokens: 4 }),
      });
      return response.status === 200;
    });
    const file = join(node.data, 'state/device.json');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const before = await certificateOf(node);
    await waitFor('another certificate', async () => (await certificateOf(node)) !== before);
    expect(countOf(node, 'enrolled; the token is needed no more')).toBe(1);
    // The certificate by which it connected ends; it dials again with the next one.
    await waitFor(
      'the end of the first certificate',
      () => countOf(node, 'the certificate of the device is over') > 0,
    );
    await isConnected('north');
  });

  it('that was away for longer than its certificate holds comes back by itself, without its token', async () => {
    const token = await tokenFor('south');
    const node = await start('south', token);
    await isConnected('south');
    await node.end('SIGKILL');
    await writeFile(token, 'gone');
    await new Promise((resolve) => setTimeout(resolve, lifetimeMs + 2_000));
    const again = await TestNode.start({
      folder: node.folder,
      settings: { manifests: '', namespace: fleet.namespace },
    });
    nodes.push(again);
    await logged(again, 'connected to the operator');
    await logged(again, 'the certificate of this device was renewed');
  });

  it('that is revoked says so, serves what it has, and comes back with another token', async () => {
    const node = nodes[0];
    if (node === undefined) throw new Error('the first device is not there');
    const began = Date.now();
    await ok('kubectl adaptlet revoke north');
    await logged(node, 'DEVICE_REVOKED');
    expect(Date.now() - began).toBeLessThan(5_000);
    const { stdout } = await runProgram(join(programFolder(), 'adaptlet'), ['status', '--admin', node.admin]);
    expect(stdout).toContain('DEVICE_REVOKED');
    const response = await fetch(`${node.http}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'upper', prompt: 'moon:', max_tokens: 4 }),
    });
    expect(response.status).toBe(200);
    await node.end();
    const token = await tokenFor('north', '--replace');
    const again = await TestNode.start({
      folder: node.folder,
      settings: { manifests: '', 'enrol-token-file': token, namespace: fleet.namespace },
    });
    nodes.push(again);
    await logged(again, 'connected to the operator');
  });

  it('with a token that another one used gets nothing, and says what to do', async () => {
    const token = await tokenFor('twice');
    await start('twice', token);
    await isConnected('twice');
    const thief = await start('thief', token);
    await logged(thief, /ENROLMENT_TOKEN_USED.*kubectl adaptlet revoke NAME/);
  });
});

describe('kubectl adaptlet enrol', () => {
  const refused = async (script: string): Promise<string> => {
    const { code, stdout, stderr } = await run(script);
    expect({ code, stdout }, script).toEqual({ code: 1, stdout: '' });
    return stderr;
  };

  it('refuses names that there are, and that are none, and says what to do', async () => {
    expect(await refused('kubectl adaptlet enrol north')).toContain('add --replace');
    expect(await refused('kubectl adaptlet enrol Bad_Name')).toContain('lower-case');
    expect(await refused('kubectl adaptlet enrol x --expires 1s')).toContain('at least 1m');
    expect(await refused('kubectl adaptlet enrol x -n default')).toContain('operator.devices.enabled');
    expect(await refused('kubectl adaptlet revoke nobody')).toContain('there is no AdapterRuntime nobody');
  });

  it('takes over no runtime of the cluster', async () => {
    await fleet.startNode(0);
    await isConnected('node-0');
    expect(await refused('kubectl adaptlet enrol node-0 --replace')).toContain('is no device');
    expect(await refused('kubectl adaptlet revoke node-0')).toContain('is no device');
  });

  it('leaves no secret in the cluster', async () => {
    const [, text = ''] = (await readFile(join(fleet.folder, 'twice.token'), 'utf8')).trim().split('.');
    const { secret } = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as { secret: string };
    const all = await ok('kubectl get adr,secret,configmap,event -A -o yaml');
    expect(all).toContain('tokenSha256');
    expect(all).not.toContain(secret);
    expect(all).not.toContain(Buffer.from(secret).toString('base64').replace(/=+$/, ''));
  });
});
