/**
 * XOR of two blocks of numbers of `width` bytes, its bytes sorted into planes: signs and exponents, which change seldom, come
 * together and compress well; low bytes of mantissas do not. `target` gets as many bytes as `a` has, a multiple of the width.
 */
export const splitXor = (a: Uint8Array, b: Uint8Array, width: number, target: Uint8Array): void => {
  let at = 0;
  for (let plane = 0; plane < width; plane++)
    for (let i = plane; i < a.length; i += width) target[at++] = (a[i] ?? 0) ^ (b[i] ?? 0);
};

/** Takes {@link splitXor} back: changes `base` to the block that was split. */
export const joinXor = (planes: Uint8Array, base: Uint8Array, width: number): void => {
  let at = 0;
  for (let plane = 0; plane < width; plane++)
    for (let i = plane; i < base.length; i += width) base[i] = (base[i] ?? 0) ^ (planes[at++] ?? 0);
};
