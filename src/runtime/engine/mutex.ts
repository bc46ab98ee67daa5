/**
 * Lets one piece of work run at a time, first come, first served. Steps and changes of adapter memory go through one
 * of these: ONNX Runtime reads the tensors of a step some time after its run was asked for, so memory may only move
 * between steps.
 */
export class Mutex {
  #tail: Promise<unknown> = Promise.resolve();

  run<T>(work: () => T | Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    // The next one runs also when this one failed; whoever asked for it hears of the failure.
    this.#tail = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }
}
