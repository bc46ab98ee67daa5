import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AdapterStatus } from '../../../src/api/adapter-status.ts';
import { adaptlet } from '../../support/cli.ts';
import { ClosedRegistry } from '../../support/closed-registry.ts';
import { letReadSecrets, systemNamespace, TestFleet } from '../../support/fleet.ts';
import { isInMemory, leaksBelow, leaksIn, leaksInFile } from '../../support/leaks.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import { enginePid, type TestNode } from '../../support/node.ts';
import { startQuotingServer } from '../../support/quoting-server.ts';
import { hasRegistry } from '../../support/registry.ts';
import { lineOf, startSecureRuntime } from '../../support/secure-runtime.ts';
import { folderOfTest } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait.ts';

const run = promisify(execFile);
const word = (): string => randomBytes(18).toString('base64url');
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const reason = hasRegistry ? '' : ' (SKIPPED: go is not installed, so the registry and oras cannot be built)';
/** Whether there is a debugger, and it may trace a process that is no child of it. */
const canDump = async (): Promise<boolean> => {
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-core-'));
  const child = spawn('sleep', ['60']);
  try {
    await run('gcore', ['-o', join(folder, 'core'), String(child.pid)]);
    return true;
  } catch {
    return false;
  } finally {
    child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  }
};
const canDumpCores = await canDump();

