/**
 * The rules of llm-d-router's endpoint picker, restated from its documents and source (docs/plugin-metric-protocol.md, extractor.go, loraspec.go,
 * lora_affinity.go): what it reads of a model server at each scrape, and how it scores LoRA affinity. It stands for the contract that Adaptlet
 * keeps. It is not the picker: flow control, Envoy's protocol, other scorers and its Go code were not asked.
 */

type Series = { readonly labels: ReadonlyMap<string, string>; readonly value: number };

/** The samples of one metric in Prometheus' text format. */
export const seriesOf = (text: string, name: string): Series[] =>
  text.split('\n').flatMap((line): Series[] => {
    const [, metric, labels = '', value] = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (metric !== name) return [];
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(
      ([, key = '', quoted = '']): [string, string] => [
        key,
        quoted.replaceAll(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char)),
      ],
    );
    return [{ labels: new Map(pairs), value: Number(value) }];
  });

/** What a picker knows of an endpoint. */
export type Endpoint = {
  readonly queue: number;
  readonly running: number;
  readonly kvUsage: number;
  readonly blockSize: number;
  readonly blocks: number;
  readonly active: ReadonlySet<string>;
  readonly waiting: ReadonlySet<string>;
  readonly max: number;
};

/** strconv.Atoi. */
const wholeNumber = (text: string | undefined): number | undefined =>
  text !== undefined && /^[+-]?\d+$/.test(text) ? Number(text) : undefined;

const listOf = (text = ''): ReadonlySet<string> =>
  new Set(
    text
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== ''),
  );

/**
 * One scrape. `errors`: with any of them the picker keeps what it knew, which goes stale. Metrics of LoRA may be absent: then no adapter is
 * known there.
 */
export const scrape = (
  text: string,
): { readonly endpoint?: Endpoint; readonly errors: readonly string[] } => {
  const errors: string[] = [];
  const one = (name: string): Series | undefined => {
    const [series] = seriesOf(text, name).filter(({ value }) => Number.isFinite(value));
    if (series === undefined) errors.push(`${name} is absent`);
    return series;
  };
  const queue = one('vllm:num_requests_waiting');
  const running = one('vllm:num_requests_running');
  const kvUsage = one('vllm:kv_cache_usage_perc');
  const cache = one('vllm:cache_config_info');
  const [blockSize, blocks] = ['block_size', 'num_gpu_blocks'].map((label) => {
    const number = wholeNumber(cache?.labels.get(label));
    if (cache !== undefined && number === undefined) errors.push(`${label} is no whole number`);
    return number ?? 0;
  }) as [number, number];
  // Each combination of labels is a series of its own: the one with the largest value is the newest.
  const lora = seriesOf(text, 'vllm:lora_requests_info').toSorted((a, b) => b.value - a.value)[0];
  const max = wholeNumber(lora?.labels.get('max_lora'));
  if (lora !== undefined && max === undefined) errors.push('max_lora is no whole number');
  if (errors.length > 0) return { errors };
  return {
    errors,
    endpoint: {
      queue: queue?.value ?? 0,
      running: running?.value ?? 0,
      kvUsage: kvUsage?.value ?? 0,
      blockSize,
      blocks,
      active: listOf(lora?.labels.get('running_lora_adapters')),
      waiting: listOf(lora?.labels.get('waiting_lora_adapters')),
      max: max ?? 0,
    },
  };
};

/** The score of LoRA affinity, from 0 to 1, for what the request's `model` is after rewrites. */
export const loraScore = ({ active, waiting, max }: Endpoint, model: string): number => {
  if (active.has(model)) return 1;
  if (active.size + waiting.size < max) return 0.8;
  return waiting.has(model) ? 0.6 : 0;
};

/** Endpoints with the best score. Every endpoint is a candidate, also one with the score 0. */
export const pick = (endpoints: ReadonlyMap<string, Endpoint>, model: string): readonly string[] => {
  const scores = [...endpoints].map(([name, endpoint]) => ({ name, score: loraScore(endpoint, model) }));
  const best = Math.max(...scores.map(({ score }) => score));
  return scores.flatMap(({ name, score }) => (score === best ? [name] : []));
};
