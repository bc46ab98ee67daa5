import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { refuseOther } from '../../artifact/adapter-folder.ts';
import { attach } from '../../artifact/attach.ts';
import { deltaType, fromAnnotation, packDelta } from '../../artifact/delta-manifest.ts';
import { type DiskThread, startDiskThread } from '../../artifact/disk-thread.ts';
import {
  isWorth,
  type MadeDelta,
  makeDeltas,
  type Version,
  versionOf,
  worthRatio,
} from '../../artifact/make-deltas.ts';
import { defaultLimits } from '../../artifact/manifest.ts';
import { askFor, placeOf } from '../../artifact/offer.ts';
import { packFolder } from '../../artifact/pack.ts';
import { pullFolder } from '../../artifact/pull-folder.ts';
import type { ImageReference } from '../../artifact/reference.ts';
import { Registry, type RegistryOptions } from '../../artifact/registry.ts';
import { RegistryPush } from '../../artifact/registry-push.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { systemClock } from '../../time/clock.ts';
import { sizeText } from './progress.ts';
import { imageOf, type RegistryFlags, registryOptionsOf, withRegistryFlags } from './registry-flags.ts';
import { type OutputFlags, printResult, withOutputFlags } from './transfer.ts';

type Flags = RegistryFlags & OutputFlags & { readonly dryRun?: boolean; readonly force?: boolean };

/** What was made, and what became of it. */
export type DeltaResult = {
  /** Digests of the manifests. */
  readonly from: string;
  readonly to: string;
  readonly files: readonly MadeDelta[];
  /** Of all files that have a delta. */
  readonly wholeBytes: number;
  readonly zstdBytes: number;
  readonly deltaBytes: number;
  /** Digest of the delta's manifest; absent: nothing was attached. */
  readonly attached?: string;
  /** How nodes find it: by the API for referrers, or by the fallback tag. */
  readonly listedBy?: 'api' | 'tag';
};

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

