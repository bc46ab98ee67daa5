import type { HttpSource } from '../api/metric-source.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { boundedFetch, placeOf } from './bounded-fetch.ts';
import { followPath, parseJsonPath } from './json-path.ts';
import type { Variables } from './source.ts';
import { fill } from './template.ts';

const decimal = /^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?$/i;

/** A number, or a text that is one; true, false and null are none. */
const numberOf = (value: unknown): number | undefined => {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string') return undefined;
  if (value === 'NaN') return Number.NaN;
  return decimal.test(value) ? Number(value) : undefined;
};

const kindOf = (value: unknown): string => {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
};

/**
 * The address with its placeholders replaced.
 * @throws METRIC_UNREADABLE where that is no URL
 */
export const filledUrl = ({ url }: HttpSource, variables: Variables): URL => {
  const text = fill(url, variables);
  if (!URL.canParse(text))
    throw new AdaptletError('METRIC_UNREADABLE', 'the url of the metric is no URL', {
      advice: 'Write a whole URL, such as https://host/path.',
    });
  return new URL(text);
};

/**
 * The number that a URL answers at a path of its JSON. The answer is not quoted: it may be of a server that is not for
 * who reads this.
 * @throws those of {@link boundedFetch}; METRIC_UNAVAILABLE where the status is not 200; METRIC_UNREADABLE where it is
 * not JSON, or has no number there
 */
export const askHttp = async (
  fetcher: typeof fetch,
  source: HttpSource,
  variables: Variables,
  signal: AbortSignal,
  authorization?: string,
): Promise<number> => {
  const steps = parseJsonPath(source.jsonPath, (name) => fill(name, variables));
  const url = filledUrl(source, variables);
  const place = placeOf(url);
  const { status, json } = await boundedFetch(fetcher, { url, authorization, signal });
  if (status !== 200) throw new AdaptletError('METRIC_UNAVAILABLE', `${place} answers ${status}`);
  if (json === undefined)
    throw new AdaptletError('METRIC_UNREADABLE', `${place} answers no JSON with the type application/json`);
  const found = followPath(json, steps);
  if ('missing' in found)
    throw new AdaptletError('METRIC_UNREADABLE', `the JSON of ${place} has nothing at ${found.missing}`);
  const value = numberOf(found.value);
  if (value !== undefined) return value;
  const what = `the JSON of ${place} has a ${kindOf(found.value)} at ${source.jsonPath}, not a number`;
  throw new AdaptletError('METRIC_UNREADABLE', what);
};
