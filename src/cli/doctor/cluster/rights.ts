import {
  operatorClusterRules,
  operatorInjectionRules,
  operatorNamespaceRules,
  rightsOf,
  viewRules,
} from '../../../operator/rbac.ts';
import type { Right } from './facts.ts';

/** What the operator does, as the roles of the chart allow it. */
export const operatorRights = (namespace: string, injects: boolean): Right[] => [
  ...rightsOf(operatorClusterRules),
  ...(injects ? rightsOf(operatorInjectionRules) : []),
  ...rightsOf(operatorNamespaceRules).map((right) => ({ ...right, namespace })),
];

/** What `kubectl adaptlet` does, in every namespace. */
export const yourRights = (): Right[] => [
  ...rightsOf(viewRules),
  { verb: 'patch', group: 'adaptlet.io', resource: 'adapterrollouts' },
];

/** `update leases.coordination.k8s.io/adaptlet-operator`. */
export const rightText = ({ verb, group: apiGroup, resource, name }: Right): string =>
  `${verb} ${resource}${apiGroup === '' ? '' : `.${apiGroup}`}${name === undefined ? '' : `/${name}`}`;
