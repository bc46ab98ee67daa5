import { asAdaptletError } from '../../errors/adaptlet-error.ts';
import type { KubeApi } from '../../kube/client/api.ts';
import type { Log } from '../../telemetry/log.ts';
import { backoffMs } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';
import type { Authority } from '../identity/authority.ts';
import type { NamespaceBundles } from './namespace-bundles.ts';
import { publishToApiServer } from './webhook-configuration.ts';

export type PublisherOptions = {
  readonly api: KubeApi;
  readonly authority: Pick<Authority, 'credentials' | 'onChange'>;
  readonly bundles: Pick<NamespaceBundles, 'refresh'>;
  readonly clock: Clock;
  readonly logger: Log;
  /** Uniform in [0, 1). */
  readonly random: () => number;
};

/** How often it is looked, with up to a fifth less: the chart may be installed anew, a ConfigMap be deleted. */
const refreshMs = 60_000;
const retryDelays = { firstMs: 1_000, maxMs: 60_000 };

/**
 * Tells those who verify the operator of each new authority: the API server, and sidecars in their namespaces. Every
 * replica does; a write has a precondition, and who comes second finds nothing to do.
 */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #end = new AbortController();
  readonly #stop: () => void;
  #stopTimer = (): void => undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #failures = 0;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#stop = options.authority.onChange(() => this.#look());
    this.#look();
  }

  async close(): Promise<void> {
    this.#end.abort();
    this.#stop();
    this.#stopTimer();
    await this.#running;
  }

  #look(): void {
    this.#stopTimer();
    this.#again = this.#running !== undefined;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#end.signal.aborted) return;
      if (this.#again) this.#look();
      else this.#stopTimer = this.#options.clock.after(this.#pause(), () => this.#look());
    });
  }

  async #run(): Promise<void> {
    const { api, authority, bundles, logger } = this.#options;
    const { signal } = this.#end;
    try {
      const [told, refreshed] = await Promise.allSettled([
        publishToApiServer(api, authority.credentials().bundle, signal),
        bundles.refresh(signal),
      ]);
      for (const one of [told, refreshed]) if (one.status === 'rejected') throw one.reason;
      if (told.status === 'fulfilled' && told.value)
        logger.info({}, 'the API server was told by what it verifies the webhook');
      this.#failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      this.#failures += 1;
      const err = asAdaptletError(error, 'publishing the certificate authority');
      logger.warn(
        { err, failures: this.#failures },
        'the certificate authority was not published everywhere; it is tried again',
      );
    }
  }

  #pause(): number {
    const { random } = this.#options;
    return this.#failures === 0
      ? refreshMs * (1 - random() / 5)
      : backoffMs(this.#failures, random, retryDelays);
  }
}
