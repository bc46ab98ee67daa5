import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, namespaceOf, objectKey } from '../../../src/api/names.ts';
import { Admission } from '../../../src/artifact/admission.ts';
import type { Artifacts } from '../../../src/artifact/artifacts.ts';
import { type Former, Grants } from '../../../src/artifact/grants.ts';
import { KeptBundles } from '../../../src/artifact/kept-bundles.ts';
import { blobsOf, type Descriptor, parseManifest, totalBytes } from '../../../src/artifact/manifest.ts';
import { BlobSenders } from '../../../src/artifact/senders.ts';
import { ContentStore } from '../../../src/artifact/store.ts';
import { withChecksum } from '../../../src/disk/checked.ts';
import { writeDurable } from '../../../src/disk/durable.ts';
import { adapterResource } from '../../../src/plan/resources.fixture.ts';
import { versioned } from '../../../src/plan/resources.ts';
import type { CompileTarget } from '../../../src/runtime/compiled/compile-target.ts';
import { type Compiler, compiledFrom } from '../../../src/runtime/compiled/compiled-adapter.ts';
import { CompiledFolder } from '../../../src/runtime/compiled/compiled-folder.ts';
import { layOut, seal } from '../../../src/runtime/compiled/file-layout.ts';
import type { ResidencyOptions } from '../../../src/runtime/residency/core.ts';
import { FakeEngine, Script } from '../../../src/runtime/residency/fake-engine.ts';
import { createResidency, type Residency } from '../../../src/runtime/residency/manager.ts';
import { silentLog } from '../../../src/telemetry/log.fixture.ts';
import { FakeClock } from '../../../src/time/fake-clock.ts';
import { artifacts, before, type Name, names, weightsOf } from './artifacts.ts';
import type { FaultyDisk } from './faulty-disk.ts';

export const never = new AbortController().signal;
export const budgetBytes = 200_000;
export const namespace = 'team';
export const keyOf = (name: Name) => objectKey(namespace, name);
export const claimOf = (name: Name, of = namespace) => ({ namespace: of, source: `path:${name}` });

const engine = (): FakeEngine => new FakeEngine(new Script(), () => 10);
export const target: CompileTarget = engine().info();

/** A compiled file, as small as one can be. */
export const compiledFile = (digest: Digest, { baseDigest, engineVersion }: CompileTarget) => {
  const layout = layOut({ adapterDigest: digest, baseDigest, engineVersion }, [
    { module: 'model.q_proj', half: 'A', shape: [1, 8], dtype: 'float32', scale: 1 },
    { module: 'model.q_proj', half: 'B', shape: [1, 8], dtype: 'float32', scale: 1 },
  ]);
  const bytes = Buffer.from(new ArrayBuffer(layout.header.fileBytes));
  return { header: seal(layout, bytes), bytes };
};

export type Shape = {
  readonly former?: readonly Former[];
  readonly keepsUnfinished?: boolean;
  readonly diskShare?: ResidencyOptions['diskShare'];
};

/** A runtime without an engine process and without sockets: its store, grants, compiled files and residency, over a disk that breaks. */
export class SmallNode {
  readonly disk: FaultyDisk;
  readonly store: ContentStore;
  readonly grants: Grants;
  readonly senders: BlobSenders;
  readonly bundles: KeptBundles;
  readonly compiled: CompiledFolder;
  readonly clock = new FakeClock();
  readonly engine = engine();
  readonly residency: Residency;
  readonly admission: Admission;
  /** Where the bytes of a blob come from; may be replaced. */
  write = async (blob: Descriptor, path: string): Promise<void> =>
    this.disk.writeBlob('blob.write', path, this.bytesOf(blob.digest));

