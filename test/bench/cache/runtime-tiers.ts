import { type Digest, namespaceOf, objectKey } from '../../../src/api/names.ts';
import type { Artifacts } from '../../../src/artifact/artifacts.ts';
import { adapterResource } from '../../../src/plan/resources.fixture.ts';
import { type AdapterResource, type Versioned, versioned } from '../../../src/plan/resources.ts';
import type { Compiler } from '../../../src/runtime/compiled/compiled-adapter.ts';
import type { PrefetchOptions } from '../../../src/runtime/residency/core.ts';
import type { EvictionPolicyName } from '../../../src/runtime/residency/eviction-policies.ts';
import { digestOf, FakeEngine, Script } from '../../../src/runtime/residency/fake-engine.ts';
import { createResidency } from '../../../src/runtime/residency/manager.ts';
import { FakeClock } from '../../../src/time/fake-clock.ts';
import type { StoredItem, TieredTrace } from './tiered-trace.ts';
import type { TiersMaker } from './tiers.ts';

/** Every call succeeds at once. */
class NoScript extends Script {
  override async enter(): Promise<void> {}
}

const never = new AbortController().signal;
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

type Known = {
  readonly item: StoredItem;
  readonly digest: Digest;
  readonly resource: Versioned<AdapterResource>;
};

const knownOf = (item: StoredItem): Known => {
  const { key, owner } = item;
  const source = { oci: { image: `registry.example/${key}:v1` } };
  return {
    item,
    digest: digestOf(key),
    resource: versioned(adapterResource(objectKey(owner, key), { uid: key, source })),
  };
};

/** Flash whose high mark is all that others may have; it is brought down by a ninth from there, as on a node. */
const flashOf = (trace: TieredTrace, known: ReadonlyMap<string, Known>) => {
  const stored = new Map<Digest, { readonly bytes: number; readonly namespaces: readonly string[] }>();
  let usedBytes = 0;
  const drop = (digest: Digest): void => {
    usedBytes -= stored.get(digest)?.bytes ?? 0;
    stored.delete(digest);
  };
  const artifacts: Artifacts = {
    async fetch({ uid, key }, _expected, { admit }) {
      const its = known.get(uid);
      if (its === undefined) throw new Error(`no adapter ${uid}`);
      const { digest, item } = its;
      await admit?.({ digest, bytes: item.bytes, missingBytes: item.bytes });
      stored.set(digest, { bytes: item.bytes, namespaces: [namespaceOf(key)] });
      usedBytes += item.bytes;
      return { digest, bytes: item.bytes };
    },
    stored: (_wish, digest) => stored.get(digest),
    release: async () => {},
    checkSigned: async () => {},
    held: () => [...stored].map(([digest, its]) => ({ digest, ...its })),
    disown: async (_namespace, digest) => drop(digest),
    folder: (digest) => digest,
    verify: async () => {},
    remove: async (digest) => drop(digest),
    quarantine: async (digest) => drop(digest),
  };
  return {
    artifacts,
    has: (digest: Digest): boolean => stored.has(digest),
    free: (): number => (trace.flashBytes * 10) / 9 - usedBytes,
    marks: () => ({ usedBytes, highBytes: trace.flashBytes, lowBytes: (trace.flashBytes * 8) / 9 }),
  };
};

/** What was resolved, both ways. */
const resolutionsOf = () => {
  const byUid = new Map<string, Digest>();
  const byDigest = new Map<Digest, string>();
  return {
    get: (uid: string) => byUid.get(uid),
    set: async (uid: string, digest: Digest) => {
      byUid.set(uid, digest);
      byDigest.set(digest, uid);
    },
    forget: async (uid: string) => {
      byDigest.delete(byUid.get(uid) ?? digestOf(''));
      byUid.delete(uid);
    },
    uidsOf: (digest: Digest) => {
      const uid = byDigest.get(digest);
      return uid === undefined ? [] : [uid];
    },
  };
};

/**
 * The residency of a runtime itself, over ports that take no time: one request after the other, prefetches done before the
 * next.
 */
export const runtimeTiers =
  (evictionPolicy: EvictionPolicyName, prefetch?: PrefetchOptions): TiersMaker =>
  (trace) => {
    const known = new Map(trace.items.map((item) => [item.key, knownOf(item)]));
    const flash = flashOf(trace, known);
    const clock = new FakeClock();
    const verdicts = new Map<string, string>();
    const bytesOf = (name: string): number => known.get(name)?.item.bytes ?? 0;
    const compiler: Compiler = {
      compile: async ({ digest, bytes }) => ({
        file: digest,
        bytes: 0,
        ramBytes: bytes,
        rank: 8,
        targetModules: ['q_proj'],
      }),
      remove: async () => {},
      bytesOf: () => 0,
    };
    const residency = createResidency({
      artifacts: flash.artifacts,
      compiler,
      engine: new FakeEngine(new NoScript(), bytesOf),
      clock,
      verdicts: {
        get: (key) => verdicts.get(key),
        set: async (key, value) => {
          verdicts.set(key, value);
        },
      },
      resolutions: resolutionsOf(),
      logger: { debug() {}, info() {}, warn() {}, error: (...about: unknown[]) => console.error(...about) },
      baseModel: 'tiny',
      budgetBytes: trace.ramBytes,
      memoryShare: (namespace) => trace.shareOf(namespace, trace.ramBytes),
      diskShare: (namespace) => trace.shareOf(namespace, trace.flashBytes),
      diskFree: flash.free,
      diskMarks: flash.marks,
      maxParallelLoads: 2,
      evictionPolicy,
      prefetch,
    });
    residency.apply([...known.values()].flatMap(({ item, resource }) => (item.isOfUser ? [] : [resource])));
    let nowMs = 0;
    return {
      async request({ item, atMs, next }) {
        clock.advance(Math.max(0, atMs - nowMs));
        nowMs = Math.max(nowMs, atMs);
        const its = known.get(item.key);
        if (its === undefined) throw new Error(`no adapter ${item.key}`);
        const { resource, digest } = its;
        const isInRam = residency.state(resource.name)?.kind === 'Resident';
        const found = isInRam ? 'ram' : flash.has(digest) ? 'flash' : 'network';
        if (item.isOfUser) residency.ensure(resource);
        (await residency.acquire(resource.name, { signal: never }))[Symbol.dispose]();
        residency.expect(
          next.flatMap(({ key, isOfUser }) => {
            const expected = known.get(key)?.resource;
            return expected === undefined ? [] : [isOfUser ? expected : expected.name];
          }),
        );
        // A job that comes to its end, and what it makes way for.
        await settle();
        return found;
      },
      prefetched: () => residency.prefetched(),
    };
  };
