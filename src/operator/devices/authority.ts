import { type KeyObject, X509Certificate } from 'node:crypto';
import { AdaptletError, asAdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { KubeApi } from '../../kube/client/api.ts';
import { type KubeMetadata, pathOf, type ResourceType } from '../../kube/client/object.ts';
import type { Log } from '../../telemetry/log.ts';
import { backoffMs } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';
import { unlessAborted } from '../../time/unless-aborted.ts';
import type { Credentials } from '../identity/authority.ts';
import {
  authorityName,
  certifyClient,
  isPair,
  issueAuthority,
  issueCertificate,
  type KeyPair,
} from '../identity/certificate.ts';
import { configMapType, secretType } from '../objects/resource-types.ts';

/** Name of the Secret with the authority, and of the ConfigMap with what tokens are made of. */
export const deviceAuthorityName = 'adaptlet-devices';

export type DeviceAuthorityOptions = {
  readonly api: KubeApi;
  /** Of the operator. */
  readonly namespace: string;
  readonly replica: string;
  /** DNS names and IP addresses that devices dial. */
  readonly names: readonly string[];
  /** host:port for tokens; undefined: whoever makes one has to say it. */
  readonly address: string | undefined;
  readonly clock: Clock;
  readonly logger: Log;
  /** Uniform in [0, 1). */
  readonly random: () => number;
};

/** Which enrolment a certificate is of. */
export type Enrolled = { readonly namespace: string; readonly name: string; readonly id: string };

const day = 86_400_000;
/** Of the authority. Devices keep it for as long as they are enrolled. */
const authorityMs = 20 * 365 * day;
/** Of the certificate of a replica, which is another one each time that the Secret is looked at. */
const servingMs = 2 * day;
const refreshMs = 3_600_000;
const retryDelays = { firstMs: 1_000, maxMs: 60_000 };
/** Lost races of one look. */
const maxRounds = 5;
/** Clocks that are behind by less check what replicas show as everything else; one that is further behind learns the time from it. */
const backdateMs = day;

type Data = { readonly metadata: KubeMetadata; readonly data?: Readonly<Record<string, string>> };

/**
 * What signs certificates of devices, and what replicas show to devices.
 *
 * Guarantees: the replicas share one; it stays the same for as long as its Secret or one replica that has it lives; without the API
 * server it goes on with what it has. A Secret that cannot be used keeps devices out, and nobody else. Who saw a Secret makes no
 * other authority: where the Secret is deleted, one that has it writes it again.
 */
export class DeviceAuthority {
  readonly #options: DeviceAuthorityOptions;
  readonly #listeners = new Set<(credentials: Credentials) => void>();
  #held: { readonly pair: KeyPair; readonly own: KeyPair } | undefined;
  #sawSecret = false;
  #closed = false;
  #stopTimer = (): void => undefined;
  #failures = 0;

  private constructor(options: DeviceAuthorityOptions) {
    this.#options = options;
  }

  /**
   * Looks once, and goes on by itself until the API server answers with a Secret that can be used: see `isHeld`.
   * @throws the reason of the signal
   */
  static async open(options: DeviceAuthorityOptions, signal: AbortSignal): Promise<DeviceAuthority> {
    const authority = new DeviceAuthority(options);
    await unlessAborted(authority.#refresh(), signal).catch((error: unknown) => {
      authority.close();
      throw error;
    });
    return authority;
  }

  /** Whether there is one. Without it no device can connect or enrol. `onChange` tells when it is there. */
  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  /** Of now, for TLS. @throws AUTHORITY_INVALID where there is none yet */
  credentials(): Credentials {
    const { pair, own } = this.#mustHold();
    return { ...own, bundle: pair.certificate };
  }

  /** Called when this replica has another certificate, or its first one. The result ends it. */
  onChange(listener: (credentials: Credentials) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** A certificate for the key of a device, in PEM. `until`: wall time in milliseconds. @throws AUTHORITY_INVALID */
  certify(enrolled: Enrolled, publicKey: KeyObject, until: number): string {
    const subject = { organization: 'adaptlet:devices', name: enrolled.name };
    // The clocks of replicas alone look at it.
    const validity = { from: 0, until };
    return certifyClient(this.#mustHold().pair, { subject, uri: uriOf(enrolled), validity, publicKey });
  }

  /** Which enrolment a certificate is of; undefined: it is none that this authority made for a device. Its time is not looked at. @throws AUTHORITY_INVALID */
  enrolledBy(certificate: X509Certificate): Enrolled | undefined {
    const authority = new X509Certificate(this.#mustHold().pair.certificate);
    if (certificate.ca || !certificate.checkIssued(authority) || !certificate.verify(authority.publicKey))
      return undefined;
    const [, namespace, name, id] = uriPattern.exec(certificate.subjectAltName ?? '') ?? [];
    return namespace === undefined || name === undefined || id === undefined
      ? undefined
      : { namespace, name, id };
  }

  close(): void {
    this.#closed = true;
    this.#stopTimer();
    this.#listeners.clear();
  }

  #mustHold(): { readonly pair: KeyPair; readonly own: KeyPair } {
    if (this.#held !== undefined) return this.#held;
    throw new AdaptletError('AUTHORITY_INVALID', 'there is no authority for devices yet', {
      advice: `Restore the Secret ${deviceAuthorityName} where the log says that it cannot be used. Else nothing to do: it is tried again.`,
    });
  }

  /** Milliseconds until the next try, after a failure. */
  get #retryMs(): number {
    return backoffMs(this.#failures, this.#options.random, retryDelays);
  }

  /** Never throws: nobody waits for it but the start, for the first one. */
  async #refresh(): Promise<void> {
    this.#stopTimer();
    const { clock, logger } = this.#options;
    const wasLacking = this.#held === undefined && this.#failures > 0;
    try {
      await this.#renew();
      this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      const err = asAdaptletError(error, 'renewing the authority for devices');
      if (this.isHeld)
        logger.warn({ err }, 'the authority for devices could not be read or used; it is tried again');
      else
        logger.warn(
          { err },
          'no device outside of the cluster can connect or enrol: the authority for devices could not be read or used; it is tried again',
        );
    }
    if (wasLacking && this.isHeld)
      logger.info({}, 'the authority for devices is there: devices can connect and enrol');
    if (this.#closed) return;
    this.#stopTimer = clock.after(
      this.#failures === 0 ? refreshMs : this.#retryMs,
      () => void this.#refresh(),
    );
  }

  /** Looks at the Secret. Where that fails, the certificate is another one all the same, by what is held. */
  async #renew(): Promise<void> {
    let pair = this.#held?.pair;
    try {
      pair = await this.#agree();
      await this.#publish(pair);
    } finally {
      if (pair !== undefined) await this.#adopt(pair);
    }
  }

  async #adopt(pair: KeyPair): Promise<void> {
    const { names, replica, clock } = this.#options;
    const validity = { from: clock.now() - backdateMs, until: clock.now() + servingMs };
    this.#held = { pair, own: await issueCertificate(pair, { subject: { name: replica }, names, validity }) };
    const credentials = this.credentials();
    for (const listener of this.#listeners) listener(credentials);
  }

  /** The authority of the Secret, which is made where there never was one. */
  async #agree(): Promise<KeyPair> {
    for (let round = 0; round < maxRounds; round++) {
      const found = await this.#read(secretType);
      if (found !== undefined) {
        this.#sawSecret = true;
        return pairOf(found.data ?? {});
      }
      const held = this.#held?.pair;
      if (held === undefined && this.#sawSecret) throw invalid('it could not be used, and is gone');
      const pair = held ?? (await this.#newAuthority());
      const data = { 'ca.crt': base64(pair.certificate), 'ca.key': base64(pair.key) };
      if (await this.#create(secretType, { type: 'Opaque', data })) return pair;
    }
    throw new AdaptletError('KUBE_CONFLICT', `the Secret ${deviceAuthorityName} came and went`);
  }

  #newAuthority(): Promise<KeyPair> {
    const { clock, random } = this.#options;
    const now = clock.now();
    const name = `adaptlet devices ${Math.floor(now / 1000)} ${Math.floor(random() * 2 ** 32).toString(16)}`;
    return issueAuthority(name, { from: now - backdateMs, until: now + authorityMs });
  }

  /** What whoever makes a token reads. */
  async #publish({ certificate }: KeyPair): Promise<void> {
    const { address, namespace, api } = this.#options;
    const data = { 'ca.crt': certificate, ...(address === undefined ? {} : { address }) };
    const found = await this.#read(configMapType);
    if (found === undefined) {
      await this.#create(configMapType, { data });
      return;
    }
    if (found.data?.['ca.crt'] === data['ca.crt'] && found.data['address'] === address) return;
    const body = { ...this.#head(configMapType), data };
    const path = pathOf(configMapType, namespace, deviceAuthorityName);
    await api.request({ method: 'PUT', path, body });
  }

  async #read(type: ResourceType): Promise<Data | undefined> {
    const { api, namespace } = this.#options;
    try {
      return await api.request<Data>({ method: 'GET', path: pathOf(type, namespace, deviceAuthorityName) });
    } catch (error) {
      if (errorCodeOf(error) === 'KUBE_NOT_FOUND') return undefined;
      throw error;
    }
  }

  /** False: another replica was first. */
  async #create(type: ResourceType, content: object): Promise<boolean> {
    const { api, namespace } = this.#options;
    try {
      const body = { ...this.#head(type), ...content };
      await api.request({ method: 'POST', path: pathOf(type, namespace), body });
      return true;
    } catch (error) {
      if (errorCodeOf(error) === 'KUBE_CONFLICT') return false;
      throw error;
    }
  }

  #head({ kind }: ResourceType): object {
    const labels = { 'app.kubernetes.io/managed-by': 'adaptlet' };
    return {
      apiVersion: 'v1',
      kind,
      metadata: { name: deviceAuthorityName, namespace: this.#options.namespace, labels },
    };
  }
}

const uriOf = ({ namespace, name, id }: Enrolled): string => `urn:adaptlet:device:${namespace}:${name}:${id}`;
/** The whole of it: a certificate of a device has one name. */
const uriPattern = /^URI:urn:adaptlet:device:([a-z0-9-]+):([a-z0-9.-]+):([0-9a-f]+)$/;

const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64');

const pairOf = (data: Readonly<Record<string, string>>): KeyPair => {
  const text = (key: string): string => Buffer.from(data[key] ?? '', 'base64').toString('utf8');
  const pair = { certificate: text('ca.crt'), key: text('ca.key') };
  try {
    authorityName(pair.certificate);
    if (isPair(pair)) return pair;
  } catch (error) {
    throw invalid('ca.crt or ca.key cannot be read', error);
  }
  throw invalid('ca.key is not the key of ca.crt');
};

const invalid = (what: string, cause?: unknown): AdaptletError =>
  new AdaptletError('AUTHORITY_INVALID', `Secret ${deviceAuthorityName}: ${what}`, {
    advice:
      'Restore the Secret, and restart no replica before: one that has the authority in memory writes the Secret again where it is deleted. Where none has it, delete the Secret and restart the operator: another authority is made, and every device has to be enrolled anew.',
    cause,
  });
