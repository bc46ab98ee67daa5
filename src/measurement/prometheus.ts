import { z } from 'zod';
import type { PrometheusSource } from '../api/metric-source.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import { type Answer, boundedFetch, placeOf } from './bounded-fetch.ts';
import { measurementTimeoutMs, type Variables } from './source.ts';
import { fill } from './template.ts';

/** Unix time in seconds, and the value: a number, NaN, +Inf or -Inf (prometheus.io/docs/prometheus/latest/querying/api). */
const pointSchema = z.tuple([z.number(), z.string()]);

const successSchema = z.object({
  status: z.literal('success'),
  data: z.object({ resultType: z.string(), result: z.unknown() }),
});

const errorSchema = z.object({ status: z.literal('error'), errorType: z.string(), error: z.string() });

const seriesSchema = z.array(z.object({ value: pointSchema.optional() }));

const unreadable = (what: string): AdaptletError => new AdaptletError('METRIC_UNREADABLE', what);

const special: ReadonlyMap<string, number> = new Map([
  ['NaN', Number.NaN],
  ['+Inf', Infinity],
  ['-Inf', -Infinity],
]);
const decimal = /^[+-]?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?$/;

const numberOf = ([, text]: z.infer<typeof pointSchema>): number => {
  const value = special.get(text) ?? (decimal.test(text) ? Number(text) : undefined);
  if (value === undefined)
    throw unreadable(`the value of the query is ${quoteUntrusted(text)}, not a number`);
  return value;
};

const scalarOf = (result: unknown): number => {
  const point = pointSchema.safeParse(result);
  if (!point.success) throw unreadable('the scalar of the answer is not one of Prometheus');
  return numberOf(point.data);
};

const sampleOf = (result: unknown): number => {
  const series = seriesSchema.safeParse(result);
  if (!series.success) throw unreadable('the vector of the answer is not one of Prometheus');
  const [first] = series.data;
  if (first === undefined) throw unreadable('the query has no result');
  if (series.data.length > 1)
    throw unreadable(`the query has ${series.data.length} results: aggregate them with sum, avg or max`);
  if (first.value === undefined) throw unreadable('the query has a histogram as its result, not a number');
  return numberOf(first.value);
};

const numberIn = ({ data }: z.infer<typeof successSchema>): number => {
  switch (data.resultType) {
    case 'scalar':
      return scalarOf(data.result);
    case 'vector':
      return sampleOf(data.result);
    default:
      throw unreadable(
        `the query gives a ${quoteUntrusted(data.resultType)}, but a scalar or a vector of one sample is needed`,
      );
  }
};

/** Only what is an answer of Prometheus is quoted: the address may lead to something else, which is nobody's business. */
const failureOf = ({ status, json }: Answer, place: string): AdaptletError => {
  const failure = errorSchema.safeParse(json);
  if (!failure.success)
    return new AdaptletError('METRIC_UNAVAILABLE', `${place} answers ${status}, and not as Prometheus does`);
  const { errorType, error } = failure.data;
  const said = `Prometheus answers ${status}, ${quoteUntrusted(errorType, 40)}: ${quoteUntrusted(error, 400)}`;
  const isQuery = errorType === 'bad_data' || errorType === 'execution';
  return new AdaptletError(isQuery ? 'METRIC_UNREADABLE' : 'METRIC_UNAVAILABLE', said);
};

/** The API below an address, which may have a path of its own. */
export const queryUrl = ({ address }: PrometheusSource): URL =>
  new URL(`${address.replace(/\/$/, '')}/api/v1/query`);

/**
 * The value of a query now: of a scalar, or of a vector with exactly one sample. NaN stays NaN.
 * @throws those of {@link boundedFetch}; METRIC_UNREADABLE where the query is wrong or has not exactly one result
 */
export const askPrometheus = async (
  fetcher: typeof fetch,
  source: PrometheusSource,
  variables: Variables,
  signal: AbortSignal,
  authorization?: string,
): Promise<number> => {
  const url = queryUrl(source);
  // Prometheus gives up as well, and does not go on for an answer that nobody waits for.
  const form = { query: fill(source.query, variables), timeout: `${measurementTimeoutMs}ms` };
  const answer = await boundedFetch(fetcher, { url, authorization, form, signal });
  const success = successSchema.safeParse(answer.json);
  if (answer.status !== 200 || !success.success) throw failureOf(answer, placeOf(url));
  return numberIn(success.data);
};
