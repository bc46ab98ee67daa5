import { setTimeout as sleep } from 'node:timers/promises';
import { AdaptletError } from '../../src/errors/adaptlet-error.ts';
import type { ErrorCode } from '../../src/errors/catalogue.ts';
import type { KubeApi, KubeRequest } from '../../src/kube/client/api.ts';
import { pathOf } from '../../src/kube/client/object.ts';
import { adapterType, rolloutType } from '../../src/operator/objects/resource-types.ts';
import { type RequestVerb, requestText } from '../../src/rollout/request.ts';
import type { SoakRollout } from './names.ts';
import type { Content } from './pool.ts';

const apiVersion = 'adaptlet.io/v1alpha1';
const retryMs = 500;
/** So long one runtime that lies can hold up a rollout; a registry may be away for half a minute. */
const deadline = { local: '12s', remote: '40s' } as const;

/** A server that starts does not know people and kinds yet. */
const passing: readonly ErrorCode[] = [
  'KUBE_UNAVAILABLE',
  'KUBE_UNAUTHORIZED',
  'KUBE_FORBIDDEN',
  'KUBE_NOT_FOUND',
];

const isOf = (error: unknown, codes: readonly ErrorCode[]): boolean =>
  error instanceof AdaptletError && codes.includes(error.code);

/** What people write, to an API server that comes and goes. */
export class Objects {
  readonly #api: KubeApi;
  readonly #patienceMs: number;
  #requests = 0;

  /** `patienceMs`: for which a request is sent again. */
  constructor(api: KubeApi, patienceMs: number) {
    this.#api = api;
    this.#patienceMs = patienceMs;
  }

  createAdapter(namespace: string, name: string, { source, digest }: Content): Promise<void> {
    const spec = { baseModel: 'tiny', source, digest };
    const body = { apiVersion, kind: 'Adapter', metadata: { name }, spec };
    return this.#persist({ method: 'POST', path: pathOf(adapterType, namespace), body });
  }

  deleteAdapter(namespace: string, name: string): Promise<void> {
    return this.#persist({ method: 'DELETE', path: pathOf(adapterType, namespace, name) });
  }

  createRollout(rollout: SoakRollout, adapter: string): Promise<void> {
    const { namespace, model, steps, groups, isRemote } = rollout;
    const progressDeadline = isRemote ? deadline.remote : deadline.local;
    const spec = { adapter, progressDeadline, strategy: { canary: { steps } }, ...(groups && { groups }) };
    const body = { apiVersion, kind: 'AdapterRollout', metadata: { name: model }, spec };
    return this.#persist({ method: 'POST', path: pathOf(rolloutType, namespace), body });
  }

  deleteRollout(namespace: string, name: string): Promise<void> {
    return this.#persist({ method: 'DELETE', path: pathOf(rolloutType, namespace, name) });
  }

  point(rollout: SoakRollout, adapter: string): Promise<void> {
    return this.#patch(rollout, { spec: { adapter } });
  }

  /** Gives the request as the status names it once it is handled. */
  async ask(rollout: SoakRollout, verb: RequestVerb): Promise<string> {
    const request = requestText({ verb, id: `soak-${this.#requests++}` });
    await this.#patch(rollout, { metadata: { annotations: { 'adaptlet.io/request': request } } });
    return request;
  }

  #patch({ namespace, model }: SoakRollout, body: object): Promise<void> {
    const path = pathOf(rolloutType, namespace, model);
    return this.#persist({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body });
  }

  /** What is there already, or gone already, was done by a request whose answer was lost. */
  async #persist(request: KubeRequest): Promise<void> {
    const done: readonly ErrorCode[] =
      request.method === 'POST' ? ['KUBE_CONFLICT'] : request.method === 'DELETE' ? ['KUBE_NOT_FOUND'] : [];
    const end = performance.now() + this.#patienceMs;
    for (;;) {
      try {
        await this.#api.request(request);
        return;
      } catch (error) {
        if (isOf(error, done)) return;
        if (!isOf(error, passing) || performance.now() > end) throw error;
        await sleep(retryMs);
      }
    }
  }
}
