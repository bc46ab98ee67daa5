import { z } from 'zod';
import { cel, formed, matching } from './text.ts';

const keyForm = matching(
  /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/,
  'must be a label key: an optional DNS prefix and "/", then at most 63 letters, digits, "-", "_" or "."',
);
const labelKey = formed(317, keyForm);

const labelValue = formed(
  63,
  matching(
    /^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$/,
    'must be a label value: at most 63 letters, digits, "-", "_" or ".", starting and ending with a letter or digit',
  ),
);

const atMost = (max: number) => ({
  check: (value: Readonly<Record<string, string>>) => Object.keys(value).length <= max,
  message: { error: `must have at most ${max} entries` },
});

const labelLimit = atMost(64);
/** Labels of an object. */
export const labelsSchema = z.record(labelKey, labelValue).refine(labelLimit.check, labelLimit.message);

const selectorLimit = atMost(16);
export const selectorSchema = z
  .strictObject({
    matchLabels: z
      .record(labelKey, labelValue)
      .refine(selectorLimit.check, selectorLimit.message)
      .default({})
      .meta({
        description:
          'Labels that a runtime must have, all of them. Empty: every runtime. Example: {accelerator: npu}',
        maxProperties: 16,
        ...cel({
          rule: `self.all(key, key.size() <= 317 && ${keyForm.rule.replace('self', 'key')})`,
          message: `each key ${keyForm.advice}`,
        }),
      }),
  })
  .meta({ description: 'Selects runtimes by their labels.' });
export type Selector = z.infer<typeof selectorSchema>;

/** True when every label of the selector is there with that value. No selector selects everything. */
export const selects = (selector: Selector | undefined, labels: Readonly<Record<string, string>>): boolean =>
  Object.entries(selector?.matchLabels ?? {}).every(
    ([key, value]) => Object.hasOwn(labels, key) && labels[key] === value,
  );

/** Whether there may be labels that it leaves out. */
export const isSelective = (selector: Selector | undefined): boolean =>
  Object.keys(selector?.matchLabels ?? {}).length > 0;