const share = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)} %`;

/** As a person reads it. Pure. */
export const deltaText = (result: DeltaResult, why: string): string => {
  const { wholeBytes, zstdBytes, deltaBytes, attached, listedBy } = result;
  return [
    `whole ${sizeText(wholeBytes)}`,
    `zstd  ${sizeText(zstdBytes)}, ${share(zstdBytes, wholeBytes)}`,
    `delta ${sizeText(deltaBytes)}, ${share(deltaBytes, wholeBytes)}`,
    attached === undefined
      ? `not attached: ${why}`
      : `attached ${attached}${listedBy === 'tag' ? ', by the fallback tag' : ''}`,
    '',
  ].join('\n');
};

/** Why nothing is attached; undefined: it is. Pure. */
export const reasonNot = (
  { deltaBytes, wholeBytes }: Pick<DeltaResult, 'deltaBytes' | 'wholeBytes'>,
  { dryRun, force }: Pick<Flags, 'dryRun' | 'force'>,
): string | undefined => {
  if (dryRun === true) return '--dry-run';
  if (force === true || isWorth(deltaBytes, wholeBytes)) return undefined;
  return `it has more than ${100 * worthRatio} % of what it makes; --force attaches it all the same`;
};

const refused = (what: string): AdaptletError => new AdaptletError('DELTA_REFUSED', what);

const isFolder = (name: string): boolean => existsSync(name) || /^[./~]/.test(name);

/** Two versions, with their files below `work` or where they are. */
type Versions = { readonly from: Version; readonly to: Version; readonly image?: ImageReference };

const foldersOf = async (names: readonly [string, string], disk: DiskThread): Promise<Versions> => {
  const { signal } = new AbortController();
  const versionIn = async (name: string): Promise<Version> => {
    const folder = resolve(name);
    const { manifest } = await packFolder(folder, { disk, limits: defaultLimits, signal });
    return versionOf(manifest, folder);
  };
  return { from: await versionIn(names[0]), to: await versionIn(names[1]) };
};

const imagesOf = async (
  names: readonly [string, string],
  options: RegistryOptions,
  work: string,
): Promise<Versions> => {
  const { signal } = new AbortController();
  const registry = new Registry(options);
  const [first, image] = names.map(imageOf) as [ImageReference, ImageReference];
  if (placeOf(first) !== placeOf(image))
    throw refused(
      `${placeOf(first)} and ${placeOf(image)} are two repositories, and nodes take deltas within one`,
    );
  const versionAt = async (one: ImageReference, folder: string): Promise<Version> => {
    const where = placeOf(one);
    const { bytes, digest } = await askFor(registry, one, { limits: defaultLimits, where, signal });
    const pinned = { ...one, digest };
    await pullFolder({ registry, image: pinned, folder, limits: defaultLimits, check: refuseOther, signal });
    return versionOf(bytes, folder);
  };
  return {
    from: await versionAt(first, join(work, 'from')),
    to: await versionAt(image, join(work, 'to')),
    image,
  };
};

const publish = async (
  image: ImageReference,
  { from, to }: Versions,
  files: readonly MadeDelta[],
  options: RegistryOptions,
): Promise<Pick<DeltaResult, 'attached' | 'listedBy'>> => {
  const { signal } = new AbortController();
  const packed = packDelta(from.digest, { digest: to.digest, size: to.size }, files);
  const clients = { registry: new Registry(options), push: new RegistryPush(options) };
  const annotations = { [fromAnnotation]: from.digest };
  const attachment = { packed, subject: to.digest, artifactType: deltaType, annotations };
  const listedBy = await attach(clients, image, attachment, signal);
  return { attached: packed.digest, listedBy };
};

/** `adaptlet delta`. */
export const deltaCommand = (): Command =>
  withOutputFlags(withRegistryFlags(new Command('delta')))
    .description(
      'make a delta from one version of an adapter to the next, and attach it to that one if it is worth it',
    )
    .argument('<from>', 'the version that nodes have: registry/repository[:tag][@digest]')
    .argument('<to>', 'the next version, in the same repository')
    .option('--dry-run', 'only say what it would be; from and to may then be folders')
    .option('--force', `attach it although it has more than ${100 * worthRatio} % of what it makes`)
    .addHelpText(
      'after',
      '\nNodes that have the first version and fetch the second one take the delta by themselves. It is checked before it is attached.\n\nExample:\n  adaptlet delta registry.example/team-a/sql:v1 registry.example/team-a/sql:v2',
    )
    .action(async (from: string, to: string, flags: Flags) => {
      const names = [from, to] as const;
      const areFolders = names.some(isFolder);
      if (areFolders && (flags.dryRun !== true || !names.every(isFolder)))
        throw refused(
          'folders are measured, both of them, with --dry-run; a delta is attached between two references',
        );
      const options = registryOptionsOf(flags, process.env);
      const work = await mkdtemp(join(tmpdir(), 'adaptlet-delta-'));
      try {
        await using disk = startDiskThread();
        const versions = areFolders ? await foldersOf(names, disk) : await imagesOf(names, options, work);
        const { signal } = new AbortController();
        const now = () => systemClock.monotonic();
        const files = await makeDeltas(versions.from, versions.to, { folder: work, disk, signal, now });
        const made = {
          from: versions.from.digest,
          to: versions.to.digest,
          files,
          wholeBytes: sum(files.map(({ wholeBytes }) => wholeBytes)),
          zstdBytes: sum(files.map(({ zstdBytes }) => zstdBytes)),
          deltaBytes: sum(files.map(({ size }) => size)),
        };
        const why = reasonNot(made, flags);
        const { image } = versions;
        const published =
          why === undefined && image !== undefined ? await publish(image, versions, files, options) : {};
        const result = { ...made, ...published };
        const shown = files.map((file) => {
          const { path: _, ...rest } = file;
          return rest;
        });
        printResult(flags, deltaText(result, why ?? ''), {
          ...result,
          files: shown,
          ...(why === undefined ? {} : { why }),
        });
      } finally {
        await rm(work, { recursive: true, force: true });
      }
    });
