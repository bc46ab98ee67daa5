import type { Handle } from './library.ts';
import { PointerTable, StringTable } from './memory.ts';
import { type OutputTensor, takeOutput } from './output.ts';
import type { OnnxSession } from './session.ts';

/**
 * Runs a graph for some of its outputs, whose sizes ONNX Runtime decides.
 *
 * Assumes one run at a time.
 */
export class TensorRun {
  readonly #session: OnnxSession;
  readonly #inputNames: StringTable;
  readonly #outputNames = new Map<string, StringTable>();

  /** `inputs`: names in the order in which values are fed. */
  constructor(session: OnnxSession, inputs: readonly string[]) {
    this.#session = session;
    this.#inputNames = new StringTable(inputs);
  }

  /** The outputs of these names, in their order. Errors: OnnxRuntimeError. */
  async run(values: PointerTable, outputs: readonly string[]): Promise<readonly OutputTensor[]> {
    const table = new PointerTable(outputs.map(() => 0n));
    const taken: OutputTensor[] = [];
    try {
      await this.#session.run(
        { names: this.#inputNames, values },
        { names: this.#namesOf(outputs), values: table },
      );
    } finally {
      for (const index of outputs.keys()) this.#take(table.get(index), taken);
      table.free();
    }
    return taken;
  }

  free(): void {
    this.#inputNames.free();
    for (const names of this.#outputNames.values()) names.free();
  }

  /** A run that failed may have made some of its outputs. */
  #take(value: Handle, taken: OutputTensor[]): void {
    if (value !== 0n) taken.push(takeOutput(value));
  }

  #namesOf(outputs: readonly string[]): StringTable {
    const key = outputs.join('\n');
    const known = this.#outputNames.get(key);
    if (known !== undefined) return known;
    const names = new StringTable(outputs);
    this.#outputNames.set(key, names);
    return names;
  }
}
