import { stringify } from 'yaml';
import { crds } from '../scripts/generate/crds.ts';
import { editRules, operatorClusterRules, operatorNamespaceRules, type Rule, viewRules } from './rbac.ts';

const header = '# Generated from cdk8s/rbac.ts by `npm run gen`. Do not edit.\n';
const rules = (list: readonly Rule[]): string =>
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
  return new Map([
    ...copies,
    ['charts/adaptlet/files/rbac/operator-cluster.yaml', rules(operatorClusterRules)],
    ['charts/adaptlet/files/rbac/operator-namespace.yaml', rules(operatorNamespaceRules)],
    ['charts/adaptlet/files/rbac/view.yaml', rules(viewRules)],
    ['charts/adaptlet/files/rbac/edit.yaml', rules(editRules)],
  ]);
};
