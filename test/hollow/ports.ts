import { crc32 } from 'node:zlib';
import type { Digest } from '../../src/api/names.ts';
import type { Artifacts } from '../../src/artifact/artifacts.ts';
import { digestOf } from '../../src/artifact/digest.ts';
import { AdaptletError } from '../../src/errors/adaptlet-error.ts';
import type { Compiler } from '../../src/runtime/compiled/compiled-adapter.ts';
import { FakeEngine, Script } from '../../src/runtime/residency/fake-engine.ts';
import { createResidency, type Residency } from '../../src/runtime/residency/manager.ts';
import type { Trials } from '../../src/runtime/serving/guard/trials.ts';
import type { Quotas } from '../../src/runtime/serving/quotas/quotas.ts';
import type { Log } from '../../src/telemetry/log.ts';
import type { Clock } from '../../src/time/clock.ts';
import { pause } from '../../src/time/pause.ts';

/** What becomes of the adapters of a hollow runtime. */
export type Behaviour = {
  /** Milliseconds that one takes to load; two load at a time, as on a node. */
  readonly delayMs: number;
  /** Share of adapters, from 0 to 1, that a runtime refuses for good. Which ones follows from its name and their digest. */
  readonly failShare: number;
  /** Digests that every runtime refuses for good. */
  readonly refused: readonly string[];
};

/** Everything loads at once. */
export const quick: Behaviour = { delayMs: 0, failShare: 0, refused: [] };

/** Bytes of each adapter: rank 8 on all linears of a model of 135 million parameters. */
export const adapterBytes = { stored: 5_000_000, ram: 4_900_000 };
/** RAM for adapters, so that what a plan holds has room. */
export const budgetBytes = 64 * 2 ** 30;

/** Remembers no calls: they would be without end. */
class NoScript extends Script {
  override async enter(): Promise<void> {}
}

const isRefused = (name: string, digest: Digest, { failShare, refused }: Behaviour): boolean =>
  refused.includes(digest) || crc32(`${name} ${digest}`) / 2 ** 32 < failShare;

/** Every artifact is there and is fetched at once. */
const artifactsOfAll = (): Artifacts => {
  const stored = new Set<Digest>();
  const bytes = adapterBytes.stored;
  return {
    fetch: async ({ source }, expected, { signal }) => {
      signal.throwIfAborted();
      const digest = expected ?? digestOf(Buffer.from(JSON.stringify(source)));
      stored.add(digest);
      return { digest, bytes };
    },
    stored: (_, digest) => (stored.has(digest) ? { bytes } : undefined),
    release: async () => undefined,
    checkSigned: async () => undefined,
    held: () => [],
    disown: async () => undefined,
    folder: (digest) => `/nowhere/${digest}`,
    verify: async () => undefined,
    remove: async (digest) => {
      stored.delete(digest);
    },
    quarantine: async (digest) => {
      stored.delete(digest);
    },
  };
};

const compilerOf = (name: string, behaviour: Behaviour, clock: Clock): Compiler => ({
  compile: async ({ digest }, _, signal) => {
    if (behaviour.delayMs > 0) await pause(clock, behaviour.delayMs);
    signal.throwIfAborted();
    if (isRefused(name, digest, behaviour))
      throw new AdaptletError('ADAPTER_NOT_FINITE', `${name} refuses ${digest}, as it was told to`);
    return {
      file: `/nowhere/${digest}.compiled`,
      bytes: adapterBytes.stored,
      ramBytes: adapterBytes.ram,
      rank: 8,
      targetModules: ['q_proj', 'v_proj'],
    };
  },
  remove: async () => undefined,
  bytesOf: () => adapterBytes.stored,
});

/** The real residency over an engine that takes what it is given. */
export const hollowResidency = ({
  name,
  behaviour,
  baseModel,
  baseDigest,
  clock,
  logger,
  trials,
  quotas,
}: {
  readonly name: string;
  readonly behaviour: Behaviour;
  readonly baseModel: string;
  readonly baseDigest: Digest;
  readonly clock: Clock;
  readonly logger: Log;
  readonly trials: Pick<Trials, 'admit'>;
  readonly quotas: Pick<Quotas, 'shareOf'>;
}): Residency => {
  const engine = new FakeEngine(new NoScript(), () => adapterBytes.ram);
  engine.baseDigest = baseDigest;
  const [passed, resolved] = [new Map<string, string>(), new Map<string, Digest>()];
  return createResidency({
    artifacts: artifactsOfAll(),
    compiler: compilerOf(name, behaviour, clock),
    engine,
    clock,
    logger,
    // In memory: an operator never sees them, and they would be two files written for each adapter.
    verdicts: {
      get: (key) => passed.get(key),
      set: async (key, value) => {
        passed.set(key, value);
      },
    },
    resolutions: {
      get: (uid) => resolved.get(uid),
      set: async (uid, digest) => {
        resolved.set(uid, digest);
      },
      forget: async (uid) => {
        resolved.delete(uid);
      },
      uidsOf: () => [],
    },
    baseModel,
    budgetBytes,
    memoryShare: (namespace) => quotas.shareOf(namespace, 'adapterMemory'),
    maxParallelLoads: 2,
    admit: (uid, digest) => trials.admit(uid, digest),
    random: Math.random,
  });
};
