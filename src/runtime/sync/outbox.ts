import type { Ack, HeldList, Report, Subscribe, SyncRequest } from '../../gen/adaptlet/control/v1/control.ts';

/** What is asked for a fetch, or for the request ports. */
export type Question = Extract<
  SyncRequest['message'],
  { $case: 'credential' | 'peers' | 'servingCertificate' }
>;

/** What is sent as it is at the moment when it can be sent. */
export type Current = {
  /** Without the parts of which the other side has the hash. */
  readonly held: (partHashes: readonly Uint8Array[]) => HeldList;
  readonly subscribe: () => Subscribe;
  /** Undefined: nothing is to be told. */
  readonly report: () => Report | undefined;
};

/** Hands one message to the stream; `sent` is called when the stream takes the next. */
export type Send = (message: SyncRequest, sent: () => void) => void;

/**
 * The one write path of a stream. Subscriptions and reports are state: while the stream takes nothing only their need
 * is remembered, so that a slow stream costs no memory and gets the newest afterwards. So is the list of what is held. Answers to commits go first and
 * are all sent; the operator waits for each before its next commit. So are questions, of which there are one or two for
 * each fetch under way.
 */
export class Outbox {
  readonly #send: Send;
  readonly #current: Current;
  readonly #acks: Ack[] = [];
  readonly #questions: Question[] = [];
  /** Hashes of parts that need not be listed; undefined: the list is not wanted. */
  #held: readonly Uint8Array[] | undefined;
  #subscribe = false;
  #report = false;
  #busy = false;
  #closed = false;

  constructor(send: Send, current: Current) {
    this.#send = send;
    this.#current = current;
  }

  ack(ack: Ack): void {
    this.#acks.push(ack);
    this.#pump();
  }

  ask(question: Question): void {
    this.#questions.push(question);
    this.#pump();
  }

  held(partHashes: readonly Uint8Array[]): void {
    this.#held = partHashes;
    this.#pump();
  }

  subscribe(): void {
    this.#subscribe = true;
    this.#pump();
  }

  report(): void {
    this.#report = true;
    this.#pump();
  }

  close(): void {
    this.#closed = true;
  }

  #pump(): void {
    if (this.#busy || this.#closed) return;
    const message = this.#next();
    if (message === undefined) return;
    this.#busy = true;
    this.#send({ message }, () => {
      this.#busy = false;
      this.#pump();
    });
  }

  #next(): SyncRequest['message'] {
    const ack = this.#acks.shift();
    if (ack !== undefined) return { $case: 'ack', value: ack };
    const question = this.#questions.shift();
    if (question !== undefined) return question;
    if (this.#held !== undefined) {
      const value = this.#current.held(this.#held);
      this.#held = undefined;
      return { $case: 'held', value };
    }
    if (this.#subscribe) {
      this.#subscribe = false;
      return { $case: 'subscribe', value: this.#current.subscribe() };
    }
    if (!this.#report) return undefined;
    this.#report = false;
    const report = this.#current.report();
    return report === undefined ? undefined : { $case: 'report', value: report };
  }
}
