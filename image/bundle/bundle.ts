import { copyFile, cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { build, type OutputFile, type Plugin } from 'esbuild';
import { namesOfClient } from './names-of-client.ts';
import { keptFiles, unbundled } from './packages.ts';

const root = join(import.meta.dirname, '../..');
const modules = join(root, 'node_modules');
const looking = keptFiles.flatMap(({ looksFrom }) => looksFrom);

/** A program of the bundle: what people start, or what it starts itself as a process or a thread. */
const programs = /new URL\(\s*'(\.[^']*\.ts)',\s*import\.meta\.url,?\s*\)/g;

/** A folder of the repository that is not bundled: what is in there is found below the bundle, by the same path. */
const folders = /new URL\(\s*'(\.[^']*\/)',\s*import\.meta\.url,?\s*\)/g;

/** `src/runtime/engine/process/main.ts` becomes `runtime-engine-process-main`. */
const programName = (file: string): string =>
  relative(join(root, 'src'), file).replace(/\.ts$/, '').replaceAll('/', '-');

/**
 * Programs that the code starts by their path, and folders. All files of the bundle lie in one folder, so each path becomes the name of
 * the program in that folder.
 */
const programPaths = (found: (file: string) => void): Plugin => ({
  name: 'program-paths',
  setup(building) {
    building.onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      const contents = text
        .replace(programs, (_, target: string) => {
          const file = join(dirname(path), target);
          found(file);
          return `new URL('./${programName(file)}.mjs', import.meta.url)`;
        })
        .replace(folders, (_, target: string) => {
          const folder = relative(root, join(dirname(path), target));
          return `new URL('./${folder}/', import.meta.url)`;
        });
      return { contents, loader: 'ts' };
    });
  },
});

/** Packages that look for their files beside themselves: they find them in node_modules beside the bundle. */
const packageFolders = (files: readonly string[]): Plugin => ({
  name: 'package-folders',
  setup(building) {
    const names = files.map((file) => file.replaceAll('.', String.raw`\.`)).join('|');
    building.onLoad({ filter: new RegExp(`/node_modules/(?:${names})$`) }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      const place = JSON.stringify(`/node_modules/${dirname(relative(modules, path))}`);
      return { contents: text.replaceAll('__dirname', `(__bundleFolder + ${place})`), loader: 'js' };
    });
  },
});

/** @throws a file looks for others beside itself, and packages.ts does not know which */
const refuseUnknown = async (inputs: readonly string[], outputs: readonly OutputFile[]): Promise<void> => {
  if (!outputs.some(({ text }) => text.includes('__dirname'))) return;
  const files: string[] = [];
  for (const input of inputs) {
    if (looking.includes(relative('node_modules', input))) continue;
    if ((await readFile(join(root, input), 'utf8')).includes('__dirname')) files.push(input);
  }
  throw new Error(
    `look for files beside themselves, say which in image/bundle/packages.ts: ${files.join(', ')}`,
  );
};

/** The dashboard as browsers get it: read as it is, from below the bundle. */
const page = 'src/dashboard/page';
const isServed = (path: string): boolean => !path.endsWith('tsconfig.json');

/** What CommonJS of packages expects to be there. */
const banner = [
  "import { createRequire as __createRequire } from 'node:module';",
  'const require = __createRequire(import.meta.url);',
  'const __bundleFolder = import.meta.dirname;',
].join('\n');

export type Bundle = {
  /** Files of packages that came in, relative to the repository. */
  readonly inputs: readonly string[];
};

const once = async (entries: ReadonlyMap<string, string>, folder: string, found: (file: string) => void) =>
  await build({
    // Their order decides that of modules in shared files; they were found in any.
    entryPoints: Object.fromEntries([...entries].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'shared-[hash]',
    absWorkingDir: root,
    // A node_modules that is a link is one as well.
    preserveSymlinks: true,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    minifySyntax: true,
    minifyWhitespace: true,
    // Names stay: stacks are read by people.
    minifyIdentifiers: false,
    legalComments: 'none',
    external: [...unbundled],
    banner: { js: banner },
    metafile: true,
    logLevel: 'silent',
    plugins: [namesOfClient, programPaths(found), packageFolders(looking)],
    write: false,
  });

/**
 * Bundles `adaptlet` and the programs that it starts into `folder`, as main.mjs and the rest beside it, with the files that
 * packages look for in its node_modules.
 * @throws the errors of esbuild; a package looks for files of which packages.ts does not know
 */
export const bundle = async (folder: string): Promise<Bundle> => {
  const entries = new Map([['main', join(root, 'src/cli/main.ts')]]);
  // A program may start others.
  for (;;) {
    const before = entries.size;
    const made = await once(new Map(entries), folder, (file) => entries.set(programName(file), file));
    if (entries.size > before) continue;
    const inputs = Object.keys(made.metafile.inputs);
    await refuseUnknown(inputs, made.outputFiles);
    await mkdir(folder, { recursive: true });
    for (const { path, contents } of made.outputFiles) await writeFile(path, contents);
    for (const { files } of keptFiles) {
      for (const file of files) {
        await mkdir(dirname(join(folder, 'node_modules', file)), { recursive: true });
        await copyFile(join(modules, file), join(folder, 'node_modules', file));
      }
    }
    await cp(join(root, page), join(folder, page), { recursive: true, filter: isServed });
    return { inputs };
  }
};
