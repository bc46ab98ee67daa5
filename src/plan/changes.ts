import type { Plan, Versioned } from './resources.ts';

/** A resource that a plan has otherwise than the one before it; at least one of the two is there. */
export type Change<R extends Versioned = Versioned> = {
  readonly before: R | undefined;
  readonly now: R | undefined;
};

/** What `after` has otherwise than `before`, by version: first what it has, in its order, then what it has no more. */
export const changesBetween = (before: Plan, after: Plan): Change[] => {
  const changes: Change[] = [];
  let known = 0;
  for (const [key, now] of after) {
    const old = before.get(key);
    if (old !== undefined) known += 1;
    if (old !== now && old?.version !== now.version) changes.push({ before: old, now });
  }
  if (known < before.size)
    for (const [key, old] of before) if (!after.has(key)) changes.push({ before: old, now: undefined });
  return changes;
};
