import { randomUUID } from 'node:crypto';
import { openTraces } from '../telemetry/traces.ts';
import { pause } from '../time/pause.ts';
import { createAdmin } from './admin/admin.ts';
import { withinOf } from './callers/addresses.ts';
import { Callers } from './callers/callers.ts';
import { Classifiers } from './classifiers/classifiers.ts';
import { startNodeDashboard } from './dashboard/start.ts';
import { PlanInForce } from './plan-source/plan-in-force.ts';
import { explain } from './routing/explain.ts';
import { policyOf } from './routing/table.ts';
import { createTelemetry } from './server/telemetry/telemetry.ts';
import { decided } from './serving/ask-ahead.ts';
import { Cards } from './serving/cards.ts';
import { DataPath } from './serving/data-path.ts';
import { servingFacts, stateIn } from './serving/facts.ts';
import { Mirror } from './serving/mirror/mirror.ts';
import { Quotas } from './serving/quotas/quotas.ts';
import { Sessions } from './sessions/sessions.ts';
import { openBaseModel } from './start/base-model.ts';
import { watchCanaries } from './start/canaries.ts';
import { clearKeys, openCertificate } from './start/certificate.ts';
import { openDisk } from './start/disk.ts';
import { NodeEgress } from './start/egress.ts';
import { handoverOf } from './start/handover.ts';
import { openHeads } from './start/heads.ts';
import { openMemory } from './start/memory.ts';
import { openClock } from './start/node-clock.ts';
import type { RuntimeParts } from './start/parts.ts';
import { openPeers, taggedIn } from './start/peers.ts';
import { openResidency } from './start/residency.ts';
import { scrubInBackground } from './start/scrub.ts';
import { type Addresses, startServers } from './start/servers.ts';
import { identityOf, kvBudgetOf, lackingIn, modelViewOf, readinessOf, servingOf } from './start/serving.ts';
import { createSignals } from './start/signals.ts';
import { followsOperator, openSource } from './start/source.ts';

import { openDownloads } from './start/store.ts';

import { gaugesOf } from './status/gauges.ts';
import { StatusReport } from './status/status-report.ts';
import { PullCredentials } from './sync/pull-credentials.ts';

export type RunningRuntime = Addresses & {
  /** Absent where no dashboard is served. */
  readonly dashboardUrl?: string;
  /** Says that it is not ready, answers on for `drainDelay`, then ends new requests and gives everything back. */
  close(): Promise<void>;
};

/** Milliseconds that a stream may wait for its reader before it is ended. */
const slowClientMs = 30_000;

/**
 * Puts a runtime together and starts it: what it remembers, engine, adapters, last plan, servers, then what the plan
 * comes from, and the base model last: it may have to be fetched. Each part knows only those before it; what it tells the
 * later ones goes through signals. It listens at once, and resolves when it answers requests.
 * @throws CONFIG_INVALID, STORE_LOCKED, and those of a base model that cannot be used
 */
