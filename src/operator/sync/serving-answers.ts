import { servingStatement } from '../../control/serving-statement.ts';
import { AdaptletError, asAdaptletError } from '../../errors/adaptlet-error.ts';
import {
  ServingCertificate,
  type ServingCertificateRequest,
  type SyncResponse,
} from '../../gen/adaptlet/control/v1/control.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import type { Authority } from '../identity/authority.ts';
import type { BoundRuntime } from '../identity/binding.ts';
import { provedKey } from '../identity/certificate.ts';
import { Answers } from './answers.ts';
import type { Channel } from './channel.ts';

/** @throws what the API server says when its Node cannot be read */
export type ServingNamesOf = (runtime: BoundRuntime) => Promise<readonly string[]>;

type Parts = {
  readonly channel: Channel<unknown, SyncResponse>;
  readonly clock: Clock;
  readonly authority: Pick<Authority, 'certifyServing'>;
  readonly servingNames: ServingNamesOf;
  readonly runtime: BoundRuntime;
  readonly logger: Log;
};

/** A runtime asks at each stream and every few days; each question reads its Node. */
const pace = { burst: 8, perSecond: 0.2 };

/**
 * Certificates of the request ports of runtimes of Nodes.
 *
 * Guarantee: a runtime gets one for a key that it has, and for the names that are known to be its own; it is asked for none.
 */
export class ServingAnswers {
  readonly #parts: Parts;
  readonly #answers: Answers;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#answers = new Answers({ ...parts, refusal: refused, rate: pace });
  }

  /** Resolves when the next question may be read. Never throws. */
  async answer(request: ServingCertificateRequest): Promise<void> {
    const { logger, runtime } = this.#parts;
    const none = { ...ServingCertificate.create(), id: request.id };
    await this.#answers.give(
      async () => ({ $case: 'servingCertificate', value: { ...none, ...(await this.#certify(request)) } }),
      (error) => {
        const { code, what: reason } = asAdaptletError(error, 'certifying the request ports of a runtime');
        // As many as it asks; the runtime says it, too.
        logger.debug(
          { runtime: runtime.key, code, reason },
          'a runtime gets no certificate for its request ports',
        );
        return { $case: 'servingCertificate', value: { ...none, reason } };
      },
    );
  }

  async #certify({
    publicKey: spki,
    signature,
  }: ServingCertificateRequest): Promise<Pick<ServingCertificate, 'certificate' | 'lifetimeMs'>> {
    const { authority, runtime, servingNames } = this.#parts;
    if (runtime.kind !== 'Node' || runtime.device !== undefined)
      throw refused(
        'runtimes of Nodes of the cluster get one, and nobody knows what a pod or a device is called',
      );
    const publicKey = provedKey(spki, { signature, statement: servingStatement(runtime.key, spki) }, refused);
    const { certificate, lifetimeMs } = authority.certifyServing({
      publicKey,
      names: await servingNames(runtime),
    });
    return { certificate, lifetimeMs: BigInt(lifetimeMs) };
  }
}

const refused = (what: string): AdaptletError => new AdaptletError('CERTIFICATE_REFUSED', what);
