import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import {
  artifactOf,
  type FixtureArtifact,
  fileLayer,
  filesArtifact,
  tarOf,
} from '../../artifact/artifact.fixture.ts';
import { diskOfTests } from '../../artifact/disk-thread.fixture.ts';
import { ContentStore } from '../../artifact/store.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { modelSourceOf } from '../config/model-source.ts';
import type { ModelMemory } from '../state/memory.ts';
import { ModelDelivery } from './delivery.ts';

const one = filesArtifact({
  'model.onnx': 'graph',
  'model.onnx.data': 'w'.repeat(3000),
  'config.json': '{}',
});
const two = filesArtifact({ 'model.onnx': 'graph 2', 'config.json': '{}' });
const never = new AbortController().signal;
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

const disk = diskOfTests();
let root: string;
const stores: ContentStore[] = [];
beforeEach(() => {
  root = folderOfTest();
});
afterEach(async () => {
  for (const store of stores.splice(0)) await store[Symbol.asyncDispose]();
});

type World = {
  /** What the registry has, by tag or digest; a failure to throw instead. */
  readonly has: Map<string, FixtureArtifact>;
  fails: AdaptletError | undefined;
  /** Bytes after which a blob breaks off. */
  breaksAfter: number | undefined;
  readonly asked: string[];
  readonly clock: FakeClock;
  memory: ModelMemory | undefined;
  free: number;
  budget: number;
};

const world = (): World => ({
  has: new Map([one, two].map((artifact) => [artifact.digest, artifact])),
  fails: undefined,
  breaksAfter: undefined,
  asked: [],
  clock: new FakeClock(),
  memory: undefined,
  free: 1 << 30,
  budget: 1 << 30,
});

/** A runtime that starts on the data folder of the test. */
const begin = async (w: World, reference: string, modelFile?: string) => {
  for (const store of stores.splice(0)) await store[Symbol.asyncDispose]();
  const store = await ContentStore.open({ root, budgetBytes: w.budget, disk, keepsUnfinished: true });
  stores.push(store);
  const source = modelSourceOf(`oci://registry.example/${reference}`);
  if (source.kind !== 'registry') throw new Error('no registry');
  const delivery = new ModelDelivery({
    store,
    freeBytes: async () => w.free,
    source,
    modelFile,
    registry: {
      manifest: async (_, version) => {
        w.asked.push(version);
        if (w.fails !== undefined) throw w.fails;
        const found = w.has.get(version);
        if (found === undefined) throw new AdaptletError('ARTIFACT_NOT_FOUND', `${version} is not there`);
        return found.manifest;
      },
      blob: async (_image, blob, { path, have }, _signal, onBytes) => {
        w.asked.push(`${blob.size} from ${have}`);
        const bytes = [...w.has.values()].flatMap(({ blobs }) => blobs.get(blob.digest) ?? [])[0];
        const until = w.breaksAfter ?? blob.size;
        const before = have > 0 ? await readFile(path) : Buffer.alloc(0);
        await writeFile(path, Buffer.concat([before, Buffer.from(bytes ?? '').subarray(have, until)]));
        onBytes(Math.min(until, blob.size));
        if (until < blob.size) throw new AdaptletError('REGISTRY_UNAVAILABLE', 'it broke off');
      },
    },
    remembered: w.memory,
    memory: {
      write: async (memory) => {
        w.memory = memory;
      },
    },
    clock: w.clock,
    random: () => 0,
    logger: quiet,
  });
  const states: string[] = [];
  delivery.onState(() => {
    const { state } = delivery;
    if (state.kind !== states.at(-1)) states.push(state.kind);
  });
  return { delivery, store, states };
};

/** Lets the delivery wait in vain until it waits for the clock. */
const untilWaiting = async (delivery: ModelDelivery): Promise<void> => {
  while (delivery.state.kind !== 'Waiting') await new Promise(setImmediate);
};