export const startRuntime = async (given: RuntimeParts): Promise<RunningRuntime> => {
  const { settings, version, logger } = given;
  const { modelName: baseModel } = settings;
  const instance = randomUUID();
  await using stack = new AsyncDisposableStack();

  const pulls = new PullCredentials(given.clock);
  const egress = new NodeEgress(settings, process.env);
  const downloads = openDownloads(settings, given.clock);
  const peers = await openPeers(given, given.clock, stack);
  const requestTls = await openCertificate(given, given.clock, stack);
  const disk = await openDisk(given, { pulls, egress, downloads, peers }, stack);
  await clearKeys(settings, logger);
  const { clock, time } = openClock(given, disk, stack);
  const parts = { ...given, clock };
  const startedAt = { wall: new Date(clock.now()).toISOString(), monotonic: clock.monotonic() };
  const base = await openBaseModel(parts, { disk, egress, downloads }, stack);
  const { engine } = base;

  const signals = createSignals();
  const planSaved = (): Promise<boolean> => source.saved();
  const { holds, trials, guard, counts, feedbackKeys } = watchCanaries(
    { ...parts, instance, planSaved },
    disk,
    signals,
  );
  const { maxConcurrent: requests, adapterMemory, adapterDisk } = settings;
  const budgets = () => ({ requests, adapterMemory, adapterDisk, kvMemory: kvBudgetOf(engine) });
  const quotas = new Quotas({
    clock,
    logger,
    budgets,
    places: settings.maxConcurrent + settings.maxQueue,
    admit: (isGuaranteed) => memory.admit(isGuaranteed),
    onRefused: () => signals.emit('counted'),
  });
  const residency = await openResidency(parts, disk, { engine, trials, quotas }, stack);
  const encoder = await openHeads(parts, disk, stack);
  const memory = openMemory(parts, { engine, residency, quotas, encoder }, stack);
  const { artifacts } = disk;
  const classifiers = new Classifiers({
    artifacts,
    clock,
    log: logger,
    random: Math.random,
    heads: encoder?.heads,
    changed: () => signals.emit('classified'),
  });
  stack.defer(() => classifiers.close());
  const { classify, awaited } = classifiers;
  const facts = { ...servingFacts(residency, guard, trials), classify, awaited };
  const changed = (): boolean => signals.emit('planned');
  const handover = handoverOf(disk, { residency, facts, holds });
  const plan = new PlanInForce({ residency, guard, counts, quotas, baseModel, trials, changed, handover });
  if (peers !== undefined) peers.tagged = taggedIn(plan, residency);
  egress.follow({
    hasTenants: followsOperator(settings, disk.remembered),
    listed: (namespace) => {
      const { registries = [], urls = [] } = policyOf(plan.table, namespace)?.sources ?? {};
      return [...registries, ...urls];
    },
  });
  const source = openSource({
    ...parts,
    ...disk,
    time,
    pulls,
    peers,
    serving: requestTls?.given?.questions,
    residency,
    retryFailed: (code, reason) => {
      residency.retryFailed(code, reason);
      classifiers.retryFailed(code);
    },
    plan,
    holds,
    feedbackKeys,
    node: {
      adapters: () => residency.facts(),
      counts: counts.served,
      splits: counts.splits,
      mirrored: counts.copies,
      elsewhere: counts.elsewhere,
      facts,
      memory: () => residency.usage(),
      disk: () => disk.store.usage,
      ready: () => readinessOf(base, requestTls?.files),
      refused: () => quotas.refused(),
      classifiers: classifiers.states,
      model: () => ({ ...modelViewOf(settings.model, base), ...identityOf(engine) }),
    },
    introduction: () => {
      const { baseDigest, executionProvider } = identityOf(engine);
      return { instance, version, baseDigest, executionProvider };
    },
  });
  stack.defer(() => source.close());

  const { demand } = source;
  const table = (): PlanInForce['table'] => plan.table;
  const mirror = new Mirror({
    engine,
    residency,
    facts,
    guard,
    tally: counts.copies,
    clock,
    table,
    maxConcurrent: settings.maxConcurrent,
    waiting: () => (memory.isShort() ? Number.POSITIVE_INFINITY : (engine.now?.waiting ?? 0)),
  });
  stack.defer(() => mirror.close());
  const sessions = new Sessions(clock);
  const dataPath = new DataPath({
    clock,
    engine,
    residency,
    guard,
    counts,
    quotas,
    // A canary's copies and an explanation are of requests by themselves.
    facts: { ...facts, kept: sessions.kept },
    sessions,
    table,
    demand,
    mirror,
    expect: settings.prefetch === 'off' ? undefined : (next) => residency.expect(next),
  });
  const cards = new Cards(table, residency, facts, () => {
    return { name: baseModel, digest: identityOf(engine).baseDigest, startedAt: startedAt.wall };
  });
  let isLeaving = false;
  const serving = servingOf({
    base,
    baseModel,
    dataPath,
    counts,
    cards,
    isLeaving: () => isLeaving,
    tls: requestTls?.files,
  });

  const status = new StatusReport({
    version,
    instance,
    uptimeMs: () => clock.monotonic() - startedAt.monotonic,
    baseModel,
    model: () => modelViewOf(settings.model, base),
    identity: () => identityOf(engine),
    disk: () => disk.store.usage,
    lost: () => ({ damaged: disk.store.damaged, awaited: residency.awaitedOnDisk }),
    engine,
    residency,
    memory,
    plan,
    holds,
    counts: counts.served,
    quotas,
    lacking: () => lackingIn(requestTls?.files),
    facts,
    source,
  });
  const admin = createAdmin({
    residency,
    demand,
    status: () => status.now(),
    lora: settings.loraLoading ? { brought: source.brought } : undefined,
    rolloutVerb: async (key, verb) => status.rollout(await source.verb(key, verb)),
    trustCluster: () => source.trustCluster(),
    confirmRemovals: () => source.confirmRemovals(),
    explain: async (context, signal) => {
      const known = { ...facts, classify: classifiers.consider, stateOf: stateIn(residency) };
      return await decided(
        () => explain(plan.table, context, known, randomUUID()),
        () => classifiers.awaited(context, signal),
      );
    },
  });
  const telemetry = createTelemetry({
    version,
    instance,
    clock,
    gauges: () =>
      gaugesOf(status.now(), {
        inEngine: dataPath.inEngine,
        maxConcurrent: settings.maxConcurrent,
        forAdapter: residency.usage().waiting,
        engine: engine.now,
        mirrored: counts.copies.totals(),
        deltas: disk.deltas.totals(),
        peers: peers?.tally.totals(),
        prefetched: residency.prefetched(),
        sessions: sessions.totals(),
        classifiers: classifiers.totals(),
        certificateUntil: requestTls?.files.until,
        store: {
          usedBytes: disk.nodeDisk.whole.used,
          budgetBytes: disk.nodeDisk.whole.limit,
          damaged: disk.store.damaged,
          awaited: residency.awaitedOnDisk,
        },
        quotas: quotas.views({
          adapterMemory: (namespace) => residency.usedBy(namespace),
          adapterDisk: (namespace) => residency.diskUsedBy(namespace),
        }),
      }),
    traces: await openTraces(settings.otlpEndpoint, { service: 'adaptlet-runtime', version, instance }),
  });
  stack.defer(() => telemetry.close());

  signals.on('planned', () => classifiers.follow(plan.table));
  signals.on('planned', () => mirror.planChanged());
  signals.on('held', () => mirror.planChanged());
  signals.on('held', () => source.wake());
  signals.on('admitted', () => source.wake());
  signals.on('classified', () => source.wake());
  signals.on('counted', () => source.counted());
  signals.on('mirrored', () => source.mirrored());
  engine.onState((state) => {
    logger.info({ state }, 'engine changed its state');
    if (state === 'down') guard.engineDied(engine.workAtEnd);
    if (state === 'ready') quotas.budgetsChanged();
    source.wake();
  });
  const dashboard =
    settings.dashboardListen === undefined
      ? undefined
      : await startNodeDashboard(
          { address: settings.dashboardListen, status: () => status.now(), clock, logger },
          stack,
        );
  residency.onTransition((transition) => {
    dashboard?.transition(transition);
    telemetry.transition(transition);
    trials.transition(transition);
    plan.moved(transition);
    source.wake();
  });
  residency.onNoted(() => source.wake());

  for (const { trial, reason } of trials.suspects()) {
    holds.hold(trial.rolloutUid, trial.digest, 'Guard', reason, { attempt: trial.attempt });
  }
  source.resume();
  const isGateway = withinOf(settings.gatewayAddresses);
  const addresses = await startServers(
    {
      serving,
      admin,
      telemetry,
      tls: requestTls?.files,
      // Deadlines of calls are by the clock of the machine, whatever it says.
      clock: given.clock,
      version,
      log: logger,
      callers: new Callers({
        table,
        clock,
        isClockBehind: () => clock.isBehind,
        log: logger,
        anonymous: settings.anonymous,
        defaultNamespace: settings.namespace,
        gateways: {
          isFrom: isGateway,
          objectives: settings.gatewayObjectives,
        },
      }),
      defaultNamespace: settings.namespace,
      timeouts: {
        firstTokenMs: settings.firstTokenTimeout,
        tokenMs: settings.tokenTimeout,
        requestMs: settings.requestTimeout,
      },
      slowClientMs,
      limits: {
        maxConnections: settings.maxConnections,
        idleMs: settings.idleTimeout,
        bodyMs: settings.bodyTimeout,
        bodyBytes: settings.bodyMemory,
        isGateway,
      },
    },
    settings,
    stack,
  );
  logger.info(addresses, 'listening; requests are answered once the base model is loaded');
  base.onChange(() => source.wake());
  requestTls?.files.onChange(() => source.wake());
  // An operator sees from the beginning how far the model is; a folder is decided about by a node that can serve.
  if (settings.operator !== undefined) await source.follow();
  await base.load(encoder?.awaitedBytes);
  memory.modelLoaded();
  // Disposed of first: what ends from then on is a shutdown.
  stack.defer(() => trials.close());
  trials.start();
  if (settings.operator === undefined) await source.follow();
  scrubInBackground({ store: disk.store, residency, rate: settings.scrubRate, clock, log: logger }, stack);
  logger.info(addresses, 'runtime is ready');
  const running = stack.move();
  const close = async (): Promise<void> => {
    isLeaving = true;
    await pause(clock, settings.drainDelay);
    await running.disposeAsync();
  };
  const dashboardUrl =
    dashboard === undefined
      ? {}
      : { dashboardUrl: `http://${settings.dashboardListen?.replace(/:\d+$/, `:${dashboard.port}`)}` };
  return { ...addresses, ...dashboardUrl, close };
};
