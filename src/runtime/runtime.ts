import { randomUUID } from 'node:crypto';
import { access, constants, mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Clock } from '../time/clock.ts';
import { createCompiler } from './adapter/compiler.ts';
import { createAdmin } from './admin/admin.ts';
import { readings } from './admin/readings.ts';
import { StatusReport } from './admin/status-report.ts';
import { providersFor } from './config/device-providers.ts';
import type { Settings } from './config/settings.ts';
import { startReadyEngine } from './engine-start.ts';
import { openSource } from './open-source.ts';
import { PlanInForce } from './plan-source/plan-in-force.ts';
import { createResidency } from './residency/manager.ts';
import type { RoutingTable } from './routing/table.ts';
import { createTelemetry } from './server/telemetry/telemetry.ts';
import { type Addresses, startServers } from './servers.ts';
import { Cards } from './serving/cards.ts';
import { RolloutCounts } from './serving/counts/rollout-counts.ts';
import { DataPath } from './serving/data-path.ts';
import { servingFacts } from './serving/facts.ts';
import { Holds } from './serving/guard/holds.ts';
import { Trials } from './serving/guard/trials.ts';
import { Mirror } from './serving/mirror/mirror.ts';
import type { Serving } from './serving/serving.ts';
import { memoryOf, recall } from './state/memory.ts';
import { rememberedResolutions, rememberedVerdicts } from './state/remembered.ts';
import { openStore, scrubInBackground } from './store.ts';

export type RuntimeParts = {
  readonly settings: Settings;
  readonly version: string;
  readonly clock: Clock;
  readonly logger: Logger;
};

export type RunningRuntime = Addresses & {
  /** Ends new requests, lets those under way finish for a while, and gives everything back. */
  close(): Promise<void>;
};

/** Milliseconds that a stream may wait for its reader before it is ended. */
const slowClientMs = 30_000;

const makeDataFolder = async (folder: string): Promise<void> => {
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new AdaptletError('CONFIG_INVALID', `--data-dir ${folder} cannot be used: ${why}`, {
      cause: error,
    });
  }
};

/**
 * Puts a runtime together and starts it: what it remembers, engine, last plan, servers, then what the plan comes
 * from.
 * Resolves when it answers requests. Errors: CONFIG_INVALID, STORE_LOCKED, and those of the base model.
 */
