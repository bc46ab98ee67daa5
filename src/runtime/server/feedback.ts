import type { Caller } from '../callers/caller.ts';
import type { RecordedFeedback } from '../serving/serving.ts';
import type { Parts } from './exchange.ts';
import { refuse } from './refuse.ts';

/** Rewards are from minus to plus this. */
export const maxReward = 1_000_000;
const maxId = 128;

/** What the OpenAI API puts before the id of an answer. */
const prefix = /^(?:(?:cmpl|chatcmpl|classify)-|resp_)/;

/** The id as answers of gRPC have it. */
export const plainId = (id: string): string => id.replace(prefix, '');

/**
 * Takes feedback in, for answers of the namespaces that the caller may ask.
 * @throws REQUEST_INVALID that names the field; FEEDBACK_UNKNOWN
 */
export const takeFeedback = (
  { serving, telemetry }: Pick<Parts, 'serving' | 'telemetry'>,
  caller: Caller,
  id: string,
  reward: number | undefined,
): RecordedFeedback => {
  if (id === '') refuse('id is empty');
  if (id.length > maxId) refuse(`id is longer than ${maxId} characters`);
  if (reward === undefined) return refuse('reward is missing');
  if (!(Math.abs(reward) <= maxReward))
    refuse(`reward is ${reward}, it must be a number from -${maxReward} to ${maxReward}`);
  const taken = serving.feedback(plainId(id), reward, (namespace) => caller.grantIn(namespace) !== undefined);
  if (taken.isFirst) telemetry.feedback(taken);
  return taken;
};
