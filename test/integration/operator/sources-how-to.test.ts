import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeHub } from '../../../src/artifact/fake-hub.ts';
import { FakeWeb } from '../../../src/artifact/fake-web.ts';
import { toolPath } from '../../cluster/index.ts';
import { codeBlocks } from '../../support/code-blocks.ts';
import { digestOfFolder, letReadSecrets, TestFleet } from '../../support/fleet.ts';
import { leaksBelow, leaksIn } from '../../support/leaks.ts';
import { askMoon, moon } from '../../support/moon.ts';
import { tiny } from '../../support/node.ts';
import { programFolder, repositoryRoot } from '../../support/process.ts';
import { runProgram } from '../../support/program.ts';
import { folderOfTests } from '../../support/temporary-folder.ts';
import { WebServers } from '../../support/web-servers.ts';
import { helm } from '../manifests/helm.ts';

const page = readFileSync(join(repositoryRoot, 'docs/how-to/adapters-from-the-web.md'), 'utf8');
const commit = 'c0ffee'.padEnd(40, '0');
const token = `hf_${randomBytes(18).toString('hex')}`;

const scratch = folderOfTests();
const stack = new AsyncDisposableStack();
let web: FakeWeb;
let hub: FakeHub;
let files: string;
let fleet: TestFleet;
beforeAll(async () => {
  web = new FakeWeb();
  const servers = stack.use(await WebServers.start(web, scratch));
  files = `${await servers.listen()}/team-a`;
  hub = new FakeHub(web, await servers.listen(), await servers.listen());
  web.guard(hub.endpoint, 'authorization', `Bearer ${token}`);
  const before = process.env['NODE_EXTRA_CA_CERTS'];
  process.env['NODE_EXTRA_CA_CERTS'] = servers.authority;
  stack.defer(() => {
    if (before === undefined) delete process.env['NODE_EXTRA_CA_CERTS'];
    else process.env['NODE_EXTRA_CA_CERTS'] = before;
  });
  const flags = [...(/`(--download-bandwidth [^`]*)`/.exec(page)?.[1] ?? '').matchAll(/--(\S+) (\S+)/g)];
  expect(flags).toHaveLength(3);
  const nodeSettings = {
    'hf-endpoint': hub.endpoint,
    ...Object.fromEntries(flags.map(([, name = '', value = '']) => [name, value])),
  };
  const operatorSettings = { 'registry-passwords': 'allow' };
  fleet = stack.use(await TestFleet.start({ replicas: 1, runtimes: 1, nodeSettings, operatorSettings }));
  await letReadSecrets(fleet);
}, 180_000);
afterAll(() => stack.disposeAsync());

describe('docs/how-to/adapters-from-the-web.md', () => {
  it('has manifests and commands that do, one after the other, what it says', async () => {
    const [place = '', pack = '', look = '', apply = '', ask = '', withToken = '', ...rest] = codeBlocks(
      page,
      'sh',
    );
    const [archive = '', repository = '', download = '', ...others] = codeBlocks(page, 'yaml');
    expect([rest, others]).toEqual([[], []]);
    const digest = await digestOfFolder('adapters/upper');
    await cp(join(tiny.adapters, 'upper'), join(fleet.folder, 'my-adapter'), { recursive: true });
    const kubectl = await toolPath('kubectl');
    const env = {
      KUBECONFIG: fleet.cluster.kubeconfig,
      PATH: [dirname(kubectl), programFolder(), process.env['PATH']].join(':'),
      HF_ENDPOINT: hub.endpoint,
      HF_TOKEN: token,
      // A variable that the page sets for all that follows.
      FILES: files,
    };
    const run = async (script: string): Promise<string> => {
      const result = await runProgram('bash', ['-ec', script], { cwd: fleet.folder, env });
      expect(result, script).toMatchObject({ code: 0 });
      return result.stdout;
    };
    const write = (name: string, yaml: string): Promise<void> =>
      writeFile(join(fleet.folder, name), yaml.replace('smollm2-135m', 'tiny'));
    await run(`kubectl config set-context --current --namespace=${fleet.namespace}`);
    await run(place);

    const packed = await run(pack);
    const sha256 = /"sha256":"([0-9a-f]{64})"/.exec(packed)?.[1] ?? '';
    expect(packed).toContain(`digest: ${digest}`);
    web.put(`${files}/sql-v2.tar.gz`, await readFile(join(fleet.folder, 'sql-v2.tar.gz')));
    const seen = await run(look);
    for (const part of [sha256, digest, `${files}/sql-v2.tar.gz`]) expect(seen).toContain(part);
    const named = archive.replace('https://files.example/team-a', files);
    await write('sql-v2.yaml', named.replace('SHA256', sha256).replace('DIGEST', digest));
    expect(await run(apply)).toContain('condition met');

    const folder = join(tiny.adapters, 'reverse');
    const names = await readdir(folder);
    const pairs = names.map(async (name) => [name, await readFile(join(folder, name))] as const);
    hub.put('team-a/sql-lora', commit, Object.fromEntries(await Promise.all(pairs)));
    const atHub = await run(ask);
    const digestAtHub = await digestOfFolder('adapters/reverse');
    for (const part of [commit, digestAtHub]) expect(atHub).toContain(part);
    await write('sql-v3.yaml', repository.replace('COMMIT', commit).replace('DIGEST', digestAtHub));
    expect(await run(withToken)).toContain('condition met');

    const [node] = fleet.nodes;
    if (node === undefined) throw new Error('there is no node');
    expect((await askMoon(node, 'sql-v2')).text).toBe(moon.upper);
    expect((await askMoon(node, 'sql-v3')).text).toBe(moon.reverse);

    // The weights came from another host, which was not told the token; nor was any log or file.
    const stored = web.to(hub.storage);
    expect(stored.length).toBeGreaterThan(0);
    for (const { headers } of stored) expect(headers.has('authorization')).toBe(false);
    const secrets = new Map([['token', token]]);
    const logs = [...node.log, ...(fleet.operators[0]?.log ?? [])].join('\n');
    expect(leaksIn(logs, secrets)).toEqual([]);
    expect(leaksIn(JSON.stringify(await fleet.get('ad', 'sql-v3')), secrets)).toEqual([]);
    expect((await leaksBelow(node.data, secrets)).leaks).toEqual([]);

    await writeFile(join(fleet.folder, 'download.yaml'), download);
    const values = join(repositoryRoot, 'test/integration/manifests/values/production.yaml');
    const args = ['template', 'a', join(repositoryRoot, 'charts/adaptlet'), '--kube-version', 'v1.34.4'];
    const rendered = await helm([...args, '-f', values, '-f', join(fleet.folder, 'download.yaml')]);
    expect(rendered.stderr).toBe('');
    expect(rendered.stdout).toContain('"22:00-06:00=10Mi,256Ki"');
  }, 180_000);
});
