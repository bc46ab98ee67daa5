import type { Plan, Versioned } from './resources.ts';

/** What leads from one plan to another. Keys are resource keys (`type name`), in their order. */
export type PlanDelta = {
  /** Resources that are new or have another version. */
  readonly changed: readonly Versioned[];
  readonly removed: readonly string[];
  readonly same: readonly string[];
};

export const planDelta = (from: Plan, to: Plan): PlanDelta => {
  const changed: Versioned[] = [];
  const same: string[] = [];
  for (const [key, resource] of to) {
    if (from.get(key)?.version === resource.version) same.push(key);
    else changed.push(resource);
  }
  return { changed, removed: [...from.keys()].filter((key) => !to.has(key)), same };
};
