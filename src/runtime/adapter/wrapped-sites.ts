import type { Site } from '../compiled/compile-target.ts';
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

/** What is of a linear, by the names of the base model again. */
export const unwrapped = <T extends { readonly site: Site }>(
  parts: readonly T[],
  wrapper: string,
): readonly T[] =>
  wrapper === ''
    ? parts
    : parts.map((part) => ({
        ...part,
        site: { ...part.site, module: part.site.module.slice(wrapper.length) },
      }));
