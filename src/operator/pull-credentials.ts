import type { OciSource, SourceSecret } from '../api/source.ts';
import type { Authorization } from '../artifact/authorizations.ts';
import { type Credentials, credentialsOf, entryFor, parseDockerConfig } from '../artifact/docker-config.ts';
import { parseReference } from '../artifact/reference.ts';
import type { Registry } from '../artifact/registry.ts';
import { answerChallenge } from '../artifact/registry-auth.ts';
import type { Login } from '../artifact/registry-http.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { RoundRobinQueue } from '../fair/round-robin-queue.ts';
import type { Clock } from '../time/clock.ts';
import { pause } from '../time/pause.ts';
import { unlessAborted } from '../time/unless-aborted.ts';
import { type Secret, type SecretParts, secretValues } from './secret-values.ts';
import { sourceSecrets } from './source-secrets.ts';
import { Pace } from './sync/pace.ts';

/** A Secret says by this label that adapters may be pulled with it. */
const pullLabel = 'adaptlet.io/pull';
const secretType = 'kubernetes.io/dockerconfigjson';
const secretKey = '.dockerconfigjson';

type SecretRef = NonNullable<OciSource['pullSecretRef']>;

/** From the question to the token. A node waits for 20 s. */
const credentialMs = 15_000;
/** Questions of a namespace that its registries are asked for. */
const askedOfNamespace = { burst: 64, perSecond: 8 };
/** A node asks again after so many milliseconds, so that a Secret that was taken away is felt. */
export const handedMs = 300_000;
/** A token that a node says is refused is asked for anew only when it is older: nodes do not decide how often. */
const freshMs = 10_000;

export type PullParts = SecretParts & {
  readonly clock: Clock;
  /** Its requests are those of the tenants. */
  readonly registry: Registry;
  /** Whether nodes get the password itself where a registry has no tokens. */
  readonly passwords: 'deny' | 'allow';
};

/** What a node needs a credential for. `isRefused`: the registry took the one of before no more. */
type PullQuestion = {
  readonly namespace: string;
  readonly source: OciSource & { readonly pullSecretRef: SecretRef };
  readonly isRefused: boolean;
};

/** The same for a source that is no registry. */
type SecretQuestion = { readonly namespace: string; readonly secret: SourceSecret };

type Work = () => Promise<void>;

/** How a Secret logs in. Its name has the version of the Secret: a new one begins without what was remembered of the old. */
const loginOf = ({ metadata, type, data }: Secret, { name }: SecretRef, where: string): Login => {
  if (type !== secretType) throw new AdaptletError('PULL_SECRET', `${where} is not of type ${secretType}`);
  const text = Buffer.from(data?.[secretKey] ?? '', 'base64').toString('utf8');
  const config = parseDockerConfig(text, where, 'PULL_SECRET');
  const find = (registry: string, repository: string): Credentials => {
    const entry = entryFor(config, registry, repository);
    const found = entry && credentialsOf(entry);
    if (found !== undefined) return found;
    const what = `for ${registry}/${repository}`;
    throw entry === undefined
      ? new AdaptletError('PULL_SECRET', `${where} has no entry ${what}`)
      : new AdaptletError('PULL_SECRET', `${where} is of no use: its entry ${what} has no password`, {
          advice: 'Give the entry username and password, auth with both, or identitytoken.',
        });
  };
  return {
    name: JSON.stringify([metadata.namespace, name, metadata.uid, metadata.resourceVersion]),
    authorize: async ({ reference, challenge, get }) => {
      const credentials = find(reference.registry, reference.repository);
      const answer = await answerChallenge(challenge, reference, credentials, get, true);
      return isPassword(answer, credentials) ? { ...answer, isPassword: true } : answer;
    },
  };
};

/** Some token services give back what they were given. */
const isPassword = ({ header }: Authorization, credentials: Credentials): boolean => {
  const token = header.slice(header.indexOf(' ') + 1);
  if ('identityToken' in credentials) return token === credentials.identityToken;
  const { username, password } = credentials;
  const encoded = [password, `${username}:${password}`].map((text) => Buffer.from(text).toString('base64'));
  return [password, ...encoded].includes(token);
};

/**
 * What registries are asked with for sources that name a Secret: by the operator itself, and by nodes, which get tokens for
 * one repository.
 *
 * Guarantees: a Secret is looked at again after 15 s; one question about a repository is under way for all who ask it; few are
 * asked at a time, of which a namespace has a quarter, and registries of a namespace at a pace; whoever asks hears something
 * within 15 s, its turn included; nothing is written anywhere, and no error says what is in a Secret.
 */
export class PullCredentials {
  readonly #parts: PullParts;
  readonly #secrets: ReturnType<typeof sourceSecrets>;
  readonly #logins: (namespace: string, ref: SecretRef, signal: AbortSignal) => Promise<Login>;
  readonly #queue = new RoundRobinQueue<Work>({ running: 16, runningOfGroup: 4, waitingOfGroup: 256 });
  readonly #asked = new Map<string, Promise<Authorization | undefined>>();
  readonly #paces = new Map<string, Pace>();

