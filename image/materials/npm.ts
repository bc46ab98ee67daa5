import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import packageLock from '../../package-lock.json' with { type: 'json' };
import type { Architecture } from '../architecture.ts';
import { cachedFolder, cacheFolder, sha256 } from './cache.ts';
import pins from './node.json' with { type: 'json' };

const run = promisify(execFile);

export type NpmPackage = {
  readonly name: string;
  readonly version: string;
  /** Subresource integrity of its archive: sha512-… */
  readonly integrity: string;
  /** Unpacked. */
  readonly folder: string;
};

/**
 * A package of npm, unpacked.
 * @throws its archive is another than `integrity` says
 */
export const npmPackage = async (name: string, version: string, integrity: string): Promise<NpmPackage> => {
  const key = sha256(`${name} ${version} ${integrity}`).slice(0, 16);
  const folder = await cachedFolder(
    join(cacheFolder('npm'), `${name.replaceAll('/', '-')}-${version}-${key}`),
    async (draft) => {
      const { stdout } = await run(
        'npm',
        ['pack', `${name}@${version}`, '--json', '--pack-destination', draft],
        {
          cwd: draft,
        },
      );
      const [packed] = Object.values(JSON.parse(stdout) as Record<string, { filename: string }>);
      const archive = join(draft, packed?.filename ?? '');
      const found = `sha512-${createHash('sha512')
        .update(await readFile(archive))
        .digest('base64')}`;
      if (found !== integrity) {
        throw new Error(`${name}@${version} of the npm registry is ${found}, expected ${integrity}`);
      }
      await run('tar', ['--no-same-owner', '--strip-components=1', '-xzf', archive, '-C', draft]);
      await rm(archive);
    },
  );
  return { name, version, integrity, folder };
};

/**
 * Node itself, for a system as npm names it. Its archives are no part of package-lock.json: the package `node` takes them at
 * its installation.
 */
export const nodePackage = (system: keyof typeof pins.integrity): Promise<NpmPackage> =>
  npmPackage(`node-${system}`, pins.version, pins.integrity[system]);

type Locked = { readonly version: string; readonly integrity?: string };

/** What package-lock.json says of a package. @throws it is not in there, or without an integrity */
export const locked = (name: string): Required<Locked> => {
  const packages = packageLock.packages as Readonly<Record<string, Locked | undefined>>;
  const found = packages[`node_modules/${name}`];
  if (found?.integrity === undefined) throw new Error(`package-lock.json has no ${name} with an integrity`);
  return { version: found.version, integrity: found.integrity };
};

/** The native part of koffi for an architecture, also for one that is not this machine's. */
export const koffiPackage = ({ npm }: Architecture): Promise<NpmPackage> => {
  const name = `@koromix/koffi-linux-${npm}`;
  const { version, integrity } = locked(name);
  return npmPackage(name, version, integrity);
};
