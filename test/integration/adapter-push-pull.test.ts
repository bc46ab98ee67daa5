import { randomBytes } from 'node:crypto';
import { cp, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adaptlet } from '../support/cli.ts';
import { codeBlocks } from '../support/code-blocks.ts';
import { tiny } from '../support/node.ts';
import { repositoryRoot } from '../support/process.ts';
import { type ProgramResult, runProgram } from '../support/program.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';
import { hasRegistry, ModelRegistry, oras } from './model/registry.ts';

type Pushed = {
  readonly reference: string;
  readonly digest: string;
  readonly source: { readonly oci: { readonly image: string } };
};

const adapters = join(tiny.model, '../../adapters');
const names = ['adapter_config.json', 'adapter_model.safetensors'];
const fillerBytes = 6 << 20;

/** Content by name of the files of a folder. */
const contentOf = async (folder: string): Promise<Record<string, string>> => {
  const entries = await readdir(folder, { recursive: true });
  const pairs = entries.map(async (name) => [name, await readFile(join(folder, name), 'base64')] as const);
  return Object.fromEntries(await Promise.all(pairs));
};

const jsonOf = ({ code, stdout, stderr }: ProgramResult): object => {
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as object;
};

const digestOf = async (folder: string): Promise<string> => (await adaptlet('digest', folder)).stdout.trim();

