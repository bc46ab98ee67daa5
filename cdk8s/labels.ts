import { version } from './settings.ts';

export type Component = 'operator' | 'runtime';

/** Labels by which Services and controllers find pods: they never change. */
export const selector = (component: Component): Record<string, string> => ({
  'app.kubernetes.io/name': 'adaptlet',
  'app.kubernetes.io/instance': 'adaptlet',
  'app.kubernetes.io/component': component,
});

/** Labels of an object; without a component: of the install as a whole. */
export const labels = (component?: Component): Record<string, string> => ({
  'app.kubernetes.io/name': 'adaptlet',
  'app.kubernetes.io/instance': 'adaptlet',
  'app.kubernetes.io/version': version,
  ...(component === undefined ? {} : { 'app.kubernetes.io/component': component }),
});