  constructor(parts: PullParts) {
    this.#parts = parts;
    this.#secrets = sourceSecrets({ ...parts, label: pullLabel, lifetimeMs: handedMs });
    this.#logins = secretValues<SecretRef, Login>(parts, {
      label: pullLabel,
      code: 'PULL_SECRET',
      valueOf: loginOf,
    });
  }

  /**
   * Who the operator is when it asks for a source of a namespace; undefined: itself.
   * @throws PULL_SECRET, KUBE_*
   */
  async login(namespace: string, source: OciSource, signal: AbortSignal): Promise<Login | undefined> {
    const { pullSecretRef: ref } = source;
    return ref === undefined ? undefined : await this.#logins(namespace, ref, signal);
  }

  /**
   * What a node may ask the registry with; undefined: the registry wants nothing.
   * @throws PULL_SECRET, KUBE_*, REGISTRY_*, EGRESS_DENIED
   */
  async forNode(question: PullQuestion | SecretQuestion): Promise<Authorization | undefined> {
    const { namespace } = question;
    if ('secret' in question) {
      const { secret } = question;
      return await this.#inTurn(namespace, `the Secret for ${secret.place}`, (signal) =>
        this.#secrets(namespace, secret, signal),
      );
    }
    const { source, isRefused } = question;
    const key = JSON.stringify([namespace, source.pullSecretRef.name, source.image, isRefused]);
    const known = this.#asked.get(key);
    if (known !== undefined) return await known;
    const asked = this.#inTurn(namespace, `the registry of ${source.image}`, (signal) =>
      this.#ask(question, signal),
    ).finally(() => this.#asked.delete(key));
    this.#asked.set(key, asked);
    return await asked;
  }

  async #ask(
    { namespace, source, isRefused }: PullQuestion,
    signal: AbortSignal,
  ): Promise<Authorization | undefined> {
    const { clock, registry: all, passwords } = this.#parts;
    const registry = all.as(await this.#logins(namespace, source.pullSecretRef, signal));
    const reference = parseReference(source.image);
    const version = reference.digest ?? reference.tag ?? 'latest';
    const known = { isRefused, freshMs };
    if (registry.remembered(reference, known) === undefined) {
      const ms = this.#paceOf(namespace).next();
      if (ms > 0) await pause(clock, ms, signal);
    }
    const found = await registry.authorization(reference, version, known, signal);
    if (found === undefined) return undefined;
    const isSecret = found.isPassword === true || !found.header.startsWith('Bearer ');
    if (isSecret && passwords === 'deny') throw noToken(reference.registry);
    return { header: found.header, lifetimeMs: Math.min(found.lifetimeMs, handedMs) };
  }

  /** @throws PULL_SECRET when too many wait, REGISTRY_UNAVAILABLE when it takes too long, and what is thrown while it is asked */
  async #inTurn(
    namespace: string,
    what: string,
    ask: (signal: AbortSignal) => Promise<Authorization | undefined>,
  ): Promise<Authorization | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<Authorization | undefined>();
    const deadline = new AbortController();
    const { signal } = deadline;
    let hasTurn = false;
    const work = async (): Promise<void> => {
      hasTurn = true;
      await unlessAborted(ask(signal), signal).then(resolve, reject);
      this.#queue.done(namespace);
      this.#pump();
    };
    const cancel = this.#parts.clock.after(credentialMs, () => {
      const error = hasTurn ? tooSlow(what) : tooMany(namespace);
      this.#queue.remove(namespace, work);
      deadline.abort(error);
      reject(error);
    });
    try {
      if (!this.#queue.add(namespace, work)) throw tooMany(namespace);
      this.#pump();
      return await promise;
    } finally {
      cancel();
    }
  }

  #paceOf(namespace: string): Pace {
    const pace = this.#paces.get(namespace) ?? new Pace(this.#parts.clock, askedOfNamespace);
    this.#paces.set(namespace, pace);
    return pace;
  }

  #pump(): void {
    for (let work = this.#queue.take(); work !== undefined; work = this.#queue.take()) void work();
  }
}

const tooSlow = (what: string): AdaptletError =>
  new AdaptletError('REGISTRY_UNAVAILABLE', `${what} gave no token within ${credentialMs / 1000} s`);

const tooMany = (namespace: string): AdaptletError =>
  new AdaptletError('PULL_SECRET', `too many credentials of the namespace ${namespace} are asked for`, {
    advice: 'Nothing to do: it is asked again by itself.',
  });

const noToken = (registry: string): AdaptletError =>
  new AdaptletError('PULL_SECRET', `${registry} gives no tokens, and nodes get no passwords`, {
    advice:
      'Ask the administrator to set credentials.passwords: allow of the chart, or use a registry with a token service.',
  });
