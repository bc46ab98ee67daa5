import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { ObjectKey } from '../api/names.ts';
import { createArtifacts } from '../artifact/artifacts.ts';
import { ContentStore } from '../artifact/store.ts';
import type { Plan } from '../plan/resources.ts';
import type { Clock } from '../time/clock.ts';
import { createCompiler } from './adapter/compiler.ts';
import type { Settings } from './config/settings.ts';
import { startEngine } from './engine/client.ts';
import { createResidency } from './residency/manager.ts';
import { rolloutView } from './rollout-views.ts';
import { buildTable, type RoutingTable } from './routing/table.ts';
import { startAdmin } from './server/grpc/admin/server.ts';
import { startGrpc } from './server/grpc/server.ts';
import { startHttp } from './server/http/server.ts';
import { createTelemetry } from './server/telemetry/telemetry.ts';
import { Cards } from './serving/cards.ts';
import { DataPath } from './serving/data-path.ts';
import { Holds } from './serving/holds.ts';
import { ServedCounts } from './serving/served-counts.ts';
import type { RolloutVerb, RuntimeStatus, Serving } from './serving/serving.ts';
import { createSteering } from './serving/steering.ts';
import { StandaloneController } from './standalone/controller.ts';
import { followFolder } from './standalone/follow.ts';
import { readings } from './readings.ts';
import { memoryOf } from './state/memory.ts';
import { rememberedResolutions, rememberedVerdicts } from './state/remembered.ts';

export type RuntimeParts = {
  readonly settings: Settings;
  readonly version: string;
  readonly clock: Clock;
  readonly logger: Logger;
};

export type RunningRuntime = {
  readonly grpcAddress: string;
  readonly httpUrl: string;
  readonly adminAddress: string;
  /** Ends new requests, lets those under way finish for a while, and gives everything back. */
  close(): Promise<void>;
};

/** How long requests may take to finish when the runtime stops. */
const graceMs = 10_000;
const slowClientMs = 30_000;

/**
 * Puts a runtime together and starts it: state from disk, engine, last plan, servers, then the manifest folder.
 * Resolves when it answers requests. Errors: CONFIG_INVALID, STORE_LOCKED, and those of the base model.
 */