describe.skipIf(!hasRegistry)('adapters that travel (needs go to build the registry and oras)', () => {
  let registry: ModelRegistry;
  const root = folderOfTests();
  const upper = join(adapters, 'upper');
  const at = (name: string) => `${registry.registry.host}/${name}`;
  const push = async (folder: string, name: string): Promise<Pushed> =>
    jsonOf(await adaptlet('push', folder, at(name), '--json')) as Pushed;
  const runOras = async (args: readonly string[], cwd = root): Promise<string> => {
    const { code, stdout } = await runProgram(oras, args, { cwd, env: { HOME: root } });
    expect(code).toBe(0);
    return stdout;
  };
  /** An adapter with a file beside it that makes it large. */
  const largeAdapter = async (name: string): Promise<string> => {
    const folder = join(root, name);
    await cp(upper, folder, { recursive: true });
    await writeFile(join(folder, 'notes.txt'), randomBytes(fillerBytes));
    return folder;
  };

  beforeAll(async () => {
    registry = await ModelRegistry.start();
  });
  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
  });

  it('are pushed under the digest of the folder, and oras reads the same files and the same digest', async () => {
    const { digest, reference, source } = await push(upper, 'team/upper:v1');
    expect(digest).toBe(await digestOf(upper));
    expect(reference).toBe(`${at('team/upper')}@${digest}`);
    expect(source.oci.image).toBe(at('team/upper:v1'));
    expect((await runOras(['resolve', '--plain-http', at('team/upper:v1')])).trim()).toBe(digest);
    const out = join(root, 'by-oras');
    await runOras(['pull', '--plain-http', at('team/upper:v1'), '-o', out]);
    expect(await contentOf(out)).toEqual(await contentOf(upper));
  });

  it('say what to write into an Adapter', async () => {
    const { stdout } = await adaptlet('push', upper, at('team/upper:v2'));
    const digest = await digestOf(upper);
    expect(stdout).toContain(`  source: {oci: {image: "${at('team/upper:v2')}"}}\n  digest: ${digest}\n`);
  });

  it('come back byte by byte, by tag and by digest, and are not fetched where they are', async () => {
    const { reference } = await push(upper, 'team/back:v1');
    for (const [name, image] of [
      ['tag', at('team/back:v1')],
      ['digest', reference],
    ] as const) {
      const out = join(root, `back-${name}`);
      expect((await adaptlet('pull', image, out)).code).toBe(0);
      expect(await contentOf(out)).toEqual(await contentOf(upper));
    }
    const out = join(root, 'back-tag');
    const { mtimeMs } = await stat(join(out, names[0] ?? ''));
    const again = jsonOf(await adaptlet('pull', at('team/back:v1'), out, '--json'));
    expect(again).toMatchObject({ wasThere: true });
    expect((await stat(join(out, names[0] ?? ''))).mtimeMs).toBe(mtimeMs);
  });

  it('come by their digest from a mirror of a registry that is not there', async () => {
    const { digest } = await push(upper, 'team/mirrored:v1');
    const out = join(root, 'mirrored');
    const away = `registry.invalid/team/mirrored@${digest}`;
    const pulled = await adaptlet(
      'pull',
      away,
      out,
      '--registry-mirrors',
      `registry.invalid=${registry.registry.host}`,
    );
    expect(pulled).toMatchObject({ code: 0, stderr: '' });
    expect(await contentOf(out)).toEqual(await contentOf(upper));
  });

  it('are not written over anything else: other files, one file more, a file', async () => {
    await push(upper, 'team/over:v1');
    const more = join(root, 'more');
    await cp(upper, more, { recursive: true });
    await writeFile(join(more, 'mine.txt'), 'mine');
    const other = join(root, 'other');
    await cp(join(adapters, 'hello'), other, { recursive: true });
    const file = join(root, 'file');
    await writeFile(file, 'mine');
    for (const folder of [more, other]) {
      const before = await contentOf(folder);
      const pulled = await adaptlet('pull', at('team/over:v1'), folder);
      expect(pulled).toMatchObject({ code: 1, stderr: expect.stringContaining('is not empty') });
      expect(await contentOf(folder)).toEqual(before);
    }
    expect((await adaptlet('pull', at('team/over:v1'), file)).stderr).toContain('no folder');
    expect(await readFile(file, 'utf8')).toBe('mine');
  });

  it.each([
    ['its files', names, upper],
    ['its folder', ['upper/'], adapters],
  ])('are pulled where oras pushed %s', async (what, files, cwd) => {
    const image = at(`oras/upper:${what === 'its files' ? 'files' : 'folder'}`);
    await runOras(['push', '--plain-http', image, ...files], cwd);
    const out = join(root, `oras-${files.length}`);
    expect((await adaptlet('pull', image, out)).code).toBe(0);
    expect(await contentOf(out)).toEqual(await contentOf(upper));
  });

  it('are inspected without their weights, in a registry as in a folder', async () => {
    const { digest } = await push(upper, 'team/seen:v1');
    registry.blobs.length = 0;
    const there = jsonOf(await adaptlet('inspect', `${registry.host}/team/seen:v1`, '--json'));
    expect(there).toMatchObject({
      digest,
      adapter: { baseModel: 'tiny-llama-fixture', rank: 4, task: 'CAUSAL_LM' },
      files: names.map((name) => ({ name })),
    });
    expect(registry.blobs).toHaveLength(1);
    const here = jsonOf(await adaptlet('inspect', upper, '--json'));
    expect({ ...here, name: '' }).toEqual({ ...there, name: '' });
    await runOras(
      ['push', '--plain-http', '--annotation', 'org.example=a\u001b[2Jb', at('oras/seen:v1'), ...names],
      upper,
    );
    const { stdout } = await adaptlet('inspect', at('oras/seen:v1'));
    expect(stdout).toMatch(/^rank +4$/m);
    expect(stdout).toMatch(/^annotation +org\.example: /m);
    expect(stdout).not.toContain('\u001b');
  });

  it('are not pushed when a node would refuse them: nothing is sent', async () => {
    const uploads = registry.uploads;
    for (const [name, words] of [
      ['broken-nan', 'the training diverged'],
      ['broken-truncated', 'adapter_model.safetensors'],
      ['broken-dora', 'use_dora=False'],
    ] as const) {
      const folder = join(adapters, '../variants', name);
      const pushed = await adaptlet('push', folder, `${registry.host}/team/broken:v1`);
      expect(pushed).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(words) });
    }
    expect(registry.uploads).toBe(uploads);
    const absent = await adaptlet('pull', at('team/broken:v1'), join(root, 'broken'));
    expect(absent).toMatchObject({ code: 1, stderr: expect.stringContaining('Check the name') });
  });

  it('are pulled on from where the connection was cut', async () => {
    await push(await largeAdapter('large'), 'team/large:v1');
    registry.network.slowDown(4 << 20);
    const before = registry.network.received;
    const out = join(root, 'large-out');
    const running = adaptlet('pull', `${registry.host}/team/large:v1`, out);
    await waitFor('half of it', () => registry.network.received - before > fillerBytes / 2);
    registry.network.cut();
    registry.network.slowDown(undefined);
    expect((await running).code).toBe(0);
    expect(registry.network.received - before).toBeLessThan(fillerBytes * 1.3);
    expect(await contentOf(out)).toEqual(await contentOf(join(root, 'large')));
  });

  it('are pulled on by another pull after one that gave up, and the folder is not there before', async () => {
    await push(await largeAdapter('given-up'), 'team/given-up:v1');
    registry.network.slowDown(4 << 20);
    const before = registry.network.received;
    const out = join(root, 'given-up-out');
    const running = adaptlet('pull', `${registry.host}/team/given-up:v1`, out);
    await waitFor('half of it', () => registry.network.received - before > fillerBytes / 2);
    registry.network.refuse();
    expect(await running).toMatchObject({ code: 1, stdout: '' });
    await expect(stat(out)).rejects.toThrow('ENOENT');
    registry.network.accept();
    registry.network.slowDown(undefined);
    expect((await adaptlet('pull', `${registry.host}/team/given-up:v1`, out)).code).toBe(0);
    expect(registry.network.received - before).toBeLessThan(fillerBytes * 1.3);
    expect(await contentOf(out)).toEqual(await contentOf(join(root, 'given-up')));
    await expect(stat(`${out}.adaptlet-part`)).rejects.toThrow('ENOENT');
  });

  it('are pushed whole though the connection is cut, and what arrived is not sent again', async () => {
    const folder = await largeAdapter('cut');
    const image = `${registry.host}/team/cut:v1`;
    const before = registry.uploads;
    registry.cutsUploadAt = before + fillerBytes / 2;
    expect(await adaptlet('push', folder, image)).toMatchObject({ code: 0, stderr: '' });
    expect(registry.uploads - before).toBeGreaterThan(1.5 * fillerBytes);
    const pushed = registry.uploads;
    expect((await adaptlet('push', folder, image)).code).toBe(0);
    expect(registry.uploads - pushed).toBeLessThan(10_000);
    expect((await runOras(['resolve', '--plain-http', at('team/cut:v1')])).trim()).toBe(
      await digestOf(folder),
    );
  });

  it('are pushed by the words of docs/how-to/adapters-from-a-registry.md', async () => {
    const page = await readFile(join(repositoryRoot, 'docs/how-to/adapters-from-a-registry.md'), 'utf8');
    const scripts = codeBlocks(page, 'sh');
    expect(scripts.length).toBeGreaterThan(0);
    const cwd = join(root, 'page');
    await mkdir(cwd);
    await cp(upper, join(cwd, 'my-adapter'), { recursive: true });
    const script = scripts.join('').replaceAll('registry.example', registry.registry.host);
    const env = { PATH: `${join(repositoryRoot, 'bin')}:${process.env['PATH'] ?? ''}` };
    const { code, stdout, stderr } = await runProgram('bash', ['-ec', script], { cwd, env });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`digest: ${await digestOf(upper)}`);
    expect(await contentOf(join(cwd, 'sql-v2'))).toEqual(await contentOf(upper));
  });
});

