import type { ArmCounts } from '../../rollout/judge/counts.ts';
import type { WeightCounts } from '../../rollout/judge/reports.ts';
import type { AdapterState, ClassifierState, RolloutState } from './fleet.ts';

/**
 * Most bytes of what one runtime says of adapters, rollouts and classifiers. One message relays all of it, with limits of namespaces and what
 * it refuses: 16 MiB.
 */
export const maxStateBytes = 13 << 20;

/** Tag and length of a field. */
const head = 4;
/** At most so many characters of a foreign text. A part of a string would keep all of it in memory. */
export const bounded = (text: string, most: number): string =>
  text.length <= most ? text : Buffer.from(text.slice(0, most)).toString();

/** All sizes are of the wire, and at least what it takes. */
const sizeOfTexts = (...texts: readonly string[]): number => {
  let bytes = 0;
  for (const text of texts) bytes += head + Buffer.byteLength(text);
  return bytes;
};

export const sizeOfAdapter = (key: string, adapter: AdapterState): number => {
  const { uid, digest, state, reason, message, targetModules } = adapter;
  // Three sizes in bytes, a rank, and what is true or false.
  return 48 + sizeOfTexts(key, uid, digest, state, reason, message) + sizeOfTexts(...targetModules);
};

/** Of the classifiers of a route. */
export const sizeOfClassifiers = (key: string, classifiers: readonly ClassifierState[]): number => {
  // The last ones of it are gone.
  if (classifiers.length === 0) return 0;
  let bytes = sizeOfTexts(key);
  for (const { name, digest, state, message } of classifiers)
    bytes += head + sizeOfTexts(name, digest, state, message);
  return bytes;
};

export const sizeOfRollout = (key: string, rollout: RolloutState): number => {
  const { uid, stableDigest, canaryDigest, holds, counts, elsewhere, mirror } = rollout;
  let bytes = 64 + sizeOfTexts(key, uid, stableDigest, canaryDigest) + (mirror === undefined ? 0 : 128);
  for (const { digest, cause, reason } of holds) bytes += 16 + sizeOfTexts(digest, cause, reason);
  for (const each of counts) bytes += sizeOfCounts(each);
  // A number, a side and a reward.
  if (elsewhere !== undefined) bytes += 40 * elsewhere.places.length + 15 * elsewhere.size;
  return bytes;
};

const sizeOfCounts = ({ stable, canary, rewarded }: WeightCounts): number =>
  32 + sizeOfArm(stable) + sizeOfArm(canary) + (rewarded === undefined ? 0 : 16 + rewarded.bits.length);

const sizeOfArm = (arm: ArmCounts): number =>
  64 +
  sizeOfList(arm.requests, 5) +
  sizeOfList(arm.errors, 5) +
  sizeOfList(arm.logLatency, 8) +
  sizeOfList(arm.feedbacks, 5) +
  sizeOfList(arm.rewards, 8) +
  5 * arm.latency.counts.length;

/** Of nothing but zeros it is left out. */
const sizeOfList = (values: readonly number[], each: number): number =>
  values.some((value) => value !== 0) ? head + each * values.length : 0;
