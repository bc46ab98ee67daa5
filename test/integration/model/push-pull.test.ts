import { cp, mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adaptlet } from '../../support/cli.ts';
import { tiny } from '../../support/node.ts';
import { runProgram } from '../../support/program.ts';
import { folderOfTests } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait.ts';
import { fillerBytes, hasRegistry, ModelRegistry, oras } from './registry.ts';
import { Serving } from './serving.ts';

type Pushed = { readonly digest: string; readonly model: string; readonly files: number };

const modelNames = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'genai_config.json',
  'model.onnx',
  'model.onnx.data',
];

/** Content by name of all files below a folder. */
const contentOf = async (folder: string): Promise<Record<string, string>> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const pairs = files.map(
    async (path) => [path.slice(folder.length + 1), await readFile(path, 'base64')] as const,
  );
  return Object.fromEntries(await Promise.all(pairs));
};

describe.skipIf(!hasRegistry)('base models as artifacts (needs go to build the registry and oras)', () => {
  let registry: ModelRegistry;
  const folder = folderOfTests();
  /** The tiny model with all of its files in one folder. */
  let flat: string;
  const at = (name: string) => `${registry.registry.host}/${name}`;
  const push = async (from: string, name: string, ...flags: readonly string[]): Promise<Pushed> => {
    const pushed = await adaptlet('model', 'push', from, at(name), '-o', 'json', ...flags);
    expect(pushed.stderr).toBe('');
    return JSON.parse(pushed.stdout) as Pushed;
  };

  beforeAll(async () => {
    registry = await ModelRegistry.start();
    flat = join(folder, 'flat');
    await mkdir(flat);
    for (const name of ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'])
      await cp(join(tiny.model, '..', name), join(flat, name));
    for (const name of ['genai_config.json', 'model.onnx', 'model.onnx.data'])
      await cp(join(tiny.model, name), join(flat, name));
  });
  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
  });

  it('have the same digest wherever and whenever the same files lie, and whatever else lies there', async () => {
    const first = await push(tiny.model, 'models/tiny:a');
    const copy = join(folder, 'copy');
    await cp(flat, copy, { recursive: true });
    await utimes(join(copy, 'model.onnx'), 1, 1);
    await writeFile(join(copy, '.hidden.json'), '{}');
    await writeFile(join(copy, 'model_q8.onnx'), 'another graph');
    await writeFile(join(copy, 'pytorch_model.bin'), 'a pickle');
    expect((await push(copy, 'models/tiny:b')).digest).toBe(first.digest);
    await writeFile(join(copy, 'config.json'), '{}');
    expect((await push(copy, 'models/tiny:c')).digest).not.toBe(first.digest);
  });

  it('have that digest also with a graph in onnx/ under another name, which is named', async () => {
    const { digest } = await push(flat, 'models/tiny:a');
    const hub = join(folder, 'hub');
    await mkdir(join(hub, 'onnx'), { recursive: true });
    for (const name of modelNames) {
      const to =
        name === 'model.onnx' ? 'onnx/model_q4.onnx' : /^(model|genai)/.test(name) ? `onnx/${name}` : name;
      await cp(join(flat, name), join(hub, to));
    }
    await writeFile(join(hub, 'onnx/model_q4f16.onnx'), 'another graph');
    const unnamed = await adaptlet('model', 'push', hub, at('models/tiny:hub'));
    expect(unnamed).toMatchObject({ code: 1, stderr: expect.stringContaining('several ONNX files') });
    expect((await push(hub, 'models/tiny:hub', '--model-file', 'onnx/model_q4.onnx')).digest).toBe(digest);
  });

  it('are checked and served as oras pushed a hub, by the name of the graph', async () => {
    const hub = join(tiny.model, '../../../hub');
    const all = await readdir(hub, { recursive: true });
    const names = all.filter((name) => /\.(json|jinja|onnx|onnx_data)$/.test(name));
    const pushed = await runProgram(oras, ['push', '--plain-http', at('oras/hub:all'), ...names], {
      cwd: hub,
    });
    expect(pushed.code).toBe(0);
    const file = 'onnx/model_q4.onnx';
    const checked = await adaptlet('model', 'check', at('oras/hub:all'), '--model-file', file, '-o', 'json');
    expect(JSON.parse(checked.stdout)).toMatchObject({
      graph: { file, reason: 'named' },
      precision: 'int4',
      refusals: [],
    });
    await using here = await Serving.start(hub, { 'model-file': file });
    await here.ready();
    await using there = await Serving.start(`oci://${at('oras/hub:all')}`, { 'model-file': file });
    await there.ready();
    expect(await there.client.status()).toMatchObject({
      baseDigest: (await here.client.status()).baseDigest,
    });
    expect(there.log.some((line) => line.includes('/onnx/model_q4.onnx'))).toBe(true);
  });

  it('come back byte by byte, by tag and by digest', async () => {
    const { digest } = await push(flat, 'models/tiny:v1');
    const before = await contentOf(flat);
    for (const [name, reference] of [
      ['tag', at('models/tiny:v1')],
      ['digest', `oci://${at('models/tiny')}@${digest}`],
    ] as const) {
      const out = join(folder, `out-${name}`);
      const pulled = await adaptlet('model', 'pull', reference, out);
      expect(pulled).toMatchObject({ code: 0, stdout: expect.stringContaining(digest) });
      expect(await contentOf(out)).toEqual(before);
    }
  });

  it('are not written over what is there', async () => {
    const taken = join(folder, 'taken');
    await mkdir(taken);
    await writeFile(join(taken, 'mine.txt'), 'mine');
    const pulled = await adaptlet('model', 'pull', at('models/tiny:v1'), taken);
    expect(pulled).toMatchObject({ code: 1, stderr: expect.stringContaining('is not empty') });
    expect(await contentOf(taken)).toEqual({ 'mine.txt': Buffer.from('mine').toString('base64') });
  });

  it('are read by oras', async () => {
    await push(flat, 'models/tiny:v1');
    const out = join(folder, 'by-oras');
    const pulled = await runProgram(oras, ['pull', '--plain-http', at('models/tiny:v1'), '-o', out]);
    expect(pulled.code).toBe(0);
    expect(await contentOf(out)).toEqual(await contentOf(flat));
  });

  it.each([
    ['its files', modelNames],
    ['its folder', ['flat/']],
  ])('are pulled and served where oras pushed %s', async (what, files) => {
    const name = what === 'its files' ? 'files' : 'folder';
    const cwd = what === 'its files' ? flat : folder;
    const pushed = await runProgram(oras, ['push', '--plain-http', at(`oras/tiny:${name}`), ...files], {
      cwd,
    });
    expect(pushed.code).toBe(0);
    const out = join(folder, `oras-${name}`);
    expect((await adaptlet('model', 'pull', at(`oras/tiny:${name}`), out)).code).toBe(0);
    expect(Object.values(await contentOf(out)).sort()).toEqual(Object.values(await contentOf(flat)).sort());
    await using serving = await Serving.start(`oci://${registry.host}/oras/tiny:${name}`);
    await serving.ready();
    expect((await serving.client.status()).baseDigest).toBe(
      // However it was packed, the model is the same one.
      await digestServed(),
    );
  });

  const digestServed = async (): Promise<string> => {
    await using serving = await Serving.start(tiny.model);
    await serving.ready();
    const { digest } = await push(tiny.model, 'models/tiny:again');
    await waitFor(
      'the digest of the folder',
      async () => (await serving.client.status()).model?.manifestDigest === digest,
    );
    return (await serving.client.status()).baseDigest;
  };

  it('are fetched from where a pull broke off', async () => {
    await push(await registry.largeModel('large'), 'models/large:v1');
    const out = join(folder, 'large');
    const reference = `${registry.host}/models/large:v1`;
    registry.network.slowDown(4 << 20);
    const before = registry.network.received;
    const running = adaptlet('model', 'pull', reference, out);
    await waitFor('half of it', () => registry.network.received - before > fillerBytes / 2);
    registry.network.cut();
    registry.network.slowDown(undefined);
    expect((await running).code).toBe(0);
    expect(registry.network.received - before).toBeLessThan(fillerBytes * 1.3);
    expect(Object.keys(await contentOf(out))).toContain('filler.txt');
  });

  it('are pushed once: what the registry has is not sent again', async () => {
    const large = await registry.largeModel('once');
    const uploads = (): number => registry.uploads;
    const target = `${registry.host}/models/once`;
    expect((await adaptlet('model', 'push', large, `${target}:a`)).code).toBe(0);
    const first = uploads();
    expect(first).toBeGreaterThan(fillerBytes);
    expect((await adaptlet('model', 'push', large, `${target}:b`)).code).toBe(0);
    expect(uploads() - first).toBeLessThan(10_000);
  });

  it('are refused with what to do', async () => {
    const missing = join(folder, 'missing');
    await cp(flat, missing, { recursive: true });
    await rm(join(missing, 'model.onnx.data'));
    const pushed = await adaptlet('model', 'push', missing, at('models/tiny:bad'));
    expect(pushed).toMatchObject({ code: 1, stderr: expect.stringContaining('model.onnx.data') });
    const pulled = await adaptlet('model', 'pull', at('models/none:v1'), join(folder, 'none'));
    expect(pulled).toMatchObject({ code: 1, stderr: expect.stringContaining('Check the name') });
  });
});

