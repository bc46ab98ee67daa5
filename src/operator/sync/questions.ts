import type { SyncRequest, SyncResponse } from '../../gen/adaptlet/control/v1/control.ts';
import type { Plan } from '../../plan/resources.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import type { Authority } from '../identity/authority.ts';
import type { BoundRuntime } from '../identity/binding.ts';
import type { Channel } from './channel.ts';
import { PeerAnswers } from './peer-answers.ts';
import { type CredentialFor, PullAnswers } from './pull-answers.ts';
import { ServingAnswers, type ServingNamesOf } from './serving-answers.ts';
import type { Sites } from './sites.ts';

type Parts = {
  readonly channel: Channel<unknown, SyncResponse>;
  readonly clock: Clock;
  readonly credential: CredentialFor;
  readonly authority: Pick<Authority, 'certify' | 'certifyServing'>;
  readonly sites: Sites;
  readonly servingNames: ServingNamesOf;
  /** Undefined: there is none now. */
  readonly plan: () => Plan | undefined;
  readonly runtime: BoundRuntime;
  readonly logger: Log;
};

type Question = Extract<SyncRequest['message'], { $case: 'credential' | 'peers' | 'servingCertificate' }>;

/** What one runtime asks for: while it fetches, and for its request ports. */
export class Questions {
  readonly #pulls: PullAnswers;
  readonly #peers: PeerAnswers;
  readonly #serving: ServingAnswers;

  constructor(parts: Parts) {
    this.#pulls = new PullAnswers({ ...parts, runtime: parts.runtime.key });
    this.#peers = new PeerAnswers(parts);
    this.#serving = new ServingAnswers(parts);
  }

  /** Answers by and by; resolves when the next question may be read. Never throws. */
  async take(question: Question): Promise<void> {
    if (question.$case === 'credential') await this.#pulls.answer(question.value);
    else if (question.$case === 'peers') await this.#peers.answer(question.value);
    else await this.#serving.answer(question.value);
  }
}
