import { type PlaceholderName, placeholderNames } from '../api/metric-source.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import type { Variables } from './source.ts';

/**
 * Names and digests: nothing that means anything in a string of PromQL, in a URL or in a path. So values are put in as
 * they are, also where escaping could not help (raw strings of PromQL).
 */
const safeValue = /^[A-Za-z0-9][A-Za-z0-9._:-]*$/;

const placeholder = /\{\{ *([^{} ]*) *\}\}/g;

const isPlaceholder = (name: string): name is PlaceholderName =>
  placeholderNames.some((known) => known === name);

const valueOf = (name: string, variables: Variables): string => {
  if (!isPlaceholder(name))
    throw new AdaptletError('METRIC_UNREADABLE', `${quoteUntrusted(`{{${name}}}`)} is not a placeholder`, {
      advice: `Use one of ${placeholderNames.map((known) => `{{${known}}}`).join(', ')}.`,
    });
  const value = variables[name];
  if (value === undefined)
    throw new AdaptletError('METRIC_UNREADABLE', `the rollout has nothing for {{${name}}} yet`, {
      advice: 'Nothing to do: it is asked again once the rollout has it.',
    });
  if (!safeValue.test(value))
    throw new AdaptletError('METRIC_UNREADABLE', `${quoteUntrusted(value)} cannot stand for {{${name}}}`, {
      advice: 'Use letters, digits, dots, colons, underscores and hyphens only.',
    });
  return value;
};

/**
 * The text with each placeholder replaced.
 * @throws METRIC_UNREADABLE, where there is no value for one
 */
export const fill = (template: string, variables: Variables): string =>
  template.replaceAll(placeholder, (_, name: string) => valueOf(name, variables));
