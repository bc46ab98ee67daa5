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
import { Answers } from './answers.ts';
import type { Channel } from './channel.ts';

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

/**
 * Answers what a runtime asks for its registries. What it gets is decided by its plan: it names an adapter, and the plan says
 * of which repository and with which Secret. Nothing of it is logged or kept here.
 */
export class PullAnswers {
  readonly #parts: Parts;
  readonly #answers: Answers;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#answers = new Answers({ ...parts, refusal: notNow });
  }

  /** Resolves when the next question may be read. Never throws. */
  async answer(request: CredentialRequest): Promise<void> {
    const { logger, runtime } = this.#parts;
    const unknown = { ...Credential.create(), id: request.id };
    await this.#answers.give(
      async () => {
        const found = await this.#find(request);
        if (found === undefined) return { $case: 'credential', value: unknown };
        const { header: authorization, lifetimeMs } = found;
        const value = { ...unknown, authorization, lifetimeMs: BigInt(Math.floor(lifetimeMs)) };
        return { $case: 'credential', value };
      },
      (error) => {
        const { code, what, advice } = asAdaptletError(error, 'making a pull credential');
        logger.info({ runtime, key: request.key.slice(0, 400), code }, 'a runtime gets no pull credential');
        return { $case: 'credential', value: { ...unknown, reason: `${code}: ${what}`, advice } };
      },
    );
  }

  async #find({ key, image, secret, refused }: CredentialRequest): Promise<Authorization | undefined> {
    const { plan, credential } = this.#parts;
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
      throw notNow('the plan of the runtime has no such source with a Secret');
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
