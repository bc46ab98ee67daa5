import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  sign,
  X509Certificate,
} from 'node:crypto';
import { promisify } from 'node:util';
import { type EnrolmentToken, enrolStatement, renewStatement, tokenText } from '../../control/enrolment.ts';
import { AdaptletError, asAdaptletError } from '../../errors/adaptlet-error.ts';
import type { EnrolRequest, Issued, RenewRequest } from '../../gen/adaptlet/enrolment/v1/enrolment.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import type { DeviceMemory } from '../state/memory.ts';

/** Asks the operator. @throws AdaptletError with what it answered */
export type EnrolmentCalls = {
  enrol(request: EnrolRequest): Promise<Issued>;
  renew(request: RenewRequest): Promise<Issued>;
};

export type DeviceParts = {
  /** Of the file that the settings name; absent: it was used before. */
  readonly token: EnrolmentToken | undefined;
  readonly remembered: DeviceMemory | undefined;
  readonly memory: { write(device: DeviceMemory): Promise<void> };
  readonly calls: (device: Pick<DeviceMemory, 'address' | 'authority'>) => EnrolmentCalls;
  readonly clock: Clock;
  readonly logger: Log;
};

/** Of the life of a certificate, after which it is renewed. */
const renewAfter = 2 / 3;
/** A clock that was set back by more says nothing about how old a certificate is. */
const slackMs = 3_600_000;
/** How often it is looked at whether a certificate is due, in milliseconds and as a part of its life. */
const lookMs = { most: 3_600_000, least: 500, part: 1 / 12 };

const hashOf = (token: EnrolmentToken): string => createHash('sha256').update(tokenText(token)).digest('hex');

/**
 * What this node shows to an operator outside of whose cluster it is: a key that never leaves it, and a certificate that it
 * gets by a token once and renews by itself from then on.
 *
 * Guarantees: the key is on the disk before anybody hears of it, so a token that was used is never lost with a power cut; a
 * certificate that is over, or that a wrong clock makes look so, is renewed when the operator is reached.
 */
export class Device {
  readonly #parts: DeviceParts;
  #state: DeviceMemory | undefined;
  /** Monotonic; undefined: an earlier process received the certificate. */
  #receivedAt: number | undefined;
  /** The operator does not take the certificate. */
  #refused = false;
  #busy: Promise<DeviceMemory> | undefined;
  #stopTimer = (): void => undefined;
  #closed = false;

  constructor(parts: DeviceParts) {
    this.#parts = parts;
    this.#state = parts.remembered;
  }

  /** Where the operator is and who this node is there. A new token goes before what is remembered. */
  get enrolment(): Pick<DeviceMemory, 'address' | 'namespace' | 'name'> {
    const enrolment = this.#parts.token ?? this.#state;
    if (enrolment === undefined) throw new RangeError('there is neither a token nor an enrolment');
    return enrolment;
  }

  /**
   * Key and certificate of now, after what is due was done. One at a time.
   * @throws what the operator answered, or why it was not reached
   */
  ready(): Promise<DeviceMemory> {
    this.#busy ??= this.#prepare().finally(() => {
      this.#busy = undefined;
    });
    return this.#busy;
  }

  /** The operator did not take the certificate: it is renewed before it is shown again. */
  refused(): void {
    this.#refused = true;
  }

  close(): void {
    this.#closed = true;
    this.#stopTimer();
  }

  async #prepare(): Promise<DeviceMemory> {
    const { token } = this.#parts;
    let state = this.#state;
    if (token !== undefined && state?.token !== hashOf(token)) state = await this.#begin(token);
    if (state === undefined) throw new RangeError('there is neither a token nor an enrolment');
    if (state.certificate === '') return this.#enrol(state);
    if (!this.#isDue(state)) {
      this.#plan(state);
      return state;
    }
    try {
      return await this.#renew(state);
    } catch (error) {
      if (this.#refused) throw error;
      const { message } = asAdaptletError(error, 'renewing the certificate');
      this.#parts.logger.warn({ reason: message }, 'the certificate was not renewed; it is tried again');
      this.#plan(state);
      return state;
    }
  }

  /** A key for a token, kept before it is used. */
  async #begin(token: EnrolmentToken): Promise<DeviceMemory> {
    const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
    const { address, authority, namespace, name } = token;
    const key = String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const fresh = { token: hashOf(token), address, authority, namespace, name, key };
    const state = { ...fresh, certificate: '', receivedAt: 0, lifetimeMs: 0 };
    await this.#parts.memory.write(state);
    this.#state = state;
    this.#refused = false;
    return state;
  }

  async #enrol(state: DeviceMemory): Promise<DeviceMemory> {
    const { token, calls, logger } = this.#parts;
    if (token === undefined)
      throw new AdaptletError(
        'CONFIG_INVALID',
        'the enrolment of this device was not finished, and its token is gone',
        {
          advice: 'Give it the token again, or another one of "kubectl adaptlet enrol".',
        },
      );
    const key = createPrivateKey(state.key);
    const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' });
    const { name, secret } = token;
    const signature = sign('sha256', enrolStatement(secret, publicKey), key);
    const issued = await calls(state).enrol({ name, secret, publicKey, signature });
    logger.info({ name, namespace: state.namespace }, 'enrolled; the token is needed no more');
    return this.#keep(state, issued);
  }

  async #renew(state: DeviceMemory): Promise<DeviceMemory> {
    const certificate = new X509Certificate(state.certificate).raw;
    const signature = sign('sha256', renewStatement(certificate), state.key);
    const issued = await this.#parts.calls(state).renew({ certificate, signature });
    this.#parts.logger.info({ name: state.name }, 'the certificate of this device was renewed');
    return this.#keep(state, issued);
  }

  async #keep(state: DeviceMemory, { certificate, lifetimeMs }: Issued): Promise<DeviceMemory> {
    const { clock, memory, logger } = this.#parts;
    const next = { ...state, certificate, receivedAt: clock.now(), lifetimeMs: Number(lifetimeMs) };
    this.#state = next;
    this.#receivedAt = clock.monotonic();
    this.#refused = false;
    this.#plan(next);
    try {
      await memory.write(next);
    } catch (error) {
      // Until a restart it is good without the disk, and the same key gets another one then.
      logger.error({ err: error }, 'the certificate of this device could not be written to disk');
    }
    return next;
  }

  /** By the time that this process counts, else by the clock of the machine, where that can be. */
  #isDue({ receivedAt, lifetimeMs }: DeviceMemory): boolean {
    if (this.#refused) return true;
    const { clock } = this.#parts;
    const age =
      this.#receivedAt === undefined ? clock.now() - receivedAt : clock.monotonic() - this.#receivedAt;
    return age < -slackMs || age >= lifetimeMs * renewAfter;
  }

  #plan({ lifetimeMs }: DeviceMemory): void {
    this.#stopTimer();
    if (this.#closed) return;
    const { most, least, part } = lookMs;
    const pause = Math.max(least, Math.min(most, lifetimeMs * part));
    this.#stopTimer = this.#parts.clock.after(pause, () => {
      this.ready().catch((error: unknown) => {
        this.#parts.logger.debug({ err: error }, 'the certificate of this device was looked at');
      });
    });
  }
}
