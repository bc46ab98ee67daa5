import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../../compiled/compile-target.ts';
import type { StoredType } from '../../compiled/compiled-file.ts';
import { adaptersInput } from '../onnx/lora-operator.ts';
import { NativeMemory, PointerTable } from '../ort/memory.ts';
import { OrtTensor } from '../ort/tensor.ts';
import type { Feeds, LoraWay, MixedFeeds } from './feeds.ts';
import type { Pairs } from './pairs.ts';

/** As native/lora.c reads it: what it begins with, numbers per linear, and types by their codes. */
const magic = 0x32_30_4c_54_50_44_41_00n;
const headBytes = 16;
const pairBytes = 48;
const typeCodes: Readonly<Record<StoredType, number>> = { float32: 0, float16: 1, bfloat16: 2, int8: 3 };

/** An adapter as the operator reads it: where the pair of each linear is. */
class Table {
  readonly #memory: NativeMemory;

  constructor(sites: readonly Site[], pairs: Pairs) {
    this.#memory = new NativeMemory(headBytes + sites.length * pairBytes);
    new Uint8Array(this.#memory.buffer).fill(0);
    const view = new DataView(this.#memory.buffer);
    view.setBigUint64(8, BigInt(sites.length), true);
    for (const [place, { module }] of sites.entries()) {
      const pair = pairs.get(module);
      if (pair === undefined) continue;
      const at = headBytes + place * pairBytes;
      view.setBigUint64(at, pair.a.address, true);
      view.setBigUint64(at + 8, pair.b.address, true);
      view.setUint32(at + 16, pair.rank, true);
      view.setUint16(at + 20, typeCodes[pair.a.type], true);
      view.setUint16(at + 22, typeCodes[pair.b.type], true);
      view.setFloat32(at + 24, pair.a.scale, true);
      view.setFloat32(at + 28, pair.b.scale, true);
      view.setBigUint64(at + 32, pair.factors ?? 0n, true);
      view.setBigUint64(at + 40, pair.shifts ?? 0n, true);
    }
    view.setBigUint64(0, magic, true);
  }

  get address(): bigint {
    return this.#memory.address;
  }

  /** What the operator still finds there it refuses. */
  free(): void {
    new DataView(this.#memory.buffer).setBigUint64(0, 0n, true);
    this.#memory.free();
  }
}

/** The input that says which table each row has. */
class Rows {
  #memory = new NativeMemory(0);
  #tensor: OrtTensor | undefined;
  #count = 0;

  /** The tensor of these; valid until the next call. */
  set(addresses: readonly bigint[]): OrtTensor {
    const count = addresses.length;
    const bytes = count * BigInt64Array.BYTES_PER_ELEMENT;
    if (this.#tensor === undefined || count !== this.#count) {
      this.#tensor?.release();
      if (this.#memory.bytes < bytes) {
        this.#memory.free();
        this.#memory = new NativeMemory(bytes);
      }
      this.#tensor = new OrtTensor('int64', [count], this.#memory.address);
      this.#count = count;
    }
    new BigInt64Array(this.#memory.buffer, 0, count).set(addresses);
    return this.#tensor;
  }

  free(): void {
    this.#tensor?.release();
    this.#memory.free();
  }
}

/** Feeds that end with the tables of rows. */
const feedsWith = (
  maker: object,
  before: number,
): { readonly values: PointerTable; readonly rows: Rows } => ({
  values: new PointerTable(Array.from({ length: before + 1 }, () => 0n)),
  rows: new Rows(),
});

/** The way of the native operator: one input has an adapter for each row, and weights stay as they are stored. */
export class LoraTables implements LoraWay {
  readonly names = [adaptersInput];
  readonly weights = 'stored';
  readonly #sites: readonly Site[];
  readonly #modules: ReadonlySet<string>;
  /** Where the table of each feeds is, while they last. */
  readonly #tables = new WeakMap<Feeds, bigint>();

  constructor(sites: readonly Site[]) {
    this.#sites = sites;
    this.#modules = new Set(sites.map(({ module }) => module));
  }

  feeds(maker: object, before: number, pairs: Pairs): Feeds {
    const stray = [...pairs.keys()].filter((module) => !this.#modules.has(module));
    if (stray.length > 0)
      throw new AdaptletError('INTERNAL', `The graph has no linears ${stray.slice(0, 5).join(', ')}`);
    // What has no pairs is no adapter.
    const table = pairs.size === 0 ? undefined : new Table(this.#sites, pairs);
    const address = table?.address ?? 0n;
    const { values, rows } = feedsWith(maker, before);
    const feeds: Feeds = {
      maker,
      values,
      rows: (count) => values.set(before, rows.set(Array.from({ length: count }, () => address)).value),
      release: () => {
        this.#tables.delete(feeds);
        table?.free();
        rows.free();
        values.free();
      },
    };
    this.#tables.set(feeds, address);
    return feeds;
  }

  mixed(maker: object, before: number): MixedFeeds {
    const { values, rows } = feedsWith(maker, before);
    let count = 0;
    const check = (asked: number): void => {
      if (asked !== count)
        throw new AdaptletError('INTERNAL', `The step has ${asked} rows, and adapters for ${count}`);
    };
    const feeds: Feeds = { maker, values, rows: check, release: () => undefined };
    return {
      of: (own) => {
        count = own.length;
        const tables = own.map((one) => (one === null || one === undefined ? 0n : this.#tableOf(one)));
        values.set(before, rows.set(tables).value);
        return feeds;
      },
      release: () => {
        rows.free();
        values.free();
      },
    };
  }

  release(): void {
    // It has nothing of its own.
  }

  /** Without one a row would be answered without its adapter. */
  #tableOf(feeds: Feeds): bigint {
    const table = this.#tables.get(feeds);
    if (table !== undefined) return table;
    throw new AdaptletError('INTERNAL', 'The feeds of a row are of another session, or gone');
  }
}
