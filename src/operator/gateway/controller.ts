import { type ObjectKey, objectKey } from '../../api/names.ts';
import { AdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { KubeApi } from '../../kube/client/api.ts';
import type { Log } from '../../telemetry/log.ts';
import { configMapType } from '../objects/resource-types.ts';
import type { Controller, ControllerParts } from '../reconcile/controller.ts';
import { versionOf } from '../reconcile/fenced-writes.ts';
import type { NameClaims } from '../reconcile/name-claims.ts';
import { type ModelMaps, modelMaps, modelNames } from './models.ts';
import { keepOwned } from './owned.ts';
import type { EventReason } from './reasons.ts';
import { type Rewrites, rewriteAnnotation, rewritesOf, rewriteType } from './rewrites.ts';

/** Label by which body-based routers of the Gateway API Inference Extension find their ConfigMaps. */
const routerLabels = { 'inference.networking.k8s.io/bbr-managed': 'true' };

const ownLabels = (what: 'models' | 'rewrite') => ({
  'app.kubernetes.io/managed-by': 'adaptlet',
  'adaptlet.io/gateway': what,
});

export type GatewaySettings = {
  /** Where the gateway reads. */
  readonly namespace: string;
  /** InferencePool in that namespace, by base model. Empty: no rewrites. */
  readonly pools: Readonly<Record<string, string>>;
};

export type GatewayParts = Pick<ControllerParts, 'objects' | 'clock' | 'term' | 'recorder'> & {
  readonly api: KubeApi;
  readonly logger: Log;
  readonly gateway: GatewaySettings;
  readonly claims: Pick<NameClaims, 'conflictOf' | 'onChange'>;
};

/** Milliseconds in which changes are gathered: names change rarely, weights do while a rollout goes on. */
const gatherMs = 2000;
/** Milliseconds after which it is looked whether somebody changed what was written. */
const lookAgainMs = 600_000;

/** `rewrites`: undefined where there was no such kind; it is looked for with the next change. */
type Written = { readonly maps: string; readonly rewrites: string | undefined; readonly at: number };

/** Keeps what gateways read about names in step with Adapters, rollouts and routes. */
export class GatewayController implements Controller {
  readonly name = 'gateway';
  readonly #parts: GatewayParts;
  readonly #key: ObjectKey;
  #written: Written | undefined;
  #saidNoRewrites = false;
  /** Rollouts that were told that they have no rewrite: their uids. */
  #selective: ReadonlySet<string> = new Set();

  constructor(parts: GatewayParts) {
    this.#parts = parts;
    this.#key = objectKey(parts.gateway.namespace, 'models');
  }

  readonly follow: Controller['follow'] = (enqueue) => {
    const { adapters, rollouts, routes } = this.#parts.objects;
    const wake = (): void => enqueue(this.#key, gatherMs);
    const stops = [adapters, rollouts, routes, this.#parts.claims].map((one) => one.onChange(wake));
    enqueue(this.#key, 0);
    return () => {
      for (const stop of stops) stop();
    };
  };

  readonly reconcile: Controller['reconcile'] = async (_key, signal) => {
    const { objects, clock, gateway, claims } = this.#parts;
    const names = modelNames(objects, claims);
    const maps = modelMaps(names);
    const rewrites = rewritesOf(objects, names, gateway.pools, claims);
    this.#saySelective(rewrites.selective);
    const now = { maps: textOf(maps), rewrites: textOf(rewrites.byName), at: clock.monotonic() };
    const before = this.#written;
    const isSame = before?.maps === now.maps && before.rewrites === now.rewrites;
    if (before !== undefined && isSame && now.at - before.at < lookAgainMs)
      return { requeueAfterMs: lookAgainMs - (now.at - before.at) };
    this.#written = undefined;
    // Neither waits for the other: an aborted canary loses its share, whatever is wrong with a list of names.
    const [kept, told] = await Promise.allSettled([
      this.#keepMaps(maps, signal),
      this.#keepRewrites(rewrites.byName, signal),
    ]);
    if (kept.status === 'rejected') throw kept.reason;
    if (told.status === 'rejected') throw told.reason;
    this.#written = told.value ? now : { ...now, rewrites: undefined };
    return { requeueAfterMs: lookAgainMs };
  };

  #saySelective(rollouts: readonly ObjectKey[]): void {
    const { objects, logger, recorder } = this.#parts;
    const found = rollouts.flatMap((key) => {
      const rollout = objects.rollouts.get(key);
      return rollout === undefined ? [] : [{ key, rollout }];
    });
    const untold = found.filter(({ rollout }) => !this.#selective.has(rollout.metadata.uid));
    if (untold.length > 0) {
      // The next leader tells it by itself.
      this.#fence();
      logger.warn({ rollouts: untold.map(({ key }) => key) }, withoutRewrite);
    }
    const reason: EventReason = 'NoGatewayRewrite';
    for (const { rollout } of untold) {
      const regarding = versionOf('AdapterRollout', rollout);
      recorder.record({ regarding, type: 'Warning', reason, note: withoutRewrite, action: 'Observe' });
    }
    this.#selective = new Set(found.map(({ rollout }) => rollout.metadata.uid));
  }

  async #keepMaps(maps: ModelMaps, signal: AbortSignal): Promise<void> {
    const { api, gateway, logger } = this.#parts;
    const kept = await keepOwned(
      api,
      {
        type: configMapType,
        namespace: gateway.namespace,
        ownLabels: ownLabels('models'),
        labels: routerLabels,
        wanted: new Map([...maps].map(([name, data]) => [name, { body: { data } }])),
      },
      this.#fence,
      signal,
    );
    if (kept.written + kept.deleted > 0) logger.info(kept, 'gateways are told which names there are');
  }

  /** False where there are some to write, and the cluster does not have the kind. */
  async #keepRewrites(rewrites: Rewrites['byName'], signal: AbortSignal): Promise<boolean> {
    const { api, gateway, logger } = this.#parts;
    try {
      const kept = await keepOwned(
        api,
        {
          type: rewriteType,
          namespace: gateway.namespace,
          ownLabels: ownLabels('rewrite'),
          wanted: new Map(
            [...rewrites].map(([name, { rollout, note, spec }]) => [
              name,
              {
                body: { spec },
                annotations: { 'adaptlet.io/rollout': rollout, 'adaptlet.io/weights': note },
              },
            ]),
          ),
        },
        this.#fence,
        signal,
      );
      if (kept.written + kept.deleted > 0) logger.info(kept, 'gateways are told how to split rollouts');
      return true;
    } catch (error) {
      const code = errorCodeOf(error);
      // Where nobody asks for one, neither the kind is needed nor the right to it.
      if (rewrites.size === 0 && (code === 'KUBE_NOT_FOUND' || code === 'KUBE_FORBIDDEN')) return true;
      if (code !== 'KUBE_NOT_FOUND') throw error;
      if (!this.#saidNoRewrites)
        logger.warn(
          {},
          'the cluster has no InferenceModelRewrite of llm-d.ai/v1alpha2: no rollout is told to gateways',
        );
      this.#saidNoRewrites = true;
      return false;
    }
  }

  readonly #fence = (): void => {
    const { term } = this.#parts;
    if (term.fence() !== term.epoch)
      throw new AdaptletError('NOT_LEADER', `term ${term.epoch} is over, a later one has begun`);
  };
}

const withoutRewrite = `no InferenceModelRewrite for a rollout with a runtimeSelector: a gateway may choose a runtime that it leaves out. Take the annotation ${rewriteAnnotation} away, or the runtimeSelector`;

const textOf = (wanted: ReadonlyMap<string, unknown>): string => JSON.stringify([...wanted]);
