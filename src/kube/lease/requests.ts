import { AdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { Clock } from '../../time/clock.ts';
import type { KubeApi, KubeRequest } from '../client/api.ts';
import { pathOf } from '../client/object.ts';
import { type Lease, leaseType } from './record.ts';

export type LeaseRequestsOptions = {
  readonly api: KubeApi;
  readonly clock: Clock;
  readonly namespace: string;
  readonly name: string;
  readonly requestMs: number;
};

/**
 * The record on the API server. No request takes longer than `requestMs`: one that hangs must not cost the lease. What
 * was given up may still arrive at the server, whenever it likes.
 */
export class LeaseRequests {
  readonly #options: LeaseRequestsOptions;
  readonly #path: string;

  constructor(options: LeaseRequestsOptions) {
    this.#options = options;
    this.#path = pathOf(leaseType, options.namespace, options.name);
  }

  /** Undefined when there is none. */
  async read(stop: AbortSignal): Promise<Lease | undefined> {
    try {
      return await this.#send({ method: 'GET', path: this.#path }, stop);
    } catch (error) {
      if (errorCodeOf(error) === 'KUBE_NOT_FOUND') return undefined;
      throw error;
    }
  }

  create(body: object, stop: AbortSignal): Promise<Lease> {
    return this.#send({ method: 'POST', path: pathOf(leaseType, this.#options.namespace), body }, stop);
  }

  /** `body` has the resourceVersion and the uid of the record that it replaces. */
  replace(body: object, stop: AbortSignal): Promise<Lease> {
    return this.#send({ method: 'PUT', path: this.#path, body }, stop);
  }

  async #send(request: KubeRequest, stop: AbortSignal): Promise<Lease> {
    const { api, clock, requestMs } = this.#options;
    const controller = new AbortController();
    const ended = Promise.withResolvers<never>();
    const end = (reason: unknown): void => {
      controller.abort(reason);
      ended.reject(reason);
    };
    const onStop = (): void => end(stop.reason);
    const cancel = clock.after(requestMs, () => {
      const what = `${request.method} ${request.path}: no answer within ${requestMs} ms`;
      end(new AdaptletError('KUBE_UNAVAILABLE', what));
    });
    stop.addEventListener('abort', onStop, { once: true });
    try {
      stop.throwIfAborted();
      // Also an answer that does not heed the signal is not waited for.
      return await Promise.race([
        api.request<Lease>({ ...request, signal: controller.signal }),
        ended.promise,
      ]);
    } finally {
      cancel();
      stop.removeEventListener('abort', onStop);
    }
  }
}
