import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import type { PeftConfig } from '../peft-config.ts';
import type { WeightEntry } from '../scales.ts';
import { floatsOf } from '../weights.ts';
import { type MadePair, type ModuleTensors, refuse } from './kind.ts';

/** What a file has for LoRA: as it is, or made of what it has. */
export type AsLora = {
  readonly config: PeftConfig;
  readonly entries: readonly WeightEntry[];
  /**
   * The data section that the offsets of the entries are in, of the one of the file.
   * @throws ADAPTER_NOT_FINITE, ADAPTER_RANK_LIMIT
   */
  readonly dataOf: (data: ArrayBuffer) => ArrayBuffer;
};

/** Pairs that take more are refused: a file of some kilobytes can ask for any number of bytes. */
export const maxMadeBytes = 2 ** 30;

const prefix = 'base_model.model.';
const floats: ReadonlySet<string> = new Set(['F32', 'F16', 'BF16']);

/** The tensors of each module by what follows its name, and those that are of something else. */
const grouped = (
  entries: readonly WeightEntry[],
  own: ReadonlySet<string>,
): { readonly modules: readonly ModuleTensors[]; readonly others: readonly WeightEntry[] } => {
  const modules = new Map<string, Map<string, WeightEntry>>();
  const others: WeightEntry[] = [];
  for (const entry of entries) {
    const { name, shape, dtype } = entry;
    const dot = name.lastIndexOf('.');
    const part = name.slice(dot + 1);
    if (!own.has(part) || !name.startsWith(prefix) || dot <= prefix.length) {
      if (/\.lora_(?:[AB]|magnitude_vector)\b/.test(name))
        throw refuse('ADAPTER_TENSOR_UNKNOWN', `tensor ${quoteUntrusted(name)} is not of its method`);
      others.push(entry);
      continue;
    }
    if (!floats.has(dtype)) throw refuse('ADAPTER_DTYPE', `tensor ${quoteUntrusted(name)} has type ${dtype}`);
    if (shape.length !== 2) {
      const said = `has ${shape.length} dimensions instead of 2`;
      throw refuse('ADAPTER_SHAPE', `tensor ${quoteUntrusted(name)} ${said}`);
    }
    const module = name.slice(prefix.length, dot);
    const tensors = modules.get(module) ?? new Map<string, WeightEntry>();
    modules.set(module, tensors.set(part, entry));
  }
  return { modules: [...modules].map(([module, tensors]) => ({ module, tensors })), others };
};

/** Tensors and where they go, one behind the other. */
class Section {
  readonly entries: WeightEntry[] = [];
  readonly #fills: ((data: ArrayBuffer, section: Uint8Array) => void)[] = [];
  #bytes = 0;

  /** A tensor of the file as it is, with its scales. */
  keep(entry: WeightEntry): void {
    const moved = <T extends WeightEntry>(one: T): T => {
      const { begin, end } = one;
      const to = this.#take(end - begin);
      this.#fills.push((data, section) => section.set(new Uint8Array(data, begin, end - begin), to.begin));
      return { ...one, ...to };
    };
    const { scales } = entry;
    this.entries.push(scales === undefined ? moved(entry) : { ...moved(entry), scales: moved(scales) });
  }

  /** Both halves of a pair. */
  make(module: string, { rank, inFeatures, outFeatures, make }: MadePair): void {
    const half = (name: string, shape: readonly [number, number]): WeightEntry => ({
      name: `${prefix}${module}.lora_${name}.weight`,
      dtype: 'F32',
      shape,
      ...this.#take(shape[0] * shape[1] * Float32Array.BYTES_PER_ELEMENT),
    });
    const [a, b] = [half('A', [rank, inFeatures]), half('B', [outFeatures, rank])];
    this.entries.push(a, b);
    this.#fills.push((data, section) => {
      const pair = make((entry) => floatsOf(entry, data, 1));
      for (const [{ begin }, values] of [
        [a, pair.a],
        [b, pair.b],
      ] as const)
        section.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), begin);
    });
  }

  readonly dataOf = (data: ArrayBuffer): ArrayBuffer => {
    if (this.#bytes > maxMadeBytes) {
      const said = `its pairs of matrices take ${this.#bytes} bytes, allowed are ${maxMadeBytes}`;
      throw refuse('ADAPTER_RANK_LIMIT', said);
    }
    const section = new Uint8Array(new ArrayBuffer(this.#bytes));
    for (const fill of this.#fills) fill(data, section);
    return section.buffer;
  };

  #take(bytes: number): { readonly begin: number; readonly end: number } {
    const begin = this.#bytes;
    this.#bytes += bytes;
    return { begin, end: this.#bytes };
  }
}

/**
 * Turns a file into one of LoRA; one that is LoRA stays as it is.
 * @throws ADAPTER_CONFIG_INVALID, ADAPTER_DTYPE, ADAPTER_PAIR_INCOMPLETE, ADAPTER_RANK_NOT_CONFIG, ADAPTER_RANK_UNEQUAL, ADAPTER_SHAPE,
 * ADAPTER_TENSOR_UNKNOWN
 */
export const asLora = (config: PeftConfig, entries: readonly WeightEntry[]): AsLora => {
  const { kind } = config;
  if (kind === undefined) return { config, entries, dataOf: (data) => data };
  const { modules, others } = grouped(entries, kind.tensors);
  const pairs = kind.pairsOf(config, modules);
  const section = new Section();
  for (const entry of others) section.keep(entry);
  for (const [module, pair] of pairs) if (pair !== undefined) section.make(module, pair);
  const gone = new Set([...pairs].flatMap(([module, pair]) => (pair === undefined ? [module] : [])));
  const { targets } = config;
  return {
    config: {
      ...config,
      rankOf: (module) => pairs.get(module)?.rank ?? config.rankOf(module),
      whyRank: (module) => pairs.get(module)?.why ?? '',
      scalingOf: (module) => pairs.get(module)?.scale ?? config.scalingOf(module),
      targets: {
        includes: (module) => !gone.has(module) && targets.includes(module),
        unmatched: (known) => targets.unmatched([...known, ...gone]),
      },
    },
    entries: section.entries,
    dataOf: section.dataOf,
  };
};
