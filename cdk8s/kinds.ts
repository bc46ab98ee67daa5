import { ApiObject, type ApiObjectMetadata } from 'cdk8s';
import type { Construct } from 'constructs';
import type { z } from 'zod';
import { type Kind, kinds } from '../src/api/kinds.ts';
import { apiVersion } from '../src/api/names.ts';
import { policyName } from '../src/api/policy.ts';
import { fieldProblems } from '../src/api/problems.ts';

type SpecOf<K extends Kind> = z.input<(typeof kinds)[K]>['spec'];

/** `spec` is checked by its type, and again when the object is made: by everything that `adaptlet lint` knows. */
type Props<K extends Kind> = { readonly metadata?: ApiObjectMetadata; readonly spec: SpecOf<K> };

export type AdapterProps = Props<'Adapter'>;
export type AdapterRolloutProps = Props<'AdapterRollout'>;
export type AdapterRouteProps = Props<'AdapterRoute'>;
export type AdapterPolicyProps = Props<'AdapterPolicy'>;

/** A value as JSON has it: fields that are undefined are not there. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** @throws what is wrong with the spec, one line for each field */
const check = (kind: Kind, object: ApiObject, spec: unknown): void => {
  const { name, namespace } = object.metadata;
  const metadata = { name: name ?? object.name, ...(namespace === undefined ? {} : { namespace }) };
  const manifest = { apiVersion, kind, metadata, spec };
  const parsed = kinds[kind].safeParse(manifest);
  if (parsed.success) return;
  const lines = fieldProblems(kind, manifest, parsed.error.issues).map(({ reason }) => `  ${reason}`);
  throw new Error(`${kind} ${metadata.name} (${object.node.path}) is not valid:\n${lines.join('\n')}`);
};

class Checked<K extends Kind> extends ApiObject {
  constructor(scope: Construct, id: string, kind: K, { metadata, spec }: Props<K>) {
    const given = plain(spec);
    super(scope, id, { apiVersion, kind, ...(metadata === undefined ? {} : { metadata }), spec: given });
    check(kind, this, given);
  }
}

/** One immutable adapter artifact for one base model. */
export class Adapter extends Checked<'Adapter'> {
  constructor(scope: Construct, id: string, props: AdapterProps) {
    super(scope, id, 'Adapter', props);
  }
}

/** The stable name that clients call; a change of `spec.adapter` is a rollout. */
export class AdapterRollout extends Checked<'AdapterRollout'> {
  constructor(scope: Construct, id: string, props: AdapterRolloutProps) {
    super(scope, id, 'AdapterRollout', props);
  }
}

/** Rules that send the requests of a model name to rollouts, adapters or the base model. */
export class AdapterRoute extends Checked<'AdapterRoute'> {
  constructor(scope: Construct, id: string, props: AdapterRouteProps) {
    super(scope, id, 'AdapterRoute', props);
  }
}

/** What a namespace may use and who may ask for its names: one in a namespace, named `default`. */
export class AdapterPolicy extends Checked<'AdapterPolicy'> {
  constructor(scope: Construct, id: string, props: AdapterPolicyProps) {
    super(scope, id, 'AdapterPolicy', { ...props, metadata: { name: policyName, ...props.metadata } });
  }
}
