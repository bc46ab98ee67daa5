/** A value of a chart, as in `runtime.model.name`. */
export type Path = readonly string[];

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The values that `defaults` has, as paths: a map without keys, a list or a plain value ends one. */
export const leavesOf = (value: unknown, path: Path = []): Path[] => {
  if (!isMap(value) || Object.keys(value).length === 0) return [path];
  return Object.entries(value).flatMap(([key, child]) => leavesOf(child, [...path, key]));
};

export const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>((at, key) => (isMap(at) ? at[key] : undefined), value);

/** A map that has nothing but one value. */
export const only = (path: Path, value: unknown): unknown =>
  path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);

/** The same map without one value. */
export const without = (value: unknown, [key, ...rest]: Path): unknown => {
  if (key === undefined || !isMap(value)) return undefined;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, child]) => {
      if (name !== key) return [[name, child]];
      return rest.length === 0 ? [] : [[name, without(child, rest)]];
    }),
  );
};
