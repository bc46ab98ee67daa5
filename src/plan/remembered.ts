/**
 * What was made of objects that never change, for as long as they live. `variant` names everything else that a result
 * depends on: the same object and variant give the very same result, made once.
 */
export class Remembered<O extends WeakKey, T> {
  readonly #made = new WeakMap<O, Map<string, T>>();

  of(object: O, variant: string, make: () => T): T {
    let variants = this.#made.get(object);
    if (variants === undefined) {
      variants = new Map();
      this.#made.set(object, variants);
    }
    let made = variants.get(variant);
    if (made === undefined) {
      made = make();
      variants.set(variant, made);
    }
    return made;
  }
}