describe.skipIf(!hasRegistry).each(['basic', 'bearer'] as const)('behind %s authentication', (kind) => {
  it('an adapter is pushed and pulled with credentials of a file or of a helper, and not without', async () => {
    const auth = { kind, user: 'edge', password: 'pass:word' } as const;
    await using registry = await ModelRegistry.start(auth);
    const { host } = registry.registry;
    const folder = join(adapters, 'hello');
    const { folder: root } = registry;
    const config = async (name: string, value: object): Promise<string> => {
      const path = join(root, name);
      await writeFile(path, JSON.stringify(value));
      return path;
    };
    const login = (password: string) => Buffer.from(`edge:${password}`).toString('base64');
    const good = await config('good.json', { auths: { [host]: { auth: login('pass:word') } } });
    const wrong = await config('wrong.json', { auths: { [host]: { auth: login('hunter2') } } });
    const image = `${host}/team/hello:v1`;
    const refused = await adaptlet('push', folder, image, '--registry-config', wrong);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('docker login') });
    expect(refused.stderr).not.toContain('hunter2');
    expect((await adaptlet('push', folder, image, '--registry-config', good)).code).toBe(0);
    const denied = await adaptlet('pull', image, join(root, 'denied'), '--registry-config', wrong);
    expect(denied).toMatchObject({ code: 1, stderr: expect.stringContaining('docker login') });

    const helper = join(root, 'docker-credential-test');
    const answer = JSON.stringify({ Username: auth.user, Secret: auth.password });
    await writeFile(helper, `#!/bin/sh\ncat > /dev/null\necho '${answer}'\n`, { mode: 0o755 });
    const asked = await config('helper.json', { credHelpers: { [host]: 'test' } });
    const out = join(root, 'out');
    const args = ['pull', image, out, '--registry-config', asked];
    const env = { PATH: `${root}:${process.env['PATH'] ?? ''}` };
    const pulled = await runProgram(join(repositoryRoot, 'bin/adaptlet'), args, { env });
    expect(pulled).toMatchObject({ code: 0, stderr: '' });
    expect(await contentOf(out)).toEqual(await contentOf(folder));
  });
});