describe.skipIf(!hasRegistry).each(['basic', 'bearer'] as const)(
  'a registry behind %s authentication',
  (kind) => {
    it('takes and gives a model with credentials, and says so without', async () => {
      const auth = { kind, user: 'edge', password: 'secret' } as const;
      await using registry = await ModelRegistry.start(auth);
      const { host } = registry.registry;
      const config = join(registry.folder, 'config.json');
      const login = Buffer.from('edge:secret').toString('base64');
      await writeFile(
        config,
        JSON.stringify({ auths: { [host]: { auth: login }, [registry.host]: { auth: login } } }),
      );
      const none = join(registry.folder, 'none.json');
      await writeFile(none, '{}');
      const push = (file: string) =>
        adaptlet('model', 'push', tiny.model, `${host}/models/tiny:v1`, '--registry-config', file);
      expect(await push(none)).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/credentials|token service/),
      });
      expect((await push(config)).code).toBe(0);
      const out = join(registry.folder, 'out');
      const pulled = await adaptlet(
        'model',
        'pull',
        `${host}/models/tiny:v1`,
        out,
        '--registry-config',
        config,
      );
      expect(pulled.code).toBe(0);
      if (kind === 'bearer') return;
      await using serving = await Serving.start(`oci://${registry.host}/models/tiny:v1`, {
        'registry-config': config,
      });
      await serving.ready();
    });
  },
);
