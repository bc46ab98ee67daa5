import { execFile } from 'node:child_process';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ArchitectureName } from '../../image/architecture.ts';
import { type BuiltImage, buildImage } from '../../image/build.ts';

const run = promisify(execFile);

/** The root file system of an image, unpacked as a container runtime does it. */
export type UnpackedImage = {
  readonly built: BuiltImage;
  readonly rootfs: string;
  /** Configuration of the image. */
  readonly config: {
    readonly User: string;
    readonly Env: readonly string[];
    readonly Entrypoint: readonly string[];
    readonly Labels: Readonly<Record<string, string>>;
  };
};

type Listed = { readonly Config: string; readonly Layers: readonly string[] };

/** Builds the image into `folder` and unpacks it there from its archive. */
export const unpackedImage = async (arch: ArchitectureName, folder: string): Promise<UnpackedImage> => {
  const built = await buildImage({ arch, folder });
  const [layout, rootfs] = [join(folder, 'layout'), join(folder, 'rootfs')];
  await mkdir(layout);
  await mkdir(rootfs);
  await run('tar', ['-xf', built.archive, '-C', layout]);
  const [listed] = JSON.parse(await readFile(join(layout, 'manifest.json'), 'utf8')) as Listed[];
  if (listed === undefined) throw new Error(`${built.archive} lists no image`);
  for (const layer of listed.Layers) await run('tar', ['-xzpf', join(layout, layer), '-C', rootfs]);
  const { config } = JSON.parse(await readFile(join(layout, listed.Config), 'utf8')) as Pick<
    UnpackedImage,
    'config'
  >;
  await rm(layout, { recursive: true });
  return { built, rootfs, config };
};
