/** Objects and lists within each other, of what a request has: it is walked on its way to the prompt. */
export const maxNesting = 64;

/** True when a value nests deeper than {@link maxNesting}. */
export const nestsTooDeep = (value: unknown, depth = 0): boolean => {
  if (typeof value !== 'object' || value === null) return false;
  return depth === maxNesting || Object.values(value).some((one: unknown) => nestsTooDeep(one, depth + 1));
};