describe('the delivery of a base model', () => {
  it('brings the files of a digest, and says how far it is', async () => {
    const { delivery, states } = await begin(world(), `tiny@${one.digest}`);
    const { folder, digest } = await delivery.run(never);
    expect(digest).toBe(one.digest);
    expect(await readFile(join(folder, 'model.onnx'), 'utf8')).toBe('graph');
    expect(states).toEqual(['Resolving', 'Downloading', 'Loading']);
  });

  it('resolves a tag once, whatever it names later', async () => {
    const w = world();
    w.has.set('v1', one);
    const first = await begin(w, 'tiny:v1');
    await first.delivery.run(never);
    w.has.set('v1', two);
    w.asked.length = 0;
    const again = await begin(w, 'tiny:v1');
    expect((await again.delivery.run(never)).digest).toBe(one.digest);
    expect(w.asked).toEqual([]);
  });

  it('resolves a tag anew where the reference is another one', async () => {
    const w = world();
    w.has.set('v1', one).set('v2', two);
    await (await begin(w, 'tiny:v1')).delivery.run(never);
    expect((await (await begin(w, 'tiny:v2')).delivery.run(never)).digest).toBe(two.digest);
  });

  it('is tried again after longer and longer pauses, for ever, and says why', async () => {
    const w = world();
    w.fails = new AdaptletError('REGISTRY_UNAVAILABLE', 'nobody answers');
    const { delivery } = await begin(w, `tiny@${one.digest}`);
    const running = delivery.run(never);
    for (const pause of [1, 2, 4, 8, 16, 32, 60, 60]) {
      await untilWaiting(delivery);
      expect(delivery.state).toMatchObject({ code: 'REGISTRY_UNAVAILABLE' });
      const before = w.asked.length;
      w.clock.advance(pause * 1000 - 1);
      await new Promise(setImmediate);
      expect(w.asked).toHaveLength(before);
      if (pause === 60) w.fails = undefined;
      w.clock.advance(1);
      while (w.asked.length === before) await new Promise(setImmediate);
      if (pause === 60) break;
    }
    expect((await running).digest).toBe(one.digest);
  });

  it('goes on where a blob broke off, in this process and in the next', async () => {
    const w = world();
    w.breaksAfter = 1000;
    const first = await begin(w, `tiny@${one.digest}`);
    const stop = new AbortController();
    const running = first.delivery.run(stop.signal);
    await untilWaiting(first.delivery);
    expect(first.delivery.state).toMatchObject({ receivedBytes: 1007, totalBytes: 3007 });
    stop.abort(new Error('stopped'));
    await expect(running).rejects.toThrow('stopped');
    w.breaksAfter = undefined;
    const second = await begin(w, `tiny@${one.digest}`);
    await second.delivery.run(never);
    expect(w.asked).toContain('3000 from 1000');
  });

  it('asks for nothing where its disk or its budget has no room, and says how much is missing', async () => {
    const w = world();
    w.free = 3006;
    const { delivery } = await begin(w, `tiny@${one.digest}`);
    const running = delivery.run(never);
    await untilWaiting(delivery);
    expect(delivery.state).toMatchObject({
      code: 'STORE_FULL',
      message: expect.stringContaining('3007 more bytes'),
    });
    expect(w.asked).toEqual([one.digest]);
    w.free = 3007;
    w.clock.advance(1000);
    await running;
  });

  it.each([
    ['no graph', filesArtifact({ 'adapter_config.json': '{}', 'x.safetensors': '1' }), 'MODEL_FILE_MISSING'],
    ['two graphs', filesArtifact({ 'a/model.onnx': '1', 'b/model.onnx': '2' }), 'MODEL_INVALID'],
  ])('refuses an artifact with %s before it fetches any of it', async (_, artifact, code) => {
    const w = world();
    w.has.set(artifact.digest, artifact);
    const { delivery } = await begin(w, `tiny@${artifact.digest}`);
    const stop = new AbortController();
    const running = delivery.run(stop.signal);
    await untilWaiting(delivery);
    expect(delivery.state).toMatchObject({ code });
    expect(w.asked).toHaveLength(1);
    stop.abort(new Error('stopped'));
    await expect(running).rejects.toThrow('stopped');
  });

  it('finds the graph in a folder of an archive', async () => {
    const tar = tarOf([
      { name: 'onnx/model.onnx', content: 'g' },
      { name: 'config.json', content: '{}' },
    ]);
    const type = 'application/vnd.cncf.model.weight.v1.tar';
    const artifact = artifactOf([{ bytes: tar, mediaType: type }, fileLayer('README.md', 'hello')]);
    const w = world();
    w.has.set(artifact.digest, artifact);
    const { delivery } = await begin(w, `tiny@${artifact.digest}`);
    expect((await delivery.run(never)).file).toBe('onnx/model.onnx');
  });

  it('takes the graph that is named', async () => {
    const artifact = filesArtifact({ 'onnx/model.onnx': '1', 'onnx/model_q4.onnx': '2' });
    const w = world();
    w.has.set(artifact.digest, artifact);
    const named = await begin(w, `tiny@${artifact.digest}`, 'onnx/model_q4.onnx');
    expect((await named.delivery.run(never)).file).toBe('onnx/model_q4.onnx');
    const unnamed = await begin(w, `tiny@${artifact.digest}`);
    expect((await unnamed.delivery.run(never)).file).toBe('onnx/model.onnx');
  });

  it('removes other models once this one serves, and not before', async () => {
    const w = world();
    await (await begin(w, `tiny@${one.digest}`)).delivery.run(never);
    const { delivery, store } = await begin(w, `tiny@${two.digest}`);
    await delivery.run(never);
    expect(store.list()).toHaveLength(2);
    await delivery.serves(two.digest);
    expect(store.list()).toEqual([two.digest]);
  });

  it('leaves a damaged model where it is, and brings it anew at the next start', async () => {
    const w = world();
    const first = await begin(w, `tiny@${one.digest}`);
    const { folder } = await first.delivery.run(never);
    await writeFile(join(folder, 'model.onnx.data'), 'x'.repeat(3000));
    await first.delivery.check(one.digest, never);
    expect(w.memory).toMatchObject({ damaged: true });
    expect(first.store.list()).toEqual([one.digest]);
    w.asked.length = 0;
    const second = await begin(w, `tiny@${one.digest}`);
    const again = await second.delivery.run(never);
    expect(await readFile(join(again.folder, 'model.onnx.data'), 'utf8')).toBe('w'.repeat(3000));
    expect(w.memory).toMatchObject({ damaged: false });
    expect(w.asked).toContain('3000 from 0');
  });
});
