/** A reward for one answer. */
export type ToldReward = {
  /** Of the answer, among those of its process; 32 bits. */
  readonly number: number;
  readonly bucket: number;
  readonly arm: 'stable' | 'canary';
  readonly reward: number;
};

/**
 * Rewards that a runtime was told for answers that it did not give itself, or that an earlier process of it gave: for those
 * of one process at one weight. Cumulative, as counts are.
 */
export type Elsewhere = {
  /** Of the process that answered: `originOf`. */
  readonly origin: string;
  readonly weight: number;
  /** Grows with every change. */
  readonly seq: number;
  readonly rewards: readonly ToldReward[];
};

/** The answers of one process at one weight. */
export const placeOf = (origin: string, weight: number): string => `${origin} ${weight}`;

/** `name`: {@link placeOf}. */
export type Place = Omit<Elsewhere, 'seq' | 'rewards'> & { readonly name: string };
type Parts = Pick<ToldRewards, 'places' | 'seqs' | 'ends' | 'records'>;

/** There once for all runtimes that were told of it. */
const known = new Map<string, Place>();
const maxKnown = 65_536;
const placeAt = ({ origin, weight }: Elsewhere): Place => {
  const name = placeOf(origin, weight);
  const place = known.get(name) ?? { origin, weight, name };
  if (known.size >= maxKnown) known.clear();
  known.set(name, place);
  return place;
};

/** Bytes of a reward: its number, its side (twice the bucket, and 1 more for the canary), and itself. */
const record = 13;
const [sideAt, rewardAt] = [4, 5];

/**
 * All that one process was told of one attempt of a canary, packed: 13 bytes for a reward, and 24 for a place. A leader keeps
 * thousands of each runtime. Nobody changes it.
 */
export class ToldRewards {
  static readonly none = new ToldRewards({ places: [], seqs: [], ends: [], records: Buffer.alloc(0) });

  /** None is there twice. */
  readonly places: readonly Place[];
  /** Of each place. */
  readonly seqs: readonly number[];
  /** Rewards up to the end of each place. */
  readonly ends: readonly number[];
  readonly records: Buffer;

  private constructor({ places, seqs, ends, records }: Parts) {
    this.places = places;
    this.seqs = seqs;
    this.ends = ends;
    this.records = records;
  }

  /** Of an answer that is there twice the later reward counts. */
  static of(all: readonly Elsewhere[]): ToldRewards {
    const packing = new Packing();
    for (const one of all) packing.add(placeAt(one), one.seq, one.rewards.map(recordOf));
    return ToldRewards.none.with(new ToldRewards(packing.parts()));
  }

  /** Rewards that there are. */
  get size(): number {
    return this.records.length / record;
  }

  /** What `of` was made of. */
  unpacked(): readonly Elsewhere[] {
    return this.places.map(({ origin, weight }, at) => ({
      origin,
      weight,
      seq: this.seqs[at] ?? 0,
      rewards: this.rewardsAt(at),
    }));
  }

  /** Those of one place. */
  rewardsAt(place: number): readonly ToldReward[] {
    const bytes = this.#bytesAt(place);
    const rewards: ToldReward[] = [];
    for (let at = 0; at < bytes.length; at += record) {
      const side = bytes[at + sideAt] ?? 0;
      rewards.push({
        number: bytes.readUInt32LE(at),
        bucket: side >> 1,
        arm: (side & 1) === 0 ? 'stable' : 'canary',
        reward: bytes.readDoubleLE(at + rewardAt),
      });
    }
    return rewards;
  }

