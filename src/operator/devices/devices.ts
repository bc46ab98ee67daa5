import { createHash, type KeyObject, timingSafeEqual, X509Certificate } from 'node:crypto';
import { type ObjectKey, objectKey } from '../../api/names.ts';
import type { DeviceSpec } from '../../api/runtime.ts';
import { enrolStatement, renewStatement } from '../../control/enrolment.ts';
import { AdaptletError, asAdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { EnrolRequest, Issued, RenewRequest } from '../../gen/adaptlet/enrolment/v1/enrolment.ts';
import type { KubeApi } from '../../kube/client/api.ts';
import { pathOf } from '../../kube/client/object.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import { until } from '../../time/until.ts';
import type { BoundRuntime, Claim } from '../identity/binding.ts';
import { provedKey } from '../identity/certificate.ts';
import type { Objects } from '../objects/objects.ts';
import { runtimeType } from '../objects/resource-types.ts';
import type { DeviceAuthority, Enrolled } from './authority.ts';

export type DevicesParts = {
  readonly api: Pick<KubeApi, 'request'>;
  readonly objects: Pick<Objects, 'runtimes'>;
  readonly authority: Pick<DeviceAuthority, 'certify' | 'enrolledBy'>;
  /** Of the operator: enrolments are in no other. */
  readonly namespace: string;
  /** Of a certificate, in milliseconds. */
  readonly lifetimeMs: number;
  readonly clock: Clock;
  readonly logger: Log;
};

/** How long after its end a certificate may still be renewed. */
export const graceMs = 180 * 86_400_000;
/** An enrolment that another replica has seen already comes here within this time. */
const patienceMs = 2_000;
/** Wrong tokens that are looked at with patience: so many at once, and so many a second from then on. */
const burst = 30;
const perSecond = 1;
/** Most enrolments that are remembered as gone; the first of them gives way. Only those that there were once count. */
const maxGone = 10_000;
/** Longest name or secret, and longest certificate, in bytes. */
const maxText = 256;
const maxCertificate = 4096;
/** Writes of others between a look at an enrolment and its use. */
const maxRounds = 5;

/**
 * Who of the devices outside of the cluster may enrol, renew and connect.
 *
 * Guarantees: a token gives certificates to one key; a certificate is good for the enrolment that it names alone; names and
 * namespaces come from the cluster, never from a device.
 */
export class Devices {
  readonly #parts: DevicesParts;
  readonly #pace: { left: number; at: number };
  /** Enrolments of certificates that were waited for in vain. A device that was deleted dials for ever. */
  readonly #gone = new Set<string>();

  constructor(parts: DevicesParts) {
    this.#parts = parts;
    this.#pace = { left: burst, at: parts.clock.monotonic() };
  }

  /** @throws ENROLMENT_*, DEVICE_REVOKED, REPLICA_UNAVAILABLE, the reason of the signal */
  async enrol(request: EnrolRequest, signal: AbortSignal): Promise<Issued> {
    const { name, secret, publicKey, signature } = request;
    const key = this.#keyOf(name);
    const hash = createHash('sha256').update(secret).digest('hex');
    const isThere = (): boolean => isSame(this.#device(key)?.tokenSha256, hash);
    const unknown = new AdaptletError('ENROLMENT_TOKEN_UNKNOWN', 'there is no such token');
    if (secret.length > maxText) throw unknown;
    if (!isThere()) this.#take();
    if (!(await this.#seen(isThere, signal))) throw unknown;
    for (let round = 0; round < maxRounds; round++) {
      const device = this.#device(key);
      if (!isSame(device?.tokenSha256, hash) || device === undefined)
        throw new AdaptletError('ENROLMENT_TOKEN_UNKNOWN', 'the token was replaced meanwhile');
      if (device.revoked === true) throw revoked(name, 'was revoked');
      const expires = Date.parse(device.tokenExpires);
      if (!(this.#parts.clock.now() < expires))
        throw new AdaptletError(
          'ENROLMENT_TOKEN_EXPIRED',
          `the token of ${name} was good until ${device.tokenExpires}`,
        );
      const proved = provedKey(
        publicKey,
        { signature, statement: enrolStatement(secret, publicKey) },
        invalid,
      );
      const fingerprint = fingerprintOf(proved);
      if (device.keySha256 === undefined) {
        if (!(await this.#use(key, fingerprint, signal))) continue;
      } else if (device.keySha256 !== fingerprint) {
        this.#parts.logger.warn(
          { device: name },
          'an enrolment token was used a second time, by another key',
        );
        throw new AdaptletError('ENROLMENT_TOKEN_USED', `another key used the token of ${name}`);
      }
      this.#parts.logger.info({ device: name }, 'a device enrolled');
      return this.#issue({ namespace: this.#parts.namespace, name, id: device.id }, proved);
    }
    throw new AdaptletError('REPLICA_UNAVAILABLE', `others write the AdapterRuntime ${key} all the time`);
  }

  /** @throws ENROLMENT_INVALID, DEVICE_REVOKED, DEVICE_EXPIRED, the reason of the signal */
  async renew({ certificate, signature }: RenewRequest, signal: AbortSignal): Promise<Issued> {
    const read = certificate.length > maxCertificate ? undefined : readCertificate(certificate);
    const enrolled = read && this.#parts.authority.enrolledBy(read);
    if (read === undefined || enrolled === undefined)
      throw invalid('the certificate is none that the authority of this cluster made for a device');
    const spki = read.publicKey.export({ type: 'spki', format: 'der' });
    const proved = provedKey(spki, { signature, statement: renewStatement(certificate) }, invalid);
    const over = this.#parts.clock.now() - Date.parse(read.validTo);
    if (over > graceMs)
      throw new AdaptletError(
        'DEVICE_EXPIRED',
        `the certificate of ${enrolled.name} was good until ${read.validTo}`,
      );
    await this.#standing(enrolled, signal);
    this.#parts.logger.info({ device: enrolled.name, wasOver: over > 0 }, 'a device renewed its certificate');
    return this.#issue(enrolled, proved);
  }

  /**
   * What a device may claim to be. `certificate`: as TLS verified it, in DER; undefined: there is none that is valid now.
   * @throws RUNTIME_UNAUTHENTICATED, DEVICE_REVOKED, the reason of the signal
   */
  async identify(
    certificate: Uint8Array | undefined,
    signal: AbortSignal,
  ): Promise<(claim: Claim) => BoundRuntime> {
    const read = certificate && readCertificate(certificate);
    const enrolled = read && this.#parts.authority.enrolledBy(read);
    const end = read === undefined ? 0 : Date.parse(read.validTo);
    if (enrolled === undefined || this.#parts.clock.now() >= end)
      throw new AdaptletError(
        'RUNTIME_UNAUTHENTICATED',
        'the device shows no certificate that is valid now',
        {
          advice: 'Nothing to do: a device renews its certificate by itself and dials again.',
        },
      );
    await this.#standing(enrolled, signal);
    const { namespace, name } = enrolled;
    return (claim) => {
      if (claim.kind !== 'Node' || claim.namespace !== namespace || claim.name !== name)
        throw new AdaptletError(
          'PEER_IDENTITY',
          `${claim.kind} ${claim.namespace}/${claim.name} is not accepted: the certificate is of the device ${namespace}/${name}`,
        );
      const key = objectKey(namespace, name);
      const device = { until: end, refusal: () => this.#refusal(enrolled) };
      return { ...claim, key, node: '', pod: '', account: '', ownerUid: '', device };
    };
  }

  /** Whether an AdapterRuntime is of a device, and so of nobody who shows a token. */
  isDevice(key: ObjectKey): boolean {
    return this.#device(key) !== undefined;
  }

  #keyOf(name: string): ObjectKey {
    return objectKey(this.#parts.namespace, name.slice(0, maxText));
  }

  #device(key: ObjectKey): DeviceSpec | undefined {
    const read = this.#parts.objects.runtimes.get(key);
    return read?.metadata.deletionTimestamp === undefined ? read?.object?.spec.device : undefined;
  }

  #refusal({ namespace, name, id }: Enrolled): AdaptletError | undefined {
    const device = namespace === this.#parts.namespace ? this.#device(objectKey(namespace, name)) : undefined;
    if (device === undefined) return revoked(name, 'was deleted');
    if (device.id !== id) return revoked(name, 'was replaced by another one');
    return device.revoked === true ? revoked(name, 'was revoked') : undefined;
  }

  /**
   * What is visible here counts, else that of another replica, which is waited for once: who has a certificate was let in
   * before, so strangers have no part in it.
   * @throws DEVICE_REVOKED, the reason of the signal
   */
  async #standing(enrolled: Enrolled, signal: AbortSignal): Promise<void> {
    const key = objectKey(enrolled.namespace, enrolled.name);
    const enrolment = `${key} ${enrolled.id}`;
    const isThere = (): boolean => this.#device(key)?.id === enrolled.id;
    if (!this.#gone.has(enrolment) && !(await this.#seen(isThere, signal))) this.#remember(enrolment);
    const refusal = this.#refusal(enrolled);
    if (refusal !== undefined) throw refusal;
  }

  #remember(enrolment: string): void {
    this.#gone.add(enrolment);
    for (const first of this.#gone) {
      if (this.#gone.size <= maxGone) break;
      this.#gone.delete(first);
    }
  }

  /** Waits for what another replica may have seen already. */
  #seen(holds: () => boolean, signal: AbortSignal): Promise<boolean> {
    const { clock, objects } = this.#parts;
    return until(holds, (look) => objects.runtimes.onChange(look), { clock, ms: patienceMs, signal });
  }

  /** One place among the wrong tokens that are looked at with patience. @throws ENROLMENT_BUSY */
  #take(): void {
    const now = this.#parts.clock.monotonic();
    const left = Math.min(burst, this.#pace.left + ((now - this.#pace.at) / 1000) * perSecond);
    this.#pace.at = now;
    this.#pace.left = left < 1 ? left : left - 1;
    if (left < 1) throw new AdaptletError('ENROLMENT_BUSY', 'this replica was shown too many wrong tokens');
  }

  /** Binds a token to a key. False: the AdapterRuntime was written meanwhile, and has to be looked at anew. */
  async #use(key: ObjectKey, fingerprint: string, signal: AbortSignal): Promise<boolean> {
    const { api, objects, namespace, clock } = this.#parts;
    const version = objects.runtimes.get(key)?.resourceVersion;
    const name = key.slice(namespace.length + 1);
    try {
      await api.request({
        method: 'PATCH',
        path: pathOf(runtimeType, namespace, name),
        query: { fieldManager: 'adaptlet-operator' },
        contentType: 'application/merge-patch+json',
        body: { metadata: { resourceVersion: version }, spec: { device: { keySha256: fingerprint } } },
        signal,
      });
      return true;
    } catch (error) {
      signal.throwIfAborted();
      const code = errorCodeOf(error);
      if (code !== 'KUBE_CONFLICT' && code !== 'KUBE_NOT_FOUND') {
        const { what } = asAdaptletError(error, 'using a token');
        throw new AdaptletError('REPLICA_UNAVAILABLE', `the token cannot be used now: ${what}`, {
          cause: error,
        });
      }
      const isOther = (): boolean => objects.runtimes.get(key)?.resourceVersion !== version;
      await until(isOther, (look) => objects.runtimes.onChange(look), { clock, ms: patienceMs, signal });
      return false;
    }
  }

  #issue(enrolled: Enrolled, key: KeyObject): Issued {
    const { authority, clock, lifetimeMs } = this.#parts;
    const certificate = authority.certify(enrolled, key, clock.now() + lifetimeMs);
    return { certificate, lifetimeMs: BigInt(lifetimeMs) };
  }
}

const isSame = (a: string | undefined, b: string): boolean =>
  a !== undefined && a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));

const revoked = (name: string, how: string): AdaptletError =>
  new AdaptletError('DEVICE_REVOKED', `the enrolment of the device ${name} ${how}`);

const invalid = (what: string, cause?: unknown): AdaptletError =>
  new AdaptletError('ENROLMENT_INVALID', what, { cause });

const readCertificate = (der: Uint8Array): X509Certificate | undefined => {
  try {
    return new X509Certificate(der);
  } catch {
    // Bytes of somebody; what comes of it says that they are no certificate.
    return undefined;
  }
};

const fingerprintOf = (key: KeyObject): string =>
  createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex');
