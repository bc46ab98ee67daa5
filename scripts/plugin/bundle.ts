import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { namesOfClient } from '../../image/bundle/names-of-client.ts';

const root = join(import.meta.dirname, '../..');

/** The oldest Node that runs the script; an older one says so instead of failing somewhere. */
const nodeMajor = 24;
const check = `if(+process.versions.node.split(".")[0]<${nodeMajor}){process.stderr.write("kubectl adaptlet needs Node ${nodeMajor} or newer, this is "+process.version+"\\n");process.exit(1)}`;

/** Replaces a text that must be there: a change of the file is an error of the build, not of the program. */
const replaced = (path: string, text: string, replacements: readonly (readonly [string, string])[]): string =>
  replacements.reduce((whole, [from, to]) => {
    if (!whole.includes(from))
      throw new Error(`${path}: there is no "${from}" any more; see scripts/plugin/bundle.ts`);
    return whole.replace(from, to);
  }, text);

/** CommonJS has no await at the top level. xxHash is the only one to need it, for a module that compiles in 1 ms. */
const hashAtOnce: Plugin = {
  name: 'hash-at-once',
  setup: (bundler) => {
    bundler.onLoad({ filter: /src[\\/]rollout[\\/]hash\.ts$/ }, async ({ path }) => ({
      loader: 'ts',
      contents: replaced(path, await readFile(path, 'utf8'), [['await createXxhash', 'createXxhash']]),
    }));
    bundler.onLoad({ filter: /xxhash-wasm\.js$/ }, async ({ path }) => ({
      loader: 'js',
      contents: replaced(path, await readFile(path, 'utf8'), [
        ['async function e()', 'function e()'],
        [
          '(await WebAssembly.instantiate(t)).instance',
          'new WebAssembly.Instance(new WebAssembly.Module(t))',
        ],
      ]),
    }));
  },
};

export type Bundle = {
  /** CommonJS, without a first line for a shell. */
  readonly script: Uint8Array;
  /** Licences of the packages in it. */
  readonly licences: string;
};

/** The plug-in with all its packages as one script. */
export const bundlePlugin = async (): Promise<Bundle> => {
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['src/cli/kubectl/main.ts'],
    bundle: true,
    minify: true,
    platform: 'node',
    // Older than what runs it, so that the check below is reached.
    target: 'node20',
    format: 'cjs',
    mainFields: ['module', 'main'],
    banner: { js: check },
    legalComments: 'none',
    metafile: true,
    write: false,
    outfile: 'kubectl-adaptlet.cjs',
    plugins: [hashAtOnce, namesOfClient],
    logLevel: 'error',
  });
  const [output] = outputFiles;
  if (output === undefined) throw new Error('esbuild wrote nothing');
  return { script: output.contents, licences: await licencesOf(Object.keys(metafile.inputs)) };
};

const licencesOf = async (inputs: readonly string[]): Promise<string> => {
  const folders = new Set(
    inputs.flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0] ?? []),
  );
  const texts = await Promise.all([...folders].toSorted().map(licenceOf));
  return `The packages in kubectl-adaptlet and their licences.\n${texts.join('')}`;
};

const licenceOf = async (folder: string): Promise<string> => {
  const path = join(root, folder);
  const { name, version, license } = JSON.parse(await readFile(join(path, 'package.json'), 'utf8')) as {
    readonly name: string;
    readonly version: string;
    readonly license?: string;
  };
  const files = (await readdir(path)).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file)).toSorted();
  const texts = await Promise.all(files.map((file) => readFile(join(path, file), 'utf8')));
  return ['', '-'.repeat(72), `${name} ${version} (${license ?? 'see below'})`, '', ...texts, ''].join('\n');
};
