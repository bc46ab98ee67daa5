import { stringify } from 'yaml';
import { crds } from '../scripts/generate/crds.ts';
import * as rbac from '../src/operator/rbac.ts';

const header = '# Generated from src/operator/rbac.ts by `npm run gen`. Do not edit.\n';
const rules = (list: readonly rbac.Rule[]): string =>
  header + stringify(list, { aliasDuplicateObjects: false, lineWidth: 120 });

/**
 * The generated files of charts/adaptlet, as repository-relative path and content: a chart can only read files of its own
 * folder, so it brings copies of the CRDs and of the rules.
 */
export const chartFiles = async (): Promise<Map<string, string>> => {
  const copies = [...(await crds())].map(([path, content]): [string, string] => [
    `charts/adaptlet/files/${path}`,
    content,
  ]);
  const files: Readonly<Record<string, readonly rbac.Rule[]>> = {
    'operator-cluster': rbac.operatorClusterRules,
    'operator-namespace': rbac.operatorNamespaceRules,
    'operator-injection': rbac.operatorInjectionRules,
    'operator-devices': rbac.operatorDeviceRules,
    'operator-credentials': rbac.operatorCredentialRules,
    'operator-gateway': rbac.operatorGatewayRules,
    'release-cluster': rbac.releaseClusterRules,
    'release-namespace': rbac.releaseNamespaceRules,
    dashboard: rbac.dashboardRules,
    view: rbac.viewRules,
    edit: rbac.editRules,
  };
  const rights = Object.entries(files).map(([name, list]): [string, string] => [
    `charts/adaptlet/files/rbac/${name}.yaml`,
    rules(list),
  ]);
  return new Map([...copies, ...rights]);
};
