import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startDiskThread } from '../../src/artifact/disk-thread.ts';
import { defaultLimits } from '../../src/artifact/manifest.ts';
import { packFolder } from '../../src/artifact/pack.ts';
import { parseReference } from '../../src/artifact/reference.ts';
import { RegistryPush } from '../../src/artifact/registry-push.ts';
import { systemClock } from '../../src/time/clock.ts';
import { tiny } from './node.ts';

export type Version = { readonly name: string; readonly digest: string; readonly yaml: string };

const pusher = new RegistryPush({
  fetch,
  clock: systemClock,
  random: Math.random,
  attempts: 3,
  idleMs: 30_000,
  insecureHosts: [],
  credentials: () => Promise.resolve(undefined),
});

/**
 * Adapters of the tiny model below `root` that answer like those of the fixtures and that each have a digest of their
 * own, `names` in order. `root` has to be an import root of the runtimes, unless a registry is given (host:port), which they
 * are pushed to: releases that pack folders in other ways then see the same digests.
 */
export const makeVersions = async (
  root: string,
  names: readonly string[],
  registry?: string,
): Promise<Version[]> => {
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
    const packed = await packFolder(folder, { disk, limits: defaultLimits, signal });
    const { digest } = packed;
    const image = `${registry}/versions/${name}:v1`;
    if (registry !== undefined) await pusher.push(parseReference(image), packed, { signal });
    const source = registry === undefined ? `{path: {path: ${name}}}` : `{oci: {image: "${image}"}}`;
    const yaml = `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: ${name}}\nspec:\n  baseModel: tiny\n  source: ${source}\n  digest: ${digest}\n---\n`;
    versions.push({ name, digest, yaml });
  }
  return versions;
};
