import { maxParts, partsFor } from '../../control/parts.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { RuntimeReport } from '../../gen/adaptlet/control/v1/control.ts';
import { scopeOf } from '../objects/scope.ts';
import { Example } from './example.ts';
import type { RuntimeState } from './fleet.ts';
import { runtimeToWire } from './to-wire.ts';
import type { Change } from './update.ts';

/** Examples of one relay, numbered from 1. */
const maxExamples = 16;

/** What a relay told whole, so that it need not tell it again of each runtime that says the same. Of one stream. */
export class ToldExamples {
  /** By namespace of pods, and base model. */
  readonly #examples = new Map<string, { readonly number: number; readonly example: Example }>();

  /** Everything that is known of a runtime. It counts as told. */
  wholeOf(state: RuntimeState): RuntimeReport {
    const { key, kind, info, adapters } = state;
    const name = `${scopeOf(kind, key) ?? ''}/${info.baseModel}`;
    const known = this.#examples.get(name);
    if (known !== undefined) {
      const { likeParts, others } = known.example.compare(adapters);
      if (likeParts.length * 2 >= known.example.parts) {
        const wire = runtimeToWire({ ...state, adapters: others }, 'Whole');
        const report = wire.report && { ...wire.report, likeParts: [...likeParts] };
        return { ...wire, report, like: known.number };
      }
    }
    const wire = runtimeToWire(state, 'Whole');
    const parts = partsFor(adapters.size);
    const number = known?.number ?? this.#examples.size + 1;
    if (parts === 0 || number > maxExamples) return wire;
    this.#examples.set(name, { number, example: new Example(adapters, parts) });
    return { ...wire, example: number, exampleParts: parts };
  }
}

/** The same at the other end. */
export class HeardExamples {
  readonly #examples = new Map<number, Example>();

  /**
   * What a runtime says, with what it says as another one did.
   * @throws HELLO_INVALID
   */
  complete({ like, report }: RuntimeReport, change: Change): Change {
    if (like === 0) return change;
    const example = this.#examples.get(like);
    if (example === undefined)
      throw invalid(`a relay tells of a runtime like ${like}, which it did not tell`);
    return example.complete(change, report?.likeParts ?? []);
  }

  /** @throws HELLO_INVALID */
  hear({ example, exampleParts }: RuntimeReport, { adapters }: Change): void {
    if (example === 0) return;
    if (example > maxExamples || exampleParts === 0 || exampleParts > maxParts)
      throw invalid(`a relay has the example ${example} in ${exampleParts} parts`);
    this.#examples.set(example, new Example(adapters, exampleParts));
  }
}

const invalid = (what: string): AdaptletError => new AdaptletError('HELLO_INVALID', what);
