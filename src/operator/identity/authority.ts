import { hkdfSync, type KeyObject, X509Certificate } from 'node:crypto';
import { AdaptletError, asAdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { KubeApi } from '../../kube/client/api.ts';
import type { Log } from '../../telemetry/log.ts';
import { backoffMs } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';
import { pause } from '../../time/pause.ts';
import {
  type AuthorityState,
  bundleOf,
  defaultLifetimes,
  type Lifetimes,
  promoted,
  stepOf,
} from './authority-state.ts';
import { AuthorityStore } from './authority-store.ts';
import {
  type Certified,
  certifyClient,
  certifyHost,
  certifyServer,
  endOf,
  issueAuthority,
  issueCertificate,
  type KeyPair,
  type Validity,
} from './certificate.ts';

/** Organization in the certificates of replicas: what only they may do asks for it. */
export const replicaRole = 'adaptlet:replicas';

export type AuthorityOptions = {
  readonly api: KubeApi;
  /** Of the operator. */
  readonly namespace: string;
  /** Name of this replica. */
  readonly replica: string;
  /** DNS names and IP addresses that runtimes dial. The first one is how replicas verify each other. */
  readonly names: readonly [string, ...string[]];
  readonly clock: Clock;
  readonly logger: Log;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly lifetimes?: Partial<Lifetimes>;
};

/** What this replica shows to others, and by what it verifies them. PEM. */
export type Credentials = KeyPair & { readonly bundle: string };

/**
 * How often the Secret is looked at, with up to a fifth less. A Secret that was deleted and made anew by one replica
 * parts it from the others for as long: they do not relay to each other.
 */
const refreshMs = 60_000;
const retryDelays = { firstMs: 1_000, maxMs: 60_000 };
/** Certificates start a little before now: clocks of nodes differ. */
const backdateMs = 3_600_000;
/** Steps and lost races of one refresh. */
const maxRounds = 12;

/**
 * The certificate authority that the replicas of an operator share, and this replica's certificate.
 *
 * Guarantees: whatever the order in which replicas act, they agree on one authority; every certificate in use is
 * trusted by everyone who read the bundle within the last `publish` milliseconds; without the API server it goes on
 * with what it has. A Secret that vanished is written anew from memory.
 */
export class Authority {
  readonly #options: AuthorityOptions;
  readonly #lifetimes: Lifetimes;
  readonly #store: AuthorityStore;
  readonly #listeners = new Set<(credentials: Credentials) => void>();
  #held: { readonly state: AuthorityState; readonly own: KeyPair } | undefined;
  #failures = 0;
  #closed = false;
  #stopTimer = (): void => undefined;
  #refreshing: Promise<void> | undefined;

  private constructor(options: AuthorityOptions) {
    this.#options = options;
    this.#lifetimes = { ...defaultLifetimes, ...options.lifetimes };
    this.#store = new AuthorityStore(options.api, options.namespace);
  }

  /**
   * Tries until the API server answers.
   * @throws the reason of the signal
   */
  static async open(options: AuthorityOptions, signal: AbortSignal): Promise<Authority> {
    const authority = new Authority(options);
    while (authority.#held === undefined) {
      signal.throwIfAborted();
      await authority.refresh();
      if (authority.#held === undefined) await pause(options.clock, authority.#retryMs, signal);
    }
    return authority;
  }

  /** Whether there is one: `open` waits for it. */
  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  /** Of now. */
  credentials(): Credentials {
    if (this.#held === undefined) throw noAuthority();
    return { ...this.#held.own, bundle: bundleOf(this.#held.state) };
  }

  /** A certificate for a runtime, by which it answers others or asks them. It has no organization: no replica's has none. */
  certify(
    purpose: 'answer' | 'ask',
    { lifetimeMs, ...certified }: Pick<Certified, 'uri' | 'publicKey'> & { readonly lifetimeMs: number },
  ): string {
    if (this.#held === undefined) throw noAuthority();
    const now = this.#options.clock.now();
    const validity = { from: now - backdateMs, until: now + lifetimeMs };
    const certify = purpose === 'ask' ? certifyClient : certifyServer;
    return certify(this.#held.state.current, { ...certified, validity, subject: { name: 'adaptlet peer' } });
  }

  /**
   * A certificate for the request ports of a runtime, by these names alone. It began long ago, so that clients take it also where the
   * clock of this replica is ahead: it takes the place of a good one.
   * @throws CERTIFICATE_REFUSED while the authority is over
   */
  certifyServing({
    publicKey,
    names,
  }: {
    readonly publicKey: KeyObject;
    readonly names: readonly string[];
  }): {
    readonly certificate: string;
    readonly lifetimeMs: number;
  } {
    if (this.#held === undefined) throw noAuthority();
    const now = this.#options.clock.now();
    const { current } = this.#held.state;
    if (endOf(current.certificate) <= now)
      throw new AdaptletError('CERTIFICATE_REFUSED', 'the authority of the operator is over', {
        advice:
          'Nothing to do where the operator reaches the API server: it makes the next one. Else see its log.',
      });
    const { serving } = this.#lifetimes;
    const validity = { from: now - serving, until: now + serving };
    const certified = { publicKey, names, validity, subject: { name: 'adaptlet runtime' } };
    const certificate = certifyHost(current, certified);
    return { certificate, lifetimeMs: endOf(certificate) - now };
  }

  /** DNS names and IP addresses by which replicas are known. */
  get names(): readonly string[] {
    return this.#options.names;
  }

  /**
   * What keys of ids of answers are made of, 32 bytes each, the one that signs first: of the authority of now and of the next one, so
   * that runtimes know that before it signs. All replicas have the same, and nothing else has to be kept.
   */
  feedbackRoots(): readonly Buffer[] {
    if (this.#held === undefined) throw noAuthority();
    const { current, next } = this.#held.state;
    return [current, ...(next === undefined ? [] : [next])].map(({ key }) =>
      Buffer.from(hkdfSync('sha256', key, '', 'adaptlet feedback', 32)),
    );
  }

  /** Called when the certificate or the bundle is another one. The result ends it. */
  onChange(listener: (credentials: Credentials) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  gauges(): {
    readonly failures: number;
    readonly certificateUntil: number;
    readonly authorityUntil: number;
  } {
    const { own, state } = this.#held ?? {};
    return {
      /** Refreshes that failed in a row. */
      failures: this.#failures,
      certificateUntil: own === undefined ? 0 : endOf(own.certificate),
      authorityUntil: state === undefined ? 0 : endOf(state.current.certificate),
    };
  }

  /** Looks at the Secret, does what is due, and plans the next look. Never throws; one at a time. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  close(): void {
    this.#closed = true;
    this.#stopTimer();
    this.#listeners.clear();
  }

  /** Milliseconds until the next try, after a failure. */
  get #retryMs(): number {
    return backoffMs(this.#failures, this.#options.random, retryDelays);
  }

  async #refresh(): Promise<void> {
    this.#stopTimer();
    const { clock, random, logger } = this.#options;
    try {
      await this.#adopt(await this.#agree());
      this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      const err = asAdaptletError(error, 'reading the certificate authority');
      logger.warn(
        { err, failures: this.#failures },
        'the certificate authority could not be read; it is tried again',
      );
      await this.#renewOwn();
    }
    if (this.#closed || this.#held === undefined) return;
    const nextMs = this.#failures === 0 ? refreshMs * (1 - random() / 5) : this.#retryMs;
    // A certificate with a short life is renewed in time.
    const most = this.#lifetimes.certificate / 6;
    this.#stopTimer = clock.after(Math.min(nextMs, most), () => void this.refresh());
  }

  /** Without the API server the certificate is still renewed, by the authority that is known. */
  async #renewOwn(): Promise<void> {
    if (this.#held === undefined) return;
    try {
      await this.#adopt(this.#held.state);
    } catch (error) {
      this.#options.logger.error(
        { err: asAdaptletError(error, 'renewing the certificate') },
        'no new certificate',
      );
    }
  }

  /** Does every step that is due, with the others: each write has a precondition, a lost race starts anew. */
  async #agree(): Promise<AuthorityState> {
    for (let round = 0; round < maxRounds; round++) {
      try {
        const state = await this.#round();
        if (state !== undefined) return state;
      } catch (error) {
        if (errorCodeOf(error) !== 'KUBE_CONFLICT' || round === maxRounds - 1) throw error;
      }
    }
    throw new AdaptletError(
      'KUBE_CONFLICT',
      `other replicas wrote the authority ${maxRounds} times meanwhile`,
    );
  }

  /** One step; the state when nothing is left to do. */
  async #round(): Promise<AuthorityState | undefined> {
    const now = this.#options.clock.now();
    // The bundle first: when the Secret is older than the bundle that another wrote, our write is refused.
    const bundle = await this.#store.readBundle();
    const secret = await this.#store.readState();
    if (secret.value === undefined) {
      await this.#store.writeState(
        this.#held?.state ?? { current: await this.#newAuthority(now) },
        secret.version,
      );
      return undefined;
    }
    const next = await this.#stepped(secret.value, now);
    if (next !== undefined) {
      await this.#store.writeState(next, secret.version);
      return undefined;
    }
    if (bundle.value !== bundleOf(secret.value)) {
      await this.#store.writeBundle(secret.value, bundle.version);
      return undefined;
    }
    const { value } = secret;
    if (value.next === undefined || value.next.published !== undefined) return value;
    await this.#store.writeState({ ...value, next: { ...value.next, published: now } }, secret.version);
    return undefined;
  }

  async #stepped(state: AuthorityState, now: number): Promise<AuthorityState | undefined> {
    const step = stepOf(state, this.#lifetimes, now);
    if (step === 'None') return undefined;
    this.#options.logger.info({ step }, 'the certificate authority is rotated');
    if (step === 'MakeNext') return { ...state, next: await this.#newAuthority(now) };
    if (step === 'Promote') return promoted(state, this.#lifetimes, now);
    if (step === 'Replace') return { current: await this.#newAuthority(now) };
    const { former: _, ...rest } = state;
    return rest;
  }

  #newAuthority(now: number): Promise<KeyPair> {
    const name = `adaptlet ${Math.floor(now / 1000)} ${Math.floor(this.#options.random() * 2 ** 32).toString(16)}`;
    return issueAuthority(name, { from: now - backdateMs, until: now + this.#lifetimes.authority });
  }

  async #adopt(state: AuthorityState): Promise<void> {
    const before = this.#held;
    const own =
      before !== undefined && !this.#isDue(before, state)
        ? before.own
        : await this.#newCertificate(state.current);
    this.#held = { state, own };
    if (before !== undefined && own === before.own && bundleOf(before.state) === bundleOf(state)) return;
    const credentials = this.credentials();
    for (const listener of this.#listeners) listener(credentials);
  }

  /** A third of its life is left, or another authority signs now. */
  #isDue({ state, own }: { state: AuthorityState; own: KeyPair }, { current }: AuthorityState): boolean {
    if (state.current.certificate !== current.certificate) return true;
    const { validFrom, validTo } = new X509Certificate(own.certificate);
    const [from, until] = [Date.parse(validFrom) + backdateMs, Date.parse(validTo)];
    return this.#options.clock.now() >= until - (until - from) / 3;
  }

  #newCertificate(current: KeyPair): Promise<KeyPair> {
    const { clock, names, replica } = this.#options;
    const now = clock.now();
    const validity: Validity = { from: now - backdateMs, until: now + this.#lifetimes.certificate };
    return issueCertificate(current, {
      subject: { organization: replicaRole, name: replica },
      names,
      validity,
    });
  }
}

const noAuthority = (): AdaptletError =>
  new AdaptletError('AUTHORITY_INVALID', 'there is no authority yet', {
    advice: 'Nothing to do: it is made by itself once the API server answers.',
  });
