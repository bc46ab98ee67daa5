import {
  KubeClusterRole,
  KubeClusterRoleBinding,
  KubeRole,
  KubeRoleBinding,
  KubeServiceAccount,
  type PolicyRule,
} from 'cdk8s-plus-33/lib/imports/k8s.js';
import { Construct } from 'constructs';
import { labels } from './labels.ts';
import { editRules, operatorClusterRules, operatorNamespaceRules, type Rule, viewRules } from './rbac.ts';
import { type Install, names } from './settings.ts';

const mutable = (rules: readonly Rule[]): PolicyRule[] =>
  rules.map(({ apiGroups, resources, verbs, resourceNames }) => ({
    apiGroups: [...apiGroups],
    resources: [...resources],
    verbs: [...verbs],
    ...(resourceNames === undefined ? {} : { resourceNames: [...resourceNames] }),
  }));

const apiGroup = 'rbac.authorization.k8s.io';

/** The operator's ServiceAccount and what it may do. */
export class OperatorAccess extends Construct {
  constructor(scope: Construct, id: string, { namespace }: Install) {
    super(scope, id);
    const name = names.operator;
    const metadata = { name, labels: labels('operator') };
    const subjects = [{ kind: 'ServiceAccount', name, namespace }];
    new KubeServiceAccount(this, 'account', {
      metadata: { ...metadata, namespace },
      automountServiceAccountToken: false,
    });
    new KubeClusterRole(this, 'cluster-role', { metadata, rules: mutable(operatorClusterRules) });
    new KubeClusterRoleBinding(this, 'cluster-binding', {
      metadata,
      roleRef: { apiGroup, kind: 'ClusterRole', name },
      subjects,
    });
    new KubeRole(this, 'role', {
      metadata: { ...metadata, namespace },
      rules: mutable(operatorNamespaceRules),
    });
    new KubeRoleBinding(this, 'binding', {
      metadata: { ...metadata, namespace },
      roleRef: { apiGroup, kind: 'Role', name },
      subjects,
    });
  }
}

/** The runtime's ServiceAccount. It has no rights: its token says to the operator who the pod is. */
export class RuntimeAccess extends Construct {
  constructor(scope: Construct, id: string, { namespace }: Install) {
    super(scope, id);
    new KubeServiceAccount(this, 'account', {
      metadata: { name: names.runtime, namespace, labels: labels('runtime') },
      automountServiceAccountToken: false,
    });
  }
}

/** Who may view, edit or administer a namespace may do so with our kinds too. */
export class UserAccess extends Construct {
  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.#aggregated('view', ['view', 'edit', 'admin'], viewRules);
    this.#aggregated('edit', ['edit', 'admin'], editRules);
  }

  #aggregated(name: string, to: readonly string[], rules: readonly Rule[]): void {
    const aggregate = to.map((role) => [`${apiGroup}/aggregate-to-${role}`, 'true']);
    new KubeClusterRole(this, name, {
      metadata: { name: `adaptlet-${name}`, labels: { ...labels(), ...Object.fromEntries(aggregate) } },
      rules: mutable(rules),
    });
  }
}