  /** Whether a place has the same rewards as a place of another list. */
  isSameAt(at: number, other: ToldRewards, otherAt: number): boolean {
    if (this === other && at === otherAt) return true;
    const [begin, end] = this.#rangeOf(at);
    return this.records.compare(other.records, ...other.#rangeOf(otherAt), begin, end) === 0;
  }

  /** With what is new. The same object where nothing is. */
  with(news: ToldRewards): ToldRewards {
    const told = news.#byPlace();
    const packing = new Packing();
    let isNews = false;
    let kept = 0;
    for (const [i, place] of this.places.entries()) {
      const of = told.get(place.name);
      if (of === undefined) continue;
      told.delete(place.name);
      const bytes = this.#bytesAt(i);
      const instead = replacedIn(bytes, of.rewards);
      if (instead.length + of.rewards.size === 0) continue;
      isNews = true;
      const joined = Buffer.from(bytes);
      for (const [at, one] of instead) joined.set(one, at);
      this.#keep(packing, kept, i);
      packing.add(place, of.seq, [joined, ...of.rewards.values()]);
      kept = i + 1;
    }
    if (!isNews && told.size === 0) return this;
    this.#keep(packing, kept, this.places.length);
    for (const { place, seq, rewards } of told.values()) packing.add(place, seq, [...rewards.values()]);
    return new ToldRewards(packing.parts());
  }

  /** What is new since `told`. Undefined: something of that is not here any more. */
  since(told: ToldRewards): ToldRewards | undefined {
    const before = new Map(told.places.map(({ name }, i) => [name, i]));
    let kept = 0;
    const packing = new Packing();
    for (const [i, place] of this.places.entries()) {
      const toldAt = before.get(place.name);
      if (toldAt !== undefined && this.isSameAt(i, told, toldAt)) {
        kept += told.#countAt(toldAt);
        continue;
      }
      const last = toldAt === undefined ? nothing : told.#bytesAt(toldAt);
      const { news, stayed } = newsIn(this.#bytesAt(i), last);
      kept += stayed;
      packing.add(place, this.seqs[i] ?? 0, news);
    }
    return kept < told.size ? undefined : new ToldRewards(packing.parts());
  }

  /** At most so many: those of the first places go. */
  last(most: number): ToldRewards {
    const over = this.size - most;
    if (over <= 0) return this;
    const packing = new Packing();
    for (const [at, place] of this.places.entries()) {
      const gone = Math.max(0, over - this.#beginOf(at));
      packing.add(place, this.seqs[at] ?? 0, [this.#bytesAt(at).subarray(gone * record)]);
    }
    return new ToldRewards(packing.parts());
  }

  #beginOf(at: number): number {
    return this.ends[at - 1] ?? 0;
  }
  #countAt(at: number): number {
    return (this.ends[at] ?? 0) - this.#beginOf(at);
  }
  /** In bytes. */
  #rangeOf(at: number): readonly [number, number] {
    return [this.#beginOf(at) * record, (this.ends[at] ?? 0) * record];
  }
  #bytesAt(at: number): Buffer {
    return this.records.subarray(...this.#rangeOf(at));
  }

  /** Places from `from` up to `to` stay as they are. */
  #keep(packing: Packing, from: number, to: number): void {
    const { places, seqs, ends } = this;
    const begin = this.#beginOf(from);
    const records = this.records.subarray(begin * record, this.#beginOf(to) * record);
    const kept = ends.slice(from, to).map((end) => end - begin);
    packing.addAll({ places: places.slice(from, to), seqs: seqs.slice(from, to), ends: kept, records });
  }

  #byPlace(): Map<string, Unpacked> {
    const all = new Map<string, Unpacked>();
    for (const [at, place] of this.places.entries()) {
      const rewards = all.get(place.name)?.rewards ?? new Map<number, Buffer>();
      for (const one of recordsOf(this.#bytesAt(at))) rewards.set(one.readUInt32LE(), one);
      all.set(place.name, { place, seq: this.seqs[at] ?? 0, rewards });
    }
    return all;
  }
}

/** Records of one place, by their numbers. */
type Unpacked = { readonly place: Place; readonly seq: number; readonly rewards: Map<number, Buffer> };

const nothing = Buffer.alloc(0);

/** Records that others take the place of, by where they are. Those of `news` that are there go out of it, also where they say the same. */
const replacedIn = (bytes: Buffer, news: Map<number, Buffer>): readonly (readonly [number, Buffer])[] => {
  const replaced: [number, Buffer][] = [];
  for (let at = 0; at < bytes.length && news.size > 0; at += record) {
    const number = bytes.readUInt32LE(at);
    const one = news.get(number);
    if (one === undefined) continue;
    news.delete(number);
    if (one.compare(bytes, at, at + record) !== 0) replaced.push([at, one]);
  }
  return replaced;
};

/** Records that are not in `last`, or say something else there, and how many answers of `last` are here. */
const newsIn = (
  bytes: Buffer,
  last: Buffer,
): { readonly news: readonly Buffer[]; readonly stayed: number } => {
  // Nearly always some came to what there was.
  if (bytes.subarray(0, last.length).equals(last))
    return { news: [bytes.subarray(last.length)], stayed: last.length / record };
  const before = new Map([...recordsOf(last)].map((one) => [one.readUInt32LE(), one]));
  const all = [...recordsOf(bytes)];
  return {
    news: all.filter((one) => before.get(one.readUInt32LE())?.equals(one) !== true),
    stayed: all.filter((one) => before.has(one.readUInt32LE())).length,
  };
};

/** What a list is made of, place by place. */
class Packing {
  readonly #places: Place[] = [];
  readonly #seqs: number[] = [];
  readonly #ends: number[] = [];
  readonly #bytes: Buffer[] = [];
  #size = 0;

  /** A place without rewards is none. */
  add(place: Place, seq: number, bytes: readonly Buffer[]): void {
    const before = this.#size;
    for (const each of bytes) {
      this.#bytes.push(each);
      this.#size += each.length;
    }
    if (this.#size === before) return;
    this.#places.push(place);
    this.#seqs.push(seq);
    this.#ends.push(this.#size / record);
  }

  addAll({ places, seqs, ends, records }: Parts): void {
    const before = this.#size / record;
    this.#places.push(...places);
    this.#seqs.push(...seqs);
    this.#ends.push(...ends.map((end) => before + end));
    this.#bytes.push(records);
    this.#size += records.length;
  }

  parts(): Parts {
    // Not out of the pool, most of which would stay with it.
    const records = Buffer.alloc(this.#size);
    let at = 0;
    for (const each of this.#bytes) {
      records.set(each, at);
      at += each.length;
    }
    // Copies have no room for more.
    return { places: this.#places.slice(), seqs: this.#seqs.slice(), ends: this.#ends.slice(), records };
  }
}

const recordOf = ({ number, bucket, arm, reward }: ToldReward): Buffer => {
  const bytes = Buffer.alloc(record);
  bytes.writeUInt32LE(number);
  bytes[sideAt] = 2 * bucket + (arm === 'canary' ? 1 : 0);
  bytes.writeDoubleLE(reward, rewardAt);
  return bytes;
};

const recordsOf = function* (bytes: Buffer): Generator<Buffer, undefined> {
  for (let at = 0; at < bytes.length; at += record) yield bytes.subarray(at, at + record);
};
