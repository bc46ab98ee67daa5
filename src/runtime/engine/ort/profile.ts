import { readFile, rm } from 'node:fs/promises';
import type { OnnxSession } from './session.ts';

/** Operators that ran, by provider. One that a provider made of many counts as one. */
export type Operators = Readonly<Record<string, number>>;

type ProfileEvent = {
  readonly cat?: string;
  readonly name?: string;
  readonly args?: { readonly provider?: string };
};

/** Counts the operators of a profile, however often each ran. */
export const operatorsOf = (profile: string): Operators => {
  const providers = new Map<string, string>();
  for (const { cat, name, args } of JSON.parse(profile) as readonly ProfileEvent[]) {
    const { provider = '' } = args ?? {};
    if (cat === 'Node' && name !== undefined && provider !== '') providers.set(name, provider);
  }
  const counts: Record<string, number> = {};
  for (const provider of providers.values()) counts[provider] = (counts[provider] ?? 0) + 1;
  return counts;
};

/** The operators that ran since a session with a `profile` was opened; ends the profile and removes its file. */
export const takeOperators = async (session: OnnxSession): Promise<Operators> => {
  const file = session.endProfile();
  try {
    return operatorsOf(await readFile(file, 'utf8'));
  } finally {
    await rm(file, { force: true });
  }
};
