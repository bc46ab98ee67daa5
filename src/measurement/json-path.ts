/** A name of an object's member, or an index of an array. */
type Step = string | number;

const step = /\.((?:[A-Za-z0-9_-]|\{\{[^{}]*\}\})+)|\[([0-9]+)\]|\['([^']+)'\]|\["([^"]+)"\]/y;

/**
 * The steps of a path that the schema accepted: `$.a.b[0]['c.d']`, or `{.a.b}`. `fill` replaces the placeholders of a
 * name, after the path was cut: a name with a dot stays one name.
 */
export const parseJsonPath = (path: string, fill: (name: string) => string): readonly Step[] => {
  const inner = path.startsWith('$') ? path.slice(1) : path.slice(1, -1);
  const steps: Step[] = [];
  step.lastIndex = 0;
  while (step.lastIndex < inner.length) {
    const found = step.exec(inner);
    if (found === null) throw new RangeError(`not a jsonPath of the schema: ${path}`);
    const [, name, index, single, double] = found;
    steps.push(index === undefined ? fill(name ?? single ?? double ?? '') : Number(index));
  }
  return steps;
};

/** Path of the steps for a message. */
const shown = (steps: readonly Step[]): string =>
  `$${steps.map((one) => (typeof one === 'number' ? `[${one}]` : `['${one}']`)).join('')}`;

const child = (value: unknown, key: Step): unknown => {
  if (typeof key === 'number') return Array.isArray(value) ? value[key] : undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  // Not what every object inherits, such as `constructor`.
  return Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined;
};

/** The value at a path, or the path of the first step that leads nowhere. */
export const followPath = (
  document: unknown,
  steps: readonly Step[],
): { readonly value: unknown } | { readonly missing: string } => {
  let value = document;
  for (const [index, one] of steps.entries()) {
    value = child(value, one);
    if (value === undefined) return { missing: shown(steps.slice(0, index + 1)) };
  }
  return { value };
};
