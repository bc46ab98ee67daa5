import type { Site } from '../compiled/compile-target.ts';
import type { Pair } from './pairs.ts';
import type { TensorEntry } from './safetensors.ts';

const prefix = 'base_model.model.';

/** The wrapper that all tensors name, of those that the base model may have; '' when they name none. */
export const wrapperOf = (entries: readonly TensorEntry[], wrappers: readonly string[]): string =>
  wrappers.find(
    (wrapper) => entries.length > 0 && entries.every(({ name }) => name.startsWith(prefix + wrapper)),
  ) ?? '';

/**
 * The linears of the base model by the names that the trained class had for them. PEFT matches its patterns with those: an
 * adapter of BertForSequenceClassification says `bert.encoder.layer.0…`, one of BertModel `encoder.layer.0…`.
 */
export const wrapped = (sites: readonly Site[], wrapper: string): readonly Site[] =>
  wrapper === '' ? sites : sites.map((site) => ({ ...site, module: wrapper + site.module }));

/** Pairs by the names of the base model again. */
export const unwrapped = (pairs: readonly Pair[], wrapper: string): readonly Pair[] =>
  wrapper === ''
    ? pairs
    : pairs.map((pair) => ({
        ...pair,
        site: { ...pair.site, module: pair.site.module.slice(wrapper.length) },
      }));
