import { joinCapped, type Observed } from '../../api/condition.ts';
import type { RuntimeState } from '../fleet/fleet.ts';
import type { ConditionReason, ConditionType } from './reasons.ts';

type ProviderCondition = Observed<ConditionType, ConditionReason>;

const maxNamed = 5;
const cpu = 'CPUExecutionProvider';

/** `33 operators on OpenVINOExecutionProvider, 31 on CPUExecutionProvider`, most first. */
const shareOf = (operators: Readonly<Record<string, number>>): string =>
  Object.entries(operators)
    .sort(([, a], [, b]) => b - a)
    .map(([provider, count], index) => `${count}${index === 0 ? ' operators' : ''} on ${provider}`)
    .join(', ');

/** What is said of the execution provider of a connected runtime: nothing before its base model is loaded. */
export const providerConditions = ({ info, model }: RuntimeState): ProviderCondition[] => {
  if (model === undefined || model.state !== 'Ready' || info.executionProvider === '') return [];
  const { refusedProviders, operators } = model;
  const refused = joinCapped(
    refusedProviders.map(({ provider, reason }) => `${provider} (${reason})`),
    maxNamed,
  );
  const type = 'ProviderReady';
  if (info.executionProvider === cpu && refusedProviders.length > 0) {
    const message = `the CPU runs the base model, because these do not work there: ${refused}`;
    return [{ type, status: 'False', reason: 'Fallback', message }];
  }
  const share = shareOf(operators);
  const message = [
    `${info.executionProvider} runs the base model`,
    ...(share === '' ? [] : [share]),
    ...(refused === '' ? [] : [`passed over: ${refused}`]),
  ].join('; ');
  return [{ type, status: 'True', reason: 'ProviderInUse', message }];
};
