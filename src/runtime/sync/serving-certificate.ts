import { generateKeyPair, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import { servingStatement } from '../../control/serving-statement.ts';
import { writeDurable } from '../../disk/durable.ts';
import { AdaptletError, asAdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import type {
  ServingCertificate as Answer,
  ServingCertificateRequest,
} from '../../gen/adaptlet/control/v1/control.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import { OperatorQuestions } from '../peers/questions.ts';
import { Renewal } from '../peers/renewal.ts';

export type ServingCertificateOptions = {
  /** File of the certificate and its key, PEM. */
  readonly path: string;
  /** namespace/name of its own AdapterRuntime. */
  readonly self: string;
  /** Takes what the file has now. */
  readonly changed: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
};

/** Part of the life of a certificate after which the next one is asked for: a node that loses its operator has the rest. */
const renewAfter = 1 / 10;
/** Streams that break again and again cost no more certificates, and writes, than one in so many milliseconds. */
const leastMs = 60_000;
/** Milliseconds until the operator is asked again that gave none. */
const retryMs = 30_000;

const never = new AbortController().signal;

/**
 * The certificate of the request ports that the operator gives.
 *
 * Guarantees: each has a key of its own, which never leaves this node; both are on the disk, readable to their owner alone, before they
 * are shown; without an operator the last one stays.
 */
export class ServingCertificate {
  readonly questions: OperatorQuestions<ServingCertificateRequest, Answer>;
  readonly #options: ServingCertificateOptions;
  readonly #renewal: Renewal;
  /** Monotonic. */
  #receivedAt = Number.NEGATIVE_INFINITY;

  constructor(options: ServingCertificateOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.questions = new OperatorQuestions(clock, 'CERTIFICATE_REFUSED');
    this.#renewal = new Renewal({
      clock,
      isConnected: () => this.questions.isConnected,
      renew: () => this.#renew(),
      failed: (error) => {
        const isGiven = errorCodeOf(error) !== 'CERTIFICATE_REFUSED';
        const err = asAdaptletError(error, 'a certificate for the request ports');
        const what = isGiven
          ? 'the certificate of the operator for the request ports could not be kept on this node; another one is asked for'
          : 'the operator gave no certificate for the request ports; it is asked again';
        log.warn({ err }, what);
      },
      retryMs,
    });
    this.questions.onConnected(() => this.#renewal.begin());
  }

  close(): void {
    this.#renewal.close();
  }

  async #renew(): Promise<number> {
    const { path, self, changed, clock } = this.#options;
    const age = clock.monotonic() - this.#receivedAt;
    if (age < leastMs) return leastMs - age;
    const pair = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
    const publicKey = pair.publicKey.export({ type: 'spki', format: 'der' });
    const signature = sign('sha256', servingStatement(self, publicKey), pair.privateKey);
    const { certificate, lifetimeMs } = await this.questions.ask({ publicKey, signature }, never);
    check(certificate, pair.privateKey);
    // In one file: a certificate without its key is none.
    await writeDurable(path, certificate + String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' })));
    this.#receivedAt = clock.monotonic();
    await changed();
    return Number(lifetimeMs) * renewAfter;
  }
}

/**
 * What is written takes the place of a good one.
 * @throws CERTIFICATE_REFUSED for what is no certificate of this key
 */
const check = (certificate: string, key: KeyObject): void => {
  let isOfKey: boolean;
  try {
    isOfKey = new X509Certificate(certificate).checkPrivateKey(key);
  } catch (cause) {
    throw new AdaptletError('CERTIFICATE_REFUSED', 'the operator sent something that is no certificate', {
      cause,
    });
  }
  if (!isOfKey)
    throw new AdaptletError('CERTIFICATE_REFUSED', 'the operator sent a certificate of another key');
};
