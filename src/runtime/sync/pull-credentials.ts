import { namespaceOf, type ObjectKey } from '../../api/names.ts';
import { type OciSource, type Source, sourceSecretOf } from '../../api/source.ts';
import type { Authorization } from '../../artifact/authorizations.ts';
import type { Demand, Login } from '../../artifact/registry-http.ts';
import type { SourceCredential } from '../../artifact/source-http.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Credential, CredentialRequest } from '../../gen/adaptlet/control/v1/control.ts';
import type { Clock } from '../../time/clock.ts';

/** Milliseconds that the operator has to answer; it gives up by itself before. */
const answerMs = 20_000;

type Asked = {
  /** How the error begins. */
  readonly who: string;
  readonly resolve: (authorization: Authorization) => void;
  readonly reject: (error: AdaptletError) => void;
};

/** Hands a request to the operator; false: there is none to be reached now. */
type Send = (request: CredentialRequest) => boolean;

/**
 * Credentials for registries where a source names a Secret: from the operator, when a registry asks for a login, and again when
 * they are no longer taken. Kept in memory only, by whoever uses them, for as long as the operator says.
 */
export class PullCredentials {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #asked = new Map<bigint, Asked>();
  #send: Send | undefined;
  #ids = 0n;

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock;
  }

  /** There is an operator to ask. Without one no Secret can be read. */
  through(send: Send): void {
    this.#send = send;
  }

  /** Who asks the registry for an artifact; undefined: this node itself. */
  readonly loginFor = (key: ObjectKey, source: OciSource): Login | undefined => {
    const { pullSecretRef: ref, image } = source;
    if (ref === undefined) return undefined;
    const name = `${namespaceOf(key)}/${ref.name}`;
    return {
      name,
      authorize: ({ isRefused: refused, signal }: Demand) =>
        this.#ask(name, { id: 0n, key, image, secret: ref.name, refused }, signal),
      // The next one may be better: the Secret is the operator's to read.
      explained: ({ what }) => awaited(whoWaits(key, name), what, deniedAdvice(name)),
    };
  };

  /** Who asks another source for an adapter; undefined: nobody in particular. */
  readonly credentialFor = (key: ObjectKey, source: Source): SourceCredential | undefined => {
    const secret = sourceSecretOf(source);
    if (secret === undefined) return undefined;
    const { place: image, ref, header } = secret;
    const name = `${namespaceOf(key)}/${ref.name}`;
    return {
      name: header,
      value: (refused, signal) => this.#ask(name, { id: 0n, key, image, secret: ref.name, refused }, signal),
      explained: ({ what }) => awaited(whoWaits(key, name), what, deniedAdvice(name)),
    };
  };

  answered({ id, authorization, lifetimeMs, reason, advice }: Credential): void {
    const asked = this.#asked.get(id);
    if (asked === undefined) return;
    if (authorization !== '')
      asked.resolve({ header: authorization, lifetimeMs: Math.min(Number(lifetimeMs), maxLifetimeMs) });
    else if (reason !== '') asked.reject(awaited(asked.who, reason, advice));
    // It asked this node, and not the operator: they reach it by different ways, or it changed its mind.
    else asked.reject(awaited(asked.who, 'the registry asks this node for a login, and not the operator'));
  }

  /** The stream ended: nobody answers what was asked. */
  broken(): void {
    for (const { who, reject } of this.#asked.values()) reject(awaited(who, unreachable));
  }

  async #ask(name: string, asks: CredentialRequest, signal: AbortSignal): Promise<Authorization> {
    const who = whoWaits(asks.key, name);
    if (this.#send === undefined) throw noSecrets(asks);
    signal.throwIfAborted();
    this.#ids += 1n;
    const request = { ...asks, id: this.#ids };
    const { promise, resolve, reject } = Promise.withResolvers<Authorization>();
    const left = (): void => reject(signal.reason);
    const cancel = this.#clock.after(answerMs, () => {
      reject(awaited(who, `the operator did not answer within ${answerMs / 1000} s`));
    });
    signal.addEventListener('abort', left, { once: true });
    this.#asked.set(request.id, { who, resolve, reject });
    try {
      if (!this.#send(request)) throw awaited(who, unreachable);
      return await promise;
    } finally {
      this.#asked.delete(request.id);
      cancel();
      signal.removeEventListener('abort', left);
    }
  }
}

/** Milliseconds; no answer is believed to be good for longer. */
const maxLifetimeMs = 600_000;

/** What a key names: `namespace/route/classifier` has three parts, those of adapters have two or four. */
const named = (key: string): string => `${key.split('/').length === 3 ? 'classifier' : 'adapter'} ${key}`;

const whoWaits = (key: string, secret: string): string =>
  `${named(key)} waits for a pull credential of Secret ${secret}`;

const deniedAdvice = (secret: string): string =>
  `Check that what is in Secret ${secret} may read the source. It is tried again by itself.`;

const unreachable = 'the operator cannot be reached now';

const awaited = (who: string, why: string, advice = ''): AdaptletError =>
  new AdaptletError('PULL_CREDENTIAL_AWAITED', `${who}: ${why}`, advice === '' ? {} : { advice });

const noSecrets = ({ key, secret }: CredentialRequest): AdaptletError =>
  new AdaptletError(
    'PULL_SECRET',
    `the source of ${named(key)} names the Secret ${secret}, and this node has no operator to read it`,
    {
      advice:
        'Take the reference to the Secret out of the manifest. For a registry, give the node a docker config.json by --registry-config; for the hub, a token by --hf-token-file.',
    },
  );
