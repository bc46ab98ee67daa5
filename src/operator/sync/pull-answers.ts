import { type OciSource, type SourceSecret, sourceSecretOf } from '../../api/source.ts';
import type { Authorization } from '../../artifact/authorizations.ts';
import { namespaceOf } from '../../control/key.ts';
import { AdaptletError, asAdaptletError } from '../../errors/adaptlet-error.ts';
import {
  Credential,
  type CredentialRequest,
  type SyncResponse,
} from '../../gen/adaptlet/control/v1/control.ts';
import { ociSourceOf } from '../../plan/oci-source.ts';
import type { Plan } from '../../plan/resources.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import { pause } from '../../time/pause.ts';
import type { Channel } from './channel.ts';
import { Pace } from './pace.ts';

/**
 * What a runtime may ask a registry, or the server of another source, with; undefined: the registry wants nothing.
 * @throws why there is none
 */
export type CredentialFor = (
  question:
    | {
        readonly namespace: string;
        readonly source: OciSource & { readonly pullSecretRef: { readonly name: string } };
        readonly isRefused: boolean;
      }
    | { readonly namespace: string; readonly secret: SourceSecret },
) => Promise<Authorization | undefined>;

type Parts = {
  readonly channel: Channel<unknown, SyncResponse>;
  readonly clock: Clock;
  readonly credential: CredentialFor;
  /** Undefined: there is none now. */
  readonly plan: () => Plan | undefined;
  readonly runtime: string;
  readonly logger: Log;
};

/** Questions of one runtime that are under way, until it takes the answers. It fetches a few adapters at a time. */
const maxOpen = 32;
/** Its questions that are answered at once, and how many each second afterwards. */
const answered = { burst: 64, perSecond: 16 };

/**
 * Answers what a runtime asks for its registries. What it gets is decided by its plan: it names an adapter, and the plan says
 * of which repository and with which Secret. Nothing of it is logged or kept here.
 */
export class PullAnswers {
  readonly #parts: Parts;
  readonly #pace: Pace;
  #open = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#pace = new Pace(parts.clock, answered);
  }

  /** What comes now is refused, and is waited for: it may be that no answer is taken. */
  get isFull(): boolean {
    return this.#open >= maxOpen;
  }

  /** Never throws. */
  async answer(request: CredentialRequest): Promise<void> {
    const { channel, logger, runtime } = this.#parts;
    this.#open += 1;
    let value = { ...Credential.create(), id: request.id };
    try {
      const found = await this.#find(request);
      if (found !== undefined) {
        const { header: authorization, lifetimeMs } = found;
        value = { ...value, authorization, lifetimeMs: BigInt(Math.floor(lifetimeMs)) };
      }
    } catch (error) {
      const { code, what, advice } = asAdaptletError(error, 'making a pull credential');
      logger.info({ runtime, key: request.key.slice(0, 400), code }, 'a runtime gets no pull credential');
      value = { ...value, reason: `${code}: ${what}`, advice };
    }
    try {
      await channel.write({ message: { $case: 'credential', value } });
    } catch (error) {
      channel.end(asAdaptletError(error, 'writing to a runtime'));
    } finally {
      this.#open -= 1;
    }
  }

  async #find({ key, image, secret, refused }: CredentialRequest): Promise<Authorization | undefined> {
    const { plan, credential, clock, channel } = this.#parts;
    if (this.#open > maxOpen) throw notNow(`the runtime asks for more than ${maxOpen} at a time`);
    const ms = this.#pace.next();
    if (ms > 0) await pause(clock, ms, channel.signal);
    const now = plan();
    if (now === undefined) throw notNow('the plan of the runtime is not compiled yet');
    const adapter = now.get(`AdapterSpec ${key}`);
    const other = adapter?.type === 'AdapterSpec' ? sourceSecretOf(adapter.body.source) : undefined;
    if (other !== undefined) {
      if (other.place !== image || other.ref.name !== secret) throw otherSource();
      return await credential({ namespace: namespaceOf(key), secret: other });
    }
    const source = ociSourceOf(now, key);
    const { pullSecretRef } = source ?? {};
    if (source === undefined || pullSecretRef === undefined)
      throw notNow('the plan of the runtime has no such adapter with a Secret');
    if (source.image !== image || pullSecretRef.name !== secret) throw otherSource();
    return await credential({
      namespace: namespaceOf(key),
      source: { ...source, pullSecretRef },
      isRefused: refused,
    });
  }
}

const otherSource = (): AdaptletError => notNow('the plan of the runtime has another source by now');

const notNow = (what: string): AdaptletError =>
  new AdaptletError('PULL_CREDENTIAL_AWAITED', what, {
    advice: 'Nothing to do: it is asked again by itself.',
  });