export const startRuntime = async ({
  settings,
  version,
  clock,
  logger,
}: RuntimeParts): Promise<RunningRuntime> => {
  const startedAt = { wall: new Date(clock.now()).toISOString(), monotonic: clock.monotonic() };
  const instance = randomUUID();
  const { dataDir, modelName: baseModel } = settings;
  await makeDataFolder(dataDir);
  await using stack = new AsyncDisposableStack();

  const { store, artifacts } = await openStore(settings, { clock, logger, random: Math.random }, stack);
  const memory = memoryOf(dataDir);
  const remembered = await recall(memory, logger);
  logger.info(
    { model: settings.model },
    'loading the base model; the first time, its weights are prepared for this machine',
  );
  const engine = await startReadyEngine({
    modelDir: settings.model,
    cacheDir: join(dataDir, 'base'),
    adapterBudgetBytes: settings.adapterMemory,
    threads: settings.threads,
    spin: settings.spin,
    executionProviders:
      settings.executionProviders.length > 0
        ? settings.executionProviders
        : providersFor(settings.deviceResources),
    requireProvider: settings.requireProvider,
    onnxRuntimeLibrary: settings.onnxRuntimeLibrary,
    maxConcurrent: settings.maxConcurrent,
    maxQueue: settings.maxQueue,
    kvBudgetBytes: settings.kvMemory,
    batchBudgetBytes: settings.batchMemory,
    maxDecodeStallMs: settings.maxDecodeStall,
    maxBatch: settings.maxBatch,
    maxBatchDelayMs: settings.maxBatchDelay,
    ...(settings.pooling === undefined ? {} : { pooling: settings.pooling }),
    normalize: settings.normalize,
    stallTimeoutMs: settings.stallTimeout,
    clock,
    logger,
  });
  stack.defer(() => engine.close());
  const compiler = stack.use(
    createCompiler({
      dir: join(dataDir, 'compiled'),
      workers: Math.max(1, Math.min(2, availableParallelism() - 1)),
      maxRank: settings.maxRank,
    }),
  );
  const residency = createResidency({
    artifacts,
    compiler,
    engine,
    clock,
    logger,
    verdicts: rememberedVerdicts(memory.verdicts, remembered.verdicts),
    resolutions: rememberedResolutions(memory.resolutions, remembered.resolutions),
    baseModel,
    budgetBytes: settings.adapterMemory,
    maxParallelLoads: 2,
    admit: (uid, digest) => trials.admit(uid, digest),
    oneAdapter: settings.oneAdapter,
    evictionPolicy: settings.evictionPolicy,
    random: Math.random,
  });
  stack.defer(() => residency.close());

  const holds = new Holds(clock, remembered.holds, {
    held: () => {
      mirror.planChanged();
      source.wake();
    },
    changed: (all) =>
      memory.holds.write({ holds: [...all] }).catch((error: unknown) => {
        logger.error({ err: error }, 'holds could not be written to disk; a restart would forget them');
      }),
    answered: (uid, digest) => trials.answered(uid, digest),
    released: (uid) => trials.forget(uid),
    logger,
  });
  const trials = new Trials(remembered.trials, {
    clock,
    logger,
    write: async (all) => {
      await memory.trials.write({ trials: [...all] });
      // A canary that waited for this may answer now: what was told of its weight is another.
      source.wake();
    },
    isHeld: (uid, digest) => holds.isHeld(uid, digest),
  });
  const tally = new RolloutCounts(
    () => source.counted(),
    () => source.mirrored(),
  );
  const changed = () => mirror.planChanged();
  const plan = new PlanInForce({ residency, holds, tally, baseModel, trials, changed });
  const ready = () => {
    const ok = engine.state === 'ready';
    return { ok, reason: ok ? '' : `the engine is ${engine.state}` };
  };
  const facts = servingFacts(residency, holds, trials);
  const source = openSource({
    settings,
    clock,
    logger,
    memory,
    remembered,
    residency,
    plan,
    holds,
    node: {
      adapters: () => residency.facts(),
      counts: tally.served,
      splits: tally.splits,
      mirrored: tally.mirror,
      facts,
      memory: () => residency.usage(),
      disk: () => store.usage,
      ready,
    },
    introduction: () => {
      const { baseDigest, executionProvider } = engine.info();
      return { instance, version, baseDigest, executionProvider };
    },
  });
  stack.defer(() => source.close());

  const { demand } = source;
  const table = (): RoutingTable => plan.table;
  const mirror = new Mirror({
    engine,
    residency,
    facts,
    holds,
    tally: tally.mirror,
    clock,
    table,
    load: () => ({
      inEngine: dataPath.inEngine,
      maxConcurrent: settings.maxConcurrent,
      waiting: engine.now?.waiting ?? 0,
    }),
  });
  stack.defer(() => mirror.close());
  const dataPath = new DataPath({ engine, residency, holds, tally, facts, table, demand, mirror });
  const cards = new Cards(table, residency, facts, () => {
    return { name: baseModel, digest: engine.info().baseDigest, startedAt: startedAt.wall };
  });
  const serving: Serving = {
    generate: (context, request, signal) => dataPath.generate(context, request, signal),
    encode: (context, request, signal) => dataPath.encode(context, request, signal),
    infer: (context, request, signal) => dataPath.infer(context, request, signal),
    feedback: (id, reward) => tally.feedback.give(id, reward),
    models: (namespace) => cards.all(namespace),
    model: (namespace, name) => cards.one(namespace, name),
    get base() {
      const { baseDigest: digest, contextLength, vocabSize, task, encoder, tensors } = engine.info();
      return {
        name: baseModel,
        digest,
        contextLength,
        vocabSize,
        task,
        ...(encoder === undefined ? {} : { encoder }),
        ...(tensors === undefined ? {} : { tensors }),
      };
    },
    ready,
  };
  const status = new StatusReport({
    version,
    instance,
    uptimeMs: () => clock.monotonic() - startedAt.monotonic,
    baseModel,
    disk: () => store.usage,
    engine,
    residency,
    plan,
    holds,
    counts: tally.served,
    facts,
    source,
  });
  const admin = createAdmin({
    residency,
    demand,
    status: () => status.now(),
    rolloutVerb: async (key, verb) => status.rollout(await source.verb(key, verb)),
    trustCluster: () => source.trustCluster(),
    confirmRemovals: () => source.confirmRemovals(),
  });
  const telemetry = createTelemetry({
    version,
    instance,
    clock,
    readings: () =>
      readings(status.now(), {
        inEngine: dataPath.inEngine,
        maxConcurrent: settings.maxConcurrent,
        forAdapter: residency.usage().waiting,
        engine: engine.now,
        mirrored: tally.mirror.totals(),
      }),
    traces: settings.otlpEndpoint === undefined ? {} : { endpoint: settings.otlpEndpoint },
  });
  stack.defer(() => telemetry.close());

  engine.onState((state) => {
    logger.info({ state }, 'engine changed its state');
    if (state === 'down') holds.engineDied();
    source.wake();
  });
  residency.onTransition((transition) => {
    telemetry.transition(transition);
    trials.transition(transition);
    source.wake();
  });
  for (const { trial, reason } of trials.suspects()) {
    holds.hold(trial.rolloutUid, trial.digest, 'Guard', reason, { attempt: trial.attempt });
  }
  source.resume();

  const addresses = await startServers(
    {
      serving,
      admin,
      telemetry,
      clock,
      version,
      log: logger,
      defaultNamespace: settings.namespace,
      requestTimeoutMs: settings.requestTimeout,
      slowClientMs,
    },
    settings,
    stack,
  );
  // Disposed of first: what ends from then on is a shutdown.
  stack.defer(() => trials.close());
  trials.start();
  await source.follow();
  scrubInBackground(store, logger, stack);
  logger.info(addresses, 'runtime is ready');
  const running = stack.move();
  return { ...addresses, close: () => running.disposeAsync() };
};
