import type { ObjectKey } from '../../api/names.ts';
import type { AdapterObject, AnalysisObject, RolloutObject } from '../../api/objects.ts';
import { keyOf } from '../../api/references.ts';
import { type FolderState, objectsOf } from './folder-state.ts';

/** The objects of a folder by key, and the file that each is in. */
export type FolderIndex = {
  readonly adapters: ReadonlyMap<ObjectKey, AdapterObject>;
  /** As they are in the files, without status. */
  readonly rollouts: ReadonlyMap<ObjectKey, RolloutObject>;
  readonly analyses: ReadonlyMap<ObjectKey, AnalysisObject>;
  readonly fileOf: (kind: string, key: ObjectKey) => string;
};

export const indexOf = (state: FolderState): FolderIndex => {
  const adapters = new Map<ObjectKey, AdapterObject>();
  const rollouts = new Map<ObjectKey, RolloutObject>();
  const analyses = new Map<ObjectKey, AnalysisObject>();
  const files = new Map<string, string>();
  for (const m of objectsOf(state)) {
    if (m.kind === 'Adapter') adapters.set(keyOf(m), m);
    if (m.kind === 'AdapterRollout') rollouts.set(keyOf(m), m);
    if (m.kind === 'AdapterAnalysis') analyses.set(keyOf(m), m);
  }
  for (const [file, objects] of Object.entries(state)) {
    for (const m of objects) files.set(`${m.kind} ${keyOf(m)}`, file);
  }
  return { adapters, rollouts, analyses, fileOf: (kind, key) => files.get(`${kind} ${key}`) ?? '' };
};
