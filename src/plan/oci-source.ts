import { objectKey } from '../api/names.ts';
import { fillUser, isPerUserId, type OciSource } from '../api/source.ts';
import type { Plan } from './resources.ts';

/**
 * Where an adapter of a plan comes from, by the name that the runtime gives it: `namespace/name`, or
 * `namespace/route/rule/user` for the adapter of a user. Undefined: the plan has none of that name from a registry.
 */
export const ociSourceOf = (plan: Plan, name: string): OciSource | undefined => {
  const [namespace = '', object = '', rule, user, ...rest] = name.split('/');
  if (rest.length > 0) return undefined;
  if (rule === undefined) {
    const adapter = plan.get(`AdapterSpec ${name}`);
    return adapter?.type === 'AdapterSpec' ? adapter.body.source.oci : undefined;
  }
  const route = plan.get(`Route ${objectKey(namespace, object)}`);
  if (route?.type !== 'Route' || user === undefined || !isPerUserId(user)) return undefined;
  const template = route.body.rules.find((one) => one.name === rule)?.perUser?.source.oci;
  return template && { ...template, image: fillUser(template.image, user) };
};
