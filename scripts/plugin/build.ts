import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import packageJson from '../../package.json' with { type: 'json' };
import { type ArchiveFile, writeArchive } from './archive.ts';
import { type Bundle, bundlePlugin } from './bundle.ts';
import { writeExecutable } from './executable.ts';
import { krewManifest, type Published } from './krew.ts';
import { nodeBinary } from './node-binary.ts';
import { nameOf, type Platform, programOf } from './platforms.ts';

/** kubectl looks for it by this name. */
const completion = 'kubectl_complete-adaptlet';
const root = join(import.meta.dirname, '../..');

export type PluginOptions = {
  /** Folder for what is built; what is in it is replaced. */
  readonly out: string;
  readonly platforms: readonly Platform[];
  /** Where the archives will be, without the file name. */
  readonly baseUrl: string;
  readonly say: (text: string) => void;
};

const file = (name: string, content: Uint8Array | string): ArchiveFile => ({
  name,
  content: typeof content === 'string' ? Buffer.from(content) : content,
  isProgram: false,
});

const mebibytes = ({ length }: Uint8Array): string => `${(length / 2 ** 20).toFixed(1)} MiB`;

type Program = { readonly content: Uint8Array; readonly licences: readonly ArchiveFile[] };

const programFor = async (platform: Platform, { script }: Bundle, folder: string): Promise<Program> => {
  if (platform.form === 'script')
    return { content: Buffer.concat([Buffer.from('#!/usr/bin/env node\n'), script]), licences: [] };
  const { program, licence } = await nodeBinary(platform);
  const target = join(folder, programOf(platform));
  await writeExecutable(program, script, target);
  return {
    content: await readFile(target),
    licences: [file('NODE-LICENSE', await readFile(licence))],
  };
};

const filesFor = async (platform: Platform, bundle: Bundle, program: Program): Promise<ArchiveFile[]> => [
  { name: programOf(platform), content: program.content, isProgram: true },
  // It is for shells that Windows does not have.
  ...(platform.os === 'windows'
    ? []
    : [{ name: completion, content: await readFile(join(root, 'bin', completion)), isProgram: true }]),
  file('LICENSE', await readFile(join(root, 'LICENSE'))),
  file('THIRD-PARTY-LICENSES.txt', bundle.licences),
  ...program.licences,
];

/** Builds the archives, SHA256SUMS and the manifest for krew. */
export const buildPlugin = async ({ out, platforms, baseUrl, say }: PluginOptions): Promise<void> => {
  await rm(out, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
  const bundle = await bundlePlugin();
  const published: Published[] = [];
  for (const platform of platforms) {
    const folder = await mkdtemp(join(out, '.building-'));
    const program = await programFor(platform, bundle, folder);
    await rm(folder, { recursive: true });
    const archive = `kubectl-adaptlet_v${packageJson.version}_${nameOf(platform)}.tar.gz`;
    await writeArchive(join(out, archive), await filesFor(platform, bundle, program));
    const bytes = await readFile(join(out, archive));
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    published.push({ platform, archive, sha256 });
    say(`${archive}: ${mebibytes(bytes)}, the program in it ${mebibytes(program.content)}`);
  }
  const sums = published.map(({ sha256, archive }) => `${sha256}  ${archive}\n`).join('');
  await writeFile(join(out, 'SHA256SUMS'), sums);
  // krew wants the name of the plug-in as the name of the file.
  await writeFile(join(out, 'adaptlet.yaml'), krewManifest(packageJson.version, baseUrl, published));
};