export const startRuntime = async ({ settings, version, clock, logger }: RuntimeParts): Promise<RunningRuntime> => {
  const startedAt = new Date(clock.now()).toISOString();
  const started = clock.monotonic();
  const instance = randomUUID();
  await mkdir(settings.dataDir, { recursive: true });

  await using stack = new AsyncDisposableStack();
  const store = stack.use(
    await ContentStore.open({ root: join(settings.dataDir, 'store'), budgetBytes: settings.adapterDisk, logger }),
  );
  const memory = memoryOf(settings.dataDir);
  const recall = async <T>(file: { read(): Promise<{ kind: string; value?: T; reason?: string }> }): Promise<T | undefined> => {
    const found = await file.read();
    if (found.kind === 'setAside') logger.error({ reason: found.reason }, 'a state file was set aside; going on without it');
    return found.value;
  };
  const standalone = await recall(memory.standalone);
  const holds = new Holds(clock, (await recall(memory.holds))?.holds ?? [], (hold) => {
    logger.warn({ hold }, 'canary is held on this node');
    rememberHolds();
    controller.wake();
  });
  const rememberHolds = (): void => {
    memory.holds.write({ holds: holds.all() }).catch((error: unknown) => {
      logger.error({ error }, 'holds could not be written to disk');
    });
  };

  const engine = await startEngine({
    modelDir: settings.model,
    cacheDir: join(settings.dataDir, 'base'),
    adapterBudgetBytes: settings.adapterMemory,
    threads: settings.threads,
    maxConcurrent: settings.maxConcurrent,
    maxQueue: settings.maxQueue,
    stallTimeoutMs: settings.stallTimeout,
    clock,
    logger,
  });
  stack.defer(() => engine.close());
  engine.onState((state) => {
    logger.info({ state }, 'engine changed its state');
    if (state === 'down') holds.engineDied();
  });

  const compiler = stack.use(
    createCompiler({
      dir: join(settings.dataDir, 'compiled'),
      workers: Math.max(1, Math.min(2, availableParallelism() - 1)),
      maxRank: settings.maxRank,
    }),
  );
  const residency = createResidency({
    artifacts: createArtifacts({
      store,
      importRoots: settings.importRoots,
      insecureRegistries: settings.insecureRegistries,
      ...(settings.registryConfig === undefined ? {} : { registryConfig: settings.registryConfig }),
      clock,
      logger,
    }),
    compiler,
    engine,
    clock,
    logger,
    verdicts: rememberedVerdicts(memory.verdicts, (await recall(memory.verdicts))?.passed ?? {}),
    resolutions: rememberedResolutions(memory.resolutions, (await recall(memory.resolutions))?.byUid ?? {}),
    baseModel: settings.modelName,
    budgetBytes: settings.adapterMemory,
    maxParallelLoads: 2,
    oneAdapter: settings.oneAdapter,
    random: Math.random,
  });
  stack.defer(() => residency.close());

  let table: RoutingTable = buildTable(new Map(), { name: settings.modelName });
  const uids = new Map<ObjectKey, string>();
  const apply = (plan: Plan): void => {
    const resources = [...plan.values()];
    const adapters = resources.filter((r) => r.type === 'AdapterSpec');
    uids.clear();
    for (const { name, body } of adapters) uids.set(name, body.uid);
    holds.setGuards(new Map(resources.flatMap((r) => (r.type === 'Split' ? [[r.body.uid, r.body.guard]] : []))));
    table = buildTable(plan, { name: settings.modelName }, table);
    residency.apply(adapters);
  };
  const controller = new StandaloneController(
    {
      clock,
      logger,
      runtime: { baseModel: settings.modelName, labels: settings.labels },
      memory: memory.standalone,
      adapter: (key) => {
        const view = residency.facts().find((a) => a.key === key);
        return view === undefined ? undefined : { ...view, uid: uids.get(key) ?? '' };
      },
      holds: (uid) => holds.of(uid),
      apply,
    },
    standalone,
  );
  stack.defer(() => controller.close());

  const counts = new ServedCounts();
  const dataPath = new DataPath({ engine, residency, holds, counts, table: () => table });
  const info = () => (engine.state === 'starting' && uids.size === 0 ? undefined : engine.info());
  const cards = new Cards(() => table, residency, () => ({ name: settings.modelName, digest: info()?.baseDigest ?? '', startedAt }));
  const serving: Serving = {
    generate: (context, request, signal) => dataPath.generate(context, request, signal),
    models: (namespace) => cards.all(namespace),
    model: (namespace, name) => cards.one(namespace, name),
    get base() {
      const known = engine.info();
      return { name: settings.modelName, digest: known.baseDigest, contextLength: known.contextLength, vocabSize: known.vocabSize };
    },
    ready: () => ({ ok: engine.state === 'ready', reason: engine.state === 'ready' ? '' : `the engine is ${engine.state}` }),
  };
  const facts = {
    isResident: residency.isResident.bind(residency),
    isHeld: holds.isHeld.bind(holds),
  };
  const view = (key: ObjectKey) => rolloutView(controller.rolloutOf(key), { table, facts, holds, counts });
  const status = (): RuntimeStatus => ({
    version,
    instance,
    uptimeMs: clock.monotonic() - started,
    baseModel: settings.modelName,
    baseDigest: engine.info().baseDigest,
    engine: engine.state,
    executionProvider: engine.info().executionProvider,
    memory: { budgetBytes: settings.adapterMemory, usedBytes: residency.usage().usedBytes },
    disk: { budgetBytes: settings.adapterDisk, usedBytes: store.usedBytes },
    manifests: { folder: settings.manifests ?? '', ...controller.folderReport() },
    adapters: residency.facts(),
    rollouts: controller.rollouts().map((r) => rolloutView(r, { table, facts, holds, counts })),
    routes: [...table.routes.values()].map((r) => ({ key: r.key, model: r.resource.body.model, accepted: r.accepted, message: r.message })),
  });
  const rolloutVerb = async (key: ObjectKey, verb: RolloutVerb) => {
    const { metadata, status: before } = controller.rolloutOf(key);
    // Held first: the canary gets no request from here on, whatever comes after.
    if (verb === 'rollback' && before?.canary !== undefined) holds.hold(metadata.uid, before.canary.digest, 'BreakGlass', 'rolled back by hand on this node');
    if (verb === 'retry') {
      holds.release(metadata.uid);
      rememberHolds();
    }
    await controller.request(key, verb);
    return view(key);
  };
  const steering = createSteering({ residency, status, rolloutVerb });

  const telemetry = createTelemetry({
    version,
    instance,
    clock,
    readings: () => readings(status(), residency.usage().waiting),
    ...(process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] === undefined ? {} : { traces: { endpoint: process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] } }),
  });
  stack.defer(() => telemetry.close());
  residency.onTransition((transition) => {
    telemetry.transition(transition);
    controller.wake();
  });

  controller.reconcile();
  const shared = { serving, telemetry, clock, log: logger, defaultNamespace: settings.namespace, requestTimeoutMs: settings.requestTimeout, slowClientMs };
  const grpc = await startGrpc({ ...shared, steering, address: settings.grpcListen, version });
  stack.defer(() => grpc.close(graceMs));
  const http = await startHttp({ ...shared, address: settings.httpListen });
  stack.defer(() => http.close(graceMs));
  const adminAddress = settings.adminListen ?? `unix:${join(settings.dataDir, 'admin.sock')}`;
  const admin = await startAdmin({ ...shared, steering, address: adminAddress });
  stack.defer(() => admin.close(graceMs));
  if (settings.manifests !== undefined) {
    stack.use(await followFolder(settings.manifests, { controller, clock, namespace: settings.namespace }));
  }

  const running = stack.move();
  const at = (address: string, port: number): string => address.replace(/:\d+$/, `:${port}`);
  logger.info({ grpc: at(settings.grpcListen, grpc.port), http: at(settings.httpListen, http.port) }, 'runtime is ready');
  return {
    grpcAddress: at(settings.grpcListen, grpc.port),
    httpUrl: `http://${at(settings.httpListen, http.port)}`,
    adminAddress,
    close: () => running.disposeAsync(),
  };
};
