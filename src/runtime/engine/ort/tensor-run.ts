import { PointerTable, StringTable } from './memory.ts';
import { type OutputTensor, releaseOutputs, takeOutputs } from './output.ts';
import type { OnnxSession } from './session.ts';

/**
 * Runs a graph for some of its outputs, whose sizes ONNX Runtime decides.
 *
 * Assumes one run at a time, and few different sets of outputs: their names are kept.
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

  /**
   * The outputs of these names, in their order.
   * @throws OnnxRuntimeError
   */
  async run(values: PointerTable, outputs: readonly string[]): Promise<readonly OutputTensor[]> {
    const table = new PointerTable(outputs.map(() => 0n));
    const made = (): readonly bigint[] => outputs.map((_, place) => table.get(place));
    try {
      const names = this.#namesOf(outputs);
      await this.#session
        .run({ names: this.#inputNames, values }, { names, values: table })
        .catch((error: unknown) => {
          releaseOutputs(made());
          throw error;
        });
      return takeOutputs(made());
    } finally {
      table.free();
    }
  }

  free(): void {
    this.#inputNames.free();
    for (const names of this.#outputNames.values()) names.free();
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