  static async open(data: string, disk: FaultyDisk, shape: Shape = {}): Promise<SmallNode> {
    const { files, thread } = disk;
    const root = join(data, 'store');
    const { keepsUnfinished = false, former = [] } = shape;
    const store = await ContentStore.open({ root, budgetBytes, disk: thread, files, keepsUnfinished });
    try {
      const { budget, caution } = store;
      const grants = await Grants.open(root, store.list(), former, { files, caution });
      const compiled = await CompiledFolder.open({ dir: join(data, 'compiled'), budget, caution, files });
      const senders = await BlobSenders.open(root, store, 0, { files, caution, leastBytes: 1 });
      const bundles = await KeptBundles.open(root, store.list(), { files, caution });
      return new SmallNode(disk, { store, grants, senders, bundles, compiled }, shape);
    } catch (error) {
      await store[Symbol.asyncDispose]().catch(() => undefined);
      throw error;
    }
  }

  private constructor(
    disk: FaultyDisk,
    {
      store,
      grants,
      senders,
      bundles,
      compiled,
    }: Pick<SmallNode, 'store' | 'grants' | 'senders' | 'bundles' | 'compiled'>,
    { diskShare }: Pick<Shape, 'diskShare'>,
  ) {
    this.disk = disk;
    this.store = store;
    this.grants = grants;
    this.senders = senders;
    this.bundles = bundles;
    this.compiled = compiled;
    this.admission = new Admission(store, grants, senders, { clock: this.clock, ms: 1_000 });
    const resolutions = new Map<string, Digest>();
    this.residency = createResidency({
      artifacts: this.#artifacts(),
      compiler: this.#compiler(),
      engine: this.engine,
      clock: this.clock,
      verdicts: { get: () => undefined, set: () => Promise.resolve() },
      resolutions: {
        get: (uid) => resolutions.get(uid),
        set: (uid, digest) => Promise.resolve(void resolutions.set(uid, digest)),
        forget: (uid) => Promise.resolve(void resolutions.delete(uid)),
        uidsOf: () => [],
      },
      logger: silentLog,
      baseModel: 'tiny',
      budgetBytes: 1_000,
      diskFree: () => store.freeBytes,
      ...(diskShare === undefined ? {} : { diskShare }),
      maxParallelLoads: 2,
    });
  }

  bytesOf(digest: Digest): Uint8Array {
    for (const name of names) {
      const bytes = artifacts[name].blobs.get(digest);
      if (bytes !== undefined) return bytes;
    }
    throw new Error(`no artifact has ${digest}`);
  }

  /** The plan: these adapters and no others. */
  apply(planned: readonly Name[]): void {
    this.residency.apply(
      planned.map((name) =>
        versioned(
          adapterResource(keyOf(name), {
            uid: `uid-${name}`,
            source: { path: { path: name } },
            digest: artifacts[name].digest,
          }),
        ),
      ),
    );
  }

  async add(name: Name): Promise<void> {
    const offer = { claim: claimOf(name), manifest: artifacts[name].manifest, write: this.write };
    await this.admission.add(offer, never);
  }

  async close(): Promise<void> {
    await this.residency.close();
    await this.store[Symbol.asyncDispose]();
  }

