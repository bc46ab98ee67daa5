import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { operatorPath } from '../../native/build-operator.ts';
import { pathOf, modules as webAssembly } from '../../native/modules.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { folderOfTests } from '../../test/support/temporary-folder.ts';
import { type Bundle, bundle } from './bundle.ts';
import { packagesOf } from './bundled-packages.ts';
import { keptFiles, unbundled } from './packages.ts';

const run = promisify(execFile);
const modules = join(import.meta.dirname, '../../node_modules');

describe('the bundle', () => {
  const folder = folderOfTests();
  let made: Bundle;
  let texts: ReadonlyMap<string, string>;
  beforeAll(async () => {
    made = await bundle(folder);
    const names = (await readdir(folder)).filter((name) => name.endsWith('.mjs'));
    texts = new Map(
      await Promise.all(
        names.map(
          async (name): Promise<[string, string]> => [name, await readFile(join(folder, name), 'utf8')],
        ),
      ),
    );
  });

  it('has each program that the code starts, under the name that the code asks for', () => {
    const asked = [...texts.values()].flatMap((text) =>
      [...text.matchAll(/new URL\("\.\/([\w-]+\.mjs)",import\.meta\.url\)/g)].map(([, name = '']) => name),
    );
    expect([...new Set(asked)].toSorted()).toEqual([
      'artifact-disk-worker.mjs',
      'runtime-adapter-compile-worker.mjs',
      'runtime-base-model-graph-worker.mjs',
      'runtime-engine-graphs-prepare-process.mjs',
      'runtime-engine-graphs-products-process.mjs',
      'runtime-engine-model-text-worker.mjs',
      'runtime-engine-process-main.mjs',
      'runtime-engine-structure-compile-worker.mjs',
    ]);
    expect(asked.filter((name) => !texts.has(name))).toEqual([]);
  });

  it('looks below itself for the native operator, where images have it, and for the dashboard, which it brings', async () => {
    const asked = [...texts.values()].flatMap((text) =>
      [...text.matchAll(/new URL\("([^"]*\/)",import\.meta\.url\)/g)].map(([, path = '']) => path),
    );
    const page = './src/dashboard/page/';
    expect(asked.toSorted()).toEqual([
      `./${dirname(dirname(operatorPath('x64')))}/`,
      ...webAssembly.map((module) => `./${dirname(pathOf(module))}/`).toSorted(),
      page,
    ]);
    const source = join(import.meta.dirname, '../..', page);
    const files = (await readdir(source)).filter((name) => name !== 'tsconfig.json');
    expect((await readdir(join(folder, page))).toSorted()).toEqual(files.toSorted());
  });

  it('asks for no file of the source, and for no folder of its own', () => {
    const all = [...texts.values()].join('\n');
    expect(all).not.toMatch(/new URL\("[^"]*\.ts"/);
    expect(all).not.toContain('__dirname');
    expect(all).not.toContain(import.meta.dirname);
  });

  it('has the way to a cluster without the generated client', () => {
    expect(made.inputs).toContain('node_modules/@kubernetes/client-node/dist/config.js');
    expect(made.inputs.filter((path) => /client-node\/dist\/gen\/(apis|models|types)/.test(path))).toEqual(
      [],
    );
  });

  it('brings what packages look for beside themselves', () => {
    const files = keptFiles.flatMap((one) => one.files);
    expect(files.length).toBeGreaterThan(0);
    expect(files.filter((file) => !existsSync(join(folder, 'node_modules', file)))).toEqual([]);
  });

  it('runs where nothing of the repository is, beside the two packages with native code', async () => {
    for (const name of [...unbundled, '@koromix']) {
      await symlink(join(modules, name), join(folder, 'node_modules', name));
    }
    const { stdout } = await run(process.execPath, [join(folder, 'main.mjs'), '--version'], { cwd: '/' });
    expect(stdout).toBe(`${packageJson.version}\n`);
  });

  it('has packages that it names with version, licence and integrity, and none of development', () => {
    const packages = packagesOf(made.inputs);
    const names = new Set(packages.map(({ name }) => name));
    for (const name of ['commander', 'zod', 'koffi', 'onnxruntime-node', '@grpc/grpc-js'])
      expect(names).toContain(name);
    for (const name of ['vitest', 'esbuild', 'typescript', 'cdk8s']) expect(names).not.toContain(name);
    for (const { integrity, licence } of packages) {
      expect(integrity).toMatch(/^sha512-/);
      expect(licence).not.toBe('NOASSERTION');
    }
    const keys = packages.map(({ name, version }) => `${name}@${version}`);
    expect(new Set(keys).size).toBe(keys.length);
  });
});
