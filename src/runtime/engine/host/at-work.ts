import type { Mutex } from '../mutex.ts';

/**
 * Says which calls the process works on, each time before it does: when it ends, these are the ones that may have ended it.
 * Calls that wait in a queue are not among them. Costs nothing while the same ones go on.
 */
export class AtWork {
  readonly #say: (calls: readonly number[]) => void;
  readonly #prepared = new Set<{ readonly call: number }>();
  #inStep: readonly number[] = [];
  /** Undefined before it said anything. */
  #said: readonly number[] | undefined;

  constructor(say: (calls: readonly number[]) => void) {
    this.#say = say;
  }

  /** The next step is one of these. */
  step(calls: readonly number[]): void {
    this.#inStep = calls;
    this.#sayChanged();
  }

  /**
   * Work for a call begins that is done beside steps: its tokens are made, or its structure is compiled. To be disposed of when
   * it is done.
   */
  begin(call: number): Disposable {
    const work = { call };
    this.#prepared.add(work);
    this.#sayChanged();
    return {
      [Symbol.dispose]: () => {
        this.#prepared.delete(work);
        this.#sayChanged();
      },
    };
  }

  /** Turns between steps, for work that is no call's, as on memory of adapters. */
  between(turns: Mutex): Pick<Mutex, 'run'> {
    return {
      run: (work) =>
        turns.run(() => {
          this.step([]);
          return work();
        }),
    };
  }

  #sayChanged(): void {
    const calls = [...new Set([...this.#inStep, ...Array.from(this.#prepared, ({ call }) => call)])];
    const said = this.#said;
    if (calls.length === said?.length && calls.every((call, at) => call === said[at])) return;
    this.#said = calls;
    this.#say(calls);
  }
}
