import { groupPointOf } from '../../rollout/groups/membership.ts';
import { Bits } from './bits.ts';

/** Reaches of groups whose runtimes are kept. */
const maxReaches = 128;

/** Where runtimes fall among those of one rollout, see {@link groupPointOf}: computed once for each. */
export class Points {
  readonly #rolloutUid: string;
  /** By the number of the runtime. */
  readonly #points: (number | undefined)[] = [];
  readonly #below = new Map<number, Bits>();

  constructor(rolloutUid: string) {
    this.#rolloutUid = rolloutUid;
  }

  /** `key`: undefined: there is no runtime with this number any more. */
  set(number: number, key: string | undefined): void {
    const point = key === undefined ? undefined : groupPointOf(this.#rolloutUid, key);
    this.#points[number] = point;
    for (const [reach, runtimes] of this.#below)
      if (point !== undefined && point < reach) runtimes.add(number);
      else runtimes.delete(number);
  }

  /** Runtimes whose point is below that. The set changes with them. */
  below(reach: number): Bits {
    const known = this.#below.get(reach);
    if (known !== undefined) return known;
    const found = new Bits();
    for (const [number, point] of this.#points.entries())
      if (point !== undefined && point < reach) found.add(number);
    if (this.#below.size >= maxReaches) this.#below.clear();
    this.#below.set(reach, found);
    return found;
  }
}
