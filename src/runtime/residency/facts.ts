import type { ObjectKey } from '../../api/names.ts';
import type { AdapterView } from './adapter-view.ts';
import type { Core } from './core.ts';
import type { Entry } from './entry.ts';
import { isOnDisk } from './lifecycle.ts';

/** Whether adapters fit into RAM together. All sizes in bytes. */
export type Fit = {
  readonly fits: boolean;
  /** Of the adapters asked for, as far as their sizes are known. */
  readonly needBytes: number;
  /** Of other adapters that are pinned or held and in RAM. */
  readonly fixedBytes: number;
  readonly budgetBytes: number;
  /** Those whose size is not known before they are compiled here. */
  readonly unknown: readonly ObjectKey[];
  /** For people, with the numbers. */
  readonly message: string;
};

const bytesOf = (entry: Entry | undefined): number => entry?.bytes ?? 0;

export const fitOf = (core: Core, keys: readonly ObjectKey[]): Fit => {
  const { budgetBytes, oneAdapter = false } = core.options;
  const asked = new Set(keys);
  const sizes = [...asked].map((key) => bytesOf(core.entries.get(key)));
  // With a budget for one adapter they take turns.
  const needBytes = oneAdapter ? Math.max(0, ...sizes) : sizes.reduce((sum, bytes) => sum + bytes, 0);
  let fixedBytes = 0;
  for (const entry of core.all()) {
    if (!asked.has(entry.key) && entry.protected && !oneAdapter) fixedBytes += entry.charge;
  }
  const unknown = [...asked].filter((key) => core.entries.get(key)?.bytes === undefined);
  const parts = [...asked].map((key) => `${key} ${core.entries.get(key)?.bytes ?? 'unknown'}`).join(' + ');
  const message = `${parts} need ${needBytes} bytes of RAM beside ${fixedBytes} bytes that are pinned or held; the budget is ${budgetBytes} bytes`;
  return {
    fits: needBytes + fixedBytes <= budgetBytes,
    needBytes,
    fixedBytes,
    budgetBytes,
    unknown,
    message,
  };
};

/** Validated, and in RAM; with one adapter at a time also while it is out for others, since who asks for it brings it back. */
export const servesNow = (core: Core, { state, wasResident }: Entry): boolean =>
  state.kind === 'Resident' || (core.options.oneAdapter === true && wasResident && isOnDisk(state));

const waitersOf = ({ waiters }: Entry): Pick<AdapterView, 'waiting'> => {
  const waiting = [...waiters].filter(({ kind }) => kind === 'request').length;
  return waiting === 0 ? {} : { waiting };
};

/** One adapter as status shows it. */
export const viewOf = (core: Core, entry: Entry): AdapterView => ({
  key: entry.key,
  digest: entry.digest ?? '',
  state: entry.state.kind,
  serves: servesNow(core, entry),
  reason: entry.state.kind === 'Failed' ? entry.state.failure.code : '',
  message: entry.state.kind === 'Failed' ? entry.state.failure.message : entry.note,
  pinned: entry.pinned,
  priority: entry.priority,
  references: entry.references,
  storedBytes: entry.storedBytes,
  residentBytes: entry.charge,
  neededBytes: bytesOf(entry),
  rank: entry.compiled?.rank ?? 0,
  targetModules: entry.compiled?.targetModules ?? [],
  ...waitersOf(entry),
  ...(entry.compiled?.labels === undefined ? {} : { labels: entry.compiled.labels }),
});

/** All adapters by name; a removed one is listed until it has left the engine, unless another took its name. */
export const viewsOf = (core: Core): AdapterView[] =>
  [...core.all()]
    .filter((entry) => !core.retiring.has(entry) || !core.entries.has(entry.key))
    .map((entry) => viewOf(core, entry))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
