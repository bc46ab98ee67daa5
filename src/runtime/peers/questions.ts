import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import type { Peers, PeersRequest } from '../../gen/adaptlet/control/v1/control.ts';
import type { Clock } from '../../time/clock.ts';

/** Milliseconds that the operator has to answer, in which a fetch waits. */
const answerMs = 5_000;

/** Hands a request to the operator; false: there is none to be reached now. */
type Send<Q> = (request: Q) => boolean;

type Question = { readonly id: bigint };
/** Without a certificate it says the reason. */
type Answer = { readonly id: bigint; readonly certificate: string; readonly reason: string };
type Asked<A> = { readonly resolve: (answer: A) => void; readonly reject: (error: AdaptletError) => void };

/** Asks the operator for certificates, over the stream that there is. */
export class OperatorQuestions<Q extends Question, A extends Answer> {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #asked = new Map<bigint, Asked<A>>();
  readonly #code: ErrorCode;
  #send: Send<Q> | undefined;
  #ids = 0n;
  #onConnected = (): void => undefined;
  #isConnected = false;

  /** `code`: of what is thrown where there is no certificate. */
  constructor(clock: Pick<Clock, 'after'>, code: ErrorCode) {
    this.#clock = clock;
    this.#code = code;
  }

  /** There is an operator to ask. */
  through(send: Send<Q>): void {
    this.#send = send;
  }

  /** Called each time when there is a stream. */
  onConnected(listener: () => void): void {
    this.#onConnected = listener;
  }

  /** There is a stream now. */
  get isConnected(): boolean {
    return this.#isConnected;
  }

  connected(): void {
    this.#isConnected = true;
    this.#onConnected();
  }

  answered(answer: A): void {
    this.#asked.get(answer.id)?.resolve(answer);
  }

  /** The stream ended: nobody answers what was asked. */
  broken(): void {
    this.#isConnected = false;
    for (const { reject } of this.#asked.values()) reject(this.#none('the operator cannot be reached now'));
  }

  /** @throws the code, the reason of the signal */
  async ask(question: Omit<Q, 'id'>, signal: AbortSignal): Promise<A> {
    signal.throwIfAborted();
    this.#ids += 1n;
    const id = this.#ids;
    const { promise, resolve, reject } = Promise.withResolvers<A>();
    const left = (): void => reject(signal.reason);
    const late = (): void => reject(this.#none(`the operator did not answer within ${answerMs} ms`));
    const cancel = this.#clock.after(answerMs, late);
    signal.addEventListener('abort', left, { once: true });
    this.#asked.set(id, { resolve, reject });
    try {
      // What is left out of a question is its id.
      if (this.#send?.({ ...question, id } as Q) !== true)
        throw this.#none('the operator cannot be reached now');
      const answer = await promise;
      if (answer.certificate === '') throw this.#none(answer.reason);
      return answer;
    } finally {
      this.#asked.delete(id);
      cancel();
      signal.removeEventListener('abort', left);
    }
  }

  #none(what: string): AdaptletError {
    return new AdaptletError(this.#code, what);
  }
}

export type PeerQuestions = OperatorQuestions<PeersRequest, Peers>;
