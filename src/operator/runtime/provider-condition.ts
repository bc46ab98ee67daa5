import { joinCapped, type Observed } from '../../api/condition.ts';
import type { ModelProgress, RuntimeState } from '../fleet/fleet.ts';
import type { ConditionReason, ConditionType } from './reasons.ts';

type ModelCondition = Observed<ConditionType, ConditionReason>;

const maxNamed = 5;
const cpu = 'CPUExecutionProvider';

/** `33 operators on OpenVINOExecutionProvider, 31 on CPUExecutionProvider`, most first. */
const shareOf = (operators: Readonly<Record<string, number>>): string =>
  Object.entries(operators)
    .sort(([, a], [, b]) => b - a)
    .map(([provider, count], index) => `${count}${index === 0 ? ' operators' : ''} on ${provider}`)
    .join(', ');

/** What is said of how a connected runtime computes: nothing before its base model is loaded. */
export const providerConditions = ({ info, model }: RuntimeState): ModelCondition[] => {
  if (model === undefined || model.state !== 'Ready' || info.executionProvider === '') return [];
  return [providerCondition(info, model), ...limitConditions(model)];
};

const limitConditions = ({ limits }: ModelProgress): ModelCondition[] =>
  limits.length === 0
    ? []
    : [
        {
          type: 'ModelLimited',
          status: 'True',
          reason: 'NotShown',
          message: joinCapped(limits, maxNamed, '; '),
        },
      ];

const providerCondition = (
  info: RuntimeState['info'],
  { refusedProviders, operators }: ModelProgress,
): ModelCondition => {
  const refused = joinCapped(
    refusedProviders.map(({ provider, reason }) => `${provider} (${reason})`),
    maxNamed,
  );
  const type = 'ProviderReady';
  if (info.executionProvider === cpu && refusedProviders.length > 0) {
    const message = `the CPU runs the base model, because these do not work there: ${refused}`;
    return { type, status: 'False', reason: 'Fallback', message };
  }
  const share = shareOf(operators);
  const message = [
    `${info.executionProvider} runs the base model`,
    ...(share === '' ? [] : [share]),
    ...(refused === '' ? [] : [`passed over: ${refused}`]),
  ].join('; ');
  return { type, status: 'True', reason: 'ProviderInUse', message };
};