describe.skipIf(!hasRegistry)(`adapters with a pullSecretRef${reason}`, () => {
  const stack = new AsyncDisposableStack();
  const auth = { kind: 'bearer', user: 'edge', password: word() } as const;
  const wrong = word();
  const metricToken = word();
  const apiKey = `adk_${randomBytes(32).toString('base64url')}`;
  let registry: ClosedRegistry;
  let fleet: TestFleet;
  let node: TestNode;
  /** A runtime with TLS on its request ports, whose certificate was replaced by one of another key. */
  let secure: TestNode;
  let tlsKeys: readonly string[];
  /** Of operators that were killed. */
  const formerLogs: string[] = [];
  /** A namespace whose Secrets the operator may not read. */
  let stranger: string;
  beforeAll(async () => {
    registry = stack.use(await ClosedRegistry.start(auth));
    fleet = stack.use(await TestFleet.start({ replicas: 1, runtimes: 1 }));
    node = fleet.nodes[0] as TestNode;
    stranger = await fleet.cluster.createNamespace('stranger');
    await letReadSecrets(fleet);
    for (const user of ['u1', 'u2', 'u3', 'u4']) await registry.push(`team/users/${user}:now`, 'reverse');
    await fleet.apply(
      JSON.stringify({
        apiVersion: 'adaptlet.io/v1alpha1',
        kind: 'AdapterRoute',
        metadata: { name: 'mine' },
        spec: {
          model: 'mine',
          rules: [
            {
              name: 'own',
              perUser: {
                baseModel: 'tiny',
                source: {
                  oci: { image: `${registry.host}/team/users/{user}:now`, pullSecretRef: { name: 'login' } },
                },
              },
            },
          ],
        },
      }),
    );
  });
  afterAll(() => stack.disposeAsync());

  const secretYaml = (name: string, password: string, namespace = fleet.namespace): string =>
    registry.secret(name, namespace, password);
  const secret = (...of: Parameters<typeof secretYaml>): Promise<string> =>
    fleet.cluster.kubectlOk(['apply', '-f', '-'], secretYaml(...of));
  const adapter = (
    name: string,
    image: string,
    pullSecret: string,
    namespace = fleet.namespace,
    digest = '',
  ) =>
    fleet.cluster.kubectlOk(
      ['apply', '-f', '-'],
      registry.adapter(name, namespace, image, pullSecret, digest),
    );
  const statusOf = async (name: string, namespace = fleet.namespace) =>
    (await fleet.get<{ status?: AdapterStatus }>('ad', name, namespace))?.status;
  const ready = (name: string) =>
    waitFor(
      `${name} on the runtime`,
      async () => {
        const status = await statusOf(name);
        return status?.conditions.some((one) => one.type === 'Ready' && one.status === 'True') && status;
      },
      90_000,
    );
  const says = (name: string, text: string, namespace = fleet.namespace) =>
    waitFor(
      `${name} to say: ${text}`,
      async () => JSON.stringify(await statusOf(name, namespace)).includes(text),
      60_000,
    );
  const errorBody = async (user: string): Promise<string> => {
    const response = await fetch(`${node.http}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-adaptlet-user': user },
      body: JSON.stringify({ model: 'mine', prompt: 'moon:', user }),
    });
    return await response.text();
  };

  it('wait while there is no Secret or a wrong one, say why, and come once it is right', async () => {
    const digest = await registry.push('team/sql:v1', 'upper');
    await adapter('sql', 'team/sql:v1', 'login', fleet.namespace, digest);
    await adapter('tagged', 'team/sql:v1', 'login');
    await says('sql', `waits for a pull credential of Secret ${fleet.namespace}/login`);
    await says('sql', 'PULL_CREDENTIAL_AWAITED');
    await expect(adapter('tagged', 'team/sql:v1', 'other')).rejects.toThrow(/spec\.source is immutable/);
    await says('tagged', `there is no Secret ${fleet.namespace}/login`);
    await secret('login', wrong);
    await says('tagged', 'the token service');
    await secret('login', auth.password);
    expect(await ready('sql')).toMatchObject({ digest });
    expect(await ready('tagged')).toMatchObject({ digest });
    expect((await askMoon(node, 'sql')).text).toBe(moon.upper);
  });

  it('are fetched with tokens for their repository, and the node has no password', async () => {
    expect(registry.tokens.length).toBeGreaterThan(0);
    for (const token of registry.tokens) {
      const [kind, text = ''] = token.split(' ');
      expect(kind).toBe('Bearer');
      const claims = JSON.parse(Buffer.from(text.split('.')[0] ?? '', 'base64url').toString()) as object;
      expect(claims).toMatchObject({ scopes: ['repository:team/sql:pull'] });
    }
  });

  it('of users get a token for the repository of that user', async () => {
    expect((await askMoon(node, 'mine', 'u1')).text).toBe(moon.reverse);
    const claims = Buffer.from(registry.tokens.at(-1)?.split(' ')[1] ?? '', 'base64url').toString();
    expect(claims).toContain('repository:team/users/u1:pull');
  });

  it('get another token when the registry takes the one that they have no more', async () => {
    await registry.push('team/sql:v2', 'digits');
    for (const token of registry.tokens) registry.revoked.add(token);
    await adapter('sql-2', 'team/sql:v2', 'login');
    await ready('sql-2');
    expect((await askMoon(node, 'sql-2')).text).toBe(moon.digits);
  });

  it('of a namespace whose Secrets the operator may not read say what to ask for, and use nobody else’s', async () => {
    await secret('login', auth.password, stranger);
    await adapter('theirs', 'team/sql:v1', 'login', stranger);
    await says('theirs', `list the namespace ${stranger} in credentials.namespaces`, stranger);
  });

  it('that are here go on without an operator, and others wait for it', async () => {
    formerLogs.push(...(fleet.operators[0]?.log ?? []));
    await fleet.operators[0]?.end('SIGKILL');
    await waitFor('the end of the stream', async () => {
      const { operator } = await node.client.status();
      return operator?.state !== 'connected';
    });
    expect((await askMoon(node, 'sql')).text).toBe(moon.upper);
    const body = await waitFor('an error', async () => {
      const text = await errorBody('u2');
      return text.includes('waits for a pull credential') && text;
    });
    expect(body).toContain('the operator cannot be reached now');
    await fleet.restartOperator(0);
    await waitFor(
      'the adapter of the user',
      async () => (await askMoon(node, 'mine', 'u2')).text === moon.reverse,
      60_000,
    );
  });

  it('whose Secret was deleted get nothing new, and go on', async () => {
    await fleet.cluster.kubectlOk(['-n', fleet.namespace, 'delete', 'secret', 'login']);
    // Each time another user: what is here goes on.
    let users = 0;
    await waitFor(
      'an error',
      async () => (await errorBody(`x${users++}`)).includes(`there is no Secret ${fleet.namespace}/login`),
      60_000,
    );
    expect((await askMoon(node, 'sql')).text).toBe(moon.upper);
  });

  describe('leave their secrets, and those of others,', () => {
    let secrets: ReadonlyMap<string, string>;
    const bodies: string[] = [];
    beforeAll(async () => {
      await secret('login', auth.password);
      const policy = {
        base: 'Allow',
        clients: {
          anonymous: 'Allow',
          apiKeys: [{ name: 'app', sha256: createHash('sha256').update(apiKey).digest('hex') }],
        },
      };
      await fleet.apply(
        JSON.stringify({
          apiVersion: 'adaptlet.io/v1alpha1',
          kind: 'AdapterPolicy',
          metadata: { name: 'default' },
          spec: policy,
        }),
      );
      const metric = { name: 'metrics', labels: { 'adaptlet.io/metrics': 'true' } };
      await fleet.apply(
        JSON.stringify({
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: metric,
          stringData: { token: metricToken },
        }),
      );
      // It quotes what it was asked with.
      const server = stack.use(await startQuotingServer());
      const source = {
        http: { url: `${server.url}/`, jsonPath: '$.n', secretRef: { name: 'metrics', key: 'token' } },
      };
      const judge = { threshold: { success: { atMost: 1 } } };
      await fleet.apply(
        JSON.stringify({
          apiVersion: 'adaptlet.io/v1alpha1',
          kind: 'AdapterAnalysis',
          metadata: { name: 'judge' },
          spec: { metrics: [{ name: 'errors', source, judge, count: 1 }] },
        }),
      );
      const steps = '{setWeight: 50}, {analysis: {ref: judge}}';
      await fleet.apply(rolloutYaml('shout', 'sql', steps));
      await waitFor('stable', async () => (await fleet.rollout('shout'))?.stable?.adapter === 'sql');
      await fleet.apply(rolloutYaml('shout', 'sql-2', steps));
      await waitFor('a measurement', () => server.asked.includes(`Bearer ${metricToken}`));
      await waitFor('its error', async () =>
        JSON.stringify(await fleet.rollout('shout')).includes('answers 500'),
      );
      for (const key of [apiKey, `${apiKey}x`, 'adk_short']) {
        const response = await fetch(`${node.http}/v1/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
          body: JSON.stringify({ model: 'nothing', prompt: 'moon:' }),
        });
        bodies.push(await response.text());
      }
      bodies.push(await errorBody('u9'));
      await askMoon(node, 'mine', 'u3');
      type Data = { readonly data: Readonly<Record<string, string>> };
      const ca = await fleet.get<Data>('secret', 'adaptlet-ca', systemNamespace);
      const keys = Object.entries(ca?.data ?? {}).filter(([name]) => name.includes('key'));
      expect(keys.length).toBeGreaterThan(0);
      const authorityKeys = keys.map(([name, value]): [string, string] => [
        `key ${name} of the authority`,
        lineOf(Buffer.from(value, 'base64').toString()),
      ]);
      ({ node: secure, keys: tlsKeys } = await startSecureRuntime(fleet, 1));
      secrets = new Map([
        ['password', auth.password],
        ['wrong password', wrong],
        ['token of metrics', metricToken],
        ['API key', apiKey],
        ['token of the node', (await readFile(join(fleet.folder, 'node-0.token'), 'utf8')).trim()],
        ...authorityKeys,
        ...tlsKeys.map((pem, index): [string, string] => [`key ${index} of request ports`, lineOf(pem)]),
        ...registry.tokens.map((text, index): [string, string] => [
          `token ${index} of the registry`,
          text.slice('Bearer '.length),
        ]),
      ]);
      expect(secrets.size).toBeGreaterThan(10);
      for (const secretText of secrets.values()) expect(secretText.length).toBeGreaterThan(15);
    });

    it('is a test that finds what there is: the Secret itself, in base64', () => {
      expect(leaksIn(secretYaml('login', auth.password), secrets)).toContain('password');
      expect(leaksIn(base64(secretYaml('login', auth.password)), secrets)).toContain('password');
      expect(leaksIn(`x ${auth.password} y`, secrets)).toEqual(['password']);
    });

    it('out of the status of all objects, and out of events', async () => {
      const kinds = 'adapters,adapterrollouts,adapterroutes,adapterruntimes,adapterpolicies,adapteranalyses';
      const all = await fleet.cluster.kubectlOk([
        'get',
        `${kinds},configmaps,leases,events.events.k8s.io`,
        '-A',
        '-o',
        'json',
      ]);
      expect(all).toContain('"pullSecretRef"');
      expect(leaksIn(all, secrets)).toEqual([]);
    });

    it('out of the logs of both processes, at debug', () => {
      const logs = [
        ...node.log,
        ...secure.log,
        ...formerLogs,
        ...fleet.operators.flatMap(({ log }) => log),
      ].join('\n');
      expect(logs).toContain('a runtime gets no pull credential');
      expect(leaksIn(logs, secrets)).toEqual([]);
    });

    it('out of plans, snapshots and all else on the disks of the nodes', async () => {
      for (const { data } of [node, secure]) {
        const { leaks, files } = await leaksBelow(data, secrets);
        expect(files).toBeGreaterThan(3);
        expect(leaks).toEqual([]);
      }
    });

    it('out of metrics, of `adaptlet status` and of the bodies of errors', async () => {
      const status = await adaptlet('status', '--data-dir', node.data, '--output', 'json');
      const plain = await adaptlet('status', '--data-dir', node.data);
      const ofSecure = await adaptlet('status', '--data-dir', secure.data, '--output', 'json');
      const metrics = await Promise.all([
        ...fleet.operators.map((operator) => operator.metrics()),
        fetch(`${node.http}/metrics`).then((response) => response.text()),
      ]);
      expect(plain.stdout).toContain('sql');
      expect(ofSecure.stdout).toContain('sql');
      const texts = [status, plain, ofSecure].flatMap(({ stdout, stderr }) => [stdout, stderr]);
      texts.push(...metrics, ...bodies);
      expect(leaksIn(texts.join('\n'), secrets)).toEqual([]);
    });

    it.skipIf(!canDumpCores)(
      `out of core files${canDumpCores ? '' : ' (SKIPPED: gdb is not installed, or may not trace)'}, though they are in memory`,
      async () => {
        const folder = folderOfTest();
        const pids = new Map([
          ['runtime', node.pid],
          ['engine', enginePid(node) ?? -1],
          ['operator', fleet.operators[0]?.pid ?? -1],
          ['runtime with TLS', secure.pid],
        ]);
        for (const [name, pid] of pids) {
          const file = join(folder, name);
          await run('gcore', ['-o', file, String(pid)]);
          expect(await leaksInFile(`${file}.${pid}`, secrets), name).toEqual([]);
          expect((await stat(`${file}.${pid}`)).size).toBeLessThan(64 << 20);
        }
        // What the setting keeps out is there: the node keeps the token that it was just given, the operator what is in the
        // Secret. While it reads that anew it has none, and the collector may move a text that is looked for.
        expect((await askMoon(node, 'mine', 'u4')).text).toBe(moon.reverse);
        const given = registry.seen.findLast(({ path }) => path.includes('/users/u4/'))?.authorization ?? '';
        expect(given).toMatch(/^Bearer .{16}/);
        const token = given.slice('Bearer '.length);
        const password = base64(`${auth.user}:${auth.password}`);
        const kept = (pid: number, text: string) =>
          waitFor('a secret in memory', () => isInMemory(pid, [text]));
        await kept(node.pid, token);
        await kept(secure.pid, lineOf(tlsKeys[0] ?? ''));
        await kept(fleet.operators[0]?.pid ?? -1, password);
        expect(await isInMemory(node.pid, [auth.password, password])).toBe(false);
      },
      120_000,
    );
  });
});