  #artifacts(): Artifacts {
    const { store, grants } = this;
    return {
      fetch: async ({ source, key }, _expected, { admit, onReserved, signal }) => {
        const name = (source.path?.path ?? '') as Name;
        const { digest, manifest } = artifacts[name];
        const parsed = parseManifest(manifest, store.limits, name);
        const bytes = totalBytes(parsed);
        await admit?.({ digest, bytes, missingBytes: bytes - store.bytesHere(blobsOf(parsed)) });
        const claim = claimOf(name, namespaceOf(key));
        await this.admission.add({ claim, manifest, write: this.write, onReserved }, signal);
        return { digest, bytes: store.stored(digest)?.bytes ?? 0 };
      },
      stored: ({ key, source }, digest) => {
        const found = store.stored(digest);
        const claim = { namespace: namespaceOf(key), source: `path:${source.path?.path}` };
        return found !== undefined && grants.has(digest, claim) ? { bytes: found.bytes } : undefined;
      },
      folder: (digest) => store.folder(digest),
      verify: (digest, signal) => store.verify(digest, signal),
      remove: async (digest) => {
        await grants.drop(digest);
        await store.remove(digest);
      },
      release: ({ key, uid }, digest) => grants.take(digest, { namespace: namespaceOf(key), uid }),
      checkSigned: () => Promise.resolve(),
      held: () => [],
      disown: () => Promise.resolve(),
      quarantine: (digest) => store.quarantine(digest, never),
    };
  }

  #compiler(): Compiler {
    const { compiled, disk } = this;
    return {
      compile: async ({ digest, bytes, verify, makeRoom }, of, signal) => {
        const present = await compiled.reusable(digest, of, 8);
        if (present !== undefined) return present;
        await verify(signal);
        const made = compiledFile(digest, of);
        if (made.bytes.length > bytes) await makeRoom?.(made.bytes.length);
        using room = await compiled.reserve(made.bytes.length, digest);
        const file = compiled.fileOf(digest, of);
        await writeDurable(file, made.bytes, { files: disk.files, at: (step) => `compile.${step}` });
        const built = compiledFrom(file, made.header, of.weights);
        compiled.written(built, room);
        return built;
      },
      remove: (digest) => compiled.remove(digest),
      bytesOf: (digest) => compiled.bytesOf(digest),
    };
  }
}

/** What a node has on its disk from before, with everything that a start can find. Resolves once it is there. */
export const makePast = async (data: string, disk: FaultyDisk): Promise<void> => {
  await mkdir(data, { recursive: true });
  const node = await SmallNode.open(data, disk);
  for (const name of before) await node.add(name);
  const root = join(data, 'store');
  const put = async (path: string, content: string | Uint8Array): Promise<void> => {
    await mkdir(join(data, path, '..'), { recursive: true });
    await writeFile(join(data, path), content);
  };
  const hex = (name: Name): string => artifacts[name].digest.slice('sha256:'.length);
  const gone = 'ab'.repeat(32);
  await put(`store/blobs/sha256/ab/${gone}`, 'nobody needs it');
  await put(`store/tmp/${gone}.part`, 'half');
  await put(`store/tmp/${gone}/manifest.json`, 'half');
  for (const digit of ['1', '2', '3', '4']) await put(`store/quarantine/${digit.repeat(64)}`, 'rotten');
  await put(`store/grants/${gone}.json`, 'of what is gone');
  await put(`store/senders/${gone}.json`, 'of what is gone');
  const sent = weightsOf('packed')[0].slice('sha256:'.length);
  await put(`store/senders/${sent}.json`, withChecksum({ sent: ['path:packed'] }));
  await put(`store/signatures/${gone}.json`, 'of what is gone');
  await put(`store/grants/${hex('packed')}.json`, 'damaged');
  await put(`store/adapters/${hex('damaged')}/manifest.json`, 'damaged');
  await put('store/lock.12345678', '');
  await put(`compiled/${gone}-x.adaptlet`, 'of what is gone');
  await put(`compiled/${hex('ram')}-old.adaptlet`, 'of an earlier engine');
  await put(`compiled/${hex('ram')}-old.adaptlet.1.tmp`, 'half');
  await put(node.compiled.fileOf(artifacts.fresh.digest, target).slice(data.length + 1), 'torn');
  const blob = weightsOf('short')[0].slice('sha256:'.length);
  // Of another size, and no other name of it: the folder of the artifact stays as it is.
  await node.disk.files.remove('past', join(root, 'blobs/sha256', blob.slice(0, 2), blob));
  await put(`store/blobs/sha256/${blob.slice(0, 2)}/${blob}`, 'short');
  await node.residency.close();
  // As a kill leaves it: the socket of the lock is there, and nobody listens.
  await disk.end();
};
