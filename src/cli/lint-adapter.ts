import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { adapterFacts } from '../artifact/adapter-facts.ts';
import { refuseOther } from '../artifact/adapter-folder.ts';
import { startDiskThread } from '../artifact/disk-thread.ts';
import { defaultLimits } from '../artifact/manifest.ts';
import { configFile, packFolder } from '../artifact/pack.ts';
import { pullFolder } from '../artifact/pull-folder.ts';
import { Registry } from '../artifact/registry.ts';
import { checkPeftFolder } from '../runtime/adapter/check-folder.ts';
import { classifierFile, readClassifier } from '../runtime/classifiers/artifact-file.ts';
import { settingsSchema } from '../runtime/config/settings.ts';
import { imageOf, type RegistryFlags, readingOptionsOf } from './registry/registry-flags.ts';

export type AdapterFindings = { readonly problems: readonly string[]; readonly warnings: readonly string[] };

const scheme = 'oci://';

const why = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What a reader of the artifact will not know. Pure. */
const warningsOf = (config: string): string[] => {
  const { baseModel = '' } = adapterFacts(config);
  const field = `${configFile}: base_model_name_or_path`;
  if (baseModel === '') return [`${field} is empty: nobody will see for which base model it was trained`];
  return isAbsolute(baseModel) || /^(\.|~)|\\/.test(baseModel)
    ? [`${field} is a path, ${JSON.stringify(baseModel)}: it means nothing elsewhere, and is pushed as it is`]
    : [];
};

/** What `push` would refuse, and what a node would, whatever its base model: kind, rank, tensors and their values. */
const lintFolder = async (folder: string): Promise<AdapterFindings> => {
  const { signal } = new AbortController();
  await using disk = startDiskThread();
  const problems: string[] = [];
  const checks: readonly (() => Promise<unknown>)[] = [
    () => packFolder(folder, { disk, limits: defaultLimits, signal }),
    () =>
      existsSync(join(folder, classifierFile))
        ? readClassifier(folder)
        : checkPeftFolder(folder, settingsSchema.shape.maxRank.parse(undefined)),
  ];
  for (const check of checks) {
    try {
      await check();
    } catch (error) {
      if (!problems.includes(why(error))) problems.push(why(error));
    }
  }
  const config = await readFile(join(folder, configFile), 'utf8').catch(() => undefined);
  return { problems, warnings: config === undefined ? [] : warningsOf(config) };
};

/** An adapter in a registry is fetched to a folder of the system for it. */
const lintImage = async (reference: string, flags: RegistryFlags): Promise<AdapterFindings> => {
  const scratch = await mkdtemp(join(tmpdir(), 'adaptlet-lint-'));
  try {
    const folder = join(scratch, 'adapter');
    await pullFolder({
      registry: new Registry(readingOptionsOf(flags, process.env)),
      image: imageOf(reference),
      folder,
      limits: defaultLimits,
      check: refuseOther,
      signal: new AbortController().signal,
    });
    return await lintFolder(folder);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
};

/**
 * Looks at an adapter: a PEFT folder, or `oci://registry/repository[:tag]`.
 * @throws AdaptletError of a registry that cannot be reached
 */
export const lintAdapter = async (path: string, flags: RegistryFlags): Promise<AdapterFindings> =>
  path.startsWith(scheme) ? await lintImage(path, flags) : await lintFolder(resolve(path));
