import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** An image that holds one static program. */
export type ProgramImage = {
  /** With its registry and tag. */
  readonly name: string;
  readonly program: string;
  /** What it runs with when the pod says nothing else. */
  readonly args: readonly string[];
};

/** Equal content, equal bytes. */
const sameTar = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];

type Descriptor = { readonly mediaType: string; readonly digest: string; readonly size: number };

const addBlob = async (layout: string, type: string, bytes: Buffer): Promise<Descriptor> => {
  const hash = createHash('sha256').update(bytes).digest('hex');
  await mkdir(join(layout, 'blobs/sha256'), { recursive: true });
  await writeFile(join(layout, 'blobs/sha256', hash), bytes);
  return { mediaType: `application/vnd.oci.image.${type}`, digest: `sha256:${hash}`, size: bytes.length };
};

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

const architecture = process.arch === 'x64' ? 'amd64' : process.arch;

/** Writes an OCI archive (a tar of an image layout) to `path`. */
export const writeImage = async (path: string, { name, program, args }: ProgramImage): Promise<void> => {
  const work = await mkdtemp(`${path}.`);
  try {
    const [root, layout, draft] = [join(work, 'root'), join(work, 'layout'), join(work, 'archive.tar')];
    await mkdir(root);
    await mkdir(layout);
    await copyFile(program, join(root, basename(program)));
    const layerFile = join(work, 'layer.tar');
    await execute('tar', [...sameTar, '-cf', layerFile, '-C', root, '.']);
    const layer = await addBlob(layout, 'layer.v1.tar', await readFile(layerFile));
    const config = await addBlob(
      layout,
      'config.v1+json',
      json({
        architecture,
        os: 'linux',
        config: { Entrypoint: [`/${basename(program)}`], Cmd: args, Env: ['PATH=/'] },
        rootfs: { type: 'layers', diff_ids: [layer.digest] },
      }),
    );
    const manifest = await addBlob(
      layout,
      'manifest.v1+json',
      json({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        config,
        layers: [layer],
      }),
    );
    const annotations = { 'org.opencontainers.image.ref.name': name, 'io.containerd.image.name': name };
    const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
    await writeFile(join(layout, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }));
    await writeFile(join(layout, 'index.json'), json(index));
    await execute('tar', [...sameTar, '-cf', draft, '-C', layout, '.']);
    await rename(draft, path);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
};
