import { SpanStatusCode, type Tracer } from '@opentelemetry/api';
import type { Logger } from 'pino';
import type { ObjectKey } from '../api/names.ts';
import { errorCodeOf } from '../errors/adaptlet-error.ts';
import type { KubeApi } from '../kube/client/api.ts';
import { type KubeObject, pathOf } from '../kube/client/object.ts';
import { type QueueGauges, WorkQueue } from '../kube/queue/queue.ts';
import type { Measure } from '../measurement/source.ts';
import type { Verified } from '../signature/verify.ts';
import type { MetricFamily } from '../telemetry/exposition.ts';
import { AdapterController } from './adapter/controller.ts';
import { GatewayController, type GatewaySettings } from './gateway/controller.ts';
import type { KeySecrets } from './keys/key-secrets.ts';
import type { Nodes } from './nodes/nodes.ts';
import type { Policies } from './objects/policies.ts';
import { namespaceType } from './objects/resource-types.ts';
import { PolicyController } from './policy/controller.ts';
import { KeysController } from './policy/keys-controller.ts';
import type { Controller, ControllerParts } from './reconcile/controller.ts';
import { NameClaims } from './reconcile/name-claims.ts';
import { PolicyVerdicts } from './reconcile/policy-verdicts.ts';
import { Presences } from './reconcile/presence.ts';
import { type Ask, type Resolve, Resolver } from './reconcile/resolver.ts';
import { type SignatureQuestion, SignatureVerdicts } from './reconcile/signature-verdicts.ts';
import { Spread } from './reconcile/spread.ts';
import { Uses } from './reconcile/uses.ts';
import { RolloutController } from './rollout/controller.ts';
import { RouteController } from './route/controller.ts';
import { RuntimeController } from './runtime/controller.ts';

export type TermParts = ControllerParts & {
  readonly policies: Policies;
  readonly keys: KeySecrets;
  readonly api: KubeApi;
  readonly nodes: Nodes;
  readonly resolve: Resolve;
  readonly verify: Ask<SignatureQuestion, Verified>;
  readonly measure: Measure;
  readonly random: () => number;
  readonly logger: Logger;
  readonly tracer: Tracer | undefined;
  /** Undefined: gateways are told nothing. */
  readonly gateway: GatewaySettings | undefined;
};

/** Keys of one kind that are worked on at the same time. */
const workers = 4;

/** The controllers of one term of leadership, running. */
export type RunningTerm = {
  readonly gauges: () => readonly (QueueGauges & { readonly controller: string })[];
  /** What it counted of rollouts, as metrics. */
  readonly eventCounts: () => readonly MetricFamily[];
  /** Ends what is under way. */
  close(): Promise<void>;
};

export const startTerm = (parts: TermParts): RunningTerm => {
  const { api, objects, clock, random, logger, tracer, gateway } = parts;
  const presences = new Presences(parts);
  const claims = new NameClaims(objects, presences);
  const uses = new Uses(objects.rollouts);
  const verdicts = new PolicyVerdicts(objects, parts.policies);
  const resolver = new Resolver({ clock, random, resolve: parts.resolve, what: 'digest' });
  const verifier = new Resolver({ clock, random, resolve: parts.verify, what: 'signatures' });
  const signatures = new SignatureVerdicts(parts.policies, verifier);
  const spread = new Spread(clock);
  const isTerminating = async (namespace: string, signal: AbortSignal): Promise<boolean> => {
    const path = pathOf(namespaceType, undefined, namespace);
    const { metadata } = await api.request<KubeObject>({ method: 'GET', path, signal });
    return metadata.deletionTimestamp !== undefined;
  };
  const shared = { ...parts, presences, claims, uses, verdicts, signatures, spread };
  const rollouts = new RolloutController(shared);
  const controllers: readonly Controller[] = [
    rollouts,
    new AdapterController({ ...shared, resolver, isTerminating }),
    new RouteController(shared),
    new PolicyController(shared),
    new KeysController(shared),
    new RuntimeController(shared),
    ...(gateway === undefined ? [] : [new GatewayController({ ...shared, gateway })]),
  ];
  const running = controllers.map((controller) => {
    const log = logger.child({ controller: controller.name });
    const queue = new WorkQueue<ObjectKey>({ name: controller.name, clock, random, logger: log, workers });
    const unfollow = controller.follow((key, afterMs) => queue.add(key, { afterMs }));
    queue.run((key, signal) => traced(tracer, controller, key, signal));
    return { name: controller.name, queue, unfollow };
  });
  return {
    gauges: () => running.map(({ name, queue }) => ({ controller: name, ...queue.gauges() })),
    eventCounts: () => rollouts.eventCounts.metrics(),
    close: async () => {
      for (const { unfollow } of running) unfollow();
      await Promise.all(running.map(({ queue }) => queue.close()));
      resolver.close();
      verifier.close();
      verdicts.close();
      uses.close();
      claims.close();
      presences.close();
    },
  };
};

/** Runs a key within a span. A term that is over is no failure: its queue is about to be closed. */
const traced = async (
  tracer: Tracer | undefined,
  controller: Controller,
  key: ObjectKey,
  signal: AbortSignal,
): Promise<{ readonly requeueAfterMs?: number }> => {
  const span = tracer?.startSpan(`reconcile ${controller.name}`, { attributes: { 'adaptlet.key': key } });
  try {
    return await controller.reconcile(key, signal);
  } catch (error) {
    if (errorCodeOf(error) === 'NOT_LEADER') return {};
    span?.setStatus({ code: SpanStatusCode.ERROR, message: String(error) });
    throw error;
  } finally {
    span?.end();
  }
};
