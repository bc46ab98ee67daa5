import { chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ownArchitecture } from '../../../image/architecture.ts';
import { user } from '../../../image/rootfs/system.ts';
import { Container, type ContainerOptions } from '../../support/container.ts';
import { tiny, yaml } from '../../support/node.ts';
import { type UnpackedImage, unpackedImage } from '../../support/unpacked-image.ts';
import { waitFor } from '../../support/wait.ts';
import { debianProgram } from '../../tools/debian.ts';

const runc = await debianProgram('runc');
const own = ownArchitecture();
const isRoot = process.getuid?.() === 0;
const missing = runc === undefined || own === undefined || !isRoot;
const reason = missing ? ' (SKIPPED: runc, root and an architecture that images are made for)' : '';

let folder: string;
let image: UnpackedImage;

const start = (
  options: Pick<ContainerOptions, 'args' | 'mounts' | 'entrypoint' | 'env'>,
): Promise<Container> => Container.start({ runc: runc ?? '', image, folder, ...options });

/** What `adaptlet serve` says on stdout once it serves. */
type Ready = { readonly http: string };

const serve = async (): Promise<{ readonly container: Container; readonly http: string }> => {
  const container = await start({
    args: ['serve', '--model', '/models/model/onnx-fp32', '--import-roots', '/models/adapters'],
    mounts: [
      { source: tiny.root, at: '/models' },
      { source: join(folder, 'data'), at: '/var/lib/adaptlet', writable: true },
      { source: join(folder, 'manifests'), at: '/manifests' },
    ],
    env: {
      ADAPTLET_MODEL_NAME: 'tiny',
      ADAPTLET_DATA_DIR: '/var/lib/adaptlet',
      ADAPTLET_MANIFESTS: '/manifests',
      ADAPTLET_GRPC_LISTEN: '127.0.0.1:0',
      ADAPTLET_HTTP_LISTEN: '127.0.0.1:0',
    },
  });
  const { http } = JSON.parse(await container.firstLine) as Ready;
  return { container, http };
};

const complete = async (http: string, model: string): Promise<string | undefined> => {
  const response = await fetch(new URL('/v1/completions', http), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, prompt: 'moon:', temperature: 0 }),
  });
  const { choices } = (await response.json()) as { choices?: { text: string }[] };
  return choices?.[0]?.text;
};

beforeAll(async () => {
  if (missing) return;
  folder = await mkdtemp(join(tmpdir(), 'adaptlet-image-'));
  image = await unpackedImage(own.name, folder);
  await mkdir(join(folder, 'manifests'));
  await writeFile(join(folder, 'manifests/upper.yaml'), yaml.adapter('upper', 'upper'));
  await mkdir(join(folder, 'data'));
  // As the init container of the chart does it.
  await chown(join(folder, 'data'), user, user);
});
afterAll(async () => {
  if (!missing) await rm(folder, { recursive: true, force: true });
});

describe.skipIf(missing)(`a container of the image${reason}`, () => {
  it('serves as a user without rights on a root that is read only, and ends on SIGTERM', async () => {
    const { container, http } = await serve();
    await using _ = container;
    await waitFor('the node to be ready', async () => (await fetch(new URL('/readyz', http))).ok);
    expect(await complete(http, 'tiny')).toBe(' moon moon.');
    // The adapter passes the threads that hash, unpack and compile.
    expect(await waitFor('the adapter', () => complete(http, 'upper'))).toBe(' MOON!');
    expect(await container.end('SIGTERM')).toBe(0);
  });

  it('serves on after a restart, by what it left in its folder', async () => {
    const { container, http } = await serve();
    await using _ = container;
    expect(await waitFor('the adapter', () => complete(http, 'upper'))).toBe(' MOON!');
  });

  it('has every command of adaptlet, and says the version of the package', async () => {
    await using container = await start({ args: ['--version'] });
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    expect(await container.ended()).toBe(0);
    expect(container.output).toEqual([version]);
  });

  it('starts the operator, which asks for an API server', async () => {
    await using container = await start({ args: ['operator'], env: { KUBECONFIG: '/nowhere' } });
    expect(await container.ended()).not.toBe(0);
    expect(container.log.join('\n')).toContain('Check the kubeconfig');
  });

  it('runs scripts by node in the PATH, knows itself, and trusts public authorities', async () => {
    const script = `
      const { getCACertificates } = require('node:tls');
      const { userInfo } = require('node:os');
      const { readFileSync } = require('node:fs');
      const count = readFileSync('/etc/ssl/certs/ca-certificates.crt', 'utf8').split('BEGIN CERTIFICATE').length - 1;
      const icu = new Date(0).toLocaleDateString('de-DE', { month: 'long', timeZone: 'Europe/Berlin' });
      console.log(JSON.stringify({ user: userInfo().username, uid: process.getuid(), icu, count, system: getCACertificates('system').length }));`;
    await using container = await start({ entrypoint: ['node'], args: ['-e', script] });
    const said = JSON.parse(await container.firstLine) as Record<string, unknown>;
    expect(said).toEqual({
      user: 'adaptlet',
      uid: user,
      icu: 'Januar',
      count: said['system'],
      system: said['count'],
    });
    expect(said['count']).toBeGreaterThan(100);
  });
});
