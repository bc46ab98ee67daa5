import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Peers, PeersRequest } from '../../gen/adaptlet/control/v1/control.ts';
import type { Clock } from '../../time/clock.ts';

/** Milliseconds that the operator has to answer, in which a fetch waits. */
const answerMs = 5_000;

/** Hands a request to the operator; false: there is none to be reached now. */
type Send = (request: PeersRequest) => boolean;

type Asked = { readonly resolve: (answer: Peers) => void; readonly reject: (error: AdaptletError) => void };

/** Asks the operator for certificates and peers, over the stream that there is. */
export class PeerQuestions {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #asked = new Map<bigint, Asked>();
  #send: Send | undefined;
  #ids = 0n;
  #onConnected = (): void => undefined;

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock;
  }

  /** There is an operator to ask. */
  through(send: Send): void {
    this.#send = send;
  }

  /** Called each time when there is a stream. */
  onConnected(listener: () => void): void {
    this.#onConnected = listener;
  }

  connected(): void {
    this.#onConnected();
  }

  answered(answer: Peers): void {
    this.#asked.get(answer.id)?.resolve(answer);
  }

  /** The stream ended: nobody answers what was asked. */
  broken(): void {
    for (const { reject } of this.#asked.values()) reject(unknown('the operator cannot be reached now'));
  }

  /** @throws PEERS_UNKNOWN, the reason of the signal */
  async ask(question: Omit<PeersRequest, 'id'>, signal: AbortSignal): Promise<Peers> {
    signal.throwIfAborted();
    this.#ids += 1n;
    const id = this.#ids;
    const { promise, resolve, reject } = Promise.withResolvers<Peers>();
    const left = (): void => reject(signal.reason);
    const late = (): void => reject(unknown(`the operator did not answer within ${answerMs} ms`));
    const cancel = this.#clock.after(answerMs, late);
    signal.addEventListener('abort', left, { once: true });
    this.#asked.set(id, { resolve, reject });
    try {
      if (this.#send?.({ ...question, id }) !== true) throw unknown('the operator cannot be reached now');
      const answer = await promise;
      if (answer.certificate === '') throw unknown(answer.reason);
      return answer;
    } finally {
      this.#asked.delete(id);
      cancel();
      signal.removeEventListener('abort', left);
    }
  }
}

const unknown = (what: string): AdaptletError => new AdaptletError('PEERS_UNKNOWN', what);
