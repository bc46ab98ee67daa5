import { chown, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ownArchitecture } from '../../image/architecture.ts';
import { user } from '../../image/rootfs/system.ts';
import { NodeClient } from '../support/client.ts';
import { Container } from '../support/container.ts';
import { tiny } from '../support/node.ts';
import { type UnpackedImage, unpackedImage } from '../support/unpacked-image.ts';
import { waitFor } from '../support/wait.ts';
import { debianProgram } from '../tools/debian.ts';
import { type Report, report, variant } from './report.ts';

const rounds = 15;

type Start = { readonly readyMs: number; readonly firstTokenMs: number };
type Ready = { readonly grpc: string; readonly http: string };

const isReady = (http: string): Promise<boolean> =>
  fetch(new URL('/readyz', http)).then(
    ({ ok }) => ok,
    () => false,
  );

/** One container from its start to ready and to the first token of its first answer, then its end. */
const start = async (runc: string, image: UnpackedImage, folder: string): Promise<Start> => {
  await using container = await Container.start({
    runc,
    image,
    folder,
    args: ['serve'],
    mounts: [
      { source: tiny.root, at: '/models' },
      { source: join(folder, 'data'), at: '/data', writable: true },
    ],
    env: {
      ADAPTLET_MODEL: '/models/model/onnx-fp32',
      ADAPTLET_MODEL_NAME: 'tiny',
      ADAPTLET_MANIFESTS: '/models/adapters',
      ADAPTLET_DATA_DIR: '/data',
      ADAPTLET_GRPC_LISTEN: '127.0.0.1:0',
      ADAPTLET_HTTP_LISTEN: '127.0.0.1:0',
    },
  });
  const { grpc, http } = JSON.parse(await container.firstLine) as Ready;
  await waitFor('the container to be ready', () => isReady(http));
  const readyMs = performance.now() - container.started;
  const client = new NodeClient(grpc, 'unix:/nowhere');
  try {
    const { firstMs } = await client.ask({ model: 'tiny', prompt: 'moon:' });
    return { readyMs, firstTokenMs: firstMs };
  } finally {
    client.close();
  }
};

/**
 * The image of this machine's architecture: its compressed size, and starts of a container by runc on the tiny model with
 * its files in the page cache and the weights prepared, as after an update of the image.
 */
export const image = async (): Promise<Report> => {
  const own = ownArchitecture();
  const runc = await debianProgram('runc');
  if (own === undefined || runc === undefined)
    throw new Error('this bench needs Linux with runc, on amd64 or arm64');
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-bench-'));
  try {
    const unpacked = await unpackedImage(own.name, folder);
    await mkdir(join(folder, 'data'));
    await chown(join(folder, 'data'), user, user);
    // Prepares the weights and warms the page cache.
    await start(runc, unpacked, folder);
    const starts: Start[] = [];
    for (let round = 0; round < rounds; round++) starts.push(await start(runc, unpacked, folder));
    return report('image', 'ms, MiB', {
      results: {
        size_mib: variant([unpacked.built.size / 2 ** 20]),
        cold_start_ms: variant(starts.map(({ readyMs }) => readyMs)),
        first_token_ms: variant(starts.map(({ firstTokenMs }) => firstTokenMs)),
      },
      ratios: {},
      setup: {
        architecture: own.name,
        model: 'tiny fp32',
        runtime: 'runc',
        rounds,
        digest: unpacked.built.digest,
      },
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
