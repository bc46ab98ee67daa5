import { isDeepStrictEqual } from 'node:util';
import { type AdapterSpec, immutableAdapterFields, immutableMessage } from './adapter.ts';

/** Why an Adapter cannot change from one spec to the other; empty when it can. Presence counts as well as value. */
export const immutabilityProblems = (oldSpec: AdapterSpec, newSpec: AdapterSpec): string[] =>
  immutableAdapterFields
    .filter((field) => !isDeepStrictEqual(oldSpec[field], newSpec[field]))
    .map((field) => immutableMessage(field));
