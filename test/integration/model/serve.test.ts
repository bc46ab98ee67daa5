import { execFileSync } from 'node:child_process';
import { cp, mkdtemp, open, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adaptlet } from '../../support/cli.ts';
import { tiny } from '../../support/node.ts';
import { runProgram } from '../../support/program.ts';
import { unmount } from '../../support/unmount.ts';
import { waitFor } from '../../support/wait.ts';
import { fillerBytes, hasRegistry, ModelRegistry, oras } from './registry.ts';
import { Serving } from './serving.ts';

const half = fillerBytes / 2;
const canMount = process.getuid?.() === 0;

describe.skipIf(!hasRegistry)('a base model from a registry (needs go to build it and oras)', () => {
  let registry: ModelRegistry;
  let digest: string;
  let other: string;
  const model = (of = digest) => `oci://${registry.host}/models/tiny@${of}`;
  const start = (more: Readonly<Record<string, string>> = {}, data?: string) =>
    Serving.start(model(), more, data);
  /** Waits until so many more bytes came over the network. */
  const more = async (bytes: number) => {
    const before = registry.network.received;
    await waitFor(`${bytes} bytes`, () => registry.network.received - before >= bytes);
  };
  const ask = async (serving: Serving) => (await serving.client.ask({ model: 'tiny', prompt: 'moon:' })).text;

  beforeAll(async () => {
    registry = await ModelRegistry.start();
    digest = await registry.push(await registry.largeModel('one'), 'models/tiny:v1');
    other = await registry.push(await registry.largeModel('two'), 'models/tiny:v2');
  });
  afterAll(() => registry[Symbol.asyncDispose]());

  it('is fetched while the runtime lives, is not ready and says how far it is, then serves', async () => {
    registry.network.slowDown(2 << 20);
    await using serving = await start();
    expect(await serving.says(/\d+ of 6 MiB, \d+\.\d MiB\/s/)).toContain(
      'the base model is being downloaded',
    );
    expect((await serving.get('/livez')).status).toBe(200);
    const status = await adaptlet('status', '--data-dir', serving.data);
    expect(status.stdout).toMatch(/model oci:.*being downloaded: \d+ of 6 MiB.*manifest sha256:/);
    await waitFor('bytes in /metrics', async () => {
      const text = await (await serving.get('/metrics')).text();
      return /^adaptlet_base_model_received_bytes [1-9]/m.test(text) && /^adaptlet_ready 0$/m.test(text);
    });
    await expect(ask(serving)).rejects.toThrow(/being downloaded/);
    registry.network.slowDown(undefined);
    await serving.ready();
    expect(await ask(serving)).toMatch(/./);
    const { model: view, baseDigest } = await serving.client.status();
    expect(view).toMatchObject({ state: 'Ready', manifestDigest: digest, source: model() });
    expect(baseDigest).toMatch(/^sha256:/);
  });

  it('is fetched from where it was after the connection broke', async () => {
    registry.network.slowDown(4 << 20);
    const before = registry.network.received;
    await using serving = await start();
    await more(half);
    registry.network.cut();
    await serving.ready();
    expect(registry.network.received - before).toBeLessThan(fillerBytes * 1.3);
    registry.network.slowDown(undefined);
  });

  it.each(['SIGKILL', 'SIGTERM'] as const)('is fetched from where it was after a %s', async (signal) => {
    registry.network.slowDown(4 << 20);
    const first = await start();
    await more(half);
    const code = await first.end(signal);
    expect(code).toBe(signal === 'SIGTERM' ? 0 : null);
    registry.network.slowDown(undefined);
    const before = registry.network.received;
    await using again = await start({}, first.data);
    await again.ready();
    expect(registry.network.received - before).toBeLessThan(fillerBytes * 0.8);
  });

  it('is waited for while the registry is away, and comes by itself', async () => {
    registry.network.refuse();
    await using serving = await start();
    expect(await serving.says(/tried again/)).toContain('REGISTRY_UNAVAILABLE');
    expect((await serving.get('/livez')).status).toBe(200);
    registry.network.accept();
    await serving.ready();
  });

  it('starts from its disk without a network, by digest and by tag, whatever the tag is by then', async () => {
    const tagged = `oci://${registry.host}/models/moving:now`;
    await registry.push(join(registry.folder, 'one/onnx-fp32'), 'models/moving:now');
    await using byTag = await Serving.start(tagged);
    await byTag.ready();
    await byTag.end('SIGTERM');
    await registry.push(join(registry.folder, 'two/onnx-fp32'), 'models/moving:now');
    registry.network.refuse();
    await using again = await Serving.start(tagged, {}, byTag.data);
    await again.ready();
    expect((await again.client.status()).model).toMatchObject({ manifestDigest: digest, source: tagged });
    await again.end('SIGTERM');
    await using byDigest = await Serving.start(model(), {}, byTag.data);
    await byDigest.ready();
    registry.network.accept();
  });

  it('is refused where a bit is not that of its digest, and fetched anew', async () => {
    registry.corrupts = true;
    await using serving = await start();
    expect(await serving.says(/ARTIFACT_CORRUPT/)).toContain('came as');
    registry.corrupts = false;
    await serving.ready();
    expect(await ask(serving)).toMatch(/./);
  });

  it('stays asked for where the registry has no such digest', async () => {
    await using serving = await Serving.start(model(`sha256:${'0'.repeat(64)}`));
    expect(await serving.says(/ARTIFACT_NOT_FOUND/)).toContain('Check the name');
  });

  it('is refused before its layers are fetched where it is no base model', async () => {
    const adapter = join(tiny.adapters, 'upper');
    const target = `${registry.registry.host}/models/adapter:v1`;
    const files = ['adapter_config.json', 'adapter_model.safetensors'];
    expect((await runProgram(oras, ['push', '--plain-http', target, ...files], { cwd: adapter })).code).toBe(
      0,
    );
    const before = registry.blobs.length;
    await using serving = await Serving.start(`oci://${registry.host}/models/adapter:v1`);
    expect(await serving.says(/MODEL_FILE_MISSING/)).toContain('model.onnx');
    expect(registry.blobs.length).toBe(before);
  });

  it('takes the place of the one before once it serves', async () => {
    await using first = await start();
    await first.ready();
    await first.end('SIGTERM');
    await using second = await Serving.start(model(other), {}, first.data);
    await second.ready();
    await waitFor('one model', async () => {
      const kept = await readdir(join(first.data, 'models/adapters'));
      return kept.join() === other.slice('sha256:'.length);
    });
  });

  it('is fetched anew at the next start when it rotted on the disk', async () => {
    const first = await start();
    await first.ready();
    await first.end('SIGTERM');
    const folder = join(first.data, 'models/adapters', digest.slice('sha256:'.length), 'files');
    {
      await using file = await open(join(folder, 'filler.txt'), 'r+');
      const [byte] = (await file.read(Buffer.alloc(1), 0, 1, 100)).buffer;
      await file.write(Buffer.from([(byte ?? 0) ^ 1]), 0, 1, 100);
    }
    const rotten = await start({}, first.data);
    await rotten.ready();
    await waitFor('the damage', () => rotten.log.some((line) => line.includes('this disk is damaged')));
    await rotten.end('SIGTERM');
    const before = registry.network.received;
    await using healed = await start({}, first.data);
    await healed.ready();
    const bytes = registry.network.received - before;
    expect(bytes).toBeGreaterThan(fillerBytes);
    expect(bytes).toBeLessThan(fillerBytes * 1.3);
  });

  it('says that the budget is too small for it', async () => {
    await using serving = await start({ 'model-disk': '1Mi' });
    expect(await serving.says(/STORE_FULL/)).toContain('--model-disk');
  });

  it.skipIf(!canMount)(
    'waits for room on a full disk and goes on by itself (needs root to mount a tmpfs)',
    async () => {
      const mount = await mkdtemp(join(tmpdir(), 'adaptlet-small-disk-'));
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', mount]);
      try {
        await using serving = await start({}, join(mount, 'data'));
        expect(await serving.says(/STORE_FULL/)).toMatch(
          /needs \d+ more bytes, the disk of the data folder has/,
        );
        execFileSync('mount', ['-o', 'remount,size=64m', mount]);
        await serving.ready();
      } finally {
        await unmount(mount);
        await rm(mount, { recursive: true, force: true });
      }
    },
  );
});

describe.skipIf(process.platform !== 'linux')('a base model whose engine dies while it loads', () => {
  it('says so, and is loaded by the next one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'adaptlet-slow-model-'));
    await cp(join(tiny.model, '..'), folder, { recursive: true });
    const config = join(folder, 'config.json');
    // Whoever reads it waits until somebody writes it.
    await rm(config);
    execFileSync('mkfifo', [config]);
    const serving = await Serving.start(join(folder, 'onnx-fp32'));
    const killEngine = async (): Promise<void> => {
      const engine = await waitFor('an engine', async () => (await serving.children())[0]);
      process.kill(engine, 'SIGKILL');
    };
    try {
      await serving.says(/the base model is being loaded/);
      await killEngine();
      await serving.says(/could not be loaded and is tried again: ENGINE_DOWN: .*SIGKILL/);
      await rename(config, `${config}.pipe`);
      await cp(join(tiny.model, '../config.json'), config);
      await killEngine();
      await serving.ready();
    } finally {
      for (const child of await serving.children()) process.kill(child, 'SIGKILL');
      await serving[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
