import type { z } from 'zod';

/** Check of a list: no two items have the same value of `key`. The issue is put on the later one. */
export const duplicatesOf =
  <K extends string>(key: K) =>
  (items: readonly Readonly<Record<K, string>>[], ctx: z.RefinementCtx): void => {
    const seen = new Map<string, number>();
    items.forEach((item, index) => {
      const first = seen.get(item[key]);
      if (first === undefined) seen.set(item[key], index);
      else {
        const message = `must be unique in the list, item ${first} has the ${key} ${item[key]} already`;
        ctx.addIssue({ code: 'custom', path: [index, key], message });
      }
    });
  };

/** Check of a list of texts: no two are the same. The issue is put on the later one. */
export const repeatsOf = (items: readonly string[], ctx: z.RefinementCtx): void => {
  items.forEach((item, index) => {
    const first = items.indexOf(item);
    if (first === index) return;
    ctx.addIssue({
      code: 'custom',
      path: [index],
      message: `must be unique in the list, item ${first} is ${item} already`,
    });
  });
};
