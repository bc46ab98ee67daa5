import { type Condition, conditionOf } from './condition.ts';

/**
 * What kubectl wait, Flux, Helm and Argo CD make of an object of a kind that they do not know: the generic rules of
 * kstatus (https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/status/generic.go).
 */
export const kstatusOf = (
  generation: number,
  status: { readonly observedGeneration?: number | undefined; readonly conditions: readonly Condition[] },
): 'Current' | 'InProgress' | 'Failed' => {
  const { observedGeneration = generation, conditions } = status;
  const is = (type: string) => conditionOf(conditions, type)?.status;
  if (observedGeneration !== generation) return 'InProgress';
  if (is('Reconciling') === 'True') return 'InProgress';
  if (is('Stalled') === 'True') return 'Failed';
  return is('Ready') === 'True' ? 'Current' : 'InProgress';
};
