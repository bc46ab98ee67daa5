import { objectKey } from '../api/names.ts';
import { fillUser, isPerUserId, type OciSource } from '../api/source.ts';
import type { Plan } from './resources.ts';

/**
 * Where an artifact of a plan comes from, by the name that the runtime gives it: `namespace/name` of an Adapter,
 * `namespace/route/classifier`, or `namespace/route/rule/user` for the adapter of a user. Undefined: the plan has none of
 * that name from a registry.
 */
export const ociSourceOf = (plan: Plan, name: string): OciSource | undefined => {
  const [namespace = '', object = '', part, user, ...rest] = name.split('/');
  if (rest.length > 0) return undefined;
  if (part === undefined) {
    const adapter = plan.get(`AdapterSpec ${name}`);
    return adapter?.type === 'AdapterSpec' ? adapter.body.source.oci : undefined;
  }
  const route = plan.get(`Route ${objectKey(namespace, object)}`);
  if (route?.type !== 'Route') return undefined;
  const { classifiers = [], rules } = route.body;
  if (user === undefined) {
    const { examples, onnx } = classifiers.find((one) => one.name === part) ?? {};
    return (examples ?? onnx)?.source.oci;
  }
  if (!isPerUserId(user)) return undefined;
  const template = rules.find((one) => one.name === part)?.perUser?.source.oci;
  return template && { ...template, image: fillUser(template.image, user) };
};
