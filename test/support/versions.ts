import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startDiskThread } from '../../src/artifact/disk-thread.ts';
import { defaultLimits } from '../../src/artifact/manifest.ts';
import { packFolder } from '../../src/artifact/pack.ts';
import { tiny } from './node.ts';

export type Version = { readonly name: string; readonly digest: string; readonly yaml: string };

/**
 * Adapters of the tiny model below `root` that answer like those of the fixtures and that each have a digest of their
 * own, `names` in order. `root` has to be an import root of the runtimes.
 */
export const makeVersions = async (root: string, names: readonly string[]): Promise<Version[]> => {
  const kinds = ['upper', 'reverse', 'digits', 'hello'];
  await using disk = startDiskThread();
  const { signal } = new AbortController();
  const versions: Version[] = [];
  for (const [index, name] of names.entries()) {
    const folder = join(root, name);
    await mkdir(root, { recursive: true });
    await cp(join(tiny.adapters, kinds[index % kinds.length] ?? ''), folder, { recursive: true });
    const config = join(folder, 'adapter_config.json');
    const read = JSON.parse(await readFile(config, 'utf8')) as object;
    await writeFile(config, JSON.stringify({ ...read, peft_version: `0.21.2+${name}` }));
    const { digest } = await packFolder(folder, { disk, limits: defaultLimits, signal });
    const yaml = `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: ${name}}\nspec:\n  baseModel: tiny\n  source: {path: {path: ${name}}}\n  digest: ${digest}\n---\n`;
    versions.push({ name, digest, yaml });
  }
  return versions;
};
